//! Copying objects within the store: read, checked and written anew, so that no content has two names.
//!
//! Start reading at [`Front::copy`].

use hyper::HeaderMap;
use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective, TaggingDirective};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use sys::tasks;

use super::access::Caller;
use super::checksums::{self, Wanted, with_checksum};
use super::conditions::{self, Reading};
use super::digests::Digests;
use super::intake::Taken;
use super::writing::{described_by, shown};
use super::{Front, answers};
use crate::store::blob::BLOCK_BYTES;
use crate::store::record::{Headers, Place};
use crate::store::{Content, Found, NewObject, StoreError};

/// What is copied from.
pub(super) struct Source {
    place: Place,
    pub(super) found: Found,
    pub(super) content: Content,
    /// Whether the request names a version of it.
    versioned: bool,
}

impl Front {
    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let caller = Caller::of(&request)?;
        let fields = request.headers;
        let input = request.input;
        let condition = conditions::writing(&fields)?;
        let place = self.place(&input.bucket, input.key.clone())?;
        let source = self.source(&caller, &input.copy_source, &fields).await?;
        let onto_itself = source.place == place && !source.versioned;
        let algorithm = match &input.checksum_algorithm {
            Some(name) => Some(checksums::algorithm(name.as_str())?),
            None => source.found.object.checksum.as_ref().map(|sum| sum.algorithm),
        };
        let source_id = source.found.id;
        let headers = copied_headers(input, &fields, source.found, onto_itself)?;
        let taken = self.take_copy(&caller, source.content, Wanted::computed(algorithm)).await?;
        let object = NewObject { etag: taken.md5.clone(), headers, checksum: taken.checksum.clone() };
        let now = sys::clock::now().wall;
        let id = self.in_store(move |store| store.put(place, object, taken.content, condition, now)).await?;
        let sum = taken.checksum.as_ref();
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(with_checksum!(
                sum,
                CopyObjectResult {
                    checksum_type: checksums::kind_of(sum),
                    e_tag: Some(answers::etag(&taken.md5)),
                    last_modified: Some(answers::timestamp(now)),
                }
            )),
            copy_source_version_id: shown(source_id),
            version_id: shown(id),
            ..Default::default()
        }))
    }

    /// Finds what a request copies from, if the key may read it and the request's conditions on it hold.
    pub(super) async fn source(&self, caller: &Caller, source: &CopySource, fields: &HeaderMap) -> S3Result<Source> {
        let (bucket, key, version) = caller.source(source)?;
        let place = self.place(bucket, key.to_owned())?;
        let (found, content) = self.open(place.clone(), answers::which(version)?).await?;
        Reading::of_source(fields)?.check_source(&found)?;
        Ok(Source { place, found, content, versioned: version.is_some() })
    }

    /// Takes what an object holds, as if a client had sent it.
    pub(super) async fn take_copy(&self, caller: &Caller, mut content: Content, checksum: Wanted) -> S3Result<Taken> {
        let mut intake = self.begin_intake(caller, Digests::computed(checksum)).await?;
        loop {
            let read = tasks::blocking(move || (content.read(4 * BLOCK_BYTES), content));
            let (chunk, rest) = read.await.map_err(S3Error::internal_error)?;
            content = rest;
            match chunk.map_err(|error| answers::refusal(&StoreError::Blob(error)))? {
                Some(chunk) => intake = self.feed(intake, &chunk).await?,
                None => return self.end_intake(intake).await,
            }
        }
    }
}

fn copied_headers(input: CopyObjectInput, fields: &HeaderMap, found: Found, onto_itself: bool) -> S3Result<Headers> {
    let replace_metadata = is(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "REPLACE")?;
    let replace_tags = is(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "REPLACE")?;
    if onto_itself && !replace_metadata && !replace_tags {
        return Err(s3_error!(InvalidRequest, "a copy of an object onto itself must change its metadata or its tags"));
    }
    let (new, present) = (described_by(fields, input.metadata)?, found.object.headers);
    let tags = if replace_tags { new.tags.clone() } else { present.tags.clone() };
    Ok(Headers { tags, ..if replace_metadata { new } else { present } })
}

fn is(directive: Option<&str>, wanted: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some(directive) if directive == wanted => Ok(true),
        Some(other) => Err(s3_error!(InvalidArgument, "{other:?} is no directive: COPY or REPLACE")),
    }
}
