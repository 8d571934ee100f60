//! Certificates as the node hands them over: plain values, replaced whole like the settings. Start reading at
//! [`Certificates`].
//!
//! Invariant: a private key is in no output. It is wiped from memory where the edge is done with its text.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::host::{HostError, HostPattern};

/// What stands for one label of a name.
const WILDCARD: &str = "*.";

/// Every certificate that an edge answers with.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Certificates {
    /// Grows with every change, so that an edge can say which certificates it works by.
    pub number: u64,
    /// The certificates. Of two for the same name, the later one is used.
    pub list: Vec<Certificate>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Certificate {
    /// The names it is used for.
    pub names: Vec<CertificateName>,
    /// The certificate and those between it and its authority, as PEM.
    pub chain: String,
    /// Its private key.
    pub key: KeyText,
}

/// A private key as PEM, which is never shown.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// A key from its text.
    pub fn new(pem: impl Into<Zeroizing<String>>) -> Self {
        Self(pem.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A host name, or `*.` and the name above it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CertificateName {
    /// This name, in lower case.
    Exact(String),
    /// Every name that is one label longer than this one, which is in lower case.
    Wildcard(String),
}

impl FromStr for CertificateName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (above, name) = match text.strip_prefix(WILDCARD) {
            Some(name) => (true, name),
            None => (false, text),
        };
        match name.parse()? {
            HostPattern::Exact(name) if above => Ok(Self::Wildcard(name)),
            HostPattern::Exact(name) => Ok(Self::Exact(name)),
            HostPattern::Tenant(_) => Err(HostError::of(text)),
        }
    }
}

impl TryFrom<String> for CertificateName {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<CertificateName> for String {
    fn from(name: CertificateName) -> String {
        name.to_string()
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(above) => write!(f, "{WILDCARD}{above}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, written) in [("Acme.Test", "acme.test"), ("*.acme.test", "*.acme.test"), ("localhost", "localhost")]
        {
            assert_eq!(text.parse::<CertificateName>().map(|name| name.to_string()), Ok(written.to_owned()), "{text}");
        }
        for text in ["", "*", "*.", "*.*.test", "a.*.test", "*a.test", "{tenant}.test", "*.{tenant}.test", "a:443"] {
            assert!(text.parse::<CertificateName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let names = vec!["acme.test".parse().unwrap()];
        let certificate = Certificate { names, chain: "chain".to_owned(), key: KeyText::new("hunter2".to_owned()) };
        let shown = format!("{:?}", Certificates { number: 1, list: vec![certificate] });
        assert!(!shown.contains("hunter2") && shown.contains("(hidden)"), "{shown}");
    }
}
