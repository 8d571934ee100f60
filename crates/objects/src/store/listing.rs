//! Listing a bucket page by page. Start reading at [`Span`] and [`list`].

use redb::ReadableTable;

use super::index::IndexError;
use super::record::{BucketId, Sequence, Version};
use super::tables::{VersionKey, decode, sequence_of, version_order};

/// The most entries of a page, as in S3.
pub const PAGE_MAX: usize = 1000;

/// Which keys a page is of, how they are grouped, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What keys begin with.
    pub prefix: String,
    /// What ends a group of keys; never empty.
    pub delimiter: Option<String>,
    /// Where the page begins.
    pub after: After,
    /// The most entries, at most [`PAGE_MAX`].
    pub max: usize,
}

/// What a list shows of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The newest version, unless that is a delete marker.
    Newest,
    /// Every version.
    EveryVersion,
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
    /// Behind one version of a key, or one upload for it.
    Within(String, Sequence),
}

impl Span {
    /// Where a page begins that is asked for by a marker: a group of the list stands for all its keys, any other text for
    /// itself.
    pub fn behind_marker(mut self, marker: &str) -> Self {
        self.after = match self.group_of(marker) {
            _ if marker.is_empty() => After::Nothing,
            Some(group) if group == marker => After::Group(marker.to_owned()),
            _ => After::Key(marker.to_owned()),
        };
        self
    }

    /// A key up to and with the first delimiter behind the prefix.
    pub(super) fn group_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.strip_prefix(&self.prefix)?;
        let delimiter = self.delimiter.as_deref()?;
        let at = rest.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }

    /// Where the search begins; `None` when there is nothing behind. `order` says where a version or an upload stands
    /// among the rows of its key.
    pub(super) fn first(&self, order: impl Fn(Sequence) -> u64) -> Option<At> {
        let asked = match &self.after {
            After::Nothing => Some(At { key: String::new(), order: 0 }),
            After::Key(key) => Some(At::behind_key(key)),
            After::Group(group) => At::behind_group(group),
            After::Within(key, sequence) => Some(At::behind_row(key, order(*sequence))),
        };
        asked.map(|at| if at.key < self.prefix { At { key: self.prefix.clone(), order: 0 } } else { at })
    }
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
    span: &Span,
    shown: Shown,
) -> Result<Page, IndexError> {
    let mut entries = Vec::new();
    let mut at = span.first(version_order);
    while let Some(row) = next_row(versions, bucket, &span.prefix, &at)? {
        let (entry, next) = entry_of(versions, bucket, (span, shown), row)?;
        at = next;
        let Some(entry) = entry else { continue };
        if entries.len() == span.max {
            let next = entries.last().map(|last| behind(last, shown));
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

/// Where the search goes on: at this key, and this place among its rows.
pub(super) struct At {
    pub(super) key: String,
    pub(super) order: u64,
}

impl At {
    /// The first key that sorts behind this one is this one with a NUL.
    pub(super) fn behind_key(key: &str) -> Self {
        Self { key: format!("{key}\0"), order: 0 }
    }

    pub(super) fn behind_row(key: &str, order: u64) -> Self {
        match order.checked_add(1) {
            Some(order) => Self { key: key.to_owned(), order },
            None => Self::behind_key(key),
        }
    }

    /// The first text that sorts behind all that begin with this one: its last character raised by one. `None` when there
    /// is none.
    pub(super) fn behind_group(group: &str) -> Option<Self> {
        let mut characters: Vec<char> = group.chars().collect();
        while let Some(last) = characters.pop() {
            let next = match last {
                // Surrogates are no characters.
                '\u{D7FF}' => Some('\u{E000}'),
                last => char::from_u32(u32::from(last) + 1),
            };
            if let Some(next) = next {
                characters.push(next);
                return Some(Self { key: characters.into_iter().collect(), order: 0 });
            }
        }
        None
    }
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
    (span, shown): (&Span, Shown),
    row: Row,
) -> Result<(Option<Entry>, Option<At>), IndexError> {
    if shown == Shown::Newest && row.version.object.is_none() {
        return Ok((None, Some(At::behind_key(&row.key))));
    }
    if let Some(group) = span.group_of(&row.key) {
        return Ok((Some(Entry::Group(group.to_owned())), At::behind_group(group)));
    }
    let (latest, next) = match shown {
        Shown::Newest => (true, At::behind_key(&row.key)),
        Shown::EveryVersion => (is_newest(versions, bucket, &row)?, At::behind_row(&row.key, row.order)),
    };
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

fn behind(last: &Entry, shown: Shown) -> After {
    match (last, shown) {
        (Entry::Group(group), _) => After::Group(group.clone()),
        (Entry::Version { key, sequence, .. }, Shown::EveryVersion) => After::Within(key.clone(), *sequence),
        (Entry::Version { key, .. }, Shown::Newest) => After::Key(key.clone()),
    }
}
