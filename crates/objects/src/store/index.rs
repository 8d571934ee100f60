//! The index: one redb file that says which objects there are and where their contents lie.
//!
//! Start reading at [`Index::change`]. Changes that wait at the same time are made in one transaction, which is on
//! disk before any of them is told so. A change decides first and writes then: one that is refused has written nothing.
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
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};
use rustix::fs::{FallocateFlags, fallocate};

use super::syncs::{SyncFailed, Syncs, ask_the_disk};

/// Memory for pages of the index.
const CACHE_BYTES: usize = 8 << 20;
/// What the disk gives at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Changes that are made in one transaction.
const BATCH_MAX: usize = 256;

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

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
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

type Work = Box<dyn FnOnce(&WriteTransaction) -> Result<(), IndexError> + Send>;

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
    pub(super) fn read<T, E: From<IndexError>>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        self.reopen_if_closed()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(IndexError::Damaged { what: "its file" })?;
        let reading = database.begin_read().map_err(IndexError::when("read"))?;
        // redb asserts what a damaged file breaks.
        std::panic::catch_unwind(AssertUnwindSafe(|| work(&reading)))
            .unwrap_or_else(|_| Err(IndexError::Damaged { what: "its structure" }.into()))
    }

    /// Makes a change; it is on disk when this returns. `work` writes only once it can no longer refuse.
    pub(super) fn change<T, E>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<IndexError> + Refused + Send + 'static,
    {
        self.syncs.check().map_err(IndexError::Sync)?;
        let (tell, told) = sync_channel(1);
        let (made, outcome) = sync_channel(1);
        let work = move |writing: &WriteTransaction| {
            let result = work(writing);
            let goes_on = match &result {
                Err(error) if !error.is_refusal() => Err(IndexError::Damaged { what: "a change" }),
                _ => Ok(()),
            };
            // Whoever asked waits for it below.
            drop(tell.send(result));
            goes_on
        };
        self.lock_waiting().push(Change { work: Box::new(work), made });
        let committed = self.make_until(&outcome);
        match (told.try_recv(), committed) {
            (Ok(Err(error)), _) => Err(error),
            (Ok(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(match *error {
                IndexError::Full if self.syncs.check().is_ok() => IndexError::Full.into(),
                IndexError::Sync(failed) => IndexError::Sync(failed).into(),
                _ => IndexError::Unmade(error).into(),
            }),
            (Err(_), Ok(())) => Err(IndexError::Damaged { what: "a change" }.into()),
        }
    }

    /// Makes waiting changes until this one is among those made, by this thread or by another.
    fn make_until(&self, outcome: &Receiver<Outcome>) -> Outcome {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Ok(outcome) = outcome.try_recv() {
                return outcome;
            }
            let batch: Vec<Change> = {
                let mut waiting = self.lock_waiting();
                let count = waiting.len().min(BATCH_MAX);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return Err(Arc::new(IndexError::Damaged { what: "a change" }));
            }
            self.make(batch);
        }
    }

    fn make(&self, batch: Vec<Change>) {
        let (works, made): (Vec<Work>, Vec<_>) = batch.into_iter().map(|change| (change.work, change.made)).unzip();
        // redb asserts what a damaged file breaks.
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| self.commit(works)))
            .unwrap_or(Err(IndexError::Damaged { what: "its structure" }))
            .map_err(Arc::new);
        if outcome.as_ref().is_err_and(|error| !matches!(**error, IndexError::Sync(_))) {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        for made in made {
            // Each waits for it in `make_until`.
            drop(made.send(outcome.clone()));
        }
    }

    fn commit(&self, works: Vec<Work>) -> Result<(), IndexError> {
        self.syncs.check()?;
        self.reopen_if_closed()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(IndexError::Damaged { what: "its file" })?;
        let writing = database.begin_write().map_err(IndexError::when("change"))?;
        for work in works {
            work(&writing)?;
        }
        writing.commit().map_err(IndexError::when("change"))
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

/// Tells a decision from a failure: after a failure nothing of a transaction may stay.
pub(super) trait Refused {
    /// Whether this is a decision, taken before anything was written.
    fn is_refusal(&self) -> bool;
}

fn open_database(path: &Path, syncs: &Arc<Syncs>) -> Result<Database, IndexError> {
    let opening = AssertUnwindSafe(|| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(IndexError::when("open"))?;
        ask_the_disk(&file).map_err(IndexError::when("open"))?;
        let below = file.try_clone().map_err(IndexError::when("open"))?;
        let file = FileBackend::new(file).map_err(IndexError::when("open"))?;
        let backend = Allocated { file, below, syncs: Arc::clone(syncs), given: Mutex::default() };
        redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(IndexError::when("open"))
    });
    std::panic::catch_unwind(opening).unwrap_or(Err(IndexError::Damaged { what: "its structure" }))
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
