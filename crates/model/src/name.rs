//! One newtype per kind of name, so that a secret's name cannot be passed for a service's.

use std::fmt;
use std::str::FromStr;

/// Longest name of a stack, environment, service or resource, in bytes. Names become parts of socket
/// paths (107 bytes on Linux) and of DNS labels (63 bytes, RFC 1035).
pub const NAME_BYTES_MAX: usize = 40;

/// Longest name of a secret or an environment variable, in bytes.
pub const VARIABLE_BYTES_MAX: usize = 120;

/// Shortest name of a bucket, in bytes: S3's own rule, which clients check.
pub const BUCKET_BYTES_MIN: usize = 3;

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no characters.
    #[error("a name cannot be empty")]
    Empty,
    /// The text is shorter than its kind allows.
    #[error("a name of this kind holds at least {min} bytes, this one has {found}")]
    TooShort {
        /// Bytes found.
        found: usize,
        /// Bytes needed.
        min: usize,
    },
    /// The text is longer than its kind allows.
    #[error("a name holds at most {max} bytes, this one has {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character that the kind does not allow.
    #[error("'{character}' cannot stand here: {rule}")]
    Character {
        /// The first offending character.
        character: char,
        /// The rule it breaks, as a sentence part.
        rule: &'static str,
    },
}

const LABEL_RULE: &str = "a name is lower-case letters, digits and '-', and starts and ends with a letter or digit";
const BUCKET_RULE: &str = "S3 keeps names that begin with `xn--` for itself";
const VARIABLE_RULE: &str = "a variable's name is letters, digits and '_', and does not start with a digit";

fn check_label(text: &str) -> Result<(), NameError> {
    check_length(text, NAME_BYTES_MAX)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(character) = text.chars().find(|&c| !fits(c)) {
        return Err(NameError::Character { character, rule: LABEL_RULE });
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Character { character: '-', rule: LABEL_RULE });
    }
    Ok(())
}

/// A label that is a bucket's name to every client of S3 as well.
fn check_bucket(text: &str) -> Result<(), NameError> {
    check_label(text)?;
    if text.len() < BUCKET_BYTES_MIN {
        return Err(NameError::TooShort { found: text.len(), min: BUCKET_BYTES_MIN });
    }
    match text.starts_with("xn--") {
        true => Err(NameError::Character { character: 'x', rule: BUCKET_RULE }),
        false => Ok(()),
    }
}

fn check_variable(text: &str) -> Result<(), NameError> {
    check_length(text, VARIABLE_BYTES_MAX)?;
    if let Some(character) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || c == '_')) {
        return Err(NameError::Character { character, rule: VARIABLE_RULE });
    }
    match text.chars().next() {
        Some(first) if first.is_ascii_digit() => Err(NameError::Character { character: first, rule: VARIABLE_RULE }),
        _ => Ok(()),
    }
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        found if found > max => Err(NameError::TooLong { found, max }),
        _ => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name_type!(
    /// The name of a stack.
    StackName, check_label
);
name_type!(
    /// The name of an environment (`development`, `staging`, `production`).
    EnvironmentName, check_label
);
name_type!(
    /// The name of a service.
    ServiceName, check_label
);
name_type!(
    /// The name of a resource.
    ResourceName, check_label
);
name_type!(
    /// The name of a volume of a service.
    VolumeName, check_label
);
name_type!(
    /// The name of a bucket of an object store.
    BucketName, check_bucket
);
name_type!(
    /// The name of a secret; also the environment variable under which a service receives it.
    SecretName, check_variable
);
name_type!(
    /// The name of an environment variable.
    VariableName, check_variable
);

impl From<SecretName> for VariableName {
    fn from(name: SecretName) -> Self {
        Self(name.0)
    }
}

impl ResourceName {
    /// What the connection variables of this resource start with: `order-db` gives `ORDER_DB`.
    pub fn variable_prefix(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_strict() {
        assert_eq!("api-2".parse::<ServiceName>().map(String::from), Ok("api-2".to_owned()));
        assert_eq!("".parse::<ServiceName>(), Err(NameError::Empty));
        for bad in ["Api", "a_b", "-a", "a-", "a.b", "a/b", "é"] {
            assert!(matches!(bad.parse::<ServiceName>(), Err(NameError::Character { .. })), "{bad}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(long.parse::<StackName>(), Err(NameError::TooLong { found: 41, max: 40 }));
    }

    #[test]
    fn variables_are_strict() {
        assert!("JWT_KEY2".parse::<SecretName>().is_ok_and(|n| n.as_str() == "JWT_KEY2"));
        for bad in ["2A", "A-B", "A B", "A="] {
            assert!(matches!(bad.parse::<SecretName>(), Err(NameError::Character { .. })), "{bad}");
        }
    }

    #[test]
    fn buckets_are_what_clients_of_s3_take() {
        assert!("photos-2".parse::<BucketName>().is_ok());
        assert_eq!("ab".parse::<BucketName>(), Err(NameError::TooShort { found: 2, min: 3 }));
        for bad in ["photos.v2", "Photos", "xn--photos"] {
            assert!(matches!(bad.parse::<BucketName>(), Err(NameError::Character { .. })), "{bad}");
        }
    }

    #[test]
    fn a_resource_prefixes_its_variables() {
        let name: ResourceName = "order-db".parse().unwrap();
        assert_eq!(name.variable_prefix(), "ORDER_DB");
    }
}
