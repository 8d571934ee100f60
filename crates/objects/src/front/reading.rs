//! Reading objects. Start reading at [`Front::get`].

use std::ops::Range;
use std::sync::Arc;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{self, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result, s3_error};

use super::conditions::Reading;
use super::unsupported::absent;
use super::writing::shown;
use super::{Front, answers, checksums, outlet};
use crate::store::record::{Object, Place, Sum};
use crate::store::{Content, Found, StoreError, Which};

/// What is sent of an object.
struct Extent {
    range: Range<u64>,
    /// Whether the request asked for less than everything, so that the answer says what it is.
    partial: bool,
    parts: Option<i32>,
}

impl Front {
    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        absent("encryption with keys of clients", input.sse_customer_algorithm.is_some())?;
        let (_, place) = self.place(&input.bucket, input.key)?;
        let (found, mut content) = self.open(place, answers::which(input.version_id.as_deref())?).await?;
        let conditions = Reading {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        conditions.check(&found)?;
        let extent = extent_of(&found.object, input.range, input.part_number)?;
        content.narrow(extent.range.clone());
        let sums = checksums::on_the_wire(shown_checksum(&found.object, &extent, input.checksum_mode.is_some()));
        let (size, tags) = (found.object.bytes, found.object.headers.tags.len());
        let headers = found.object.headers;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(outlet::stream(content, Arc::clone(&self.reports))),
            content_length: Some(answers::length(extent.range.end - extent.range.start)),
            content_range: content_range(&extent, size),
            parts_count: extent.parts,
            e_tag: Some(answers::etag(&found.object.etag)),
            last_modified: Some(answers::timestamp(found.modified)),
            version_id: shown(found.id),
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_language: headers.content_language,
            content_type: content_type(headers.content_type),
            expires: headers.expires.as_deref().and_then(expires),
            metadata: Some(headers.metadata.into_iter().collect()),
            tag_count: (tags > 0).then(|| i32::try_from(tags).unwrap_or(i32::MAX)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            ..Default::default()
        }))
    }

    pub(super) async fn head(&self, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        absent("encryption with keys of clients", input.sse_customer_algorithm.is_some())?;
        let (_, place) = self.place(&input.bucket, input.key)?;
        let found = self.look(place, answers::which(input.version_id.as_deref())?).await?;
        let conditions = Reading {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        conditions.check(&found)?;
        let extent = extent_of(&found.object, input.range, input.part_number)?;
        let sums = checksums::on_the_wire(shown_checksum(&found.object, &extent, input.checksum_mode.is_some()));
        let size = found.object.bytes;
        let headers = found.object.headers;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(answers::length(extent.range.end - extent.range.start)),
            content_range: content_range(&extent, size),
            parts_count: extent.parts,
            e_tag: Some(answers::etag(&found.object.etag)),
            last_modified: Some(answers::timestamp(found.modified)),
            version_id: shown(found.id),
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_language: headers.content_language,
            content_type: content_type(headers.content_type),
            expires: headers.expires.as_deref().and_then(expires),
            metadata: Some(headers.metadata.into_iter().collect()),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            ..Default::default()
        }))
    }

    /// Finds an object to read it.
    pub(super) async fn open(&self, place: Place, which: Which) -> S3Result<(Found, Content)> {
        self.in_store(move |store| Ok(asked_for(store.open_object(&place, which), which)))
            .await?
            .map_err(|missing| missing.answer(self))
    }

    /// Finds an object without reading it.
    pub(super) async fn look(&self, place: Place, which: Which) -> S3Result<Found> {
        self.in_store(move |store| Ok(asked_for(store.find(&place, which), which)))
            .await?
            .map_err(|missing| missing.answer(self))
    }
}

/// What was asked for is not there, or not an object.
struct Missing {
    error: StoreError,
    which: Which,
}

fn asked_for<T>(found: Result<T, StoreError>, which: Which) -> Result<T, Missing> {
    found.map_err(|error| Missing { error, which })
}

impl Missing {
    /// Whoever names a version knows versions: the answer tells them apart.
    fn answer(self, front: &Front) -> S3Error {
        let mut headers = HeaderMap::new();
        match (&self.error, self.which) {
            (StoreError::NoObject, Which::Version(id)) => s3_error!(NoSuchVersion, "there is no version {id}"),
            (StoreError::Deleted, Which::Version(_)) => {
                headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
                headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
                let mut refused =
                    s3_error!(MethodNotAllowed, "this version is a delete marker: it can only be deleted");
                refused.set_headers(headers);
                refused
            }
            _ => answers::refusal(&self.error, &front.reports),
        }
    }
}

fn extent_of(object: &Object, range: Option<dto::Range>, part: Option<i32>) -> S3Result<Extent> {
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "a request names a range or a part, not both")),
        (None, None) => Ok(Extent { range: 0..object.bytes, partial: false, parts: None }),
        (None, Some(number)) => part_of(object, number),
        (Some(range), None) => {
            let unsatisfiable = |_| s3_error!(InvalidRange, "the object has {} bytes", object.bytes);
            let range = range.check(object.bytes).map_err(unsatisfiable)?;
            Ok(Extent { range, partial: true, parts: None })
        }
    }
}

fn part_of(object: &Object, number: i32) -> S3Result<Extent> {
    let missing = || no_part(number);
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).ok_or_else(missing)?;
    if !object.in_parts {
        return match place {
            0 => Ok(Extent { range: 0..object.bytes, partial: object.bytes > 0, parts: None }),
            _ => Err(missing()),
        };
    }
    let piece = object.pieces.get(place).ok_or_else(missing)?;
    let start: u64 = object.pieces.iter().take(place).map(|piece| piece.bytes).sum();
    // An upload has 10,000 parts at the most; the field may be left out.
    let parts = i32::try_from(object.pieces.len()).ok();
    Ok(Extent { range: start..start + piece.bytes, partial: true, parts })
}

fn no_part(number: i32) -> S3Error {
    let code = S3ErrorCode::Custom("InvalidPartNumber".into());
    let mut refused = S3Error::with_message(code, format!("the object has no part {number}"));
    refused.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    refused
}

fn content_range(extent: &Extent, size: u64) -> Option<String> {
    let last = extent.range.end.checked_sub(1)?;
    extent.partial.then(|| format!("bytes {}-{last}/{size}", extent.range.start))
}

/// A checksum is of the whole.
fn shown_checksum<'o>(object: &'o Object, extent: &Extent, asked: bool) -> Option<&'o Sum> {
    let whole = extent.range == (0..object.bytes);
    object.checksum.as_ref().filter(|_| asked && whole)
}

/// S3 answers with a type also where none was given.
fn content_type(given: Option<String>) -> Option<String> {
    Some(given.unwrap_or_else(|| "binary/octet-stream".to_owned()))
}

fn expires(text: &str) -> Option<dto::Timestamp> {
    dto::Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}
