//! Uploads in parts: beginning, listing, completing and aborting them. Start reading at [`Front::begin_upload`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part as PartOutput, StorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::buckets::owner;
use super::checksums::{self, Wanted};
use super::intake::hex;
use super::listing::{Spelling, page_max};
use super::unsupported::{absent, refuse_unsupported};
use super::writing::{headers_of, shown};
use super::{Front, answers, conditions};
use crate::store::record::{Algorithm, Part, Sequence, Sum, SumOf, Upload};
use crate::store::uploads::{ListedUpload, PART_NUMBER_MAX, UPLOADS_MAX};
use crate::store::{Completion, PartName, StoreError};

impl Front {
    pub(super) async fn begin_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        refuse_unsupported!(input);
        let (_, place) = self.place(&input.bucket, input.key.clone())?;
        let headers = headers_of!(input)?;
        let checksum = upload_checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
        let upload = Upload { begun: sys::clock::now().wall, headers, checksum };
        let id = self.in_store(move |store| store.begin_upload(place, upload)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.to_string()),
            checksum_algorithm: checksum.map(|(algorithm, _)| checksums::name(algorithm)),
            checksum_type: checksum.map(|(_, of)| checksums::kind(of)),
            ..Default::default()
        }))
    }

    pub(super) async fn abort_upload(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        absent("conditions on aborting", input.if_match_initiated_time.is_some())?;
        let (_, place) = self.place(&input.bucket, input.key)?;
        let id = upload_id(&input.upload_id)?;
        self.in_store(move |store| store.abort_upload(place, id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput { request_charged: None }))
    }

    pub(super) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let said = Wanted::of(&request.headers, None, None)?.said();
        let input = request.input;
        let (bucket, place) = self.place(&input.bucket, input.key.clone())?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "a completion names at least one part"));
        }
        let completion = Completion {
            id: upload_id(&input.upload_id)?,
            parts: parts.into_iter().map(part_name).collect::<S3Result<_>>()?,
            bytes: input.mpu_object_size.and_then(|bytes| u64::try_from(bytes).ok()),
            condition: conditions::writing(input.if_match.as_ref(), input.if_none_match.as_ref()),
            whole: Box::new(move |upload, parts| whole_of(upload, parts, said.as_deref())),
        };
        let now = sys::clock::now().wall;
        let versioning = bucket.versioning;
        let completed = self.in_store(move |store| store.complete_upload(place, completion, versioning, now)).await;
        let (id, object) = completed?;
        let sums = checksums::on_the_wire(object.checksum.as_ref());
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, Spelling::Encoded.write(&input.key))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(answers::etag(&object.etag)),
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

    pub(super) async fn list_parts_of(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let (_, place) = self.place(&input.bucket, input.key.clone())?;
        let id = upload_id(&input.upload_id)?;
        let max = page_max(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let after = u16::try_from(after).map_err(|_| s3_error!(InvalidArgument, "there is no part {after}"))?;
        let (upload, mut parts) = self.in_store(move |store| store.list_parts(&place, id, after, max + 1)).await?;
        let is_truncated = parts.len() > max;
        parts.truncate(max);
        let next = parts.last().map(|(number, _)| i32::from(*number)).filter(|_| is_truncated);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: i32::try_from(max).ok(),
            part_number_marker: Some(i32::from(after)),
            is_truncated: Some(is_truncated),
            next_part_number_marker: next,
            parts: Some(parts.into_iter().map(part_output).collect()),
            checksum_algorithm: upload.checksum.map(|(algorithm, _)| checksums::name(algorithm)),
            checksum_type: upload.checksum.map(|(_, of)| checksums::kind(of)),
            owner: Some(owner()),
            initiator: Some(initiator()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        }))
    }

    pub(super) async fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let bucket = self.bucket(&input.bucket)?.id;
        let max = page_max(input.max_uploads)?;
        let after = upload_marker(&input)?;
        let open = self.in_store(move |store| store.list_uploads(bucket, &after, UPLOADS_MAX)).await?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let page = page_of(open, prefix, delimiter, max);
        let last = page.uploads.last().filter(|_| page.is_truncated);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: spelling.write_some(input.prefix.as_deref()),
            delimiter: spelling.write_some(input.delimiter.as_deref()),
            key_marker: spelling.write_some(Some(input.key_marker.as_deref().unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            next_key_marker: last.map(|upload| spelling.write(&upload.key)),
            next_upload_id_marker: last.map(|upload| upload.id.to_string()),
            max_uploads: i32::try_from(max).ok(),
            is_truncated: Some(page.is_truncated),
            common_prefixes: Some(
                page.groups.into_iter().map(|group| CommonPrefix { prefix: Some(spelling.write(&group)) }).collect(),
            ),
            uploads: Some(page.uploads.iter().map(|upload| upload_output(upload, spelling)).collect()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}

/// An upload's id, as a request has it.
pub(super) fn upload_id(text: &str) -> S3Result<Sequence> {
    text.parse().map_err(|_| s3_error!(NoSuchUpload, "there is no upload {text:?}"))
}

/// A part's number, as a request has it.
pub(super) fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "parts are numbered from 1 to {PART_NUMBER_MAX}"))
}

