//! Writing and deleting objects, whole and in parts. Start reading at [`Store::put`].

use std::sync::{Arc, PoisonError};

use model::Timestamp;

use super::blob::{BlobError, Growing, Settled};
use super::record::{
    Algorithm, BucketId, Headers, Object, Part, Piece, Place, Sequence, Sum, SumOf, Upload, Version, VersionId,
    Versioning,
};
use super::tables::{Tables, Which, find};
use super::uploads;
use super::versions::{self, Condition, Written};
use super::{IndexError, Served, Store, StoreError};

/// The fewest bytes of a part other than the last, as in S3.
const PART_BYTES_MIN: u64 = 5 << 20;
/// Uploads that are removed for their age in one transaction.
const STALE_MAX: usize = 100;

/// A part as a completion names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    /// Its number.
    pub number: u16,
    /// The entity tag that its client was told.
    pub etag: String,
    /// The checksum that its client says it has.
    pub checksum: Option<String>,
}

/// An object before its content is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Its entity tag.
    pub etag: String,
    /// What it is to be answered with.
    pub headers: Headers,
    /// The checksum that its client asked for.
    pub checksum: Option<Sum>,
}

/// An upload in parts before it is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// What the object is to be answered with.
    pub headers: Headers,
    /// The checksum that it is to have.
    pub checksum: Option<(Algorithm, SumOf)>,
}

/// A part before its content is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// Its entity tag.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Sum>,
}

/// Makes the entity tag and the checksum of an object from its parts.
pub type MakeWhole = Box<dyn Fn(&Upload, &[Part]) -> Result<(String, Option<Sum>), StoreError> + Send>;

/// What completes an upload.
pub struct Completion {
    /// The upload.
    pub id: Sequence,
    /// Its parts, in order.
    pub parts: Vec<PartName>,
    /// How long the whole is, where the request says so.
    pub bytes: Option<u64>,
    /// What must hold of the present object.
    pub condition: Condition,
    /// Makes the whole of the parts that were named.
    pub whole: MakeWhole,
}

impl Store {
    /// Begins a content; see [`Store::append`].
    pub fn begin(&self) -> Result<Growing, BlobError> {
        self.blobs.begin()
    }

    /// Adds content: a multiple of [`BLOCK_BYTES`](super::blob::BLOCK_BYTES), but for the last call.
    pub fn append(&self, to: &mut Growing, content: &[u8]) -> Result<(), BlobError> {
        self.blobs.append(to, content)
    }

    /// Writes an object; it is durable when this returns.
    pub fn put(
        &self,
        place: Place,
        object: NewObject,
        content: Growing,
        condition: Condition,
        now: Timestamp,
    ) -> Result<VersionId, StoreError> {
        let bytes = content.bytes();
        let settled = self.blobs.settle(content)?;
        let pieces = vec![Piece { blob: settled.blob(), bytes }];
        let NewObject { etag, headers, checksum } = object;
        let object = Object { bytes, etag, pieces, in_parts: false, headers, checksum };
        let served = Arc::clone(&self.served);
        let written = self.name(settled, move |tables| {
            check(tables, &place, &condition)?;
            let versioning = versioning(&served, place.bucket)?;
            Ok(versions::put(tables, &place, object.clone(), versioning, now)?)
        })?;
        self.finish(written)
    }

    /// Deletes an object as its bucket does. `None` when it went for good, or was never there.
    pub fn delete(&self, place: Place, condition: Condition, now: Timestamp) -> Result<Option<VersionId>, StoreError> {
        if versioning(&self.served, place.bucket)? != Versioning::Off {
            // A marker makes no room.
            self.blobs.check_disk()?;
        }
        let served = Arc::clone(&self.served);
        let written = self.change(move |tables| {
            check(tables, &place, &condition)?;
            let versioning = versioning(&served, place.bucket)?;
            Ok(versions::delete(tables, &place, versioning, now)?)
        })?;
        self.leases.remove(written.unused);
        Ok(written.version)
    }

