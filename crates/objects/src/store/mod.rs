//! The store: objects and their versions, durable and checked.
//!
//! Start reading at [`Store`]. Everything in here blocks, and knows neither HTTP nor settings. The order of a write is
//! the whole of its safety: the content is synced, gets its name, its folder is synced, and only then does the index
//! name it, in a transaction that is synced before the caller hears of it. A content's file is removed only after the
//! index no longer names it.

pub mod blob;
pub mod listing;
pub mod record;
pub mod uploads;

mod format;
mod index;
mod leases;
mod reading;
mod syncs;
mod tables;
mod versions;
mod writing;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use model::Timestamp;
use redb::ReadableTable;
use sys::lock::{Lock, LockError};

use blob::{BlobError, Blobs, Run};
use format::State;
use index::Index;
use leases::Leases;
use record::{Bucket, BucketId, Versioning};
use syncs::Syncs;

pub use format::{FORMAT, FormatError, is_store};
pub use index::IndexError;
pub use reading::{Content, Found};
pub use syncs::SyncFailed;
pub use tables::Which;
pub use versions::{Condition, Tag, Unmet, Written};
pub use writing::{Completion, MakeWhole, NewObject, NewPart, NewUpload, PartName};

const LOCK_NAME: &str = "lock";

/// An open store. It has its folder's lock.
pub struct Store {
    index: Index,
    blobs: Arc<Blobs>,
    leases: Arc<Leases>,
    syncs: Arc<Syncs>,
    served: Served,
    _lock: Lock,
}

/// The buckets that are served now, and what each does with what is overwritten or deleted. A change asks when it is made,
/// not when its request came in.
type Served = Arc<RwLock<BTreeMap<BucketId, Versioning>>>;

/// A bucket that was arranged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arranged {
    /// Its name.
    pub name: String,
    /// What the store remembers of it.
    pub bucket: Bucket,
    /// What it does from now on.
    pub versioning: Versioning,
}

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder cannot be made.
    #[error("cannot make {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It has another format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Its index cannot be opened.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Its contents cannot be opened.
    #[error("cannot open the contents in {}", folder.display())]
    Contents {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Something that was asked of the store was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket is not one of those that are served now.
    #[error("there is no such bucket: buckets are those of the stack's file")]
    NoBucket,
    /// There is no such object or version.
    #[error("there is no such object")]
    NoObject,
    /// What was asked for is a delete marker.
    #[error("the object was deleted")]
    Deleted,
    /// A condition of the request does not hold.
    #[error("a condition of the request does not hold")]
    Unmet(Unmet),
    /// There is no such upload.
    #[error("there is no such upload: it was completed, aborted, or is older than a week")]
    NoUpload,
    /// The bucket has [`uploads::UPLOADS_MAX`] open uploads.
    #[error("the bucket has {} open uploads: complete or abort some", uploads::UPLOADS_MAX)]
    TooManyUploads,
    /// A completion names a part that is not there, or is another one.
    #[error("part {0} is not there, or was replaced since")]
    NoPart(u16),
    /// A completion's parts are not in ascending order.
    #[error("parts must be named in ascending order")]
    PartOrder,
    /// A part other than the last is smaller than S3 allows.
    #[error("part {0} is smaller than 5 MiB, and not the last")]
    PartTooSmall(u16),
    /// The whole is not what the completion says.
    #[error("the object in parts does not have the {0} that the request says")]
    Whole(&'static str),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A content.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl StoreError {
    /// Whether this is a decision, taken before anything was written.
    fn is_refusal(&self) -> bool {
        !matches!(self, StoreError::Index(_))
    }
}

impl Store {
    /// Opens the store of a folder, or makes one there.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        sys::files::make_folder(folder).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let lock = Lock::take(folder, LOCK_NAME)?;
        let state = format::look(folder, LOCK_NAME)?;
        if state == State::Unmade {
            Blobs::create(folder).map_err(format::in_folder(folder))?;
        }
        let syncs = Arc::new(Syncs::default());
        let index = Index::open(&folder.join(format::INDEX_NAME), Arc::clone(&syncs))?;
        let run = index.change(|writing| {
            tables::make(writing)?;
            let mut meta = writing.open_table(tables::META).map_err(IndexError::when("change"))?;
            Ok::<_, StoreError>(Run(tables::count_up(&mut meta, "run")?))
        });
        let run = run.map_err(|error| match error {
            StoreError::Index(error) => error,
            _ => IndexError::Damaged { what: "its run" },
        })?;
        if state == State::Unmade {
            format::seal(folder)?;
        }
        let blobs = Blobs::open(folder, run, Arc::clone(&syncs));
        let blobs = Arc::new(blobs.map_err(|source| OpenError::Contents { folder: folder.to_owned(), source })?);
        let leases = Arc::new(Leases::new(Arc::clone(&blobs)));
        Ok(Self { index, blobs, leases, syncs, served: Served::default(), _lock: lock })
    }

    /// Whether anything can still be written.
    pub fn check_disk(&self) -> Result<(), SyncFailed> {
        self.syncs.check()
    }

    /// Serves the buckets of these names from now on, and no others; the missing ones are made. With each comes whether it
    /// is to keep versions.
    pub fn arrange(&self, wanted: Vec<(String, bool)>, now: Timestamp) -> Result<Vec<Arranged>, StoreError> {
        let arranged = self.index.change(move |writing| {
            let mut table = writing.open_table(tables::BUCKETS).map_err(IndexError::when("change"))?;
            let mut meta = writing.open_table(tables::META).map_err(IndexError::when("change"))?;
            let mut arranged = Vec::with_capacity(wanted.len());
            for (name, versioned) in &wanted {
                let present = table.get(name.as_str()).map_err(IndexError::when("read"))?;
                let present: Option<Bucket> =
                    present.map(|value| tables::decode("a bucket", value.value())).transpose()?;
                let mut bucket = match present {
                    Some(bucket) => bucket,
                    None => {
                        let id = tables::count_up(&mut meta, "bucket")?;
                        let id = u32::try_from(id).map_err(|_| IndexError::Damaged { what: "its buckets" })?;
                        Bucket { id: BucketId(id), created: now, versioned: false }
                    }
                };
                bucket.versioned |= *versioned;
                let row = tables::encode(&bucket)?;
                table.insert(name.as_str(), row.as_slice()).map_err(IndexError::when("change"))?;
                arranged.push(Arranged { name: name.clone(), versioning: bucket.versioning(*versioned), bucket });
            }
            Ok::<_, StoreError>(arranged)
        })?;
        let served = arranged.iter().map(|arranged| (arranged.bucket.id, arranged.versioning));
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served.collect();
        Ok(arranged)
    }

    /// Removes the contents of one folder that a killed process left over; returns how many.
    pub fn sweep(&self, folder: u8) -> Result<usize, StoreError> {
        let failed = |source| BlobError::File { doing: "sweep", blob: blob::BlobId(u64::from(folder)), source };
        let found = self.blobs.of_earlier_runs(folder).map_err(failed)?;
        let unknown = self.index.read(|reading| {
            let known = reading.open_table(tables::BLOBS).map_err(IndexError::when("read"))?;
            let mut unknown = Vec::new();
            for blob in found {
                if known.get(blob.0).map_err(IndexError::when("read"))?.is_none() {
                    unknown.push(blob);
                }
            }
            Ok::<_, StoreError>(unknown)
        })?;
        let swept = unknown.len();
        self.leases.remove(unknown);
        Ok(swept)
    }
}
