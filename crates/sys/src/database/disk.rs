//! The file under a database, which notes what the disk refuses. Start reading at [`Disk`].
//!
//! A write for which there was no room has changed nothing that was on the disk before. After any other error nothing is known:
//! Linux tells of a page that it could not write back once, and may take it for written from then on (fsync(2)), so that what is
//! read afterwards need not be on the disk. Only a start of the node, which asks the disk itself
//! ([`ask_the_disk`](crate::files::ask_the_disk)), may go on from there.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use redb::StorageBackend;

/// What the disk under one database has refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since_it_was_opened: AtomicBool,
    doubt: OnceLock<String>,
}

impl Refusals {
    /// The database is opened, once more maybe.
    pub(super) fn begin(&self) {
        self.since_it_was_opened.store(false, Ordering::Relaxed);
    }

    /// Whether the disk has refused anything since the database was opened.
    pub(super) fn are_any(&self) -> bool {
        self.since_it_was_opened.load(Ordering::Relaxed)
    }

    /// The error after which it is not known any more what is on the disk.
    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.get().map(String::as_str)
    }

    pub(super) fn note_lack_of_room(&self) {
        self.since_it_was_opened.store(true, Ordering::Relaxed);
    }

    fn note(&self, error: &io::Error) {
        self.since_it_was_opened.store(true, Ordering::Relaxed);
        self.doubt.get_or_init(|| error.to_string());
    }
}

/// A file that is written by redb, without a lock of its own: whoever opens it holds that of its folder.
#[derive(Debug)]
pub(super) struct Disk<File> {
    pub(super) file: File,
    pub(super) refusals: Arc<Refusals>,
}

/// Whether a write failed for want of room: on the disk, by a quota, or by a limit of the length of files.
fn lacks_room(error: &io::Error) -> bool {
    crate::files::is_full(error) || error.kind() == io::ErrorKind::FileTooLarge
}

impl<File> Disk<File> {
    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| self.refusals.note(error))
    }

    fn note_write(&self, done: io::Result<()>) -> io::Result<()> {
        done.inspect_err(|error| match lacks_room(error) {
            true => self.refusals.note_lack_of_room(),
            false => self.refusals.note(error),
        })
    }
}

impl<File: StorageBackend> StorageBackend for Disk<File> {
    fn len(&self) -> io::Result<u64> {
        self.note(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.file.read(offset, out))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.note_write(self.file.set_len(length))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note_write(self.file.write(offset, data))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(self.file.sync_data())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// A file on which everything fails.
    #[derive(Debug)]
    struct Failing(Errno);

    impl StorageBackend for Failing {
        fn len(&self) -> io::Result<u64> {
            Err(self.0.into())
        }

        fn read(&self, _offset: u64, _out: &mut [u8]) -> io::Result<()> {
            Err(self.0.into())
        }

        fn set_len(&self, _length: u64) -> io::Result<()> {
            Err(self.0.into())
        }

        fn sync_data(&self) -> io::Result<()> {
            Err(self.0.into())
        }

        fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[track_caller]
    fn check(errno: Errno, work: fn(&Disk<Failing>) -> io::Result<()>, doubted: bool) {
        let disk = Disk { file: Failing(errno), refusals: Arc::default() };
        assert_eq!(work(&disk).unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
        assert_eq!((disk.refusals.are_any(), disk.refusals.doubt().is_some()), (true, doubted), "{errno}");
    }

    #[test]
    fn only_a_write_that_lacked_room_leaves_no_doubt_of_what_is_on_the_disk() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            check(errno, |disk| disk.write(0, b"one"), false);
            check(errno, |disk| disk.set_len(1), false);
            check(errno, |disk| disk.sync_data(), true);
        }
        check(Errno::IO, |disk| disk.write(0, b"one"), true);
        check(Errno::IO, |disk| disk.set_len(1), true);
        check(Errno::IO, |disk| disk.sync_data(), true);
        check(Errno::IO, |disk| disk.read(0, &mut [0]), true);
        check(Errno::IO, |disk| disk.len().map(drop), true);
    }
}
