//! Finding, reading and listing objects. Start reading at [`Store::find`] and [`Content`].

use std::ops::Range;
use std::sync::Arc;

use model::Timestamp;

use super::blob::{BlobError, Blobs, Reader};
use super::leases::Lease;
use super::listing::{self, Page, Shown, Span};
use super::record::{BucketId, Object, Part, Piece, Place, Sequence, Upload, VersionId};
use super::tables::{self, Which};
use super::uploads::{self, UploadPage};
use super::{IndexError, Store, StoreError};

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which version it is.
    pub id: VersionId,
    /// When it was written.
    pub modified: Timestamp,
    /// What it holds.
    pub object: Object,
}

impl Store {
    /// Finds a version of an object.
    pub fn find(&self, place: &Place, which: Which) -> Result<Found, StoreError> {
        let found = self.index.read(|reading| {
            let versions = reading.open_table(tables::VERSIONS).map_err(IndexError::when("read"))?;
            Ok::<_, StoreError>(tables::find(&versions, place, which)?)
        })?;
        let (sequence, version) = found.ok_or(StoreError::NoObject)?;
        let (id, modified) = (version.id(sequence), version.modified);
        let object = version.object.ok_or(StoreError::Deleted)?;
        Ok(Found { id, modified, object })
    }

    /// Finds a version of an object to read it: its contents stay until they are read.
    pub fn open_object(&self, place: &Place, which: Which) -> Result<(Found, Content), StoreError> {
        loop {
            let found = self.find(place, which)?;
            let blobs = found.object.pieces.iter().map(|piece| piece.blob).collect();
            let lease = self.leases.take(blobs);
            // Between the two it may have been replaced, and its contents removed.
            if self.find(place, which)? == found {
                let whole = 0..found.object.bytes;
                let pieces = found.object.pieces.clone();
                let content =
                    Content { blobs: Arc::clone(&self.blobs), pieces, left: whole, open: None, _lease: lease };
                return Ok((found, content));
            }
        }
    }

    /// Where the version that was written without versioning stands in the order.
    pub fn null_version(&self, place: &Place) -> Result<Option<Sequence>, StoreError> {
        self.index.read(|reading| {
            let versions = reading.open_table(tables::VERSIONS).map_err(IndexError::when("read"))?;
            let found = tables::find(&versions, place, Which::Version(VersionId::Null))?;
            Ok(found.map(|(sequence, _)| sequence))
        })
    }

    /// One page of a bucket.
    pub fn list(&self, bucket: BucketId, span: &Span, shown: Shown) -> Result<Page, StoreError> {
        self.index.read(|reading| {
            let versions = reading.open_table(tables::VERSIONS).map_err(IndexError::when("read"))?;
            Ok(listing::list(&versions, bucket, span, shown)?)
        })
    }

    /// One page of the uploads of a bucket.
    pub fn list_uploads(&self, bucket: BucketId, span: &Span) -> Result<UploadPage, StoreError> {
        self.index.read(|reading| {
            let table = reading.open_table(tables::UPLOADS).map_err(IndexError::when("read"))?;
            Ok(uploads::list(&table, bucket, span)?)
        })
    }

    /// An upload, and up to so many of its parts behind a number.
    pub fn list_parts(
        &self,
        place: &Place,
        id: Sequence,
        after: u16,
        max: usize,
    ) -> Result<(Upload, Vec<(u16, Part)>), StoreError> {
        self.index.read(|reading| {
            let table = reading.open_table(tables::UPLOADS).map_err(IndexError::when("read"))?;
            let upload = uploads::find(&table, place, id)?.ok_or(StoreError::NoUpload)?;
            let table = reading.open_table(tables::PARTS).map_err(IndexError::when("read"))?;
            Ok((upload, uploads::parts(&table, id, after, max)?))
        })
    }
}

/// The bytes of an object, read piece by piece.
#[derive(Debug)]
pub struct Content {
    blobs: Arc<Blobs>,
    pieces: Vec<Piece>,
    left: Range<u64>,
    /// The piece that is being read: its place in the object, and its file.
    open: Option<(Range<u64>, Reader)>,
    _lease: Lease,
}

impl Content {
    /// Reads only this range.
    pub fn narrow(&mut self, range: Range<u64>) {
        let end = range.end.min(self.left.end);
        self.left = range.start.min(end)..end;
    }

    /// How many bytes are still to be read.
    pub fn bytes_left(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// The next bytes, at most so many, checked; `None` at the end.
    pub fn read(&mut self, max: u64) -> Result<Option<Vec<u8>>, BlobError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let at = self.left.start;
        if !self.open.as_ref().is_some_and(|(place, _)| place.contains(&at)) {
            self.open = Some(self.open_at(at)?);
        }
        let Some((place, reader)) = &mut self.open else { return Ok(None) };
        let end = place.end.min(self.left.end).min(at.saturating_add(max));
        let bytes = reader.read(at - place.start..end - place.start)?;
        self.left.start = end;
        Ok(Some(bytes))
    }

    fn open_at(&self, at: u64) -> Result<(Range<u64>, Reader), BlobError> {
        let mut start = 0;
        for piece in &self.pieces {
            let place = start..start + piece.bytes;
            if place.contains(&at) {
                return Ok((place, self.blobs.open_blob(piece.blob, piece.bytes)?));
            }
            start = place.end;
        }
        let last = self.pieces.last().map_or(super::blob::BlobId(0), |piece| piece.blob);
        Err(BlobError::Damaged { blob: last, block: 0 })
    }
}
