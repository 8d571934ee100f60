//! What becomes of versions when objects are written and deleted. Start reading at [`put`].

use model::Timestamp;

use super::blob::BlobId;
use super::index::IndexError;
use super::record::{Object, Place, Sequence, Version, VersionId, Versioning};
use super::tables::{Tables, Which, encode, find, version_order};

/// What must hold of the present object before another takes its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// What its entity tag must be.
    pub if_match: Option<Tag>,
    /// What its entity tag must not be.
    pub if_none_match: Option<Tag>,
}

/// An entity tag of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// Any: whether there is an object at all.
    Any,
    /// Exactly this.
    Is(String),
}

impl Tag {
    /// Whether an object with this entity tag is meant.
    pub fn holds(&self, etag: &str) -> bool {
        match self {
            Tag::Any => true,
            Tag::Is(tag) => tag == etag,
        }
    }
}

/// Why a condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// There is no object that could match.
    NoObject,
    /// There is another one.
    Otherwise,
}

impl Condition {
    /// Whether it holds of the present object's entity tag.
    pub fn check(&self, present: Option<&str>) -> Result<(), Unmet> {
        match (&self.if_match, present) {
            (Some(_), None) => return Err(Unmet::NoObject),
            (Some(tag), Some(etag)) if !tag.holds(etag) => return Err(Unmet::Otherwise),
            _ => {}
        }
        match (&self.if_none_match, present) {
            (Some(tag), Some(etag)) if tag.holds(etag) => Err(Unmet::Otherwise),
            _ => Ok(()),
        }
    }
}

/// What was written, and what nothing names any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new version; absent where a bucket that keeps none lost its object.
    pub version: Option<VersionId>,
    /// Contents whose files can go.
    pub unused: Vec<BlobId>,
}

/// Makes an object the newest version.
pub(super) fn put(
    tables: &mut Tables<'_>,
    place: &Place,
    object: Object,
    versioning: Versioning,
    now: Timestamp,
) -> Result<Written, IndexError> {
    for piece in &object.pieces {
        tables.use_blob(piece.blob)?;
    }
    push(tables, place, Some(object), versioning, now)
}

/// Deletes an object as its bucket does: for good, or by a marker.
pub(super) fn delete(
    tables: &mut Tables<'_>,
    place: &Place,
    versioning: Versioning,
    now: Timestamp,
) -> Result<Written, IndexError> {
    match versioning {
        Versioning::Off => Ok(Written { version: None, unused: drop_null(tables, place)? }),
        Versioning::On | Versioning::Suspended => push(tables, place, None, versioning, now),
    }
}

fn push(
    tables: &mut Tables<'_>,
    place: &Place,
    object: Option<Object>,
    versioning: Versioning,
    now: Timestamp,
) -> Result<Written, IndexError> {
    let null = versioning != Versioning::On;
    let unused = if null { drop_null(tables, place)? } else { Vec::new() };
    let sequence = tables.next_sequence()?;
    let version = Version { modified: now, null, object };
    write(tables, place, sequence, &version)?;
    Ok(Written { version: Some(version.id(sequence)), unused })
}

/// Writes a version's row.
pub(super) fn write(
    tables: &mut Tables<'_>,
    place: &Place,
    sequence: Sequence,
    version: &Version,
) -> Result<(), IndexError> {
    let at = (place.bucket.0, place.key.as_str(), version_order(sequence));
    tables.versions.insert(at, encode(version)?.as_slice()).map(drop).map_err(IndexError::when("change"))
}

fn drop_null(tables: &mut Tables<'_>, place: &Place) -> Result<Vec<BlobId>, IndexError> {
    let gone = remove(tables, place, VersionId::Null)?;
    Ok(gone.map(|version| version.blobs().collect()).unwrap_or_default())
}

/// Removes a version for good; `None` when there is no such.
pub(super) fn remove(tables: &mut Tables<'_>, place: &Place, id: VersionId) -> Result<Option<Version>, IndexError> {
    let Some((sequence, version)) = find(&tables.versions, place, Which::Version(id))? else { return Ok(None) };
    let at = (place.bucket.0, place.key.as_str(), version_order(sequence));
    tables.versions.remove(at).map_err(IndexError::when("change"))?;
    for blob in version.blobs() {
        tables.drop_blob(blob)?;
    }
    Ok(Some(version))
}
