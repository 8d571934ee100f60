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
use super::checksums::{self, Wanted, with_checksum};
use super::listing::{Spelling, page_max, span};
use super::writing::{described_by, shown};
use super::{Front, answers, conditions, hex};
use crate::store::listing::{After, Span};
use crate::store::record::{Algorithm, Part, Sequence, Sum, SumOf, Upload};
use crate::store::uploads::{ListedUpload, PART_NUMBER_MAX};
use crate::store::{Completion, NewUpload, PartName, StoreError};

impl Front {
    pub(super) async fn begin_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let place = self.place(&input.bucket, input.key.clone())?;
        let headers = described_by(&request.headers, input.metadata)?;
        let checksum = upload_checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
        let (upload, now) = (NewUpload { headers, checksum }, sys::clock::now().wall);
        let id = self.in_store(move |store| store.begin_upload(place, upload, now)).await?;
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
        let place = self.place(&input.bucket, input.key)?;
        let id = upload_id(&input.upload_id)?;
        self.in_store(move |store| store.abort_upload(place, id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput { request_charged: None }))
    }

    pub(super) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let said = SaidOfWhole {
            sum: Wanted::of(&request.headers, None, None)?.said(),
            of: request.input.checksum_type.as_ref().map(sum_of_kind).transpose()?,
        };
        let condition = conditions::writing(&request.headers)?;
        let input = request.input;
        let place = self.place(&input.bucket, input.key.clone())?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "a completion names at least one part"));
        }
        let completion = Completion {
            id: upload_id(&input.upload_id)?,
            parts: parts.into_iter().map(part_name).collect::<S3Result<_>>()?,
            bytes: input.mpu_object_size.map(whole_bytes).transpose()?,
            condition,
            whole: Box::new(move |upload, parts| whole_of(upload, parts, &said)),
        };
        let now = sys::clock::now().wall;
        let (id, object) = self.in_store(move |store| store.complete_upload(place, completion, now)).await?;
        let sum = object.checksum.as_ref();
        Ok(S3Response::new(with_checksum!(
            sum,
            CompleteMultipartUploadOutput {
                checksum_type: checksums::kind_of(sum),
                location: Some(format!("/{}/{}", input.bucket, Spelling::Encoded.write(&input.key))),
                bucket: Some(input.bucket),
                key: Some(input.key),
                e_tag: Some(answers::etag(&object.etag)),
                version_id: shown(id),
                ..Default::default()
            }
        )))
    }

    pub(super) async fn list_parts_of(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let place = self.place(&input.bucket, input.key.clone())?;
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
            max_parts: answers::count(max),
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
        let span = behind_upload(&input)?;
        let max_uploads = answers::count(span.max);
        let page = self.in_store(move |store| store.list_uploads(bucket, &span)).await?;
        let is_truncated = Some(page.next.is_some());
        let (next_key, next_upload) = match page.next {
            Some(After::Within(key, id)) => (Some(key), Some(id.to_string())),
            Some(After::Key(text) | After::Group(text)) => (Some(text), None),
            Some(After::Nothing) | None => (None, None),
        };
        let groups = page.groups.iter().map(|group| CommonPrefix { prefix: Some(spelling.write(group)) });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: spelling.write_some(input.prefix.as_deref()),
            delimiter: spelling.write_some(input.delimiter.as_deref()),
            key_marker: spelling.write_some(Some(input.key_marker.as_deref().unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            next_key_marker: spelling.write_some(next_key.as_deref()),
            next_upload_id_marker: next_upload,
            max_uploads,
            is_truncated,
            common_prefixes: Some(groups.collect()),
            uploads: Some(page.uploads.iter().map(|upload| upload_output(upload, spelling)).collect()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}

/// The size of the whole, as a completion says it.
fn whole_bytes(said: i64) -> S3Result<u64> {
    u64::try_from(said).map_err(|_| s3_error!(InvalidArgument, "x-amz-mp-object-size is at least 0"))
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
    let of = match kind.map(sum_of_kind).transpose()? {
        Some(SumOf::Content) if digest => {
            return Err(s3_error!(InvalidRequest, "SHA-1 and SHA-256 of parts do not make one of the whole"));
        }
        Some(SumOf::Parts) if algorithm == Algorithm::Crc64Nvme => {
            return Err(s3_error!(InvalidRequest, "CRC64NVME is always of the whole"));
        }
        Some(of) => of,
        None if algorithm == Algorithm::Crc64Nvme => SumOf::Content,
        None => SumOf::Parts,
    };
    Ok(Some((algorithm, of)))
}

fn sum_of_kind(kind: &ChecksumType) -> S3Result<SumOf> {
    match kind.as_str() {
        ChecksumType::FULL_OBJECT => Ok(SumOf::Content),
        ChecksumType::COMPOSITE => Ok(SumOf::Parts),
        other => Err(s3_error!(InvalidArgument, "{other:?} is no kind of checksum")),
    }
}

/// What a completion says of the object.
struct SaidOfWhole {
    sum: Option<String>,
    of: Option<SumOf>,
}

fn part_name(part: CompletedPart) -> S3Result<PartName> {
    let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?;
    let etag = part.e_tag.ok_or_else(|| s3_error!(MalformedXML, "part {number} has no entity tag"))?;
    let sums =
        [part.checksum_crc32, part.checksum_crc32c, part.checksum_crc64nvme, part.checksum_sha1, part.checksum_sha256];
    Ok(PartName { number: part_number(number)?, etag: etag.into_value(), checksum: sums.into_iter().flatten().next() })
}

/// The entity tag and the checksum of an object in parts.
fn whole_of(upload: &Upload, parts: &[Part], said: &SaidOfWhole) -> Result<(String, Option<Sum>), StoreError> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&bytes_of_hex(&part.etag));
    }
    let etag = format!("{}-{}", hex(md5.finalize().as_ref()), parts.len());
    let sum = upload.checksum.map(|(algorithm, of)| sum_of(algorithm, of, parts).ok_or(StoreError::Whole("checksum")));
    let sum = sum.transpose()?;
    if said.of.is_some() && said.of != sum.as_ref().map(|sum| sum.of) {
        return Err(StoreError::Whole("kind of checksum"));
    }
    match (&sum, &said.sum) {
        (None, Some(_)) => Err(StoreError::Whole("checksum")),
        (Some(sum), Some(said)) if sum.value != *said && !sum.value.starts_with(&format!("{said}-")) => {
            Err(StoreError::Whole("checksum"))
        }
        _ => Ok((etag, sum)),
    }
}

