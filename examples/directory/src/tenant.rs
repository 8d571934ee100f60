//! A tenant: one company, at a host of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest id.
const ID_MAX: usize = 40;

/// A tenant's id: the first label of its host, for ever.
///
/// Lower-case letters, digits and inner hyphens, a letter first. It holds nothing that a host, a key or a statement
/// would have to quote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TenantId(String);

/// A text is no tenant's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to {ID_MAX} lower-case letters, digits and inner hyphens, a letter first")]
pub(crate) struct InvalidId;

/// A company.
#[derive(Debug, Serialize)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
}

impl TenantId {
    /// The tenant that a `Host` header names, if it is one label before the domain. A port is passed over.
    pub(crate) fn of_host(host: &str, domain: &str) -> Option<Self> {
        let name = host.split_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        name.strip_suffix(domain)?.strip_suffix('.')?.parse().ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = text.len() <= ID_MAX
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(inner);
        fits.then(|| Self(text.to_owned())).ok_or(InvalidId)
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TenantId;

    fn tenant(host: &str) -> Option<String> {
        TenantId::of_host(host, "directory.localhost").map(String::from)
    }

    #[test]
    fn the_first_label_of_the_host_is_the_tenant() {
        assert_eq!(tenant("acme.directory.localhost").as_deref(), Some("acme"));
        assert_eq!(tenant("ACME.Directory.localhost:8443").as_deref(), Some("acme"));
    }

    #[test]
    fn other_hosts_name_no_tenant() {
        for host in [
            "directory.localhost",
            ".directory.localhost",
            "a.b.directory.localhost",
            "acmedirectory.localhost",
            "acme.directory.localhost.evil.example",
            "-acme.directory.localhost",
            "acme'.directory.localhost",
            "",
        ] {
            assert_eq!(tenant(host), None, "{host}");
        }
    }

    #[test]
    fn an_id_needs_no_quoting() {
        for text in ["", "1a", "a-", "a b", "a'b", "Acme", "ä", &"a".repeat(41)] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
        for text in ["a", "acme", "a-1", &"a".repeat(40)] {
            assert!(text.parse::<TenantId>().is_ok(), "{text}");
        }
    }
}
