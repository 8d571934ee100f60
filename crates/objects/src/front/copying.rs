//! Copying objects within the store: read, checked and written anew, so that no content has two names.
//!
//! Start reading at [`Front::copy`].

use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, MetadataDirective, TaggingDirective};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use sys::tasks;

use super::access::Caller;
use super::checksums::{self, Wanted};
use super::conditions::Reading;
use super::intake::Taken;
use super::unsupported::{absent, refuse_unsupported};
use super::writing::{headers_of, shown};
use super::{Front, answers, tags};
use crate::store::blob::BLOCK_BYTES;
use crate::store::record::Headers;
use crate::store::{Condition, Content, Found, NewObject, StoreError};

impl Front {
    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let caller = Caller::of(&request)?;
        let mut input = request.input;
        refuse_unsupported!(input);
        absent("encryption with keys of clients", input.copy_source_sse_customer_algorithm.is_some())?;
        let (bucket, place) = self.place(&input.bucket, std::mem::take(&mut input.key))?;
        let (source_bucket, source_key, source_version) = caller.source(&input.copy_source)?;
        let (_, source) = self.place(source_bucket, source_key.to_owned())?;
        let onto_itself = source == place && source_version.is_none();
        let (found, content) = self.open(source, answers::which(source_version)?).await?;
        let conditions = Reading {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        conditions.check_source(&found)?;
        let headers = copied_headers(&mut input, &found, onto_itself)?;
        let algorithm = match &input.checksum_algorithm {
            Some(name) => Some(checksums::algorithm(name.as_str())?),
            None => found.object.checksum.as_ref().map(|sum| sum.algorithm),
        };
        let taken = self.take_copy(content, Wanted::computed(algorithm)).await?;
        let sums = checksums::on_the_wire(taken.checksum.as_ref());
        let object = NewObject { etag: taken.md5.clone(), headers, checksum: taken.checksum };
        let now = sys::clock::now().wall;
        let free = Condition::default();
        let id =
            self.in_store(move |store| store.put(place, object, taken.content, free, bucket.versioning, now)).await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(answers::etag(&taken.md5)),
                last_modified: Some(answers::timestamp(now)),
                checksum_crc32: sums.checksum_crc32,
                checksum_crc32c: sums.checksum_crc32c,
                checksum_crc64nvme: sums.checksum_crc64nvme,
                checksum_sha1: sums.checksum_sha1,
                checksum_sha256: sums.checksum_sha256,
                checksum_type: sums.checksum_type,
            }),
            copy_source_version_id: shown(found.id),
            version_id: shown(id),
            ..Default::default()
        }))
    }

    /// Takes what an object holds, as if a client had sent it.
    pub(super) async fn take_copy(&self, mut content: Content, checksum: Wanted) -> S3Result<Taken> {
        let mut intake = self.begin_intake(&checksum).await?;
        loop {
            let read = tasks::blocking(move || (content.read(4 * BLOCK_BYTES), content));
            let (chunk, rest) = read.await.map_err(S3Error::internal_error)?;
            content = rest;
            match chunk.map_err(|error| answers::refusal(&StoreError::Blob(error), &self.reports))? {
                Some(chunk) => intake = self.feed(intake, &chunk).await?,
                None => return self.end_intake(intake, checksum).await,
            }
        }
    }
}

fn copied_headers(input: &mut CopyObjectInput, found: &Found, onto_itself: bool) -> S3Result<Headers> {
    let replace_metadata = is(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "REPLACE")?;
    let replace_tags = is(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "REPLACE")?;
    if onto_itself && !replace_metadata && !replace_tags {
        return Err(s3_error!(InvalidRequest, "a copy of an object onto itself must change its metadata or its tags"));
    }
    let tagging = input.tagging.as_deref().map(tags::of_header).transpose()?.unwrap_or_default();
    let mut headers = match replace_metadata {
        true => headers_of!(input)?,
        false => found.object.headers.clone(),
    };
    headers.tags = if replace_tags { tagging } else { found.object.headers.tags.clone() };
    Ok(headers)
}

fn is(directive: Option<&str>, wanted: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some(directive) if directive == wanted => Ok(true),
        Some(other) => Err(s3_error!(InvalidArgument, "{other:?} is no directive: COPY or REPLACE")),
    }
}
