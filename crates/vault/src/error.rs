//! What can go wrong with a vault. No error holds a value.

use std::io;
use std::path::{Path, PathBuf};

use sys::database::DatabaseError;

use crate::seal::SealError;
use crate::secret::SecretValueError;
use crate::store::{GENERATED_BYTES_MAX, GENERATED_BYTES_MIN, Generation, NAMES_MAX};
use crate::tables::FORMAT;

/// A vault could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no vault, although there was one.
    #[error(
        "{} is missing, although generation {seen} of it was seen before: put it back from a backup",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The generation that was seen.
        seen: Generation,
    },
    /// The key does not open it.
    #[error(
        "the key file {} does not open {}: it belongs to another vault; use the key that this one was made with, \
         or a recovery key",
        key.display(), path.display()
    )]
    WrongKey {
        /// The vault's file.
        path: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The file is older than one that was seen.
    #[error(
        "{} is at generation {found}, although generation {seen} was seen before: it was put back from an older \
         copy, and changed secrets would be undone",
        path.display()
    )]
    RolledBack {
        /// The vault's file.
        path: PathBuf,
        /// Its generation.
        found: Generation,
        /// The generation that was seen.
        seen: Generation,
    },
    /// It was written by a newer program.
    #[error("{} has format {found}, and this program knows formats up to {FORMAT}: use a newer one", path.display())]
    Newer {
        /// The vault's file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its content is not what was written.
    #[error("{} is damaged ({what}): put it back from a backup", path.display())]
    Damaged {
        /// The vault's file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database refused.
    #[error(transparent)]
    Database(DatabaseError),
    /// A new vault could not be filled.
    #[error("cannot make a vault in {}", path.display())]
    Make {
        /// The vault's file.
        path: PathBuf,
        /// Why not.
        source: WriteError,
    },
}

/// A secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The storage layer refused.
    #[error("cannot read the vault")]
    Storage(#[source] Box<redb::Error>),
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] DatabaseError),
    /// A record is not what was written.
    #[error("a record of the vault is damaged ({what}): put the vault back from a backup")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
}

/// A change could not be made; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The storage layer refused.
    #[error("cannot write the vault")]
    Storage(#[source] Box<redb::Error>),
    /// The value could not be encrypted.
    #[error("cannot encrypt: {why}")]
    Encrypt {
        /// What is missing.
        why: String,
    },
    /// There are too many names.
    #[error("a vault holds at most {NAMES_MAX} names")]
    TooMany,
    /// All numbers are used up.
    #[error("the secret has had as many versions as can be counted")]
    NoNumber,
    /// So many random bytes are not made.
    #[error("a generated secret has {GENERATED_BYTES_MIN} to {GENERATED_BYTES_MAX} random bytes, not {asked}")]
    GeneratedBytes {
        /// How many were asked for.
        asked: u32,
    },
    /// The value cannot be kept.
    #[error(transparent)]
    Value(#[from] SecretValueError),
}

impl From<DatabaseError> for OpenError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Broken { path } => OpenError::Damaged { path, what: "its structure" },
            error => OpenError::Database(error),
        }
    }
}

impl From<DatabaseError> for WriteError {
    fn from(error: DatabaseError) -> Self {
        WriteError::Read(error.into())
    }
}

pub(crate) fn open_failed(path: &Path, error: redb::Error) -> OpenError {
    DatabaseError::when("open", path)(error).into()
}

pub(crate) fn storage(error: impl Into<redb::Error>) -> ReadError {
    ReadError::Storage(Box::new(error.into()))
}

pub(crate) fn unwritten(error: impl Into<redb::Error>) -> WriteError {
    WriteError::Storage(Box::new(error.into()))
}

pub(crate) fn unencrypted(error: SealError) -> WriteError {
    WriteError::Encrypt { why: error.to_string() }
}
