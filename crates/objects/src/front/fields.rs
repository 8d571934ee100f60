//! Every field of a request that the object store carries out or refuses. Start reading at [`FIELDS`].
//!
//! Invariant: a field whose name begins with `x-amz-`, or that makes a request depend on a condition, is here with the
//! operations that carry it out, or the request is refused. Nobody is left to believe in a field that nothing reads.

use hyper::HeaderMap;
use s3s::{S3Error, S3Result, s3_error};

use super::buckets::OWNER;

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// Every operation carries it out, or it says nothing that matters here.
    Everywhere,
    /// These operations carry it out; with any other the request is refused.
    In(&'static [&'static str]),
    /// These values ask for what is so anyway; with any other the request is refused.
    Only(&'static [&'static str]),
    /// Refused unless it names the owner of every bucket.
    Owner,
}

use Meaning::{Everywhere, In, Only, Owner};

const PUT: &str = "PutObject";
const COPY: &str = "CopyObject";
const BEGIN: &str = "CreateMultipartUpload";
const PART: &str = "UploadPart";
const PART_COPY: &str = "UploadPartCopy";
pub(super) const COMPLETE: &str = "CompleteMultipartUpload";
pub(super) const GET: &str = "GetObject";
const HEAD: &str = "HeadObject";
const DELETE: &str = "DeleteObject";
pub(super) const DELETE_MANY: &str = "DeleteObjects";
const TAG: &str = "PutObjectTagging";
const CREATE_BUCKET: &str = "CreateBucket";
const VERSIONING: &str = "PutBucketVersioning";

/// Those that say what an object is answered with.
const DESCRIBING: &[&str] = &[PUT, COPY, BEGIN];
const COPYING: &[&str] = &[COPY, PART_COPY];
/// Those whose body has a checksum in a field.
const SUMMED: &[&str] = &[PUT, PART, COMPLETE, DELETE_MANY, TAG, CREATE_BUCKET, VERSIONING];
const READING: &[&str] = &[GET, HEAD];

/// The fields by name, in lower case; a name that ends in `*` stands for all that begin so. What is not here and begins
/// with `x-amz-` is refused: encryption, object lock, grants, websites, temporary credentials and the rest.
const FIELDS: &[(&str, Meaning)] = &[
    ("content-md5", In(SUMMED)),
    ("if-match", In(&[PUT, COPY, COMPLETE, DELETE, GET, HEAD])),
    ("if-modified-since", In(READING)),
    ("if-none-match", In(&[PUT, COPY, COMPLETE, GET, HEAD])),
    ("if-range", In(READING)),
    ("if-unmodified-since", In(READING)),
    ("x-amz-acl", Only(&["private", "bucket-owner-full-control"])),
    ("x-amz-bucket-object-lock-enabled", Only(&["false"])),
    ("x-amz-checksum-algorithm", In(&[COPY, BEGIN])),
    ("x-amz-checksum-crc32", In(SUMMED)),
    ("x-amz-checksum-crc32c", In(SUMMED)),
    ("x-amz-checksum-crc64nvme", In(SUMMED)),
    ("x-amz-checksum-mode", In(READING)),
    ("x-amz-checksum-sha1", In(SUMMED)),
    ("x-amz-checksum-sha256", In(SUMMED)),
    ("x-amz-checksum-type", In(&[BEGIN, COMPLETE])),
    ("x-amz-content-sha256", Everywhere),
    ("x-amz-copy-source", In(COPYING)),
    ("x-amz-copy-source-if-match", In(COPYING)),
    ("x-amz-copy-source-if-modified-since", In(COPYING)),
    ("x-amz-copy-source-if-none-match", In(COPYING)),
    ("x-amz-copy-source-if-unmodified-since", In(COPYING)),
    ("x-amz-copy-source-range", In(&[PART_COPY])),
    ("x-amz-date", Everywhere),
    ("x-amz-decoded-content-length", Everywhere),
    ("x-amz-expected-bucket-owner", Owner),
    ("x-amz-meta-*", In(DESCRIBING)),
    ("x-amz-metadata-directive", In(&[COPY])),
    ("x-amz-mp-object-size", In(&[COMPLETE])),
    ("x-amz-object-ownership", Only(&["BucketOwnerEnforced"])),
    // Nobody pays.
    ("x-amz-request-payer", Everywhere),
    ("x-amz-sdk-checksum-algorithm", In(SUMMED)),
    ("x-amz-server-side-encryption-bucket-key-enabled", Only(&["false"])),
    ("x-amz-source-expected-bucket-owner", Owner),
    ("x-amz-storage-class", Only(&["STANDARD"])),
    ("x-amz-tagging", In(DESCRIBING)),
    ("x-amz-tagging-directive", In(&[COPY])),
    ("x-amz-trailer", In(&[PUT, PART])),
    ("x-amz-user-agent", Everywhere),
];

