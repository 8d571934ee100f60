//! The kinds of servers, and whose they are.

use std::path::Path;

use super::{Installation, Version};

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

impl Product {
    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Product::Postgres => "PostgreSQL",
            Product::Redis => "Redis",
            Product::Valkey => "Valkey",
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
    pub(super) const fn file_names(self) -> &'static [&'static str] {
        match self {
            Program::Postgres => &["postgres"],
            Program::Redis => &["redis-server", "valkey-server"],
        }
    }

    /// Where packages put it, beside the search path. `*` stands for a version, in one name of a folder.
    pub(super) const fn package_folders(self) -> &'static [&'static str] {
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

    /// Whose server prints this for `--version`.
    fn product(self, text: &str) -> Product {
        match self {
            Program::Postgres => Product::Postgres,
            Program::Redis if text.starts_with("Redis ") => Product::Redis,
            // Valkey 7.2 prints `Server v=`, without a name.
            Program::Redis => Product::Valkey,
        }
    }

    /// The installation of a server that prints this for `--version`, or why it cannot be used.
    pub(super) fn installation(self, server: &Path, text: &str) -> Result<Installation, String> {
        match Version::read(text) {
            None => Err("`--version` printed no version".to_owned()),
            Some(version) if version.major < self.oldest() => {
                Err(format!("version {version} is older than {}", self.oldest()))
            }
            Some(version) => Ok(Installation { product: self.product(text), version, server: server.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_told_apart_by_what_they_print() {
        assert_eq!(Program::Redis.product("Redis server v=8.0.2 sha=0"), Product::Redis);
        assert_eq!(Program::Redis.product("Valkey server v=8.1.1 sha=0"), Product::Valkey);
        assert_eq!(Program::Redis.product("Server v=7.2.5 sha=0"), Product::Valkey);
    }
}
