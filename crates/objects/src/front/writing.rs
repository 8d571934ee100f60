//! Writing whole objects. Start reading at [`Front::put`].

use std::collections::BTreeMap;

use hyper::HeaderMap;
use s3s::dto::{Metadata, PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::access::Caller;
use super::checksums::{self, Wanted, with_checksum};
use super::digests::Digests;
use super::{Front, answers, conditions, fields, tags};
use crate::store::NewObject;
use crate::store::record::{Headers, VersionId};

/// The most bytes of metadata of an object, as in S3.
const METADATA_BYTES_MAX: usize = 2048;

impl Front {
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let caller = Caller::of(&request)?;
        let input = request.input;
        let place = self.place(&input.bucket, input.key)?;
        let headers = described_by(&request.headers, input.metadata)?;
        let condition = conditions::writing(&request.headers)?;
        let digests = Digests::of(&request.headers, Wanted::of(&request.headers, request.trailing_headers, None)?);
        let taken = self.take(&caller, input.body, input.content_length, digests).await?;
        let object = NewObject { etag: taken.md5.clone(), headers, checksum: taken.checksum.clone() };
        let now = sys::clock::now().wall;
        let id = self.in_store(move |store| store.put(place, object, taken.content, condition, now)).await?;
        let sum = taken.checksum.as_ref();
        Ok(S3Response::new(with_checksum!(
            sum,
            PutObjectOutput {
                checksum_type: checksums::kind_of(sum),
                e_tag: Some(answers::etag(&taken.md5)),
                version_id: shown(id),
                ..Default::default()
            }
        )))
    }
}

/// Versions are told only to those whose bucket keeps them.
pub(super) fn shown(id: VersionId) -> Option<String> {
    match id {
        VersionId::Null => None,
        VersionId::Kept(_) => Some(id.to_string()),
    }
}

/// What an object is answered with, as fields of a request say it. The library has decoded the metadata.
pub(super) fn described_by(fields: &HeaderMap, metadata: Option<Metadata>) -> S3Result<Headers> {
    let metadata: BTreeMap<String, String> = metadata.into_iter().flatten().collect();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > METADATA_BYTES_MAX {
        return Err(s3_error!(MetadataTooLarge, "metadata of an object has {METADATA_BYTES_MAX} bytes at the most"));
    }
    let text = |name: &str| fields::text(fields, name).map(ToOwned::to_owned);
    Ok(Headers {
        cache_control: text("cache-control"),
        content_disposition: text("content-disposition"),
        content_encoding: fields::text(fields, "content-encoding").and_then(without_chunking),
        content_language: text("content-language"),
        content_type: text("content-type"),
        expires: text("expires"),
        metadata,
        tags: fields::text(fields, "x-amz-tagging").map(tags::of_header).transpose()?.unwrap_or_default(),
    })
}

/// `aws-chunked` is about how the body was sent, not about the object.
fn without_chunking(coding: &str) -> Option<String> {
    let codings: Vec<&str> = coding.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    let left = codings.join(", ");
    (!left.is_empty()).then_some(left)
}
