//! Passwords of logins to resources.

use std::collections::BTreeMap;
use std::fmt;

use model::Holder;
use sha2::Digest as _;
use zeroize::Zeroizing;

/// The fewest bytes of a password.
pub const PASSWORD_BYTES_MIN: usize = 16;
/// The most bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// A generated password. It holds only characters that stand for themselves in a URL, a SQL text and a
/// configuration file, so that no place needs to escape it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A text cannot be a password. The text is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource's password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} letters, digits, '-' and '_'; this one \
     does not"
)]
pub struct PasswordError;

impl Password {
    /// A password from its text.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PasswordError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text)),
            false => Err(PasswordError),
        }
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its SHA-256 digest, from which a password of this length and randomness cannot be found.
    pub(crate) fn hash(&self) -> model::Digest {
        model::Digest(sha2::Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The passwords of one resource: the operator's, the owner's where there is one, and one for each service that
/// may log in. A service that is not among them loses its login.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Of the node's own login. An object store has no such login: the node tells it what to do over a socket.
    pub operator: Password,
    /// Of everyone else's.
    pub others: BTreeMap<Holder, Password>,
}

impl Passwords {
    /// The holders and a digest of each one's password: what completing a server depends on.
    pub(crate) fn digest(&self, format: u32) -> model::Digest {
        let hashed = |password: &Password| password.hash().to_string();
        let others: Vec<_> = self.others.iter().map(|(holder, password)| (holder, hashed(password))).collect();
        crate::operated::digest_of(&(format, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_escape_is_a_password() {
        let password = |text: &str| Password::new(Zeroizing::new(text.to_owned()));
        assert_eq!(password("abcdefghijklmnop-_0").unwrap().expose(), "abcdefghijklmnop-_0");
        assert_eq!(format!("{:?}", password("abcdefghijklmnop").unwrap()), "(hidden)");
        for bad in ["short", "abcdefghijklmnop'", "abcdefghijklmnop@", "abcdefghijklmnop%", "abcdefghijklmnop\n"] {
            assert_eq!(password(bad).err(), Some(PasswordError), "{bad}");
        }
    }
}
