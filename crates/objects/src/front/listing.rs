//! Listing objects and versions. Start reading at [`Front::list`].

use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion,
    ObjectVersionStorageClass,
};
use s3s::{S3Response, S3Result, s3_error};

use super::buckets::owner;
use super::{Front, answers, checksums};
use crate::store::listing::{After, Entry, PAGE_MAX, Page, Query};
use crate::store::record::{Sequence, Version, VersionId};

/// How keys are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    AsTheyAre,
    Encoded,
}

impl Spelling {
    pub(super) fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Spelling::AsTheyAre),
            Some("url") => Ok(Spelling::Encoded),
            Some(other) => Err(s3_error!(InvalidArgument, "{other:?} is no encoding: url")),
        }
    }

    /// XML cannot hold every character that a key can: clients that care ask for this.
    pub(super) fn write(self, text: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/*".contains(&byte);
        match self {
            Spelling::AsTheyAre => text.to_owned(),
            Spelling::Encoded => text
                .bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect(),
        }
    }

    pub(super) fn write_some(self, text: Option<&str>) -> Option<String> {
        text.map(|text| self.write(text))
    }
}

/// How many entries a page has at the most.
pub(super) fn page_max(asked: Option<i32>) -> S3Result<usize> {
    let asked = usize::try_from(asked.unwrap_or(1000));
    asked.map(|asked| asked.min(PAGE_MAX)).map_err(|_| s3_error!(InvalidArgument, "a page has at least 0 entries"))
}

/// What the lists of objects have in common.
struct Asked {
    bucket: String,
    prefix: Option<String>,
    delimiter: Option<String>,
    after: After,
    max: usize,
    every_version: bool,
}

impl Front {
    async fn page(&self, asked: Asked) -> S3Result<Page> {
        let bucket = self.bucket(&asked.bucket)?.id;
        let query = Query {
            prefix: asked.prefix.unwrap_or_default(),
            delimiter: asked.delimiter.filter(|delimiter| !delimiter.is_empty()),
            after: asked.after,
            max: asked.max,
            every_version: asked.every_version,
        };
        self.in_store(move |store| store.list(bucket, &query)).await
    }

    pub(super) async fn list(&self, input: ListObjectsInput) -> S3Result<S3Response<ListObjectsOutput>> {
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max = page_max(input.max_keys)?;
        let marker = input.marker.as_deref().filter(|marker| !marker.is_empty());
        let after = marker.map_or(After::Nothing, |marker| behind_marker(marker, &input));
        let asked = Asked {
            bucket: input.bucket.clone(),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            after,
            max,
            every_version: false,
        };
        let page = self.page(asked).await?;
        let next_marker = match &page.next {
            Some(After::Key(text) | After::Group(text)) => Some(spelling.write(text)),
            _ => None,
        };
        let (contents, common_prefixes) = objects(page.entries, spelling, true);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(spelling.write(input.marker.as_deref().unwrap_or_default())),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(next_marker.is_some()),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            next_marker: next_marker.filter(|_| input.delimiter.is_some()),
            delimiter: spelling.write_some(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    pub(super) async fn list_2(&self, input: ListObjectsV2Input) -> S3Result<S3Response<ListObjectsV2Output>> {
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max = page_max(input.max_keys)?;
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => read_token(token)?,
            (None, Some(key)) if !key.is_empty() => After::Key(key.clone()),
            _ => After::Nothing,
        };
        let asked = Asked {
            bucket: input.bucket.clone(),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            after,
            max,
            every_version: false,
        };
        let page = self.page(asked).await?;
        let next_continuation_token = page.next.as_ref().and_then(write_token);
        // A page has 1,000 entries at the most; the field may be left out.
        let key_count = i32::try_from(page.entries.len()).ok();
        let (contents, common_prefixes) = objects(page.entries, spelling, input.fetch_owner == Some(true));
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
            max_keys: i32::try_from(max).ok(),
            key_count,
            continuation_token: input.continuation_token,
            is_truncated: Some(next_continuation_token.is_some()),
            next_continuation_token,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: spelling.write_some(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            start_after: spelling.write_some(input.start_after.as_deref()),
            ..Default::default()
        }))
    }

    pub(super) async fn list_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max = page_max(input.max_keys)?;
        let asked = Asked {
            bucket: input.bucket.clone(),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            after: self.behind_version(&input).await?,
            max,
            every_version: true,
        };
        let page = self.page(asked).await?;
        let is_truncated = Some(page.next.is_some());
        let (next_key, next_version) = match page.next {
            Some(After::Version(key, _)) => (Some(spelling.write(&key)), last_id(&page.entries)),
            Some(After::Key(text) | After::Group(text)) => (Some(spelling.write(&text)), None),
            Some(After::Nothing) | None => (None, None),
        };
        let (versions, delete_markers, common_prefixes) = split(page.entries, spelling);
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
            key_marker: Some(spelling.write(input.key_marker.as_deref().unwrap_or_default())),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            max_keys: i32::try_from(max).ok(),
            is_truncated,
            next_key_marker: next_key,
            next_version_id_marker: next_version,
            versions: Some(versions),
            delete_markers: Some(delete_markers),
            common_prefixes: Some(common_prefixes),
            delimiter: spelling.write_some(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    /// Behind the version that a request names, which may be the one without a number.
    async fn behind_version(&self, input: &ListObjectVersionsInput) -> S3Result<After> {
        let key = input.key_marker.as_deref().filter(|key| !key.is_empty());
        let version = input.version_id_marker.as_deref().filter(|version| !version.is_empty());
        match (key, version) {
            (None, None) => Ok(After::Nothing),
            (None, Some(_)) => Err(s3_error!(InvalidArgument, "a version-id-marker needs a key-marker")),
            (Some(key), None) => match ends_in(key, input.delimiter.as_deref()) {
                true => Ok(After::Group(key.to_owned())),
                false => Ok(After::Key(key.to_owned())),
            },
            (Some(key), Some(version)) => {
                let (_, place) = self.place(&input.bucket, key.to_owned())?;
                let sequence = match answers::version_id(version)? {
                    VersionId::Kept(sequence) => Some(sequence),
                    VersionId::Null => self.in_store(move |store| store.null_version(&place)).await?,
                };
                Ok(sequence.map_or(After::Key(key.to_owned()), |at| After::Version(key.to_owned(), at)))
            }
        }
    }
}

/// A marker that is a group of the list stands for all its keys; one that is a key stands for itself.
fn behind_marker(marker: &str, input: &ListObjectsInput) -> After {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    match marker.starts_with(prefix) && ends_in(marker, input.delimiter.as_deref()) {
        true => After::Group(marker.to_owned()),
        false => After::Key(marker.to_owned()),
    }
}

fn ends_in(text: &str, delimiter: Option<&str>) -> bool {
    delimiter.is_some_and(|delimiter| !delimiter.is_empty() && text.ends_with(delimiter))
}

/// A token says where the next page begins: `k` and a key, or `g` and a group, in hexadecimal.
fn write_token(after: &After) -> Option<String> {
    let (kind, text) = match after {
        After::Key(key) => ('k', key),
        After::Group(group) => ('g', group),
        After::Nothing | After::Version(..) => return None,
    };
    Some(format!("{kind}{}", super::intake::hex(text.as_bytes())))
}

fn read_token(token: &str) -> S3Result<After> {
    let wrong = || s3_error!(InvalidArgument, "the continuation token is none of this store");
    let (kind, digits) = token.split_at_checked(1).ok_or_else(wrong)?;
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        u8::from_str_radix(pair?, 16).ok()
    });
    let text = pairs.collect::<Option<Vec<u8>>>().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    match kind {
        "k" => Ok(After::Key(text)),
        "g" => Ok(After::Group(text)),
        _ => Err(wrong()),
    }
}

fn last_id(entries: &[Entry]) -> Option<String> {
    match entries.last() {
        Some(Entry::Version { sequence, version, .. }) => Some(version.id(*sequence).to_string()),
        _ => None,
    }
}

fn objects(entries: Vec<Entry>, spelling: Spelling, with_owner: bool) -> (Vec<Object>, Vec<CommonPrefix>) {
    let (mut objects, mut groups) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Group(group) => groups.push(CommonPrefix { prefix: Some(spelling.write(&group)) }),
            Entry::Version { key, version, .. } => {
                let modified = version.modified;
                let Some(object) = version.object else { continue };
                let sum = object.checksum.as_ref();
                objects.push(Object {
                    key: Some(spelling.write(&key)),
                    e_tag: Some(answers::etag(&object.etag)),
                    size: Some(answers::length(object.bytes)),
                    last_modified: Some(answers::timestamp(modified)),
                    storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                    owner: with_owner.then(owner),
                    checksum_algorithm: sum.map(|sum| vec![checksums::name(sum.algorithm)]),
                    checksum_type: sum.map(|sum| checksums::kind(sum.of)),
                    restore_status: None,
                });
            }
        }
    }
    (objects, groups)
}

fn split(entries: Vec<Entry>, spelling: Spelling) -> (Vec<ObjectVersion>, Vec<DeleteMarkerEntry>, Vec<CommonPrefix>) {
    let (mut versions, mut markers, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Group(group) => groups.push(CommonPrefix { prefix: Some(spelling.write(&group)) }),
            Entry::Version { key, sequence, latest, version } => match &version.object {
                None => markers.push(marker_of(spelling.write(&key), sequence, latest, &version)),
                Some(object) => versions.push(ObjectVersion {
                    key: Some(spelling.write(&key)),
                    e_tag: Some(answers::etag(&object.etag)),
                    size: Some(answers::length(object.bytes)),
                    last_modified: Some(answers::timestamp(version.modified)),
                    version_id: Some(version.id(sequence).to_string()),
                    is_latest: Some(latest),
                    storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
                    owner: Some(owner()),
                    ..Default::default()
                }),
            },
        }
    }
    (versions, markers, groups)
}

fn marker_of(key: String, sequence: Sequence, latest: bool, version: &Version) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(key),
        last_modified: Some(answers::timestamp(version.modified)),
        version_id: Some(version.id(sequence).to_string()),
        is_latest: Some(latest),
        owner: Some(owner()),
    }
}
