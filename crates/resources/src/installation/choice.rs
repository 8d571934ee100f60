//! Which installation a server is started from. Start reading at [`Installations::choose`].

use std::path::PathBuf;

use super::{Installation, Installations, Product, Program, Unusable, Version};

/// No installed server will do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// There is none.
    #[error("{} is not installed{}. {}", program.title(), list(unusable), program.packages(None))]
    None {
        /// Of which kind.
        program: Program,
        /// What was found instead.
        unusable: Vec<Unusable>,
    },
    /// The asked major version is missing.
    #[error(
        "{} {asked} is asked for, and this machine has {}. Install it, or change `version`. {}",
        program.title(), versions(found), program.packages(Some(*asked))
    )]
    Asked {
        /// Of which kind.
        program: Program,
        /// The major version asked for.
        asked: u32,
        /// What is there.
        found: Vec<Version>,
    },
    /// The data was made by a major version that is missing.
    #[error(
        "the data in {} was made by {} {data}, and this machine has {}. Install {data} again to go on with it; moving \
         data to another major version is not supported yet. {}",
        folder.display(), program.title(), versions(found), program.packages(Some(*data))
    )]
    Data {
        /// Of which kind.
        program: Program,
        /// The data directory.
        folder: PathBuf,
        /// The major version of the data.
        data: u32,
        /// What is there.
        found: Vec<Version>,
    },
    /// The data was made by a major version that is too old.
    #[error(
        "the data in {} was made by {} {data}, and {} and later are operated: bring it to a later version with the \
         server's own tools (pg_upgrade, or pg_dump into a new resource)",
        folder.display(), program.title(), program.oldest()
    )]
    DataTooOld {
        /// Of which kind.
        program: Program,
        /// The data directory.
        folder: PathBuf,
        /// The major version of the data.
        data: u32,
    },
    /// The data was written by a product that is missing.
    #[error(
        "the data was written by {}, and {} is not installed{}. Another product may not read all of it and is not \
         started on it. {}",
        product.title(), product.title(), list(unusable), product.packages()
    )]
    Product {
        /// Whose server wrote the data.
        product: Product,
        /// What was found instead.
        unusable: Vec<Unusable>,
    },
    /// The data was made by another major version than the one asked for.
    #[error(
        "the data in {} was made by {} {data}, and {asked} is asked for: moving data to another major version is not \
         supported yet; set `version: {data}`",
        folder.display(), program.title()
    )]
    DataOrAsked {
        /// Of which kind.
        program: Program,
        /// The data directory.
        folder: PathBuf,
        /// The major version of the data.
        data: u32,
        /// The major version asked for.
        asked: u32,
    },
}

fn list(unusable: &[Unusable]) -> String {
    let found: Vec<String> = unusable.iter().map(|it| format!("{} ({})", it.server.display(), it.why)).collect();
    match found.is_empty() {
        true => String::new(),
        false => format!("; found and not usable: {}", found.join(", ")),
    }
}

fn versions(found: &[Version]) -> String {
    let found: Vec<String> = found.iter().map(Version::to_string).collect();
    match found.is_empty() {
        true => "none".to_owned(),
        false => found.join(", "),
    }
}

/// The data that a server is chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingData {
    /// Its folder.
    pub folder: PathBuf,
    /// The major version that made it.
    pub major: u32,
}

