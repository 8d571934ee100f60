//! The versions of servers, and how they are read from what servers print.

use std::fmt;

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

impl Version {
    /// The version in what `--version` prints: the first word that starts like one.
    pub(super) fn read(text: &str) -> Option<Version> {
        // A word without a number, or with one that is too large for any, is not the version.
        let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        text.split_whitespace().find_map(|word| {
            let word = word.strip_prefix("v=").unwrap_or(word);
            let (major, rest) = word.split_once('.').unwrap_or((word, "0"));
            // Versions that are not released yet print `18beta1`.
            Some(Version { major: number(major)?, minor: number(rest).unwrap_or(0) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(Version::read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), version(15, 18));
        assert_eq!(Version::read("postgres (PostgreSQL) 18beta1"), version(18, 0));
        assert_eq!(Version::read("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), version(7, 0));
        assert_eq!(Version::read("Valkey server v=8.1.3 sha=0"), version(8, 1));
        assert_eq!(Version::read("usage: postgres"), None);
    }
}
