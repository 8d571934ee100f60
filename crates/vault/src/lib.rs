//! Keeps secrets: encrypted at rest, in versions, under a key that lives in a file of its own.
//!
//! Start reading at [`store`]: [`Vault`] is the whole interface; its head documents the stored format.
//! [`key_file`] holds the machine's key, [`secret`] the values' type, [`seal`] the cryptography and
//! [`dotenv`] reads `.env` files; [`authority`] certifies hosts for development. The only crate that sees key material at rest. Invariant: no value
//! appears in an error, in `Debug` or `Display`, or in any file that is not encrypted.

pub mod store;

pub mod authority;
pub mod dotenv;
pub mod key_file;
pub mod secret;

mod error;
mod mask;
mod record;
mod seal;
mod tables;

pub use authority::{AuthorityError, Issued, LocalAuthority};
pub use error::{OpenError, ReadError, WriteError};
pub use key_file::{KeyFile, KeyFileError, RecoveryRecipient, RecoveryRecipientError};
pub use secret::{SecretValue, SecretValueError};
pub use store::{Generation, ListedSecret, ListedVersion, SecretVersion, Vault};
