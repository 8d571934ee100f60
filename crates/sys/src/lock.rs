//! One holder of a folder at a time, by flock(2): the kernel lets go when the last process that has the
//! lock open ends, however it ends.
//!
//! Start reading at [`Lock::take`]. Invariant: a lock file is never removed, since a second one would lock nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::Pid;
use rustix::fs::{FlockOperation, flock};

use crate::files::{failed, if_there, is_full, open_itself};
use crate::system::FileError;

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
        let mut writing = OpenOptions::new();
        writing.write(true).create(true).truncate(false).mode(0o600);
        let mut number = open_itself(&mut writing, &path).map_err(unusable)?;
        let file = open_to_look(&path).map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { folder: folder.to_owned(), holder: written_holder(&file) });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        // Padded and overwritten in place. Without space the number is missing; the lock holds all the same.
        match writeln!(number, "{:<10}", std::process::id()) {
            Err(error) if !is_full(&error) => Err(unusable(error)),
            _ => Ok(Self { file }),
        }
    }
}

impl Lock {
    /// Whether the file that is locked is still the one of this name in this folder, as far as can be seen. Its number is not
    /// given to another file while it is open.
    pub fn is_in_place(&self, folder: &Path, name: &str) -> bool {
        let Ok(own) = self.file.metadata() else { return true };
        match std::fs::metadata(folder.join(name)) {
            Ok(there) => (there.dev(), there.ino()) == (own.dev(), own.ino()),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }
}

/// The process that holds the lock of this name in a folder now, where the kernel tells (proc_locks(5)). Looking takes
/// nothing: whoever wants the lock meanwhile gets it.
pub fn holder(folder: &Path, name: &str) -> Result<Option<Pid>, FileError> {
    let path = folder.join(name);
    let Some(file) = if_there("open", &path, open_to_look(&path))? else { return Ok(None) };
    let inode = file.metadata().map_err(failed("look at", &path))?.ino();
    // Files of other file systems have the same number: it is the holder if it also says so itself.
    let written = written_holder(&file);
    let kept = Path::new("/proc/locks");
    let locks = if_there("read", kept, std::fs::read_to_string(kept))?.unwrap_or_default();
    let mut holders = locks.lines().filter_map(|line| held_by(line, inode));
    Ok(holders.find(|holder| holder.to_string() == written))
}

fn open_to_look(path: &Path) -> io::Result<File> {
    open_itself(OpenOptions::new().read(true), path)
}

/// The process of one line of `/proc/locks`, if that line can be read and is a flock(2) which is held on the file of this number. The
/// device is not compared: some file systems show another one than stat(2) does.
fn held_by(line: &str, inode: u64) -> Option<Pid> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    // One that waits for it has an arrow in the second field.
    let [_, "FLOCK", _, "WRITE", pid, file, ..] = fields.as_slice() else { return None };
    let (_, number) = file.rsplit_once(':')?;
    (number.parse() == Ok(inode)).then(|| pid.parse().ok().map(Pid))?
}

fn written_holder(file: &File) -> String {
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
    fn a_lock_is_told_from_other_kinds_and_from_who_waits_for_it() {
        let held = "3: FLOCK  ADVISORY  WRITE 27891 fe:00:10215522 0 EOF";
        assert_eq!(held_by(held, 10_215_522), Some(Pid(27_891)));
        assert_eq!(held_by(held, 215_522), None);
        for other in [
            "3: -> FLOCK  ADVISORY  WRITE 27891 fe:00:10215522 0 EOF",
            "1: OFDLCK ADVISORY  WRITE -1 fe:00:10215522 0 EOF",
            "1: POSIX  ADVISORY  WRITE 7 fe:00:10215522 0 EOF",
            "",
        ] {
            assert_eq!(held_by(other, 10_215_522), None, "{other}");
        }
    }

    #[test]
    fn a_second_holder_is_told_who_has_it() {
        let folder = std::env::temp_dir().join(format!("mainstay-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let held = Lock::take(&folder, "lock").unwrap();
        let error = Lock::take(&folder, "lock").unwrap_err();
        assert_eq!(error.to_string(), format!("{} is in use by process {}", folder.display(), std::process::id()));
        assert_eq!(holder(&folder, "lock"), Ok(Some(Pid(std::process::id()))));
        drop(held);
        assert_eq!(holder(&folder, "lock"), Ok(None));
        drop(Lock::take(&folder, "lock").unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("mainstay-lock-link-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("victim"), "untouched").unwrap();
        std::os::unix::fs::symlink("victim", folder.join("lock")).unwrap();
        let refused = Lock::take(&folder, "lock").unwrap_err();
        let LockError::Unusable { source, .. } = refused else { panic!("{refused}") };
        assert_eq!(source.to_string(), "a link has its name and is not followed: put the file itself there");
        assert!(holder(&folder, "lock").is_err());
        assert_eq!(std::fs::read_to_string(folder.join("victim")).unwrap(), "untouched");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_lock_whose_folder_was_taken_away_is_not_in_place() {
        let folder = std::env::temp_dir().join(format!("mainstay-lock-place-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lock = Lock::take(&folder, "lock").unwrap();
        assert!(lock.is_in_place(&folder, "lock"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(!lock.is_in_place(&folder, "lock"));
        std::fs::create_dir_all(&folder).unwrap();
        drop(Lock::take(&folder, "lock").unwrap());
        assert!(!lock.is_in_place(&folder, "lock"), "another one is there now");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
