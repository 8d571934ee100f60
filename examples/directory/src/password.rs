//! Passwords, hashed with argon2id. Hashing is slow and takes memory on purpose, so only few run at once.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// How many passwords are hashed at once in this process; each takes 19 MiB meanwhile.
const AT_ONCE: usize = 2;

/// How many passwords may wait for their turn; at 20 ms each that is half a second.
const WAITING_MAX: usize = 48;

/// A password could not be hashed or held against a hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot hash a password")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("a stored password hash cannot be read")]
    Stored(#[from] argon2::password_hash::phc::Error),
    #[error("too many passwords wait to be looked at")]
    Busy,
    #[error("the work on a password broke off")]
    Broken(#[from] tokio::task::JoinError),
}

/// Hashes passwords and holds them against hashes.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Places in the queue, turns included.
    places: Semaphore,
    /// The hash of a password that nobody has: an unknown name takes as long as a wrong password.
    nobodys: String,
}

impl Passwords {
    pub(crate) async fn new() -> Result<Self, Error> {
        let mut passwords = Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Semaphore::new(AT_ONCE + WAITING_MAX),
            nobodys: String::new(),
        };
        passwords.nobodys = passwords.hash(crate::random::token()).await?;
        Ok(passwords)
    }

    /// The hash of a password, with a salt of its own.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        self.in_turn(move || {
            let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password is the one that was hashed. Without a hash it is not, and that takes as long.
    pub(crate) async fn is(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        self.in_turn(move || {
            let hash = PasswordHash::new(&hash)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.places.try_acquire().map_err(|_| Error::Busy)?;
        // The semaphore is never closed; a turn is then had at once.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Error, Passwords, WAITING_MAX};

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let passwords = Passwords::new().await.unwrap();
        let queue = passwords.places.try_acquire_many((AT_ONCE + WAITING_MAX) as u32).unwrap();
        assert!(matches!(passwords.hash("one more".to_owned()).await, Err(Error::Busy)));
        drop(queue);
        assert!(passwords.hash("one more".to_owned()).await.is_ok());
    }

    #[tokio::test]
    async fn only_the_hashed_password_is_it() {
        let passwords = Passwords::new().await.unwrap();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.is("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.is("correct horsf".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.is("correct horse".to_owned(), None).await.unwrap());
    }
}
