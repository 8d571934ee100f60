//! Which package brings a data service, on each system.

use super::program::{Product, Program};

impl Product {
    /// Which package brings this product and no other, on each system.
    pub(super) fn packages(self) -> String {
        match self {
            Product::Postgres => Program::Postgres.packages(None),
            // Fedora has had Valkey in its place since its release 41.
            Product::Redis => packages("redis-server", "redis (up to Fedora 40)", "redis", "redis"),
            Product::Valkey => packages("valkey-server", "valkey", "valkey", "valkey"),
        }
    }
}

impl Program {
    /// Which package to install, on each system.
    pub(super) fn packages(self, major: Option<u32>) -> String {
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
}

fn packages(debian: &str, fedora: &str, alpine: &str, mac: &str) -> String {
    format!(
        "Debian and Ubuntu: apt-get install {debian}. Fedora: dnf install {fedora}. Alpine: apk add {alpine}. macOS: \
         brew install {mac}."
    )
}
