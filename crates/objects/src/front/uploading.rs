//! Writing single parts of an upload: from a request's body, or copied. Start reading at [`Front::put_part`].

use s3s::dto::{self, CopyPartResult, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::access::Caller;
use super::checksums::{Wanted, with_checksum};
use super::digests::Digests;
use super::intake::Taken;
use super::multipart::{part_number, upload_id};
use super::writing::shown;
use super::{Front, answers};
use crate::store::NewPart;
use crate::store::record::{Algorithm, Part, Place, Sequence};

/// Where a part goes.
struct Target {
    place: Place,
    id: Sequence,
    number: u16,
    /// The checksum that every part of the upload is to have.
    algorithm: Option<Algorithm>,
}

impl Front {
    pub(super) async fn put_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let caller = Caller::of(&request)?;
        let input = request.input;
        let target = self.target(&input.bucket, input.key, &input.upload_id, input.part_number).await?;
        let wanted = Wanted::of(&request.headers, request.trailing_headers, target.algorithm)?;
        if target.algorithm.is_some_and(|begun_with| !wanted.is_of(begun_with)) {
            return Err(s3_error!(InvalidRequest, "the upload was begun with another checksum than this part has"));
        }
        let digests = Digests::of(&request.headers, wanted);
        let taken = self.take(&caller, input.body, input.content_length, digests).await?;
        let part = self.add_part(target, taken).await?;
        Ok(S3Response::new(with_checksum!(
            part.checksum.as_ref(),
            UploadPartOutput { e_tag: Some(answers::etag(&part.etag)), ..Default::default() }
        )))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let caller = Caller::of(&request)?;
        let input = request.input;
        let target = self.target(&input.bucket, input.key, &input.upload_id, input.part_number).await?;
        let mut source = self.source(&caller, &input.copy_source, &request.headers).await?;
        if let Some(range) = &input.copy_source_range {
            source.content.narrow(source_range(range, source.found.object.bytes)?);
        }
        let taken = self.take_copy(&caller, source.content, Wanted::computed(target.algorithm)).await?;
        let part = self.add_part(target, taken).await?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(with_checksum!(
                part.checksum.as_ref(),
                CopyPartResult {
                    e_tag: Some(answers::etag(&part.etag)),
                    last_modified: Some(answers::timestamp(part.modified)),
                }
            )),
            copy_source_version_id: shown(source.found.id),
            ..Default::default()
        }))
    }

    /// Checks that there is such an upload before its bytes are taken.
    async fn target(&self, bucket: &str, key: String, upload: &str, number: i32) -> S3Result<Target> {
        let place = self.place(bucket, key)?;
        let (id, number) = (upload_id(upload)?, part_number(number)?);
        let of = place.clone();
        let (upload, _) = self.in_store(move |store| store.list_parts(&of, id, 0, 0)).await?;
        Ok(Target { place, id, number, algorithm: upload.checksum.map(|(algorithm, _)| algorithm) })
    }

    async fn add_part(&self, target: Target, taken: Taken) -> S3Result<Part> {
        let part = NewPart { etag: taken.md5, checksum: taken.checksum };
        let Target { place, id, number, .. } = target;
        let now = sys::clock::now().wall;
        self.in_store(move |store| store.put_part(place, id, number, part, taken.content, now)).await
    }
}

/// A source's range must lie within it, whole.
fn source_range(text: &str, bytes: u64) -> S3Result<std::ops::Range<u64>> {
    let wrong = || s3_error!(InvalidArgument, "x-amz-copy-source-range has the form bytes=first-last");
    match dto::Range::parse(text).map_err(|_| wrong())? {
        dto::Range::Int { first, last: Some(last) } if last < bytes => Ok(first..last + 1),
        dto::Range::Int { last: Some(_), .. } => Err(s3_error!(InvalidRange, "the source has {bytes} bytes")),
        dto::Range::Int { .. } | dto::Range::Suffix { .. } => Err(wrong()),
    }
}
