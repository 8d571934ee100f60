//! Which data services' programs this machine has, and which package brings a missing one.
//!
//! Start reading at [`Installations::choose`]. Invariant: nothing is installed or downloaded here.

mod answer;

use std::fmt;
use std::path::{Path, PathBuf};

use model::cause::chain;

use self::answer::{ANSWER_TIMEOUT, AnswerError, Asked};

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

fn packages(debian: &str, fedora: &str, alpine: &str, mac: &str) -> String {
    format!(
        "Debian and Ubuntu: apt-get install {debian}. Fedora: dnf install {fedora}. Alpine: apk add {alpine}. macOS: \
         brew install {mac}."
    )
}

impl Product {
    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Product::Postgres => "PostgreSQL",
            Product::Redis => "Redis",
            Product::Valkey => "Valkey",
        }
    }

    /// Which package brings this product and no other, on each system.
    fn packages(self) -> String {
        match self {
            Product::Postgres => Program::Postgres.packages(None),
            // Fedora has had Valkey in its place since its release 41.
            Product::Redis => packages("redis-server", "redis (up to Fedora 40)", "redis", "redis"),
            Product::Valkey => packages("valkey-server", "valkey", "valkey", "valkey"),
        }
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
        match (self, major) {
            (Program::Postgres, None) => packages("postgresql", "postgresql-server", "postgresql", "postgresql"),
            (Program::Postgres, Some(major)) => packages(
                &format!("postgresql-{major}"),
                &format!("postgresql{major}-server"),
                &format!("postgresql{major}"),
                &format!("postgresql@{major}"),
            ),
            (Program::Redis, _) => packages("redis-server", "valkey", "redis", "redis"),
        }
    }

    /// Whose server prints this for `--version`.
    fn product(self, text: &str) -> Product {
        match self {
            Program::Postgres => Product::Postgres,
            Program::Redis if text.starts_with("Redis ") => Product::Redis,
            // Valkey 7.2 prints `Server v=`, without a name.
            Program::Redis => Product::Valkey,
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

    /// The installation of a server that prints this for `--version`, or why it cannot be used.
    fn installation(self, server: &Path, text: &str) -> Result<Installation, String> {
        match Program::version(text) {
            None => Err("`--version` printed no version".to_owned()),
            Some(version) if version.major < self.oldest() => {
                Err(format!("version {version} is older than {}", self.oldest()))
            }
            Some(version) => Ok(Installation { product: self.product(text), version, server: server.to_owned() }),
        }
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

/// Asks each candidate for its version, all at once. Runs programs and waits for them, at most a few seconds: not for an
/// async task's own thread.
pub fn discover(program: Program, candidates: &[PathBuf]) -> Installations {
    let mut found = Installations { program, usable: Vec::new(), unusable: Vec::new() };
    let deadline = sys::clock::now().steady.saturating_add(ANSWER_TIMEOUT);
    let asked: Vec<Result<Asked, AnswerError>> = candidates.iter().map(|server| Asked::start(server)).collect();
    for (server, asked) in candidates.iter().zip(asked) {
        let answer = asked.and_then(|asked| asked.answer(deadline)).map_err(|error| chain(&error));
        match answer.and_then(|text| program.installation(server, &text)) {
            Ok(installation) => found.usable.push(installation),
            Err(why) => found.unusable.push(Unusable { server: server.clone(), why }),
        }
    }
    found.usable.sort_by_key(|it| (it.product, std::cmp::Reverse(it.version)));
    found
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
    use std::time::Duration;

    use expect_test::{Expect, expect};
    use model::Pid;

    use super::*;

    /// How often a condition is looked at.
    const POLL: Duration = Duration::from_millis(10);

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

    #[test]
    fn products_are_told_apart_by_what_they_print() {
        assert_eq!(Program::Redis.product("Redis server v=8.0.2 sha=0"), Product::Redis);
        assert_eq!(Program::Redis.product("Valkey server v=8.1.1 sha=0"), Product::Valkey);
        assert_eq!(Program::Redis.product("Server v=7.2.5 sha=0"), Product::Valkey);
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
        assert_eq!(nothing.usable, []);
        assert_eq!(nothing.unusable[0].why, "it cannot be run: No such file or directory (os error 2)");
    }

    /// A server that is a script, in a folder of its own where it can note a process id.
    struct Script(PathBuf);

    impl Script {
        fn new(name: &str, text: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-answer-{name}-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap();
            // Another process writes it: a test beside this one may be starting a program, which for a moment has all
            // of our files open, and what is open for writing cannot be run.
            let write =
                format!("printf '#!/bin/sh\\ncd {}\\n%s\\n' \"$0\" > server && chmod 755 server", folder.display());
            let written = std::process::Command::new("sh").args(["-c", &write, text]).current_dir(&folder).status();
            assert!(written.unwrap().success());
            Self(folder)
        }

        fn discover(&self) -> Installations {
            discover(Program::Postgres, &[self.0.join("server")])
        }

        /// Why it cannot be used, and how long it took to find out.
        fn unusable(&self) -> (String, Duration) {
            let before = sys::clock::now().steady;
            let found = self.discover();
            assert_eq!(found.usable, []);
            (found.unusable[0].why.clone(), sys::clock::now().steady - before)
        }

        /// Waits until the process that the script noted has ended.
        #[track_caller]
        fn wait_for_end(&self) {
            let pid = Pid(std::fs::read_to_string(self.0.join("pid")).unwrap().trim().parse().unwrap());
            let limit = sys::clock::now().steady + Duration::from_secs(20);
            while sys::process::look(pid).is_some_and(|seen| !seen.zombie) {
                assert!(sys::clock::now().steady < limit, "process {pid} goes on");
                std::thread::sleep(POLL);
            }
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_killed_and_said_to_hang() {
        let script = Script::new("hangs", "sleep 60 & echo $! > pid; echo 'postgres (PostgreSQL) 17.2'; wait");
        let (why, took) = script.unusable();
        assert_eq!(
            why,
            "`--version` did not end within 2s and was killed; run it by hand to see what it waits for, then mend or \
             remove the program"
        );
        assert!((ANSWER_TIMEOUT..Duration::from_secs(30)).contains(&took), "{took:?}");
        script.wait_for_end();
    }

    #[test]
    fn servers_that_hang_are_waited_for_together() {
        let script = Script::new("hang", "exec sleep 60");
        let before = sys::clock::now().steady;
        let found = discover(Program::Postgres, &vec![script.0.join("server"); 8]);
        let took = sys::clock::now().steady - before;
        assert_eq!(found.unusable.len(), 8);
        assert!(took < ANSWER_TIMEOUT * 4, "{took:?}");
    }

    #[test]
    fn a_server_that_does_not_stop_printing_is_killed_at_once() {
        let script = Script::new("prints", "echo $$ > pid; exec yes 'postgres (PostgreSQL) 17.2'");
        let (why, _) = script.unusable();
        assert_eq!(
            why,
            "`--version` printed more than 4KiB and was killed; a server prints one line: mend or remove the program"
        );
        script.wait_for_end();
    }

    #[test]
    fn what_a_server_leaves_behind_is_killed_and_not_waited_for() {
        let script = Script::new("leaves", "sleep 60 & echo $! > pid; echo 'postgres (PostgreSQL) 17.2'");
        let found = script.discover();
        assert_eq!(found.unusable, []);
        assert_eq!(found.usable[0].version, Version { major: 17, minor: 2 });
        script.wait_for_end();
    }

    #[test]
    fn a_server_that_fails_or_says_nothing_of_use_is_not_used() {
        let failing = Script::new("fails", "echo 'postgres (PostgreSQL) 17.2'; exit 3");
        assert_eq!(failing.unusable().0, "`--version` ended with exit status: 3");
        assert_eq!(Script::new("silent", "true").unusable().0, "`--version` printed no version");
        let old = Script::new("old", "echo 'postgres (PostgreSQL) 12.1'");
        assert_eq!(old.unusable().0, "version 12.1 is older than 13");
    }
}
