//! What a request demands of an object's entity tag and date. Start reading at [`Reading::check`].

use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderValue};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::answers;
use crate::store::{Condition, Found, Tag};

/// The conditions of a request that reads, or that copies from an object.
pub(super) struct Reading<'r> {
    pub(super) if_match: Option<&'r ETagCondition>,
    pub(super) if_none_match: Option<&'r ETagCondition>,
    pub(super) if_modified_since: Option<&'r Timestamp>,
    pub(super) if_unmodified_since: Option<&'r Timestamp>,
}

/// What a condition that does not hold leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmet {
    Failed,
    NotModified,
}

impl Reading<'_> {
    /// For a request that reads: what has not changed is not sent again.
    pub(super) fn check(&self, found: &Found) -> S3Result<()> {
        match self.unmet(found) {
            None => Ok(()),
            Some(Unmet::Failed) => Err(s3_error!(PreconditionFailed, "a condition of the request does not hold")),
            Some(Unmet::NotModified) => {
                let mut answer = s3_error!(NotModified);
                let mut headers = HeaderMap::new();
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
        let failed = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => !holds(condition),
            (None, Some(date)) => modified > *date,
            (None, None) => false,
        };
        if failed {
            return Some(Unmet::Failed);
        }
        let unmodified = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => holds(condition),
            (None, Some(date)) => modified <= *date,
            (None, None) => false,
        };
        unmodified.then_some(Unmet::NotModified)
    }
}

/// The conditions of a request that writes.
pub(super) fn writing(if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> Condition {
    let tag = |condition: &ETagCondition| match condition.as_etag() {
        None => Tag::Any,
        Some(etag) => Tag::Is(etag.value().to_owned()),
    };
    Condition { if_match: if_match.map(tag), if_none_match: if_none_match.map(tag) }
}
