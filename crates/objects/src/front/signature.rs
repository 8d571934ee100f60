//! How a request is signed, and whether the signature is of all that matters. Start reading at [`check`].
//!
//! The protocol layer verifies that a signature is of what it says it is of. That this is everything is checked here, before:
//! otherwise whoever holds a presigned URL could add fields to it, and make of an upload a copy of what they may not read.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::query::Query;

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Parameters by which version 2 is told.
const OF_VERSION_2: [&str; 2] = ["Signature", "AWSAccessKeyId"];
/// How long a presigned URL may be good for, in seconds: a week, as in S3.
const URL_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
/// The most fields whose names a refusal says.
const NAMES_MAX: usize = 5;

/// Refuses a request unless it says that it is signed once, in version 4, with `host` and each of its fields whose name
/// begins with `x-amz-`.
pub(super) fn check(headers: &HeaderMap, query: &Query) -> S3Result<()> {
    let signed = signed_fields(headers, query)?;
    let is_signed = |name: &str| signed.split(';').any(|signed| signed == name);
    let matters = |name: &&str| *name == "host" || name.starts_with("x-amz-");
    let names = headers.keys().map(|name| name.as_str()).filter(matters);
    let unsigned: Vec<&str> = names.filter(|name| !is_signed(name)).take(NAMES_MAX).collect();
    if !unsigned.is_empty() {
        let names = unsigned.join(", ");
        return Err(s3_error!(
            AccessDenied,
            "there were fields that are not signed: {names}: sign them, or leave them out"
        ));
    }
    // The protocol layer does not see such a value, and so verifies a signature without it.
    if headers.iter().any(|(name, value)| matters(&name.as_str()) && value.to_str().is_err()) {
        return Err(s3_error!(InvalidArgument, "a signed field has a value that is not of visible characters"));
    }
    Ok(())
}

/// What the request says its signature is of.
fn signed_fields<'r>(headers: &'r HeaderMap, query: &'r Query) -> S3Result<&'r str> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let authorization = authorizations.next().map(|value| value.to_str().unwrap_or_default());
    let another = authorizations.next().is_some();
    if OF_VERSION_2.iter().any(|name| query.has(name)) || authorization.is_some_and(|text| !is_version_4(text)) {
        return Err(s3_error!(AccessDenied, "only signatures of version 4 are taken: sign with {ALGORITHM}"));
    }
    let by_url = query.has("X-Amz-Signature");
    match (authorization, by_url) {
        _ if another => Err(s3_error!(InvalidRequest, "a request is signed once")),
        (Some(_), true) => Err(s3_error!(InvalidRequest, "a request is signed in its URL or in a field, not both")),
        (None, false) => Err(s3_error!(AccessDenied, "every request must be signed by a key")),
        (Some(text), false) => signed_in_field(text),
        (None, true) => signed_in_url(query),
    }
}

fn signed_in_url(query: &Query) -> S3Result<&str> {
    let seconds = query.unique("X-Amz-Expires").and_then(|seconds| seconds.parse::<u64>().ok());
    if seconds.is_none_or(|seconds| seconds > URL_SECONDS_MAX) {
        let code = S3ErrorCode::AuthorizationQueryParametersError;
        let why = format!("a presigned URL says X-Amz-Expires once: {URL_SECONDS_MAX} seconds at the most");
        return Err(S3Error::with_message(code, why));
    }
    query
        .unique("X-Amz-SignedHeaders")
        .ok_or_else(|| s3_error!(InvalidRequest, "a presigned URL says X-Amz-SignedHeaders once"))
}

fn is_version_4(authorization: &str) -> bool {
    authorization.strip_prefix(ALGORITHM).is_some_and(|rest| rest.starts_with(' '))
}

fn signed_in_field(authorization: &str) -> S3Result<&str> {
    let parts = authorization.split([',', ' ']).map(str::trim);
    let mut said = parts.filter_map(|part| part.strip_prefix("SignedHeaders="));
    match (said.next(), said.next()) {
        (Some(names), None) => Ok(names),
        _ => Err(s3_error!(InvalidRequest, "the field Authorization says SignedHeaders once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str =
        "AWS4-HMAC-SHA256 Credential=k/20260101/r/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";
    const URL: &str = "X-Amz-Signature=0&X-Amz-Expires=604800&X-Amz-SignedHeaders=host";

    fn checked(query: &str, fields: &[(&'static str, &'static str)]) -> Result<(), String> {
        let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = fields.collect();
        let query = Query::parse(query).unwrap();
        check(&headers, &query).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn what_is_signed_passes() {
        assert_eq!(checked("", &[("authorization", SIGNED), ("host", "h"), ("x-amz-date", "d")]), Ok(()));
        assert_eq!(checked(URL, &[("host", "h"), ("content-type", "a/b"), ("x-amzn-trace-id", "1")]), Ok(()));
        assert_eq!(checked(&format!("{URL}%3Bx-amz-acl"), &[("x-amz-acl", "private")]), Ok(()));
    }

    #[test]
    fn what_is_not_signed_is_refused() {
        let denied = Err("AccessDenied".to_owned());
        assert_eq!(checked(URL, &[("host", "h"), ("x-amz-copy-source", "a/b")]), denied);
        assert_eq!(checked(&URL.replace("=host", "=x-amz-date"), &[("host", "h")]), denied);
        assert_eq!(checked("", &[("authorization", SIGNED), ("host", "h"), ("x-amz-acl", "private")]), denied);
        assert_eq!(checked("", &[("host", "h")]), denied);
    }

    #[test]
    fn a_url_is_good_for_a_week_at_the_most() {
        let refused = Err("AuthorizationQueryParametersError".to_owned());
        for seconds in ["604801", "4294967295", "-1", "x"] {
            assert_eq!(checked(&URL.replace("604800", seconds), &[]), refused, "{seconds}");
        }
        assert_eq!(checked("X-Amz-Signature=0&X-Amz-SignedHeaders=host", &[]), refused);
        assert_eq!(checked(&format!("{URL}&X-Amz-Expires=1"), &[]), refused);
    }

    #[test]
    fn version_2_is_refused_however_it_is_dressed() {
        let denied = Err("AccessDenied".to_owned());
        assert_eq!(checked("", &[("authorization", "AWS k:s")]), denied);
        assert_eq!(checked("AWSAccessKeyId=k&Signature=s&Expires=1", &[]), denied);
        assert_eq!(
            checked("AWSAccessKeyId=k&Sign%61ture=s&Expires=1&X-Amz-Signature=0&X-Amz-SignedHeaders=host", &[]),
            denied
        );
        assert_eq!(checked("Signature=s", &[("authorization", SIGNED)]), denied);
    }

    #[test]
    fn what_is_signed_twice_is_refused() {
        let invalid = Err("InvalidRequest".to_owned());
        assert_eq!(checked(URL, &[("authorization", SIGNED)]), invalid);
        assert_eq!(checked("", &[("authorization", SIGNED), ("authorization", SIGNED)]), invalid);
        assert_eq!(checked(&format!("{URL}&X-Amz-SignedHeaders=x-amz-copy-source"), &[]), invalid);
        assert_eq!(checked("", &[("authorization", "AWS4-HMAC-SHA256 SignedHeaders=host, SignedHeaders=a")]), invalid);
    }
}
