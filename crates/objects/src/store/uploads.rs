//! Objects that are uploaded in parts. Start reading at [`begin`].

use redb::ReadableTable;

use super::blob::BlobId;
use super::index::IndexError;
use super::listing::{After, At, Span};
use super::record::{BucketId, Part, Place, Sequence, Upload};
use super::tables::{PartKey, Tables, UploadKey, decode, encode};

/// The highest number of a part, as in S3.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Uploads of a bucket that are open at once.
pub const UPLOADS_MAX: usize = 10_000;

/// An upload of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    /// The key that it is for.
    pub key: String,
    /// Its number.
    pub id: Sequence,
    /// What it says.
    pub upload: Upload,
}

/// A page of uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// In the order of keys, and of one key the oldest first.
    pub uploads: Vec<ListedUpload>,
    /// Groups of keys.
    pub groups: Vec<String>,
    /// Where the next page begins; absent at the end.
    pub next: Option<After>,
}

/// How many hours of the store an upload may stay open: a week.
pub const UPLOAD_HOURS_MAX: u64 = 7 * 24;

/// Begins an upload; `None` when the bucket has too many.
pub(super) fn begin(tables: &mut Tables<'_>, place: &Place, upload: &Upload) -> Result<Option<Sequence>, IndexError> {
    let rows = tables.uploads.range((place.bucket.0, "", 0)..(place.bucket.0 + 1, "", 0));
    if rows.map_err(IndexError::when("read"))?.take(UPLOADS_MAX).count() == UPLOADS_MAX {
        return Ok(None);
    }
    let id = tables.next_sequence()?;
    let at = (place.bucket.0, place.key.as_str(), id.0);
    tables.uploads.insert(at, encode(upload)?.as_slice()).map_err(IndexError::when("change"))?;
    Ok(Some(id))
}

/// An upload by its place and number.
pub(super) fn find(
    uploads: &impl ReadableTable<UploadKey, &'static [u8]>,
    place: &Place,
    id: Sequence,
) -> Result<Option<Upload>, IndexError> {
    let found = uploads.get((place.bucket.0, place.key.as_str(), id.0)).map_err(IndexError::when("read"))?;
    found.map(|value| decode("an upload", value.value())).transpose()
}

/// Writes a part in place of the one that had the number; returns what nothing names any more.
pub(super) fn put_part(
    tables: &mut Tables<'_>,
    id: Sequence,
    number: u16,
    part: &Part,
) -> Result<Option<BlobId>, IndexError> {
    tables.use_blob(part.piece.blob)?;
    let before = {
        let before = tables.parts.insert((id.0, number), encode(part)?.as_slice());
        let before = before.map_err(IndexError::when("change"))?;
        before.map(|value| decode::<Part>("a part", value.value())).transpose()?
    };
    let unused = before.map(|part| part.piece.blob);
    if let Some(blob) = unused {
        tables.drop_blob(blob)?;
    }
    Ok(unused)
}

/// Up to so many parts of an upload, behind a number, in the order of numbers.
pub(super) fn parts(
    parts: &impl ReadableTable<PartKey, &'static [u8]>,
    id: Sequence,
    after: u16,
    max: usize,
) -> Result<Vec<(u16, Part)>, IndexError> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let rows = parts.range((id.0, first)..=(id.0, u16::MAX)).map_err(IndexError::when("read"))?;
    let mut found = Vec::new();
    for row in rows.take(max) {
        let (key, value) = row.map_err(IndexError::when("read"))?;
        found.push((key.value().1, decode("a part", value.value())?));
    }
    Ok(found)
}

/// Ends an upload: its row and its parts go. Which of their contents go too is the caller's to say.
pub(super) fn end(tables: &mut Tables<'_>, place: &Place, id: Sequence) -> Result<Vec<Part>, IndexError> {
    let ended = parts(&tables.parts, id, 0, usize::MAX)?;
    for (number, part) in &ended {
        tables.parts.remove((id.0, *number)).map_err(IndexError::when("change"))?;
        tables.drop_blob(part.piece.blob)?;
    }
    let at = (place.bucket.0, place.key.as_str(), id.0);
    tables.uploads.remove(at).map_err(IndexError::when("change"))?;
    Ok(ended.into_iter().map(|(_, part)| part).collect())
}

/// One page of the uploads of a bucket.
pub(super) fn list(
    uploads: &impl ReadableTable<UploadKey, &'static [u8]>,
    bucket: BucketId,
    span: &Span,
) -> Result<UploadPage, IndexError> {
    let mut page = UploadPage::default();
    let mut last = None;
    let mut at = span.first(|upload| upload.0);
    while let Some(found) = next_upload(uploads, bucket, &span.prefix, &at)? {
        if page.uploads.len() + page.groups.len() == span.max {
            page.next = last;
            return Ok(page);
        }
        if let Some(group) = span.group_of(&found.key) {
            at = At::behind_group(group);
            last = Some(After::Group(group.to_owned()));
            page.groups.push(group.to_owned());
        } else {
            at = Some(At::behind_row(&found.key, found.id.0));
            last = Some(After::Within(found.key.clone(), found.id));
            page.uploads.push(found);
        }
    }
    Ok(page)
}

fn next_upload(
    uploads: &impl ReadableTable<UploadKey, &'static [u8]>,
    bucket: BucketId,
    prefix: &str,
    at: &Option<At>,
) -> Result<Option<ListedUpload>, IndexError> {
    let Some(at) = at else { return Ok(None) };
    let rows = (bucket.0, at.key.as_str(), at.order)..(bucket.0 + 1, "", 0);
    let Some(row) = uploads.range(rows).map_err(IndexError::when("read"))?.next() else { return Ok(None) };
    let (at, value) = row.map_err(IndexError::when("read"))?;
    let (_, key, id) = at.value();
    if !key.starts_with(prefix) {
        return Ok(None);
    }
    Ok(Some(ListedUpload { key: key.to_owned(), id: Sequence(id), upload: decode("an upload", value.value())? }))
}

/// Up to so many uploads of all buckets that were begun before an hour of the store.
pub(super) fn begun_before(
    uploads: &impl ReadableTable<UploadKey, &'static [u8]>,
    hour: u64,
    max: usize,
) -> Result<Vec<(Place, Sequence)>, IndexError> {
    let mut found = Vec::new();
    for row in uploads.iter().map_err(IndexError::when("read"))? {
        let (at, value) = row.map_err(IndexError::when("read"))?;
        let upload: Upload = decode("an upload", value.value())?;
        if upload.hour >= hour {
            continue;
        }
        let (bucket, key, id) = at.value();
        found.push((Place { bucket: BucketId(bucket), key: key.to_owned() }, Sequence(id)));
        if found.len() == max {
            break;
        }
    }
    Ok(found)
}