impl Installations {
    /// The newest installation, of the asked major version if one is asked for, and of the one that made the
    /// data if there is data.
    pub fn choose(&self, asked: Option<u32>, data: Option<&ExistingData>) -> Result<&Installation, ChooseError> {
        let program = self.program;
        let found = || self.usable.iter().map(|it| it.version).collect::<Vec<_>>();
        if let Some(data) = data
            && data.major < program.oldest()
        {
            return Err(ChooseError::DataTooOld { program, folder: data.folder.clone(), data: data.major });
        }
        if let (Some(asked), Some(data)) = (asked, data)
            && asked != data.major
        {
            return Err(ChooseError::DataOrAsked { program, folder: data.folder.clone(), data: data.major, asked });
        }
        if self.usable.is_empty() && data.is_none() {
            return Err(ChooseError::None { program, unusable: self.unusable.clone() });
        }
        let major = data.map(|data| data.major).or(asked);
        let chosen = self.usable.iter().find(|it| major.is_none_or(|major| it.version.major == major));
        chosen.ok_or_else(|| match (data, asked) {
            (Some(data), _) => {
                ChooseError::Data { program, folder: data.folder.clone(), data: data.major, found: found() }
            }
            (None, Some(asked)) => ChooseError::Asked { program, asked, found: found() },
            (None, None) => ChooseError::None { program, unusable: self.unusable.clone() },
        })
    }

