//! What a request demands of an object's entity tag and date. Start reading at [`Reading::check`].

use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderValue};
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Result, s3_error};

use super::{answers, fields};
use crate::store::{Condition, Found, Tag};

/// The conditions of a request that reads, or that copies from an object.
#[derive(Debug, Default)]
pub(super) struct Reading {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

/// What a condition that does not hold leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmet {
    Failed,
    NotModified,
}

impl Reading {
    /// The conditions of a request that reads.
    pub(super) fn of(headers: &HeaderMap) -> S3Result<Self> {
        Self::in_fields(headers, "")
    }

    /// The conditions on the source of a copy.
    pub(super) fn of_source(headers: &HeaderMap) -> S3Result<Self> {
        Self::in_fields(headers, "x-amz-copy-source-")
    }

    fn in_fields(headers: &HeaderMap, beginning: &str) -> S3Result<Self> {
        let tag = |name: &str| etag_condition(headers, &format!("{beginning}{name}"));
        let date = |name: &str| date(headers, &format!("{beginning}{name}"));
        Ok(Self {
            if_match: tag("if-match")?,
            if_none_match: tag("if-none-match")?,
            if_modified_since: date("if-modified-since")?,
            if_unmodified_since: date("if-unmodified-since")?,
        })
    }

    /// For a request that reads: what has not changed is not sent again.
    pub(super) fn check(&self, found: &Found) -> S3Result<()> {
        match self.unmet(found) {
            None => Ok(()),
            Some(Unmet::Failed) => Err(s3_error!(PreconditionFailed, "a condition of the request does not hold")),
            Some(Unmet::NotModified) => {
                let mut answer = s3_error!(NotModified);
                let mut headers = HeaderMap::new();
                // The store's tags are hexadecimal, which every field can hold.
                let etag = HeaderValue::try_from(format!("\"{}\"", found.object.etag));
                headers.extend(etag.ok().map(|etag| (ETAG, etag)));
                answer.set_headers(headers);
                Err(answer)
            }
        }
    }

    /// For a request that copies: every condition that does not hold refuses it.
    pub(super) fn check_source(&self, found: &Found) -> S3Result<()> {
        match self.unmet(found) {
            None => Ok(()),
            Some(_) => Err(s3_error!(PreconditionFailed, "a condition on the source does not hold")),
        }
    }

    /// In the order of RFC 9110, section 13.2.2: an entity tag says more than a date.
    fn unmet(&self, found: &Found) -> Option<Unmet> {
        let etag = answers::etag(&found.object.etag);
        let modified = answers::timestamp_in_seconds(found.modified);
        let holds = |condition: &ETagCondition| condition.as_etag().is_none_or(|asked| asked.weak_cmp(&etag));
        let failed = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !holds(condition),
            (None, Some(date)) => modified > *date,
            (None, None) => false,
        };
        if failed {
            return Some(Unmet::Failed);
        }
        let unmodified = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => holds(condition),
            (None, Some(date)) => modified <= *date,
            (None, None) => false,
        };
        unmodified.then_some(Unmet::NotModified)
    }
}

/// The conditions of a request that writes.
pub(super) fn writing(headers: &HeaderMap) -> S3Result<Condition> {
    let tag = |condition: ETagCondition| match condition {
        ETagCondition::Any => Tag::Any,
        ETagCondition::ETag(etag) => Tag::Is(etag.into_value()),
    };
    let if_match = etag_condition(headers, "if-match")?.map(tag);
    let if_none_match = etag_condition(headers, "if-none-match")?.map(tag);
    Ok(Condition { if_match, if_none_match })
}

/// Whether the range of a request is of the object as it is now: `If-Range` (RFC 9110, section 13.1.5) says as which object
/// the client has the rest.
pub(super) fn range_is_of(headers: &HeaderMap, found: &Found) -> bool {
    let Some(said) = headers.get("if-range") else { return true };
    let etag = ETag::parse_http_header(said.as_bytes()).ok();
    // What is no entity tag is a date.
    let date = said.to_str().ok().and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, text).ok());
    etag.is_some_and(|etag| etag.strong_cmp(&answers::etag(&found.object.etag)))
        || date.is_some_and(|date| date == answers::timestamp_in_seconds(found.modified))
}

fn etag_condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let parsed = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
    parsed.transpose().map_err(|_| s3_error!(InvalidArgument, "{name} is an entity tag in quotes, or *"))
}

fn date(headers: &HeaderMap, name: &str) -> S3Result<Option<Timestamp>> {
    let parsed = fields::text(headers, name).map(|text| Timestamp::parse(TimestampFormat::HttpDate, text));
    parsed.transpose().map_err(|_| s3_error!(InvalidArgument, "{name} is no date"))
}
