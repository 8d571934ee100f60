//! Whether the disk can be believed. Start reading at [`Syncs`].
//!
//! A kernel that could not write a page tells so once, and forgets: it calls the page clean, and the next sync succeeds
//! over what is not on disk. So after one sync that failed nothing more is written until the store is opened anew, by a
//! process that asks the disk and not the kernel's memory of it ([`ask_the_disk`](sys::files::ask_the_disk)).

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// A sync has failed since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sync of the object store's disk has failed: check the disk, then start the object store anew")]
pub struct SyncFailed;

/// Every sync of a store goes through here.
#[derive(Debug, Default)]
pub struct Syncs {
    failed: AtomicBool,
}

impl Syncs {
    /// Whether something may still be written.
    pub fn check(&self) -> Result<(), SyncFailed> {
        match self.failed.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(SyncFailed),
        }
    }

    /// Makes a file or a folder durable.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.note(file.sync_all())
    }

    /// Makes what a file holds durable, and as much of what is said about it as is needed to read it.
    pub(super) fn sync_data(&self, file: &File) -> io::Result<()> {
        self.note(file.sync_data())
    }

    fn note(&self, synced: io::Result<()>) -> io::Result<()> {
        if synced.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_remembered() {
        let syncs = Syncs::default();
        let file = File::open("/dev/null").unwrap();
        syncs.sync(&File::open(std::env::temp_dir()).unwrap()).unwrap();
        assert_eq!(syncs.check(), Ok(()));
        // A device without a disk cannot be synced.
        assert!(syncs.sync(&file).is_err());
        syncs.sync(&File::open(std::env::temp_dir()).unwrap()).unwrap();
        assert_eq!(syncs.check(), Err(SyncFailed));
    }
}
