//! The machine's key: an age identity in a file that only its owner may read.
//!
//! The file has the form that age tools write, so that a person can open a wrapped key with them.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

/// Longest key file in bytes: an identity is 74, and comments may stand beside it.
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

/// The machine's key, read from its file.
pub struct KeyFile {
    path: PathBuf,
    identity: age::x25519::Identity,
}

/// Why there is no key to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the key file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error(
        "the key file {} can be used by others than its owner (mode {mode:04o}): run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "the key file {} belongs to user {owner}, and this process runs as user {own}: run it as that user, \
         or `chown {own} {}`",
        path.display(), path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        own: u32,
    },
    /// It holds no key.
    #[error("{} is not a key file: it holds no line that starts with AGE-SECRET-KEY-1", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// Reads the key, after making sure that nobody else could have.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        let mode = about.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
        if owner != own {
            return Err(KeyFileError::Foreign { path: path.to_owned(), owner, own });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let identity = text.lines().find_map(|line| age::x25519::Identity::from_str(line.trim()).ok());
        let identity = identity.ok_or_else(|| KeyFileError::NoKey { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), identity })
    }

    /// Makes a new key in a file that does not exist yet, durably, with mode 0600. A folder that is
    /// missing is made with mode 0700.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Write { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_private_folder(folder).map_err(failed)?;
        let identity = age::x25519::Identity::generate();
        let text = Zeroizing::new(format!(
            "# The key of a Mainstay vault. Whoever has it can read every secret.\n# public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        ));
        // A key that is torn by a crash must never be taken for one: it gets its name when it is whole.
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        remove_if_there(&unfinished).map_err(failed)?;
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        // A link, unlike a rename, never replaces a key that came into being meanwhile.
        fs::hard_link(&unfinished, path).map_err(failed)?;
        remove_if_there(&unfinished).map_err(failed)?;
        sync_folder(folder).map_err(failed)?;
        Ok(Self { path: path.to_owned(), identity })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public half, `age1…`.
    pub fn public(&self) -> String {
        self.identity.to_public().to_string()
    }

    pub(crate) fn identity(&self) -> &age::x25519::Identity {
        &self.identity
    }
}

/// The public half of a key that is kept offline and can open the vault when the machine's key is lost.
#[derive(Debug, Clone)]
pub struct RecoveryRecipient(pub(crate) age::x25519::Recipient);

/// A text is not a recovery recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the public half of a recovery key: expected age1 and 58 more characters")]
pub struct RecoveryRecipientError(String);

impl FromStr for RecoveryRecipient {
    type Err = RecoveryRecipientError;

    fn from_str(text: &str) -> Result<Self, RecoveryRecipientError> {
        // What was given may be a private key, which an error must not repeat.
        let shown = || match text.starts_with("age1") {
            true => text.to_owned(),
            false => "(hidden)".to_owned(),
        };
        age::x25519::Recipient::from_str(text).map(Self).map_err(|_| RecoveryRecipientError(shown()))
    }
}

pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
