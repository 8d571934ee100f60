//! Which hosts a route answers for. Start reading at [`HostPattern`].

use std::fmt;
use std::str::FromStr;

/// The word that stands for one label.
const TENANT: &str = "{tenant}";
/// Longest host name in bytes (RFC 1035, section 2.3.4, without the final dot).
const NAME_BYTES_MAX: usize = 253;
/// Longest label in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// The domains that nobody can own (RFC 2606, 6761, 6762 and 8375; `internal` is kept free by ICANN): what a local
/// authority may certify.
pub const UNOWNED_DOMAINS: [&str; 5] = ["localhost", "test", "internal", "local", "home.arpa"];

/// A host name, or every host name that is one label longer than a suffix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// `{tenant}.` before this suffix, which is in lower case and begins behind the dot.
    Tenant(String),
}

/// A text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host: letters, digits and hyphens between dots, the first label may be {TENANT}")]
pub struct HostError(String);

impl HostError {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl HostPattern {
    /// The name itself, or the one that tenants' names are below.
    pub fn name(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Tenant(name) => name,
        }
    }

    /// The name that a certificate for it holds.
    pub fn certificate_name(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Tenant(suffix) => format!("*.{suffix}"),
        }
    }
}

/// Whether a name, in lower case, is one of [`UNOWNED_DOMAINS`] or lies below one.
pub fn is_unowned(name: &str) -> bool {
    let is_below =
        |domain: &&str| name.strip_suffix(*domain).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    UNOWNED_DOMAINS.iter().any(is_below)
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let lower = text.to_ascii_lowercase();
        let pattern = match lower.strip_prefix(TENANT).and_then(|rest| rest.strip_prefix('.')) {
            Some(suffix) => Self::Tenant(suffix.to_owned()),
            None => Self::Exact(lower),
        };
        let name = pattern.name();
        let good = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
        if good { Ok(pattern) } else { Err(HostError(text.to_owned())) }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.pad(name),
            Self::Tenant(suffix) => write!(f, "{TENANT}.{suffix}"),
        }
    }
}

/// Whether this can be one label of a host name: what RFC 952 and 1123 allow, and the underscore.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_and_written() {
        for (text, written) in [
            ("Example.com", "example.com"),
            ("{tenant}.example.com", "{tenant}.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<HostPattern>().map(|it| it.to_string()), Ok(written.to_owned()), "{text}");
        }
        for text in ["", "a..b", "-a.b", "a b", "x.{tenant}.b", "{tenant}", "{tenant}.", "ä.example", "a:80"] {
            assert_eq!(text.parse::<HostPattern>(), Err(HostError(text.to_owned())), "{text}");
        }
    }
    #[test]
    fn a_pattern_has_the_name_of_its_certificate() {
        for (text, name) in [("shop.test", "shop.test"), ("{tenant}.shop.test", "*.shop.test")] {
            assert_eq!(text.parse::<HostPattern>().unwrap().certificate_name(), name);
        }
    }

    #[test]
    fn names_that_nobody_owns_are_told_from_others() {
        for name in ["localhost", "acme.shop.localhost", "nas.home.arpa"] {
            assert!(is_unowned(name), "{name}");
        }
        for name in ["example.com", "mylocalhost", "localhost.com", "arpa", "home.arpa.org"] {
            assert!(!is_unowned(name), "{name}");
        }
    }
}
