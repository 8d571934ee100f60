//! Listing a bucket page by page. Start reading at [`list`].

use redb::ReadableTable;

use super::index::IndexError;
use super::record::{BucketId, Sequence, Version};
use super::tables::{VersionKey, decode, sequence_of, version_order};

/// The most entries of a page, as in S3.
pub const PAGE_MAX: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What keys begin with.
    pub prefix: String,
    /// What ends a group of keys; never empty.
    pub delimiter: Option<String>,
    /// Where the page begins.
    pub after: After,
    /// The most entries, at most [`PAGE_MAX`].
    pub max: usize,
    /// Every version, or the newest of each key unless that is a delete marker.
    pub every_version: bool,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// At the beginning.
    Nothing,
    /// Behind a key, with all its versions.
    Key(String),
    /// Behind every key of a group.
    Group(String),
    /// Behind one version of a key.
    Version(String, Sequence),
}

/// One entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A version of an object.
    Version {
        /// Its key.
        key: String,
        /// Its place in the order.
        sequence: Sequence,
        /// Whether it is the newest.
        latest: bool,
        /// The version.
        version: Box<Version>,
    },
    /// Keys that go on alike up to the delimiter.
    Group(String),
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its entries, in the order of keys.
    pub entries: Vec<Entry>,
    /// Where the next one begins; absent at the end.
    pub next: Option<After>,
}

/// One page of a bucket.
pub(super) fn list(
    versions: &impl ReadableTable<VersionKey, &'static [u8]>,
    bucket: BucketId,
    query: &Query,
) -> Result<Page, IndexError> {
    let mut entries = Vec::new();
    let mut at = first_row(query);
    while let Some(row) = next_row(versions, bucket, &query.prefix, &at)? {
        let (entry, next) = entry_of(versions, bucket, query, row)?;
        at = next;
        let Some(entry) = entry else { continue };
        if entries.len() == query.max {
            let next = entries.last().map(|last| behind(last, query.every_version));
            return Ok(Page { entries, next });
        }
        entries.push(entry);
    }
    Ok(Page { entries, next: None })
}

/// A row of the table: where it stands, and what it says.
struct Row {
    key: String,
    order: u64,
    version: Version,
}

/// Where the search goes on: at this key and place in the order of its versions.
struct At {
    key: String,
    order: u64,
}

fn first_row(query: &Query) -> Option<At> {
    let asked = match &query.after {
        After::Nothing => Some(At { key: String::new(), order: 0 }),
        After::Key(key) => Some(behind_key(key)),
        After::Group(group) => behind_group(group),
        After::Version(key, sequence) => Some(behind_version(key.clone(), version_order(*sequence))),
    };
    asked.map(|at| if at.key < query.prefix { At { key: query.prefix.clone(), order: 0 } } else { at })
}

/// The first key that sorts behind this one is this one with a NUL.
fn behind_key(key: &str) -> At {
    At { key: format!("{key}\0"), order: 0 }
}

fn behind_version(key: String, order: u64) -> At {
    match order.checked_add(1) {
        Some(order) => At { key, order },
        None => behind_key(&key),
    }
}

/// The first text that sorts behind all that begin with this one: its last character raised by one. `None` when there
/// is none.
fn behind_group(group: &str) -> Option<At> {
    let mut characters: Vec<char> = group.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            // Surrogates are no characters.
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(At { key: characters.into_iter().collect(), order: 0 });
        }
    }
    None
}

fn next_row(
    versions: &impl ReadableTable<VersionKey, &'static [u8]>,
    bucket: BucketId,
    prefix: &str,
    at: &Option<At>,
) -> Result<Option<Row>, IndexError> {
    let Some(at) = at else { return Ok(None) };
    let Some(end) = bucket.0.checked_add(1) else { return Ok(None) };
    let rows = (bucket.0, at.key.as_str(), at.order)..(end, "", 0);
    let Some(row) = versions.range(rows).map_err(IndexError::when("read"))?.next() else { return Ok(None) };
    let (key, value) = row.map_err(IndexError::when("read"))?;
    let (_, key, order) = key.value();
    if !key.starts_with(prefix) {
        return Ok(None);
    }
    Ok(Some(Row { key: key.to_owned(), order, version: decode("a version", value.value())? }))
}

/// What a row adds to the page, and where the search goes on behind it.
fn entry_of(
    versions: &impl ReadableTable<VersionKey, &'static [u8]>,
    bucket: BucketId,
    query: &Query,
    row: Row,
) -> Result<(Option<Entry>, Option<At>), IndexError> {
    let group = group_of(&row.key, &query.prefix, query.delimiter.as_deref());
    if !query.every_version && row.version.object.is_none() {
        return Ok((None, Some(behind_key(&row.key))));
    }
    if let Some(group) = group {
        let next = behind_group(group);
        return Ok((Some(Entry::Group(group.to_owned())), next));
    }
    let next = match query.every_version {
        true => behind_version(row.key.clone(), row.order),
        false => behind_key(&row.key),
    };
    let latest = !query.every_version || is_newest(versions, bucket, &row)?;
    let version = Box::new(row.version);
    Ok((Some(Entry::Version { key: row.key, sequence: sequence_of(row.order), latest, version }), Some(next)))
}

fn is_newest(
    versions: &impl ReadableTable<VersionKey, &'static [u8]>,
    bucket: BucketId,
    row: &Row,
) -> Result<bool, IndexError> {
    let newer = (bucket.0, row.key.as_str(), 0)..(bucket.0, row.key.as_str(), row.order);
    Ok(versions.range(newer).map_err(IndexError::when("read"))?.next().is_none())
}

/// A key up to and with the first delimiter behind the prefix.
fn group_of<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter?;
    let rest = key.get(prefix.len()..)?;
    let at = rest.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

fn behind(last: &Entry, every_version: bool) -> After {
    match last {
        Entry::Group(group) => After::Group(group.clone()),
        Entry::Version { key, sequence, .. } if every_version => After::Version(key.clone(), *sequence),
        Entry::Version { key, .. } => After::Key(key.clone()),
    }
}
