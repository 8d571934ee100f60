//! Whether a file is sent whole, in part or not at all (RFC 9110, sections 13 and 14). Start reading at [`judge`].

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// The fields of a request that make it depend on what the file is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// `If-Match`.
    pub(crate) if_match: Option<String>,
    /// `If-Unmodified-Since`.
    pub(crate) if_unmodified_since: Option<String>,
    /// `If-None-Match`.
    pub(crate) if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub(crate) if_modified_since: Option<String>,
    /// `Range`.
    pub(crate) range: Option<String>,
    /// `If-Range`.
    pub(crate) if_range: Option<String>,
}

/// What they are compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validators<'f> {
    /// The strong entity tag, in its quotes.
    pub(super) etag: &'f str,
    /// When the file was modified, in whole seconds since 1970; `None` where that lies in the future and says nothing.
    pub(super) modified: Option<u64>,
    /// The file's length.
    pub(super) bytes: u64,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: it is not what the client takes it for.
    Failed,
    /// Nothing: the file has no such part.
    OutOfRange,
}

/// What to send. The order is that of section 13.2.2. A field that cannot be read counts as absent.
pub(super) fn judge(conditions: &Conditions, file: Validators<'_>, to_head: bool) -> Verdict {
    let modified_after = |date: &Option<String>| Some(file.modified? > seconds(date.as_deref()?)?);
    let failed = match &conditions.if_match {
        Some(tags) => !lists(tags, |tag| tag == file.etag),
        None => modified_after(&conditions.if_unmodified_since) == Some(true),
    };
    if failed {
        return Verdict::Failed;
    }
    let known = match &conditions.if_none_match {
        Some(tags) => lists(tags, |tag| tag.strip_prefix("W/").unwrap_or(tag) == file.etag),
        None => modified_after(&conditions.if_modified_since) == Some(false),
    };
    if known {
        return Verdict::NotModified;
    }
    let range = conditions.range.as_deref().filter(|_| !to_head && still_holds(conditions.if_range.as_deref(), file));
    match range.map(|range| part(range, file.bytes)) {
        None | Some(Asked::Whole) => Verdict::Whole,
        Some(Asked::Part(part)) => Verdict::Part(part),
        Some(Asked::Beyond) => Verdict::OutOfRange,
    }
}

/// Whether a list of entity tags holds one, or is `*`.
fn lists(tags: &str, wanted: impl Fn(&str) -> bool) -> bool {
    // No tag of ours has a comma in it, so a list may be cut at any.
    tags.trim() == "*" || tags.split(',').any(|tag| wanted(tag.trim()))
}

/// Whether what a client has a part of is this file. Only a strong tag or the exact date says so.
fn still_holds(if_range: Option<&str>, file: Validators<'_>) -> bool {
    if_range.is_none_or(|held| held == file.etag || (file.modified.is_some() && seconds(held) == file.modified))
}

fn seconds(date: &str) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(date).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

enum Asked {
    Whole,
    Part(Range<u64>),
    Beyond,
}

/// What a range asks for. Several at once are answered with all of it, as section 14.2 permits: a page that stitches pieces
/// together is rare, and a request for a thousand overlapping ones is an old attack (CVE-2011-3192).
fn part(range: &str, bytes: u64) -> Asked {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Asked::Whole;
    };
    let (first, last) = match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => (bytes.saturating_sub(count), bytes),
        (Some(first), None) if last.is_empty() => (first, bytes),
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(bytes)),
        _ => return Asked::Whole,
    };
    if first < last { Asked::Part(first..last) } else { Asked::Beyond }
}

/// A number; one that is too large for any file is the largest there is.
fn number(digits: &str) -> Option<u64> {
    let digits = Some(digits).filter(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const FILE: Validators<'_> = Validators { etag: "\"a\"", modified: Some(784_111_777), bytes: 100 };

    fn conditions(fields: &[(&str, &str)]) -> Conditions {
        let value = |name: &str| fields.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        Conditions {
            if_match: value("if-match"),
            if_unmodified_since: value("if-unmodified-since"),
            if_none_match: value("if-none-match"),
            if_modified_since: value("if-modified-since"),
            range: value("range"),
            if_range: value("if-range"),
        }
    }

    #[test]
    fn conditions_and_their_order() {
        use Verdict::{Failed, NotModified, Part, Whole};
        for (fields, expected) in [
            (&[][..], Whole),
            (&[("if-none-match", "\"a\"")], NotModified),
            (&[("if-none-match", "\"b\"")], Whole),
            (&[("if-none-match", "W/\"a\"")], NotModified),
            (&[("if-none-match", "\"b\", \"a\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "a")], Whole),
            (&[("if-modified-since", EXACT)], NotModified),
            (&[("if-modified-since", LATER)], NotModified),
            (&[("if-modified-since", EARLIER)], Whole),
            (&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (&[("if-modified-since", "Sun Nov  6 08:49:37 1994")], NotModified),
            (&[("if-modified-since", "yesterday")], Whole),
            (&[("if-none-match", "\"b\""), ("if-modified-since", EXACT)], Whole),
            (&[("if-match", "\"a\"")], Whole),
            (&[("if-match", "\"b\"")], Failed),
            (&[("if-match", "W/\"a\"")], Failed),
            (&[("if-match", "*")], Whole),
            (&[("if-unmodified-since", EARLIER)], Failed),
            (&[("if-unmodified-since", EXACT)], Whole),
            (&[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)], Whole),
            (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Failed),
            (&[("range", "bytes=0-9"), ("if-none-match", "\"a\"")], NotModified),
            (&[("range", "bytes=0-9"), ("if-range", "\"a\"")], Part(0..10)),
            (&[("range", "bytes=0-9"), ("if-range", "\"b\"")], Whole),
            (&[("range", "bytes=0-9"), ("if-range", "W/\"a\"")], Whole),
            (&[("range", "bytes=0-9"), ("if-range", EXACT)], Part(0..10)),
            (&[("range", "bytes=0-9"), ("if-range", LATER)], Whole),
        ] {
            assert_eq!(judge(&conditions(fields), FILE, false), expected, "{fields:?}");
        }
    }

    #[test]
    fn ranges() {
        use Verdict::{OutOfRange, Part, Whole};
        for (range, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-99", Part(0..100)),
            ("bytes=99-", Part(99..100)),
            ("bytes=50-1000", Part(50..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-1000", Part(0..100)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=100-", OutOfRange),
            ("bytes=99999999999999999999999-", OutOfRange),
            ("bytes=-0", OutOfRange),
            ("bytes=9-1", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,5-6", Whole),
            ("bytes 0-1", Whole),
            ("lines=0-1", Whole),
        ] {
            assert_eq!(judge(&conditions(&[("range", range)]), FILE, false), expected, "{range}");
        }
        assert_eq!(judge(&conditions(&[("range", "bytes=0-9")]), FILE, true), Whole, "HEAD knows no ranges");
        let empty = Validators { bytes: 0, ..FILE };
        assert_eq!(judge(&conditions(&[("range", "bytes=0-")]), empty, false), OutOfRange);
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_in_the_file(first in 0_u64..200, last in 0_u64..200, bytes in 0_u64..200) {
            let file = Validators { bytes, ..FILE };
            for range in [format!("bytes={first}-{last}"), format!("bytes={first}-"), format!("bytes=-{last}")] {
                if let Verdict::Part(part) = judge(&conditions(&[("range", &range)]), file, false) {
                    proptest::prop_assert!(part.start < part.end && part.end <= bytes, "{range} of {bytes}: {part:?}");
                }
            }
        }
    }
}