/// What S3 takes where a request does not say of what the checksum is.
fn upload_checksum(
    algorithm: Option<&ChecksumAlgorithm>,
    kind: Option<&ChecksumType>,
) -> S3Result<Option<(Algorithm, SumOf)>> {
    let Some(algorithm) = algorithm else { return Ok(None) };
    let algorithm = checksums::algorithm(algorithm.as_str())?;
    let digest = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
    let of = match kind.map(ChecksumType::as_str) {
        Some(ChecksumType::FULL_OBJECT) if digest => {
            return Err(s3_error!(InvalidRequest, "SHA-1 and SHA-256 of parts do not make one of the whole"));
        }
        Some(ChecksumType::COMPOSITE) if algorithm == Algorithm::Crc64Nvme => {
            return Err(s3_error!(InvalidRequest, "CRC64NVME is always of the whole"));
        }
        Some(ChecksumType::FULL_OBJECT) => SumOf::Content,
        Some(ChecksumType::COMPOSITE) => SumOf::Parts,
        None if algorithm == Algorithm::Crc64Nvme => SumOf::Content,
        None => SumOf::Parts,
        Some(other) => return Err(s3_error!(InvalidArgument, "{other:?} is no kind of checksum")),
    };
    Ok(Some((algorithm, of)))
}

fn part_name(part: CompletedPart) -> S3Result<PartName> {
    let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?;
    let etag = part.e_tag.ok_or_else(|| s3_error!(MalformedXML, "part {number} has no entity tag"))?;
    let sums =
        [part.checksum_crc32, part.checksum_crc32c, part.checksum_crc64nvme, part.checksum_sha1, part.checksum_sha256];
    Ok(PartName { number: part_number(number)?, etag: etag.into_value(), checksum: sums.into_iter().flatten().next() })
}

/// The entity tag and the checksum of an object in parts.
fn whole_of(upload: &Upload, parts: &[Part], said: Option<&str>) -> Result<(String, Option<Sum>), StoreError> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&bytes_of_hex(&part.etag));
    }
    let etag = format!("{}-{}", hex(md5.finalize().as_ref()), parts.len());
    let sum = upload.checksum.and_then(|(algorithm, of)| sum_of(algorithm, of, parts));
    match (&sum, said) {
        (Some(sum), Some(said)) if sum.value != said && !sum.value.starts_with(&format!("{said}-")) => {
            Err(StoreError::Whole("checksum"))
        }
        _ => Ok((etag, sum)),
    }
}

fn sum_of(algorithm: Algorithm, of: SumOf, parts: &[Part]) -> Option<Sum> {
    let value = |part: &Part| {
        let sum = part.checksum.as_ref().filter(|sum| sum.algorithm == algorithm)?;
        Some((STANDARD.decode(&sum.value).ok()?, part.piece.bytes))
    };
    let values: Vec<(Vec<u8>, u64)> = parts.iter().map(value).collect::<Option<_>>()?;
    match of {
        SumOf::Parts => Some(checksums::of_parts(algorithm, values.into_iter().map(|(value, _)| value))),
        SumOf::Content => checksums::combined(algorithm, &values),
    }
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn part_output((number, part): (u16, Part)) -> PartOutput {
    let sums = checksums::on_the_wire(part.checksum.as_ref());
    PartOutput {
        part_number: Some(i32::from(number)),
        e_tag: Some(answers::etag(&part.etag)),
        size: Some(answers::length(part.piece.bytes)),
        last_modified: Some(answers::timestamp(part.modified)),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
    }
}

fn initiator() -> Initiator {
    let owner = owner();
    Initiator { display_name: owner.display_name, id: owner.id }
}

/// Uploads of a list, with those grouped that go on alike.
struct UploadPage {
    uploads: Vec<ListedUpload>,
    groups: Vec<String>,
    is_truncated: bool,
}

fn page_of(open: Vec<ListedUpload>, prefix: &str, delimiter: Option<&str>, max: usize) -> UploadPage {
    let mut page = UploadPage { uploads: Vec::new(), groups: Vec::new(), is_truncated: false };
    for upload in open {
        let Some(rest) = upload.key.strip_prefix(prefix) else { continue };
        let group = delimiter.and_then(|delimiter| rest.split_once(delimiter).map(|(before, _)| (before, delimiter)));
        let group = group.map(|(before, delimiter)| format!("{prefix}{before}{delimiter}"));
        if group.is_some() && group.as_ref() == page.groups.last() {
            continue;
        }
        if page.uploads.len() + page.groups.len() == max {
            page.is_truncated = max > 0;
            return page;
        }
        match group {
            Some(group) => page.groups.push(group),
            None => page.uploads.push(upload),
        }
    }
    page
}

fn upload_marker(input: &ListMultipartUploadsInput) -> S3Result<(String, Option<Sequence>)> {
    let key = input.key_marker.clone().unwrap_or_default();
    let upload = input.upload_id_marker.as_deref().filter(|id| !id.is_empty() && !key.is_empty());
    Ok((key, upload.map(upload_id).transpose()?))
}

fn upload_output(listed: &ListedUpload, spelling: Spelling) -> MultipartUpload {
    let checksum = listed.upload.checksum;
    MultipartUpload {
        key: Some(spelling.write(&listed.key)),
        upload_id: Some(listed.id.to_string()),
        initiated: Some(answers::timestamp(listed.upload.begun)),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        owner: Some(owner()),
        initiator: Some(initiator()),
        checksum_algorithm: checksum.map(|(algorithm, _)| checksums::name(algorithm)),
        checksum_type: checksum.map(|(_, of)| checksums::kind(of)),
    }
}
