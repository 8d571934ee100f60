//! Reading objects. Start reading at [`Front::get`].

use std::collections::BTreeMap;
use std::ops::Range;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{self, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::checksums::with_checksum;
use super::conditions::{self, Reading};
use super::writing::shown;
use super::{Front, answers, checksums};
use crate::store::record::{Object, Place, Sum};
use crate::store::{Content, Found, StoreError, Which};

/// What is sent of an object.
struct Extent {
    range: Range<u64>,
    /// Whether the request asked for less than everything, so that the answer says what it is.
    partial: bool,
    parts: Option<i32>,
}

/// Makes the answer to a request that reads an object: of both kinds the same, but for the body.
macro_rules! described {
    ($answer:ident, $found:expr, $extent:expr, $sum:expr) => {{
        let (found, extent, sum): (&Found, &Extent, Option<&Sum>) = ($found, $extent, $sum);
        let headers = found.object.headers.clone();
        with_checksum!(
            sum,
            $answer {
                checksum_type: checksums::kind_of(sum),
                accept_ranges: Some("bytes".to_owned()),
                content_length: Some(answers::length(extent.range.end - extent.range.start)),
                content_range: content_range(extent, found.object.bytes),
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
                ..Default::default()
            }
        )
    }};
}

impl Front {
    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let place = self.place(&input.bucket, input.key)?;
        let (found, mut content) = self.open(place, answers::which(input.version_id.as_deref())?).await?;
        Reading::of(&request.headers)?.check(&found)?;
        let range = input.range.filter(|_| conditions::range_is_of(&request.headers, &found));
        let extent = extent_of(&found.object, range, input.part_number)?;
        content.narrow(extent.range.clone());
        let sum = shown_checksum(&found.object, &extent, input.checksum_mode.is_some());
        let mut answer = described!(GetObjectOutput, &found, &extent, sum);
        answer.tag_count = tag_count(&found.object.headers.tags);
        answer.body = Some(self.hand_out(content).await?);
        Ok(S3Response::new(answer))
    }

    pub(super) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let place = self.place(&input.bucket, input.key)?;
        let found = self.look(place, answers::which(input.version_id.as_deref())?).await?;
        Reading::of(&request.headers)?.check(&found)?;
        let range = input.range.filter(|_| conditions::range_is_of(&request.headers, &found));
        let extent = extent_of(&found.object, range, input.part_number)?;
        let sum = shown_checksum(&found.object, &extent, input.checksum_mode.is_some());
        Ok(S3Response::new(described!(HeadObjectOutput, &found, &extent, sum)))
    }

    /// Finds an object to read it.
    pub(super) async fn open(&self, place: Place, which: Which) -> S3Result<(Found, Content)> {
        self.in_store(move |store| Ok(asked_for(store.open_object(&place, which), which)))
            .await?
            .map_err(|missing| missing.answer())
    }

    /// Finds an object without reading it.
    pub(super) async fn look(&self, place: Place, which: Which) -> S3Result<Found> {
        self.in_store(move |store| Ok(asked_for(store.find(&place, which), which)))
            .await?
            .map_err(|missing| missing.answer())
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
    fn answer(&self) -> S3Error {
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
            _ => answers::refusal(&self.error),
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
    let parts = answers::count(object.pieces.len());
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

/// Told only where there are some.
fn tag_count(tags: &BTreeMap<String, String>) -> Option<i32> {
    answers::count(tags.len()).filter(|count| *count > 0)
}

/// S3 answers with a type also where none was given.
fn content_type(given: Option<String>) -> Option<String> {
    Some(given.unwrap_or_else(|| "binary/octet-stream".to_owned()))
}

fn expires(text: &str) -> Option<dto::Timestamp> {
    // It was checked when it was written.
    dto::Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}
