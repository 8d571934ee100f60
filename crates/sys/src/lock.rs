//! One holder of a folder at a time, by flock(2): the kernel lets go when the last process that has the
//! lock open ends, however it ends.
//!
//! Start reading at [`Lock::take`]. Invariant: a lock file is never removed, since a second one would lock nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A lock held.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by process {holder}", folder.display())]
    Held {
        /// The folder that the lock stands for.
        folder: PathBuf,
        /// The process that wrote its number into the lock file last.
        holder: String,
    },
    /// The lock file cannot be opened or locked.
    #[error("cannot lock {}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock of this name in a folder, or says who has it. Never waits.
    pub fn take(folder: &Path, name: &str) -> Result<Self, LockError> {
        let path = folder.join(name);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        // The lock sits on a read-only descriptor, since children inherit it.
        let mut number =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(unusable)?;
        let file = File::open(&path).map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { folder: folder.to_owned(), holder: holder(&file) });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        // Padded and overwritten in place. Without space the number is missing; the lock holds all the same.
        match writeln!(number, "{:<10}", std::process::id()) {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(unusable(error)),
            _ => Ok(Self { file }),
        }
    }
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    match file.take(16).read_to_string(&mut text) {
        Ok(count) if count > 0 => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let folder = std::env::temp_dir().join(format!("mainstay-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let held = Lock::take(&folder, "lock").unwrap();
        let error = Lock::take(&folder, "lock").unwrap_err();
        assert_eq!(error.to_string(), format!("{} is in use by process {}", folder.display(), std::process::id()));
        drop(held);
        drop(Lock::take(&folder, "lock").unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
