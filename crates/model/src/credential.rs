//! Who logs in to a resource, and the name under which each login's password is kept.

use std::fmt;
use std::str::FromStr;

use crate::name::{ResourceName, SecretName, ServiceName};

/// Who logs in to a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The node itself: it may do everything.
    Operator,
    /// A release's `run` hook: it owns the tables and changes them.
    Owner,
    /// A service that uses the resource: it reads and writes data.
    Service(ServiceName),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Operator => f.write_str("operator"),
            Holder::Owner => f.write_str("owner"),
            Holder::Service(service) => write!(f, "service/{service}"),
        }
    }
}

/// What [`SecretPath::LocalAuthority`] is printed as; `local` is no holder.
const LOCAL_AUTHORITY: &str = "authority/local";

/// The name of something secret. Printed as `JWT_KEY`, `db/operator`, `db/owner`, `db/service/api` or `authority/local`;
/// no name holds a `/`, so the form reads back unambiguously.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretPath {
    /// A secret of the file.
    Named(SecretName),
    /// The password of a login to a resource.
    Credential(ResourceName, Holder),
    /// The authority that certifies hosts for development, with its key.
    LocalAuthority,
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPath::Named(name) => f.write_str(name.as_str()),
            SecretPath::Credential(resource, holder) => write!(f, "{resource}/{holder}"),
            SecretPath::LocalAuthority => f.write_str(LOCAL_AUTHORITY),
        }
    }
}

/// A text does not name anything secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a secret: expected a form such as JWT_KEY, db/owner or db/service/api")]
pub struct SecretPathError(String);

impl FromStr for SecretPath {
    type Err = SecretPathError;

    fn from_str(text: &str) -> Result<Self, SecretPathError> {
        let parts: Vec<&str> = text.split('/').collect();
        let path = match parts.as_slice() {
            _ if text == LOCAL_AUTHORITY => Some(SecretPath::LocalAuthority),
            [name] => name.parse().ok().map(SecretPath::Named),
            [resource, "operator"] => resource.parse().ok().map(|r| SecretPath::Credential(r, Holder::Operator)),
            [resource, "owner"] => resource.parse().ok().map(|r| SecretPath::Credential(r, Holder::Owner)),
            [resource, "service", service] => match (resource.parse(), service.parse()) {
                (Ok(resource), Ok(service)) => Some(SecretPath::Credential(resource, Holder::Service(service))),
                _ => None,
            },
            _ => None,
        };
        path.ok_or_else(|| SecretPathError(text.to_owned()))
    }
}

impl TryFrom<String> for SecretPath {
    type Error = SecretPathError;

    fn try_from(text: String) -> Result<Self, SecretPathError> {
        text.parse()
    }
}

impl From<SecretPath> for String {
    fn from(path: SecretPath) -> String {
        path.to_string()
    }
}

impl From<SecretName> for SecretPath {
    fn from(name: SecretName) -> Self {
        SecretPath::Named(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_and_print() {
        for text in ["JWT_KEY", "db/operator", "order-db/owner", "db/service/api", "authority/local"] {
            assert_eq!(text.parse::<SecretPath>().unwrap().to_string(), text);
        }
        for bad in ["", "db/", "db/api", "db/service/", "db/service/api/x", "a-b", "/owner"] {
            assert_eq!(bad.parse::<SecretPath>(), Err(SecretPathError(bad.to_owned())), "{bad}");
        }
    }
}
