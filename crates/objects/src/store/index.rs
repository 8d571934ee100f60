//! The index: one redb file that says which objects there are and where their contents lie.
//!
//! Start reading at [`Index::change`]. Changes that wait at the same time are made in one transaction, which is on
//! disk before any of them is told so. A change decides first and writes then: one that is refused has written nothing. One
//! that comes upon a damaged row fails alone: the others are made anew without it.
//!
//! redb doubles its file when it needs one more page. Here that is only a promise: the disk gives space piece by piece
//! ([`PIECE_BYTES`]), each before it is first written, so that what a change needs of a full disk is what it writes, and
//! the store's reserve is enough for it. redb refuses to go on after any error of the disk. After one of want of space the
//! index is opened anew, which is what a restart would do; after one of a sync it stays closed, since the kernel may tell
//! of pages that are not on disk ([`syncs`](super::syncs)).

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};
use rustix::fs::{FallocateFlags, fallocate};
use sys::database::opening;
use sys::files::{ask_the_disk, is_full};

use super::StoreError;
use super::syncs::{SyncFailed, Syncs};

/// Memory for pages of the index.
const CACHE_BYTES: usize = 8 << 20;
/// What the disk gives at once.
const PIECE_BYTES: u64 = 1 << 20;

/// The index cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk is full.
    #[error("the disk of the object store is full: free some space, or delete objects")]
    Full,
    /// The disk is no longer believed.
    #[error(transparent)]
    Sync(#[from] SyncFailed),
    /// The database, or the disk below it, refuses.
    #[error("cannot {doing} the index of the object store")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// A change could not be made, nor those that were to be made together with it.
    #[error("the index of the object store was not changed")]
    Unmade(#[source] Arc<IndexError>),
    /// A row does not read back.
    #[error("the index of the object store is damaged at {what}: restore it from a backup")]
    Damaged {
        /// Where.
        what: &'static str,
    },
}

impl IndexError {
    /// Says what was being done when the database refused.
    pub(super) fn when<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| match error.into() {
            redb::Error::Io(error) if is_full(&error) => IndexError::Full,
            source => IndexError::Database { doing, source: Box::new(source) },
        }
    }
}

/// The open index.
pub(super) struct Index {
    path: PathBuf,
    syncs: Arc<Syncs>,
    /// Absent after an error of the disk, until it is opened anew.
    database: RwLock<Option<Database>>,
    waiting: Mutex<Vec<Change>>,
    /// Held by whoever makes the changes of all that wait.
    writer: Mutex<()>,
}

type Work = Box<dyn Fn(&WriteTransaction) -> Result<(), Spoilt> + Send>;

/// What a change that failed leaves of its transaction, of which nothing may stay.
enum Spoilt {
    /// The other changes can be made without it.
    One,
    /// They would fail too.
    All,
}

/// A transaction was not made.
enum Unmade {
    /// Because of this change of it.
    One(usize),
    /// Because of the database, or of the disk below it.
    All(IndexError),
}

impl From<IndexError> for Unmade {
    fn from(error: IndexError) -> Self {
        Unmade::All(error)
    }
}

/// A change that waits to be made.
struct Change {
    work: Work,
    made: SyncSender<Outcome>,
}

/// What became of all the changes of one transaction.
type Outcome = Result<(), Arc<IndexError>>;

impl Index {
    /// Opens the index, or makes it.
    pub(super) fn open(path: &Path, syncs: Arc<Syncs>) -> Result<Self, IndexError> {
        let database = RwLock::new(Some(open_database(path, &syncs)?));
        Ok(Self { path: path.to_owned(), syncs, database, waiting: Mutex::default(), writer: Mutex::default() })
    }