fn sum_of(algorithm: Algorithm, of: SumOf, parts: &[Part]) -> Option<Sum> {
    // The whole has a sum only where every part has one.
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

/// Of an entity tag that the store made.
fn bytes_of_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn part_output((number, part): (u16, Part)) -> PartOutput {
    with_checksum!(
        part.checksum.as_ref(),
        PartOutput {
            part_number: Some(i32::from(number)),
            e_tag: Some(answers::etag(&part.etag)),
            size: Some(answers::length(part.piece.bytes)),
            last_modified: Some(answers::timestamp(part.modified)),
        }
    )
}

fn initiator() -> Initiator {
    let owner = owner();
    Initiator { display_name: owner.display_name, id: owner.id }
}

/// Behind the upload that a request names, which without a key means nothing.
fn behind_upload(input: &ListMultipartUploadsInput) -> S3Result<Span> {
    let mut span = span(input.prefix.as_ref(), input.delimiter.as_ref(), input.max_uploads)?;
    let key = input.key_marker.clone().unwrap_or_default();
    match input.upload_id_marker.as_deref().filter(|id| !id.is_empty() && !key.is_empty()) {
        None => Ok(span.behind_marker(&key)),
        Some(id) => {
            span.after = After::Within(key, upload_id(id)?);
            Ok(span)
        }
    }
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
