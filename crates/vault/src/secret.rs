//! A secret's value in memory: never printed, wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Longest value in bytes. Values travel in a process's environment, where the kernel allows 128 KiB
/// for one variable (MAX_ARG_STRLEN, execve(2)).
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// A secret's value. There is no `Clone`, no `Display`, and `Debug` hides it: whoever wants the text asks
/// for it by name with [`SecretValue::expose`].
pub struct SecretValue(Zeroizing<String>);

/// A text cannot be a secret's value. The text is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretValueError {
    /// The value is too long.
    #[error("the value has {found} bytes, and a secret holds at most {max}")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// There is no value.
    #[error("the value is empty: a secret that has none is left out, or removed with `mainstay secret remove`")]
    Empty,
    /// The value holds a NUL byte.
    #[error("the value holds a NUL byte, which no environment variable can carry")]
    Nul,
}

impl SecretValue {
    /// A value from a person's text.
    pub fn new(text: String) -> Result<Self, SecretValueError> {
        match text.is_empty() {
            true => Err(SecretValueError::Empty),
            false => Self::stored(text),
        }
    }

    /// A value as it is stored: an empty one may have been, and is still read.
    pub(crate) fn stored(text: String) -> Result<Self, SecretValueError> {
        let text = Zeroizing::new(text);
        match text.len() {
            found if found > VALUE_BYTES_MAX => Err(SecretValueError::TooLong { found, max: VALUE_BYTES_MAX }),
            _ if text.contains('\0') => Err(SecretValueError::Nul),
            _ => Ok(Self(text)),
        }
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value itself, handed on in a buffer that wipes itself.
    pub fn into_exposed(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_shown() {
        let value = SecretValue::new("hunter2".to_owned()).unwrap();
        assert_eq!(format!("{value:?}"), "(hidden)");
        assert_eq!(value.expose(), "hunter2");
    }

    #[test]
    fn what_no_variable_can_carry_is_refused() {
        assert_eq!(SecretValue::new(String::new()).err(), Some(SecretValueError::Empty));
        assert_eq!(SecretValue::stored(String::new()).unwrap().expose(), "");
        assert_eq!(SecretValue::new("a\0b".to_owned()).err(), Some(SecretValueError::Nul));
        let long = SecretValue::new("x".repeat(VALUE_BYTES_MAX + 1)).err();
        assert_eq!(long, Some(SecretValueError::TooLong { found: 65_537, max: 65_536 }));
    }
}
