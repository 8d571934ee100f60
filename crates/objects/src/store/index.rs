//! The index: one redb file that says which objects there are and where their contents lie.
//!
//! Start reading at [`Index::change`]. Changes that wait at the same time are made in one transaction, which is on
//! disk before any of them is told so. A change decides first and writes then: one that is refused has written nothing.
//!
//! The index's file grows only by space that the disk has given (fallocate), so a full disk is met between changes and
//! never in the midst of one. redb refuses to go on after any error of the disk; the index is then opened anew, which
//! is what a restart would do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};

/// Memory for pages of the index.
const CACHE_BYTES: usize = 8 << 20;
/// Changes that are made in one transaction.
const BATCH_MAX: usize = 256;

/// The index cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk is full.
    #[error("the disk of the object store is full: free some space, or delete objects")]
    Full,
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
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        let database = RwLock::new(Some(open_database(path)?));
        Ok(Self { path: path.to_owned(), database, waiting: Mutex::default(), writer: Mutex::default() })
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
            (_, Err(error)) if matches!(*error, IndexError::Full) => Err(IndexError::Full.into()),
            (_, Err(error)) => Err(IndexError::Unmade(error).into()),
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
        if outcome.is_err() {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        for made in made {
            // Each waits for it in `make_until`.
            drop(made.send(outcome.clone()));
        }
    }

    fn commit(&self, works: Vec<Work>) -> Result<(), IndexError> {
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
            *database = Some(open_database(&self.path)?);
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

fn open_database(path: &Path) -> Result<Database, IndexError> {
    let opening = AssertUnwindSafe(|| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(IndexError::when("open"))?;
        let space = file.try_clone().map_err(IndexError::when("open"))?;
        let backend = Allocated { file: FileBackend::new(file).map_err(IndexError::when("open"))?, space };
        redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(IndexError::when("open"))
    });
    std::panic::catch_unwind(opening).unwrap_or(Err(IndexError::Damaged { what: "its structure" }))
}

/// A file whose every byte has its place on disk before it is written. Nobody else has it open: the store's folder is
/// locked.
#[derive(Debug)]
struct Allocated {
    file: FileBackend,
    space: File,
}

impl StorageBackend for Allocated {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, bytes: u64) -> Result<(), io::Error> {
        let present = self.file.len()?;
        if bytes > present {
            let flags = rustix::fs::FallocateFlags::empty();
            match rustix::fs::fallocate(&self.space, flags, present, bytes - present) {
                // A file system that cannot promise space is taken as it is.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }
}
