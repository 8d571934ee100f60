//! Writing single parts of an upload: from a request's body, or copied. Start reading at [`Front::put_part`].

use s3s::dto::{self, CopyPartResult, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::access::Caller;
use super::checksums::{self, Wanted};
use super::conditions::Reading;
use super::intake::{Said, Taken};
use super::multipart::{part_number, upload_id};
use super::unsupported::absent;
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
        let input = request.input;
        absent("encryption with keys of clients", input.sse_customer_algorithm.is_some())?;
        let target = self.target(&input.bucket, input.key, &input.upload_id, input.part_number).await?;
        let checksum = Wanted::of(&request.headers, request.trailing_headers, target.algorithm)?;
        let said = Said { checksum, md5: input.content_md5, bytes: input.content_length };
        let taken = self.take(input.body, said).await?;
        let part = self.add_part(target, taken).await?;
        let sums = checksums::on_the_wire(part.checksum.as_ref());
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(answers::etag(&part.etag)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..Default::default()
        }))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let caller = Caller::of(&request)?;
        let input = request.input;
        absent("encryption with keys of clients", input.sse_customer_algorithm.is_some())?;
        absent("encryption with keys of clients", input.copy_source_sse_customer_algorithm.is_some())?;
        let target = self.target(&input.bucket, input.key, &input.upload_id, input.part_number).await?;
        let (bucket, key, version) = caller.source(&input.copy_source)?;
        let (_, source) = self.place(bucket, key.to_owned())?;
        let (found, mut content) = self.open(source, answers::which(version)?).await?;
        let conditions = Reading {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        conditions.check_source(&found)?;
        if let Some(range) = &input.copy_source_range {
            content.narrow(source_range(range, found.object.bytes)?);
        }
        let taken = self.take_copy(content, Wanted::computed(target.algorithm)).await?;
        let part = self.add_part(target, taken).await?;
        let sums = checksums::on_the_wire(part.checksum.as_ref());
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(answers::etag(&part.etag)),
                last_modified: Some(answers::timestamp(part.modified)),
                checksum_crc32: sums.checksum_crc32,
                checksum_crc32c: sums.checksum_crc32c,
                checksum_crc64nvme: sums.checksum_crc64nvme,
                checksum_sha1: sums.checksum_sha1,
                checksum_sha256: sums.checksum_sha256,
            }),
            copy_source_version_id: shown(found.id),
            ..Default::default()
        }))
    }

    /// Checks that there is such an upload before its bytes are taken.
    async fn target(&self, bucket: &str, key: String, upload: &str, number: i32) -> S3Result<Target> {
        let (_, place) = self.place(bucket, key)?;
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