    /// Removes one version for good; `None` when there is no such.
    pub fn delete_version(&self, place: Place, id: VersionId) -> Result<Option<Version>, StoreError> {
        let removed = self.change(move |tables| Ok(versions::remove(tables, &place, id)?))?;
        if let Some(version) = &removed {
            self.leases.remove(version.blobs().collect());
        }
        Ok(removed)
    }

    /// Changes what is said about an object, not what it holds.
    pub fn describe(
        &self,
        place: Place,
        which: Which,
        change: impl Fn(&mut Headers) + Send + 'static,
    ) -> Result<VersionId, StoreError> {
        self.blobs.check_disk()?;
        self.change(move |tables| {
            let (sequence, mut version) = find(&tables.versions, &place, which)?.ok_or(StoreError::NoObject)?;
            change(&mut version.object.as_mut().ok_or(StoreError::Deleted)?.headers);
            versions::write(tables, &place, sequence, &version)?;
            Ok(version.id(sequence))
        })
    }

    /// Begins an upload in parts.
    pub fn begin_upload(&self, place: Place, upload: NewUpload, now: Timestamp) -> Result<Sequence, StoreError> {
        self.blobs.check_disk()?;
        self.change(move |tables| {
            let NewUpload { headers, checksum } = upload.clone();
            let upload = Upload { begun: now, hour: tables.hour()?, headers, checksum };
            uploads::begin(tables, &place, &upload)?.ok_or(StoreError::TooManyUploads)
        })
    }

    /// Writes a part; it is durable when this returns.
    pub fn put_part(
        &self,
        place: Place,
        id: Sequence,
        number: u16,
        part: NewPart,
        content: Growing,
        now: Timestamp,
    ) -> Result<Part, StoreError> {
        let bytes = content.bytes();
        let settled = self.blobs.settle(content)?;
        let piece = Piece { blob: settled.blob(), bytes };
        let part = Part { piece, etag: part.etag, checksum: part.checksum, modified: now };
        let written = part.clone();
        let unused = self.name(settled, move |tables| {
            uploads::find(&tables.uploads, &place, id)?.ok_or(StoreError::NoUpload)?;
            Ok(uploads::put_part(tables, id, number, &part)?)
        })?;
        self.leases.remove(unused.into_iter().collect());
        Ok(written)
    }

