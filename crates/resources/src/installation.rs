//! Which data services' programs this machine has, and which package brings a missing one.
//!
//! Start reading at [`Installations::choose`]. Invariant: nothing is installed or downloaded here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kinds of servers that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// PostgreSQL.
    Postgres,
    /// Redis, or Valkey, which carries on its last free version.
    Redis,
}

/// Whose server it is, preferred first. Those of one kind number their versions each for itself, and do not read all of
/// each other's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// A version of a server: its first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// The first number; for PostgreSQL the one that decides about the format of data.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One installed server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Installation {
    /// Whose it is.
    pub product: Product,
    /// Its version.
    pub version: Version,
    /// The server's program.
    pub server: PathBuf,
}

impl Installation {
    /// A program that was installed with the server.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.server.with_file_name(name)
    }
}

/// What was found of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installations {
    /// The kind.
    pub program: Program,
    /// What can be used, by product, the newest of each first.
    pub usable: Vec<Installation>,
    /// What was found and cannot be used, with the reason.
    pub unusable: Vec<Unusable>,
}

/// A server that was found and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its program.
    pub server: PathBuf,
    /// Why not.
    pub why: String,
}

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

impl Program {
    /// The oldest major version that can be operated.
    pub const fn oldest(self) -> u32 {
        match self {
            Program::Postgres => 13,
            Program::Redis => 7,
        }
    }

    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Program::Postgres => "PostgreSQL",
            Program::Redis => "Redis",
        }
    }

    /// The names that the server's program has.
    const fn file_names(self) -> &'static [&'static str] {
        match self {
            Program::Postgres => &["postgres"],
            Program::Redis => &["redis-server", "valkey-server"],
        }
    }

    /// Where packages put it, beside the search path. `*` stands for a version, in one name of a folder.
    const fn package_folders(self) -> &'static [&'static str] {
        match self {
            Program::Postgres => &[
                "/usr/lib/postgresql/*/bin",
                "/usr/lib/postgresql*/bin",
                "/usr/pgsql-*/bin",
                "/usr/libexec/postgresql*",
                "/opt/homebrew/opt/postgresql*/bin",
                "/usr/local/opt/postgresql*/bin",
                "/usr/local/pgsql/bin",
                "/usr/bin",
                "/usr/local/bin",
                "/opt/homebrew/bin",
            ],
            Program::Redis => &["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"],
        }
    }

    /// Which package to install, on each system.
    fn packages(self, major: Option<u32>) -> String {
        let (debian, fedora, alpine, mac) = match (self, major) {
            (Program::Postgres, None) => (
                "postgresql".to_owned(),
                "postgresql-server".to_owned(),
                "postgresql".to_owned(),
                "postgresql".to_owned(),
            ),
            (Program::Postgres, Some(major)) => (
                format!("postgresql-{major}"),
                format!("postgresql{major}-server"),
                format!("postgresql{major}"),
                format!("postgresql@{major}"),
            ),
            (Program::Redis, _) => {
                ("redis-server".to_owned(), "valkey".to_owned(), "redis".to_owned(), "redis".to_owned())
            }
        };
        format!(
            "Debian and Ubuntu: apt-get install {debian}. Fedora: dnf install {fedora}. Alpine: apk add {alpine}. macOS: \
             brew install {mac}."
        )
    }

    /// Whose server prints this for `--version`.
    fn product(self, text: &str) -> Product {
        match self {
            Program::Postgres => Product::Postgres,
            Program::Redis if text.starts_with("Valkey") => Product::Valkey,
            Program::Redis => Product::Redis,
        }
    }

    /// The version in what `--version` prints: the first word that starts like one.
    fn version(text: &str) -> Option<Version> {
        let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        text.split_whitespace().find_map(|word| {
            let word = word.strip_prefix("v=").unwrap_or(word);
            let (major, rest) = word.split_once('.').unwrap_or((word, "0"));
            // Versions that are not released yet print `18beta1`.
            Some(Version { major: number(major)?, minor: number(rest).unwrap_or(0) })
        })
    }
}

