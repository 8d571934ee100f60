//! What the store says, in the words of S3. Start reading at [`refusal`].

use std::time::{Duration, UNIX_EPOCH};

use hyper::header::HeaderValue;
use hyper::{HeaderMap, StatusCode};
use model::Timestamp;
use s3s::dto::{self, ETag};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::store::blob::BlobError;
use crate::store::record::VersionId;
use crate::store::{IndexError, StoreError, Unmet, Which};
use crate::trouble::tell;

/// The answer to a request that was not carried out.
pub(super) fn refusal(error: &StoreError) -> S3Error {
    let code = match error {
        StoreError::NoBucket => S3ErrorCode::NoSuchBucket,
        StoreError::NoObject | StoreError::Unmet(Unmet::NoObject) => S3ErrorCode::NoSuchKey,
        StoreError::Deleted => return deleted(),
        StoreError::Unmet(Unmet::Otherwise) => S3ErrorCode::PreconditionFailed,
        StoreError::NoUpload => S3ErrorCode::NoSuchUpload,
        StoreError::TooManyUploads => S3ErrorCode::SlowDown,
        StoreError::NoPart(_) => S3ErrorCode::InvalidPart,
        StoreError::PartOrder => S3ErrorCode::InvalidPartOrder,
        StoreError::PartTooSmall(_) => S3ErrorCode::EntityTooSmall,
        StoreError::Whole(_) => S3ErrorCode::InvalidRequest,
        StoreError::Index(IndexError::Full) | StoreError::Blob(BlobError::Full) => return disk_full(error),
        StoreError::Index(IndexError::Sync(_)) | StoreError::Blob(BlobError::Sync(_)) => {
            S3ErrorCode::ServiceUnavailable
        }
        StoreError::Index(_) | StoreError::Blob(_) => return trouble(error),
    };
    S3Error::with_message(code, error.to_string())
}

/// The newest version is a delete marker: for clients that do not know versions, there is nothing.
fn deleted() -> S3Error {
    let mut refused = s3_error!(NoSuchKey, "the object was deleted");
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    refused.set_headers(headers);
    refused
}

fn disk_full(error: &StoreError) -> S3Error {
    tell("a request was refused", error);
    let mut refused = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), error.to_string());
    refused.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    refused
}

/// What nobody but the operator can mend.
fn trouble(error: &StoreError) -> S3Error {
    tell("a request failed", error);
    s3_error!(InternalError, "the object store failed: its log says why")
}

/// An entity tag on the wire.
pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// A moment on the wire, which shows milliseconds in bodies and seconds in fields.
pub(super) fn timestamp(moment: Timestamp) -> dto::Timestamp {
    let since = moment.since(Timestamp::from_millis(0));
    dto::Timestamp::from(UNIX_EPOCH + since)
}

/// The same in whole seconds, as fields of HTTP compare it.
pub(super) fn timestamp_in_seconds(moment: Timestamp) -> dto::Timestamp {
    let since = moment.since(Timestamp::from_millis(0));
    dto::Timestamp::from(UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

/// A number of bytes on the wire.
pub(super) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A number of entries on the wire. None of the limits on them is near what a field can hold.
pub(super) fn count(entries: usize) -> Option<i32> {
    i32::try_from(entries).ok()
}

/// The version that a request names.
pub(super) fn which(version: Option<&str>) -> S3Result<Which> {
    let Some(version) = version else { return Ok(Which::Current) };
    Ok(Which::Version(version_id(version)?))
}

/// A version's id, as a request has it.
pub(super) fn version_id(version: &str) -> S3Result<VersionId> {
    version.parse().map_err(|_| s3_error!(NoSuchVersion, "there is no version {version:?}"))
}