    /// Makes an object of an upload's parts.
    pub fn complete_upload(
        &self,
        place: Place,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(VersionId, Object), StoreError> {
        let served = Arc::clone(&self.served);
        let (written, object) = self.change(move |tables| {
            let versioning = versioning(&served, place.bucket)?;
            let upload = uploads::find(&tables.uploads, &place, completion.id)?.ok_or(StoreError::NoUpload)?;
            check(tables, &place, &completion.condition)?;
            let present = uploads::parts(&tables.parts, completion.id, 0, usize::MAX)?;
            let named = named_parts(&completion.parts, &present)?;
            let bytes = named.iter().map(|part| part.piece.bytes).sum();
            if completion.bytes.is_some_and(|expected| expected != bytes) {
                return Err(StoreError::Whole("size"));
            }
            let (etag, checksum) = (completion.whole)(&upload, &named)?;
            let pieces: Vec<Piece> = named.iter().map(|part| part.piece).collect();
            let object = Object { bytes, etag, pieces, in_parts: true, headers: upload.headers, checksum };
            let ended = uploads::end(tables, &place, completion.id)?;
            let mut written = versions::put(tables, &place, object.clone(), versioning, now)?;
            let left = ended.iter().map(|part| part.piece).filter(|piece| !object.pieces.contains(piece));
            written.unused.extend(left.map(|piece| piece.blob));
            Ok((written, object))
        })?;
        Ok((self.finish(written)?, object))
    }

    /// Ends an upload without an object.
    pub fn abort_upload(&self, place: Place, id: Sequence) -> Result<(), StoreError> {
        let ended = self.change(move |tables| {
            uploads::find(&tables.uploads, &place, id)?.ok_or(StoreError::NoUpload)?;
            Ok(uploads::end(tables, &place, id)?)
        })?;
        self.leases.remove(ended.iter().map(|part| part.piece.blob).collect());
        Ok(())
    }

    /// Notes that the store has been open for an hour more.
    pub fn pass_hour(&self) -> Result<(), StoreError> {
        self.change(|tables| Ok(tables.pass_hour()?))
    }

    /// Ends uploads that are older than [`uploads::UPLOAD_HOURS_MAX`]; returns how many, and is to be called again until that
    /// is none.
    pub fn abort_stale_uploads(&self) -> Result<usize, StoreError> {
        let (count, ended) = self.change(|tables| {
            let Some(hour) = tables.hour()?.checked_sub(uploads::UPLOAD_HOURS_MAX) else { return Ok((0, Vec::new())) };
            let stale = uploads::begun_before(&tables.uploads, hour, STALE_MAX)?;
            let mut ended = Vec::new();
            for (place, id) in &stale {
                ended.extend(uploads::end(tables, place, *id)?);
            }
            Ok((stale.len(), ended))
        })?;
        self.leases.remove(ended.iter().map(|part| part.piece.blob).collect());
        Ok(count)
    }

    fn finish(&self, written: Written) -> Result<VersionId, StoreError> {
        self.leases.remove(written.unused);
        written.version.ok_or(StoreError::Index(IndexError::Damaged { what: "a new version" }))
    }

    /// Makes a change that names a content. A refusal leaves the content without a name, and it goes; after a failure
    /// nobody can tell whether the change is on disk, so it stays, and the next start sweeps it if it has no name.
    fn name<T: Send + 'static>(
        &self,
        content: Settled<'_>,
        work: impl Fn(&mut Tables<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let named = self.change(work);
        match &named {
            Err(error) if error.is_refusal() => drop(content),
            _ => content.keep(),
        }
        named
    }

    fn change<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.index.change(move |writing| work(&mut Tables::open(writing)?))
    }
}

/// What a bucket does now with what is overwritten or deleted.
fn versioning(served: &Served, bucket: BucketId) -> Result<Versioning, StoreError> {
    let served = served.read().unwrap_or_else(PoisonError::into_inner);
    served.get(&bucket).copied().ok_or(StoreError::NoBucket)
}

fn check(tables: &Tables<'_>, place: &Place, condition: &Condition) -> Result<(), StoreError> {
    if *condition == Condition::default() {
        return Ok(());
    }
    let present = find(&tables.versions, place, Which::Current)?.and_then(|(_, version)| version.object);
    condition.check(present.as_ref().map(|object| object.etag.as_str())).map_err(StoreError::Unmet)
}

/// The parts that a completion names, checked against those that are there.
fn named_parts(names: &[PartName], present: &[(u16, Part)]) -> Result<Vec<Part>, StoreError> {
    if !names.is_sorted_by(|one, next| one.number < next.number) {
        return Err(StoreError::PartOrder);
    }
    let mut named = Vec::with_capacity(names.len());
    for (place, name) in (1..).zip(names) {
        let part = present.binary_search_by_key(&name.number, |(number, _)| *number);
        let part = part.ok().and_then(|at| present.get(at)).map(|(_, part)| part);
        let part = part.filter(|part| part.etag == name.etag).ok_or(StoreError::NoPart(name.number))?;
        let stored = part.checksum.as_ref().map(|sum| &sum.value);
        if name.checksum.is_some() && name.checksum.as_ref() != stored {
            return Err(StoreError::NoPart(name.number));
        }
        if place < names.len() && part.piece.bytes < PART_BYTES_MIN {
            return Err(StoreError::PartTooSmall(name.number));
        }
        named.push(part.clone());
    }
    Ok(named)
}
