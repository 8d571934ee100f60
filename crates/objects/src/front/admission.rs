//! What a request must be before the protocol layer sees it. Start reading at [`admit`].

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use s3s::{Body, S3Result, s3_error};

use super::incoming::{Notes, Watched};
use super::query::Query;
use super::{fields, signature};

/// Parameters of a URL that say how it is signed. All others whose name begins with `x-amz-` are fields.
const OF_SIGNATURE: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Refuses a request that is not signed as a whole, and has its body watched.
pub(crate) fn admit(request: Request<Incoming>) -> S3Result<(Request<Body>, Notes)> {
    let (mut head, body) = request.into_parts();
    if is_form(&head) {
        return Err(s3_error!(NotImplemented, "uploads by HTML forms are not supported: use a presigned PUT"));
    }
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    signature::check(&head.headers, &query)?;
    add_fields_of_url(&mut head.headers, &query)?;
    let notes = Notes::default();
    let body = Watched::new(body, &head.headers, notes.clone());
    head.extensions.insert(notes.clone());
    Ok((Request::from_parts(head, Body::http_body_unsync(body)), notes))
}

/// The library would hold a form's file in memory.
fn is_form(head: &Parts) -> bool {
    let kind = fields::text(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    head.method == Method::POST && kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// Fields that a presigned URL has as parameters, as some clients write them.
fn add_fields_of_url(headers: &mut HeaderMap, query: &Query) -> S3Result<()> {
    for (name, value) in query.iter() {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || OF_SIGNATURE.contains(&name.as_str()) {
            continue;
        }
        let wrong = || s3_error!(InvalidArgument, "{name:?} in the URL is no field");
        let field = HeaderName::try_from(&name).map_err(|_| wrong())?;
        let value = HeaderValue::try_from(value).map_err(|_| wrong())?;
        if headers.insert(field, value).is_some() {
            return Err(s3_error!(InvalidRequest, "{name} is there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(query: &str) -> Result<Vec<String>, String> {
        let mut headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-amz-acl"), HeaderValue::from_static("private"))]);
        let added = add_fields_of_url(&mut headers, &Query::parse(query).unwrap());
        added.map_err(|error| error.code().as_str().to_owned())?;
        headers.remove("x-amz-acl");
        let mut shown: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        shown.sort();
        Ok(shown)
    }

    #[test]
    fn parameters_of_a_url_are_fields_unless_they_sign_it() {
        let query = "X-Amz-Date=d&X-Amz-Signature=s&x-amz-checksum-mode=ENABLED&X-Amz-Meta-A=b%20c&partNumber=1";
        assert_eq!(added(query).unwrap(), ["x-amz-checksum-mode: ENABLED", "x-amz-meta-a: b c"]);
        assert_eq!(added("x-amz-acl=public-read"), Err("InvalidRequest".to_owned()));
        assert_eq!(added("x-amz-meta-a=1&x-amz-meta-a=2"), Err("InvalidRequest".to_owned()));
        assert_eq!(added("x-amz-meta-%0a=1"), Err("InvalidArgument".to_owned()));
    }
}
