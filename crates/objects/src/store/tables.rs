//! The tables of the index, and how their rows are read and written.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `run`, `sequence`, `bucket`, `hour` | the newest number of each; hours are those that the store was open |
//! | `buckets` | name | [`Bucket`](super::record::Bucket) |
//! | `versions` | bucket, key, complement of the sequence | [`Version`]: the newest of a key comes first |
//! | `blobs` | blob | nothing: the contents that `versions` and `parts` name, each once |
//! | `uploads` | bucket, key, upload | [`Upload`](super::record::Upload) |
//! | `parts` | upload, part number | [`Part`](super::record::Part) |
//!
//! Start reading at [`Tables`].

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blob::BlobId;
use super::index::IndexError;
use super::record::{Place, Sequence, Version, VersionId};

/// Bucket, key, complement of the sequence.
pub(super) type VersionKey = (u32, &'static str, u64);
/// Bucket, key, upload.
pub(super) type UploadKey = (u32, &'static str, u64);
/// Upload, part number.
pub(super) type PartKey = (u64, u16);

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const BUCKETS: TableDefinition<&str, &[u8]> = TableDefinition::new("buckets");
pub(super) const VERSIONS: TableDefinition<VersionKey, &[u8]> = TableDefinition::new("versions");
pub(super) const BLOBS: TableDefinition<u64, ()> = TableDefinition::new("blobs");
pub(super) const UPLOADS: TableDefinition<UploadKey, &[u8]> = TableDefinition::new("uploads");
pub(super) const PARTS: TableDefinition<PartKey, &[u8]> = TableDefinition::new("parts");

const HOUR: &str = "hour";

/// Makes every table that is missing, so that whoever reads finds it.
pub(super) fn make(writing: &WriteTransaction) -> Result<(), IndexError> {
    writing.open_table(BUCKETS).map_err(IndexError::when("open"))?;
    Tables::open(writing).map(drop)
}

/// The tables that a change may write.
pub(super) struct Tables<'t> {
    pub(super) meta: Table<'t, &'static str, u64>,
    pub(super) versions: Table<'t, VersionKey, &'static [u8]>,
    pub(super) blobs: Table<'t, u64, ()>,
    pub(super) uploads: Table<'t, UploadKey, &'static [u8]>,
    pub(super) parts: Table<'t, PartKey, &'static [u8]>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(writing: &'t WriteTransaction) -> Result<Self, IndexError> {
        let failed = || IndexError::when("change");
        Ok(Self {
            meta: writing.open_table(META).map_err(failed())?,
            versions: writing.open_table(VERSIONS).map_err(failed())?,
            blobs: writing.open_table(BLOBS).map_err(failed())?,
            uploads: writing.open_table(UPLOADS).map_err(failed())?,
            parts: writing.open_table(PARTS).map_err(failed())?,
        })
    }

    /// The next number of versions and uploads.
    pub(super) fn next_sequence(&mut self) -> Result<Sequence, IndexError> {
        let next = count_up(&mut self.meta, "sequence")?;
        Ok(Sequence(next))
    }

    /// How many hours the store has been open.
    pub(super) fn hour(&self) -> Result<u64, IndexError> {
        let hour = self.meta.get(HOUR).map_err(IndexError::when("read"))?;
        Ok(hour.map_or(0, |hour| hour.value()))
    }

    /// It has been open for one more.
    pub(super) fn pass_hour(&mut self) -> Result<(), IndexError> {
        count_up(&mut self.meta, HOUR).map(drop)
    }

    /// Notes that a row names this content.
    pub(super) fn use_blob(&mut self, blob: BlobId) -> Result<(), IndexError> {
        self.blobs.insert(blob.0, ()).map(drop).map_err(IndexError::when("change"))
    }

    /// Notes that no row names this content any more.
    pub(super) fn drop_blob(&mut self, blob: BlobId) -> Result<(), IndexError> {
        self.blobs.remove(blob.0).map(drop).map_err(IndexError::when("change"))
    }
}

/// Raises a number of `meta` by one and returns it.
pub(super) fn count_up(meta: &mut Table<'_, &'static str, u64>, name: &str) -> Result<u64, IndexError> {
    let present = meta.get(name).map_err(IndexError::when("read"))?.map_or(0, |number| number.value());
    meta.insert(name, present + 1).map_err(IndexError::when("change"))?;
    Ok(present + 1)
}

/// A row's value.
pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>, IndexError> {
    // Records are structures with text keys, which always have a JSON form.
    serde_json::to_vec(record).map_err(|_| IndexError::Damaged { what: "a new row" })
}

/// What a row's value says.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, value: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(value).map_err(|_| IndexError::Damaged { what })
}

/// The version's row in the order of versions, newest first.
pub(super) fn version_order(sequence: Sequence) -> u64 {
    u64::MAX - sequence.0
}

pub(super) fn sequence_of(order: u64) -> Sequence {
    Sequence(u64::MAX - order)
}

/// Which version of an object is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Current,
    /// This one.
    Version(VersionId),
}

/// Finds a version, with its place in the order.
pub(super) fn find(
    versions: &impl ReadableTable<VersionKey, &'static [u8]>,
    place: &Place,
    which: Which,
) -> Result<Option<(Sequence, Version)>, IndexError> {
    let (first, last) = match which {
        Which::Version(VersionId::Kept(sequence)) => (version_order(sequence), version_order(sequence)),
        Which::Current | Which::Version(VersionId::Null) => (0, u64::MAX),
    };
    let (bucket, key) = (place.bucket.0, place.key.as_str());
    let rows = versions.range((bucket, key, first)..=(bucket, key, last)).map_err(IndexError::when("read"))?;
    for row in rows {
        let (at, value) = row.map_err(IndexError::when("read"))?;
        let sequence = sequence_of(at.value().2);
        let version: Version = decode("a version", value.value())?;
        let meant = match which {
            Which::Current => true,
            Which::Version(id) => version.id(sequence) == id,
        };
        if meant {
            return Ok(Some((sequence, version)));
        }
    }
    Ok(None)
}