    /// Looks at the index as it is now.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let read = self.look(work);
        if matches!(read, Err(StoreError::Index(IndexError::Database { .. }))) {
            // It would refuse whatever comes next.
            self.close();
        }
        read
    }

    fn look<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.reopen_if_closed()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(IndexError::Damaged { what: "its file" })?;
        let reading = database.begin_read().map_err(IndexError::when("read"))?;
        // redb asserts what a damaged file breaks.
        std::panic::catch_unwind(AssertUnwindSafe(|| work(&reading)))
            .unwrap_or_else(|_| Err(IndexError::Damaged { what: "its structure" }.into()))
    }

    /// Makes a change; it is on disk when this returns. `work` writes only once it can no longer refuse, and is done anew
    /// where another change of its transaction came upon damage.
    pub(super) fn change<T: Send + 'static>(
        &self,
        work: impl Fn(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.syncs.check().map_err(IndexError::Sync)?;
        let (tell, told) = channel();
        let (made, outcome) = sync_channel(1);
        let work = move |writing: &WriteTransaction| {
            let result = work(writing);
            let goes_on = match &result {
                Err(StoreError::Index(IndexError::Damaged { .. })) => Err(Spoilt::One),
                Err(error) if !error.is_refusal() => Err(Spoilt::All),
                _ => Ok(()),
            };
            // Whoever asked waits for it below.
            drop(tell.send(result));
            goes_on
        };
        self.lock_waiting().push(Change { work: Box::new(work), made });
        let committed = self.make_until(&outcome);
        match (told.try_iter().last(), committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(StoreError::Index(match *error {
                IndexError::Full if self.syncs.check().is_ok() => IndexError::Full,
                IndexError::Sync(failed) => IndexError::Sync(failed),
                _ => IndexError::Unmade(error),
            })),
            (None, Ok(())) => Err(IndexError::Damaged { what: "a change" }.into()),
        }
    }

    /// Makes waiting changes until this one is among those made, by this thread or by another.
    fn make_until(&self, outcome: &Receiver<Outcome>) -> Outcome {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Ok(outcome) = outcome.try_recv() {
                return outcome;
            }
            // No more than there are threads that wait for theirs.
            let batch = std::mem::take(&mut *self.lock_waiting());
            if batch.is_empty() {
                return Err(Arc::new(IndexError::Damaged { what: "a change" }));
            }
            self.make(batch);
        }
    }

    /// Makes changes together: all, but for those that come upon damage.
    fn make(&self, mut batch: Vec<Change>) {
        let outcome = loop {
            // redb asserts what a damaged file breaks.
            let made = std::panic::catch_unwind(AssertUnwindSafe(|| self.commit(&batch)));
            match made.unwrap_or(Err(Unmade::All(IndexError::Damaged { what: "its structure" }))) {
                Ok(()) => break Ok(()),
                Err(Unmade::All(error)) => break Err(Arc::new(error)),
                Err(Unmade::One(at)) => {
                    let damaged = Arc::new(IndexError::Damaged { what: "a change" });
                    // It waits for it in `make_until`, and knows more by itself.
                    drop(batch.remove(at).made.send(Err(damaged)));
                }
            }
        };
        if outcome.as_ref().is_err_and(|error| !matches!(**error, IndexError::Sync(_))) {
            self.close();
        }
        for Change { made, .. } in batch {
            // Each waits for it in `make_until`.
            drop(made.send(outcome.clone()));
        }
    }

    fn commit(&self, batch: &[Change]) -> Result<(), Unmade> {
        self.syncs.check().map_err(IndexError::Sync)?;
        self.reopen_if_closed()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(IndexError::Damaged { what: "its file" })?;
        let writing = database.begin_write().map_err(IndexError::when("change"))?;
        for (at, change) in batch.iter().enumerate() {
            (change.work)(&writing).map_err(|spoilt| match spoilt {
                Spoilt::One => Unmade::One(at),
                Spoilt::All => Unmade::All(IndexError::Damaged { what: "a change" }),
            })?;
        }
        Ok(writing.commit().map_err(IndexError::when("change"))?)
    }

    /// Until it is opened anew by whoever needs it next.
    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn reopen_if_closed(&self) -> Result<(), IndexError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            self.syncs.check()?;
            *database = Some(open_database(&self.path, &self.syncs)?);
        }
        Ok(())
    }

    fn lock_waiting(&self) -> MutexGuard<'_, Vec<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_database(path: &Path, syncs: &Arc<Syncs>) -> Result<Database, IndexError> {
    let opened = opening(|| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(IndexError::when("open"))?;
        ask_the_disk(&file).map_err(IndexError::when("open"))?;
        let below = file.try_clone().map_err(IndexError::when("open"))?;
        let file = FileBackend::new(file).map_err(IndexError::when("open"))?;
        let backend = Allocated { file, below, syncs: Arc::clone(syncs), given: Mutex::default() };
        redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(IndexError::when("open"))
    });
    opened.unwrap_or(Err(IndexError::Damaged { what: "its structure" }))
}

