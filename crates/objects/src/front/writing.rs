//! Writing whole objects. Start reading at [`Front::put`].

use std::collections::BTreeMap;

use s3s::dto::{self, PutObjectInput, PutObjectOutput, TimestampFormat};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksums::{self, Wanted};
use super::intake::Said;
use super::unsupported::{absent, refuse_unsupported};
use super::{Front, answers, conditions, tags};
use crate::store::NewObject;
use crate::store::record::{Headers, VersionId};

/// The most bytes of metadata of an object, as in S3.
const METADATA_BYTES_MAX: usize = 2048;

/// Collects what requests of different kinds say about an object in fields of the same names.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::front::writing::headers(
            $input.cache_control.take(),
            $input.content_disposition.take(),
            $input.content_encoding.take(),
            $input.content_language.take(),
            $input.content_type.take(),
            $input.expires.take(),
            $input.metadata.take(),
            $input.tagging.take(),
        )
    };
}

pub(super) use headers_of;

impl Front {
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        refuse_unsupported!(input);
        absent("appending to objects", input.write_offset_bytes.is_some())?;
        let (bucket, place) = self.place(&input.bucket, input.key)?;
        let headers = headers_of!(input)?;
        let condition = conditions::writing(input.if_match.as_ref(), input.if_none_match.as_ref());
        let checksum = Wanted::of(&request.headers, request.trailing_headers, None)?;
        let said = Said { checksum, md5: input.content_md5, bytes: input.content_length };
        let taken = self.take(input.body, said).await?;
        let sums = checksums::on_the_wire(taken.checksum.as_ref());
        let object = NewObject { etag: taken.md5.clone(), headers, checksum: taken.checksum };
        let now = sys::clock::now().wall;
        let id = self
            .in_store(move |store| store.put(place, object, taken.content, condition, bucket.versioning, now))
            .await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(answers::etag(&taken.md5)),
            version_id: shown(id),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            ..Default::default()
        }))
    }
}

/// Versions are told only to those whose bucket keeps them.
pub(super) fn shown(id: VersionId) -> Option<String> {
    match id {
        VersionId::Null => None,
        VersionId::Kept(_) => Some(id.to_string()),
    }
}

#[expect(clippy::too_many_arguments, reason = "requests of different types have these fields; the macro names them")]
pub(super) fn headers(
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    content_type: Option<String>,
    expires: Option<dto::Timestamp>,
    metadata: Option<dto::Metadata>,
    tagging: Option<String>,
) -> S3Result<Headers> {
    let metadata: BTreeMap<String, String> = metadata.into_iter().flatten().collect();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > METADATA_BYTES_MAX {
        return Err(s3_error!(MetadataTooLarge, "metadata of an object has {METADATA_BYTES_MAX} bytes at the most"));
    }
    let tags = tagging.map(|text| tags::of_header(&text)).transpose()?.unwrap_or_default();
    let expires = expires.map(|moment| http_date(&moment)).transpose()?;
    let content_encoding = content_encoding.and_then(|coding| without_chunking(&coding));
    Ok(Headers {
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        content_type,
        expires,
        metadata,
        tags,
    })
}

fn http_date(moment: &dto::Timestamp) -> S3Result<String> {
    let mut text = Vec::new();
    moment
        .format(TimestampFormat::HttpDate, &mut text)
        .map_err(|_| s3_error!(InvalidArgument, "Expires is no date"))?;
    String::from_utf8(text).map_err(|_| s3_error!(InvalidArgument, "Expires is no date"))
}

/// `aws-chunked` is about how the body was sent, not about the object.
fn without_chunking(coding: &str) -> Option<String> {
    let codings: Vec<&str> = coding.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    let left = codings.join(", ");
    (!left.is_empty()).then_some(left)
}