    /// The newest installation of the product that wrote the data; without data, of the preferred product that is here.
    pub fn choose_like(&self, data: Option<Product>) -> Result<&Installation, ChooseError> {
        let Some(product) = data else { return self.choose(None, None) };
        let same = self.usable.iter().find(|it| it.product == product);
        same.ok_or_else(|| ChooseError::Product { product, unusable: self.unusable.clone() })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn installations(program: Program, versions: &[(u32, u32)]) -> Installations {
        let product = match program {
            Program::Postgres => Product::Postgres,
            Program::Redis => Product::Redis,
        };
        let usable = versions.iter().map(|&(major, minor)| Installation {
            product,
            version: Version { major, minor },
            server: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/postgres")),
        });
        Installations { program, usable: usable.collect(), unusable: Vec::new() }
    }

    fn check(found: &Installations, asked: Option<u32>, data: Option<u32>, expected: &Expect) {
        let data = data.map(|major| ExistingData { folder: PathBuf::from("/state/resources/db/data"), major });
        let answer = match found.choose(asked, data.as_ref()) {
            Ok(chosen) => format!("{}\n", chosen.server.display()),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&answer);
    }

    #[test]
    fn a_missing_server_names_its_packages() {
        check(
            &installations(Program::Postgres, &[]),
            None,
            None,
            &expect![[r#"
            PostgreSQL is not installed. Debian and Ubuntu: apt-get install postgresql. Fedora: dnf install postgresql-server. Alpine: apk add postgresql. macOS: brew install postgresql.
        "#]],
        );
        check(
            &installations(Program::Redis, &[]),
            None,
            None,
            &expect![[r#"
            Redis is not installed. Debian and Ubuntu: apt-get install redis-server. Fedora: dnf install valkey. Alpine: apk add redis. macOS: brew install redis.
        "#]],
        );
        let mut old = installations(Program::Redis, &[]);
        old.unusable.push(Unusable {
            server: PathBuf::from("/usr/bin/redis-server"),
            why: "version 6.0 is older than 7".to_owned(),
        });
        check(
            &old,
            None,
            None,
            &expect![[r#"
            Redis is not installed; found and not usable: /usr/bin/redis-server (version 6.0 is older than 7). Debian and Ubuntu: apt-get install redis-server. Fedora: dnf install valkey. Alpine: apk add redis. macOS: brew install redis.
        "#]],
        );
    }

    #[test]
    fn the_newest_is_chosen_unless_the_file_or_the_data_say_otherwise() {
        let found = installations(Program::Postgres, &[(17, 2), (15, 18)]);
        check(
            &found,
            None,
            None,
            &expect![[r#"
            /usr/lib/postgresql/17/bin/postgres
        "#]],
        );
        check(
            &found,
            Some(15),
            None,
            &expect![[r#"
            /usr/lib/postgresql/15/bin/postgres
        "#]],
        );
        check(
            &found,
            None,
            Some(15),
            &expect![[r#"
            /usr/lib/postgresql/15/bin/postgres
        "#]],
        );
        check(
            &found,
            Some(16),
            None,
            &expect![[r#"
            PostgreSQL 16 is asked for, and this machine has 17.2, 15.18. Install it, or change `version`. Debian and Ubuntu: apt-get install postgresql-16. Fedora: dnf install postgresql16-server. Alpine: apk add postgresql16. macOS: brew install postgresql@16.
        "#]],
        );
        check(
            &found,
            None,
            Some(14),
            &expect![[r#"
            the data in /state/resources/db/data was made by PostgreSQL 14, and this machine has 17.2, 15.18. Install 14 again to go on with it; moving data to another major version is not supported yet. Debian and Ubuntu: apt-get install postgresql-14. Fedora: dnf install postgresql14-server. Alpine: apk add postgresql14. macOS: brew install postgresql@14.
        "#]],
        );
        check(
            &found,
            Some(17),
            Some(15),
            &expect![[r#"
            the data in /state/resources/db/data was made by PostgreSQL 15, and 17 is asked for: moving data to another major version is not supported yet; set `version: 15`
        "#]],
        );
        check(
            &installations(Program::Postgres, &[]),
            None,
            Some(14),
            &expect![[r#"
            the data in /state/resources/db/data was made by PostgreSQL 14, and this machine has none. Install 14 again to go on with it; moving data to another major version is not supported yet. Debian and Ubuntu: apt-get install postgresql-14. Fedora: dnf install postgresql14-server. Alpine: apk add postgresql14. macOS: brew install postgresql@14.
        "#]],
        );
        check(
            &found,
            None,
            Some(12),
            &expect![[r#"
            the data in /state/resources/db/data was made by PostgreSQL 12, and 13 and later are operated: bring it to a later version with the server's own tools (pg_upgrade, or pg_dump into a new resource)
        "#]],
        );
    }

    #[test]
    fn data_stays_with_the_product_that_made_it() {
        let of = |product, server: &str, version| Installation { product, version, server: server.into() };
        let redis = of(Product::Redis, "/usr/bin/redis-server", Version { major: 8, minor: 0 });
        let valkey = of(Product::Valkey, "/usr/bin/valkey-server", Version { major: 8, minor: 1 });
        let found = |usable| Installations { program: Program::Redis, usable, unusable: Vec::new() };
        let both = found(vec![redis.clone(), valkey.clone()]);
        assert_eq!(both.choose_like(None), Ok(&redis));
        assert_eq!(both.choose_like(Some(Product::Redis)), Ok(&redis));
        assert_eq!(both.choose_like(Some(Product::Valkey)), Ok(&valkey));
        assert_eq!(found(vec![valkey.clone()]).choose_like(None), Ok(&valkey));
        assert!(matches!(found(Vec::new()).choose_like(None), Err(ChooseError::None { .. })));
    }

    #[test]
    fn data_whose_product_is_missing_is_given_to_no_other() {
        let of = |product, server: &str| {
            vec![Installation { product, version: Version { major: 8, minor: 0 }, server: server.into() }]
        };
        let refused = |usable, unusable, data| {
            let found = Installations { program: Program::Redis, usable, unusable };
            format!("{}\n", found.choose_like(Some(data)).unwrap_err())
        };
        expect![[r#"
            the data was written by Redis, and Redis is not installed. Another product may not read all of it and is not started on it. Debian and Ubuntu: apt-get install redis-server. Fedora: dnf install redis (up to Fedora 40). Alpine: apk add redis. macOS: brew install redis.
        "#]]
            .assert_eq(&refused(of(Product::Valkey, "/usr/bin/valkey-server"), Vec::new(), Product::Redis));
        let old = Unusable { server: "/opt/valkey-server".into(), why: "it is broken".to_owned() };
        expect![[r#"
            the data was written by Valkey, and Valkey is not installed; found and not usable: /opt/valkey-server (it is broken). Another product may not read all of it and is not started on it. Debian and Ubuntu: apt-get install valkey-server. Fedora: dnf install valkey. Alpine: apk add valkey. macOS: brew install valkey.
        "#]]
            .assert_eq(&refused(of(Product::Redis, "/usr/bin/redis-server"), vec![old], Product::Valkey));
    }
}