/// A file whose every byte has its place on disk before it is written. Nobody else has it open: the store's folder is
/// locked.
#[derive(Debug)]
struct Allocated {
    file: FileBackend,
    /// The same file.
    below: File,
    syncs: Arc<Syncs>,
    /// The pieces of [`PIECE_BYTES`] that the disk has given, by their place in the file.
    given: Mutex<BTreeSet<u64>>,
}

impl Allocated {
    fn claim(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let pieces = offset / PIECE_BYTES..offset.saturating_add(bytes).div_ceil(PIECE_BYTES);
        let mut given = self.lock_given();
        for piece in pieces {
            if given.contains(&piece) {
                continue;
            }
            match fallocate(&self.below, FallocateFlags::KEEP_SIZE, piece * PIECE_BYTES, PIECE_BYTES) {
                // A file system that cannot promise space is taken as it is.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => given.insert(piece),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }

    fn lock_given(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Allocated {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, bytes: u64) -> Result<(), io::Error> {
        // A file that gets shorter gives space back.
        self.lock_given().retain(|piece| (piece + 1) * PIECE_BYTES <= bytes);
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.syncs.sync_data(&self.below)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.claim(offset, data.len() as u64)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::{META, count_up};

    fn index(name: &str) -> (PathBuf, Index) {
        let path = std::env::temp_dir().join(format!("mainstay-index-{}-{name}", std::process::id()));
        let index = Index::open(&path, Arc::default()).unwrap();
        (path, index)
    }

    fn count(name: &'static str) -> impl Fn(&WriteTransaction) -> Result<u64, StoreError> {
        move |writing| {
            let mut meta = writing.open_table(META).map_err(IndexError::when("change"))?;
            Ok(count_up(&mut meta, name)?)
        }
    }

    #[test]
    fn a_change_that_comes_upon_damage_fails_alone() {
        let (path, index) = index("damage");
        let results: Vec<Result<u64, StoreError>> = std::thread::scope(|scope| {
            // All wait for this one, and so come into one transaction.
            let writer = index.writer.lock().unwrap();
            let changes: Vec<_> = (0..6)
                .map(|number| {
                    let index = &index;
                    scope.spawn(move || {
                        index.change(move |writing| {
                            let counted = count("good")(writing)?;
                            match number % 3 {
                                0 => Err(IndexError::Damaged { what: "this row" }.into()),
                                _ => Ok(counted),
                            }
                        })
                    })
                })
                .collect();
            while index.lock_waiting().len() < 6 {
                std::thread::yield_now();
            }
            drop(writer);
            changes.into_iter().map(|change| change.join().unwrap()).collect()
        });
        let mut counted: Vec<u64> = results.iter().flatten().copied().collect();
        counted.sort_unstable();
        assert_eq!(counted, [1, 2, 3, 4], "each good change is made once, and nothing stays of the others");
        let damaged = results.iter().filter_map(|result| result.as_ref().err()).map(ToString::to_string);
        let why = "the index of the object store is damaged at this row: restore it from a backup";
        assert_eq!(damaged.collect::<Vec<_>>(), [why, why]);
        assert_eq!(index.change(count("good")).unwrap(), 5);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn after_a_read_that_the_database_refused_it_is_opened_anew() {
        let (path, index) = index("read");
        index.change(count("run")).unwrap();
        let refused = IndexError::when("read")(redb::Error::PreviousIo);
        index.read(|_| Err::<(), _>(StoreError::Index(refused))).unwrap_err();
        assert!(index.database.read().unwrap().is_none(), "it stays as it is, and refuses everything");
        assert_eq!(index.change(count("run")).unwrap(), 2);
        std::fs::remove_file(path).unwrap();
    }
}
