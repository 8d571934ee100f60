//! What the index says of objects, uploads and buckets. Start reading at [`Version`].
//!
//! Records are JSON. A field once written keeps its name and meaning, and a new one is optional; a change that older
//! programs must not misread raises the folder's format.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model::Timestamp;

use super::blob::BlobId;

/// The most bytes of a key, as in S3.
pub const KEY_BYTES_MAX: usize = 1024;

/// A bucket's number within the store: names can be long, and every row of the index holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BucketId(pub u32);

/// A bucket, as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bucket {
    /// Its number.
    pub id: BucketId,
    /// When it was first asked for.
    pub created: Timestamp,
    /// Whether it keeps, or has ever kept, versions.
    pub versioned: bool,
}

/// What a bucket does with an object that is overwritten or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It goes, and always went.
    Off,
    /// It stays as a version.
    On,
    /// Old versions stay; what is written now replaces what was last written so.
    Suspended,
}

impl Bucket {
    /// What the bucket does when its settings say whether it keeps versions.
    pub fn versioning(&self, wanted: bool) -> Versioning {
        match (wanted, self.versioned) {
            (true, _) => Versioning::On,
            (false, true) => Versioning::Suspended,
            (false, false) => Versioning::Off,
        }
    }
}

/// Where an object is: bucket and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: BucketId,
    pub(super) key: String,
}

/// A text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has no byte.
    #[error("a key has at least one byte")]
    Empty,
    /// It has too many.
    #[error("a key has {KEY_BYTES_MAX} bytes at the most")]
    TooLong,
}

impl Place {
    /// A place in a bucket. The key is any text of 1 to [`KEY_BYTES_MAX`] bytes.
    pub fn new(bucket: BucketId, key: String) -> Result<Self, KeyError> {
        match key.len() {
            0 => Err(KeyError::Empty),
            1..=KEY_BYTES_MAX => Ok(Self { bucket, key }),
            _ => Err(KeyError::TooLong),
        }
    }
}

/// Counts versions and uploads over the whole store; a later one is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text is no version or upload of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no id of this store")]
pub struct SequenceError;

impl FromStr for Sequence {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        let sequence = Self(u64::from_str_radix(text, 16).map_err(|_| SequenceError)?);
        if sequence.to_string() == text { Ok(sequence) } else { Err(SequenceError) }
    }
}

/// Names one version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionId {
    /// The one that was written while the bucket kept no versions.
    Null,
    /// One of those that it keeps.
    Kept(Sequence),
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionId::Null => f.write_str("null"),
            VersionId::Kept(sequence) => sequence.fmt(f),
        }
    }
}

impl FromStr for VersionId {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        match text {
            "null" => Ok(VersionId::Null),
            _ => text.parse().map(VersionId::Kept),
        }
    }
}

/// One version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// When it was written.
    pub modified: Timestamp,
    /// Whether the bucket kept no versions when it was written.
    pub null: bool,
    /// What it holds; absent for a delete marker.
    pub object: Option<Object>,
}

impl Version {
    /// Its id, if it stands at this place of the order.
    pub fn id(&self, sequence: Sequence) -> VersionId {
        if self.null { VersionId::Null } else { VersionId::Kept(sequence) }
    }

    /// The contents that it needs.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> {
        self.object.iter().flat_map(|object| &object.pieces).map(|piece| piece.blob)
    }
}

/// What a version of an object holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Object {
    /// How many bytes in all.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its contents, one after the other.
    pub pieces: Vec<Piece>,
    /// Whether it was uploaded in parts, of which each is a piece.
    pub in_parts: bool,
    /// What it is answered with.
    pub headers: Headers,
    /// The checksum that its client asked for.
    pub checksum: Option<Sum>,
}

/// One content of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Piece {
    /// Which.
    pub blob: BlobId,
    /// How long it is.
    pub bytes: u64,
}

/// What clients say about an object, and are told again.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Headers {
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Expires`, as HTTP writes dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-meta-` fields, by what comes after that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The checksums that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// CRC-32.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum of an object in parts is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SumOf {
    /// Its bytes.
    Content,
    /// The checksums of its parts.
    Parts,
}

/// A checksum that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    /// Which one.
    pub algorithm: Algorithm,
    /// Of what.
    pub of: SumOf,
    /// Base64, as on the wire.
    pub value: String,
}

/// An upload in parts that has not been completed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Upload {
    /// When it was begun, for people: clocks are set.
    pub begun: Timestamp,
    /// How many hours the store had been open by then. Uploads grow old by this.
    #[serde(default)]
    pub hour: u64,
    /// What the object is to be answered with.
    pub headers: Headers,
    /// The checksum that it is to have.
    pub checksum: Option<(Algorithm, SumOf)>,
}

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// Its content.
    pub piece: Piece,
    /// MD5 in hexadecimal: its entity tag.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Sum>,
    /// When it was written.
    pub modified: Timestamp,
}