/// Whether an operation's body is what an object is to hold.
pub(super) fn has_object(operation: &str) -> bool {
    [PUT, PART].contains(&operation)
}

/// Whether an operation's body is XML.
pub(super) fn has_xml(operation: &str) -> bool {
    operation == COMPLETE || sums_its_xml(operation)
}

/// Whether the checksum of a request is of its XML. That of a completion is of the object.
pub(super) fn sums_its_xml(operation: &str) -> bool {
    [DELETE_MANY, TAG, CREATE_BUCKET, VERSIONING].contains(&operation)
}

/// Refuses a request to an operation that does not carry out all of its fields.
pub(super) fn check(operation: &str, headers: &HeaderMap) -> S3Result<()> {
    for (name, value) in headers {
        let name = name.as_str();
        // Values that are no text are no values of the fields that are known.
        let value = value.to_str().unwrap_or_default();
        match meaning(name) {
            Some(Everywhere) => {}
            Some(In(operations)) if operations.contains(&operation) => {}
            Some(Only(values)) if values.contains(&value) => {}
            Some(Owner) if value == OWNER => {}
            Some(Owner) => return Err(s3_error!(AccessDenied, "{name}: every bucket's owner is {OWNER:?}")),
            Some(Only(_)) => return Err(refused(&format!("{name}: {value}"))),
            Some(In(_)) => return Err(refused(&format!("{name} in {operation}"))),
            None if name.starts_with("x-amz-") => return Err(refused(name)),
            None => {}
        }
    }
    Ok(())
}

fn meaning(name: &str) -> Option<Meaning> {
    let known = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == known,
    };
    FIELDS.iter().find(|(field, _)| known(field)).map(|(_, meaning)| *meaning)
}

fn refused(what: &str) -> S3Error {
    s3_error!(NotImplemented, "the object store does not carry out {what}: leave the field out")
}

/// The text of a field. Values that are not text are those of fields that nobody signs, and that say nothing here.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(operation: &str, name: &'static str, value: &'static str) -> Result<(), String> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        check(operation, &headers).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_field_is_carried_out_or_refused() {
        let refused = Err("NotImplemented".to_owned());
        for (operation, name, value, expected) in [
            (PUT, "x-amz-meta-name", "value", Ok(())),
            (GET, "x-amz-meta-name", "value", refused.clone()),
            (PUT, "if-match", "\"x\"", Ok(())),
            (PART, "if-match", "\"x\"", refused.clone()),
            (COPY, "if-none-match", "*", Ok(())),
            ("ListObjectsV2", "if-none-match", "*", refused.clone()),
            (PUT, "x-amz-acl", "private", Ok(())),
            (PUT, "x-amz-acl", "public-read", refused.clone()),
            (PUT, "x-amz-storage-class", "GLACIER", refused.clone()),
            (PUT, "x-amz-server-side-encryption", "AES256", refused.clone()),
            (PUT, "x-amz-security-token", "x", refused.clone()),
            (PUT, "x-amz-copy-source", "a/b", refused.clone()),
            (PUT, "x-amz-invented-tomorrow", "x", refused),
            (PUT, "x-amz-expected-bucket-owner", OWNER, Ok(())),
            (PUT, "x-amz-expected-bucket-owner", "123456789012", Err("AccessDenied".to_owned())),
            (PUT, "content-type", "x/y", Ok(())),
            (PUT, "x-forwarded-for", "127.0.0.1", Ok(())),
        ] {
            assert_eq!(checked(operation, name, value), expected, "{name}: {value} in {operation}");
        }
    }

    #[test]
    fn the_names_are_lower_case_and_each_is_there_once() {
        assert!(FIELDS.is_sorted_by(|(one, _), (next, _)| one < next));
        assert!(FIELDS.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
    }
}