/// Where servers are looked for: where packages put them, then the folders of the search path.
pub fn candidates(program: Program, search_path: &[PathBuf]) -> Vec<PathBuf> {
    let packaged = program.package_folders().iter().flat_map(|pattern| folders(pattern));
    let folders = packaged.chain(search_path.iter().cloned());
    let mut found: Vec<PathBuf> = folders
        .flat_map(|folder| program.file_names().iter().map(move |name| folder.join(name)))
        .filter(|path| path.is_file())
        .collect();
    // The same program by two ways (a link in /usr/bin) is one installation.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| path.canonicalize().is_ok_and(|real| seen.insert(real)));
    found
}

/// The folders that a pattern with at most one `*` in one name stands for, in order.
fn folders(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let after = after.trim_start_matches('/');
    let mut found: Vec<PathBuf> = std::fs::read_dir(format!("{parent}/"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'@'))
        })
        .map(|name| Path::new(parent).join(name).join(after))
        .collect();
    found.sort();
    found
}

/// Asks each candidate for its version. Runs programs: not for an async task's own thread.
pub fn discover(program: Program, candidates: &[PathBuf]) -> Installations {
    let mut found = Installations { program, usable: Vec::new(), unusable: Vec::new() };
    for server in candidates {
        match ask(program, server) {
            Ok(installation) if installation.version.major >= program.oldest() => found.usable.push(installation),
            Ok(Installation { version, .. }) => {
                let why = format!("version {version} is older than {}", program.oldest());
                found.unusable.push(Unusable { server: server.clone(), why });
            }
            Err(why) => found.unusable.push(Unusable { server: server.clone(), why }),
        }
    }
    found.usable.sort_by_key(|it| (it.product, std::cmp::Reverse(it.version)));
    found
}

/// Asks a server which one it is.
fn ask(program: Program, server: &Path) -> Result<Installation, String> {
    let mut command = Command::new(server);
    command.arg("--version").env_clear().stdin(Stdio::null());
    let output = command.output().map_err(|error: io::Error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    match Program::version(&text) {
        Some(version) if output.status.success() => {
            Ok(Installation { product: program.product(&text), version, server: server.to_owned() })
        }
        _ => Err(format!("`--version` ended with {} and no version", output.status)),
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

    /// The newest installation of the product that made the data. Without data, or where that product is gone, that of
    /// the preferred product, which says itself what it cannot read.
    pub fn choose_like(&self, data: Option<Product>) -> Result<&Installation, ChooseError> {
        match data.and_then(|product| self.usable.iter().find(|it| it.product == product)) {
            Some(same) => Ok(same),
            None => self.choose(None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn installations(program: Program, versions: &[(u32, u32)]) -> Installations {
        let product = program.product("");
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
        assert_eq!(found(vec![valkey.clone()]).choose_like(Some(Product::Redis)), Ok(&valkey));
        assert!(matches!(found(Vec::new()).choose_like(Some(Product::Redis)), Err(ChooseError::None { .. })));
    }

    #[test]
    fn products_are_told_apart_by_what_they_print() {
        assert_eq!(Program::Redis.product("Redis server v=8.0.2 sha=0"), Product::Redis);
        assert_eq!(Program::Redis.product("Valkey server v=8.1.1 sha=0"), Product::Valkey);
    }

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(Program::version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), version(15, 18));
        assert_eq!(Program::version("postgres (PostgreSQL) 18beta1"), version(18, 0));
        assert_eq!(Program::version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), version(7, 0));
        assert_eq!(Program::version("Valkey server v=8.1.3 sha=0"), version(8, 1));
        assert_eq!(Program::version("usage: postgres"), None);
    }

    #[test]
    fn this_machine_is_searched() {
        let found = candidates(Program::Postgres, &[]);
        for server in &found {
            assert_eq!(server.file_name().unwrap(), "postgres");
        }
        let discovered = discover(Program::Postgres, &found);
        assert_eq!(discovered.usable.len() + discovered.unusable.len(), found.len());
        let nothing = discover(Program::Postgres, &[PathBuf::from("/nowhere/postgres")]);
        assert_eq!((nothing.usable.len(), nothing.unusable.len()), (0, 1));
    }
}
