//! The head of an HTTP/2 request as the same head in HTTP/1.1. Start reading at [`translate`].
//!
//! What is written here is then read by the very parser that reads HTTP/1.1, so that both versions have one set of rules:
//! which bytes may stand where, how many fields there may be, what two lengths or two hosts mean. What the versions do not
//! share is settled before: the `h2` crate refuses fields of a connection, pseudo-fields that are missing, repeated or in
//! the wrong place, names in upper case, and bodies that are longer or shorter than announced.

use http::request::Parts;
use http::{HeaderMap, Method, header, uri};
use http1::Refusal;

/// Writes the head. `bodiless` says that nothing comes behind it.
pub(super) fn translate(parts: &Parts, bodiless: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let target = parts.uri.path_and_query().filter(|_| is_of_https(&parts.uri)).map(uri::PathAndQuery::as_str);
    let target = match target {
        // It has no path (RFC 9113, section 8.5), and is refused for what it is.
        None if parts.method == Method::CONNECT => "/",
        target => target.filter(|target| !target.is_empty()).ok_or(Refusal::BadTarget)?,
    };
    let authority = parts.uri.authority().map(uri::Authority::as_str);
    let host = parts.headers.contains_key(header::HOST);
    let mut write = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    write(&[parts.method.as_str().as_bytes(), b" "]);
    match authority {
        // Both are there: as in HTTP/1.1, they may only say the same.
        Some(authority) if host && target != "*" => {
            write(&[b"https://", authority.as_bytes(), target.as_bytes(), b" HTTP/1.1\r\n"]);
        }
        Some(authority) => write(&[target.as_bytes(), b" HTTP/1.1\r\nhost: ", authority.as_bytes(), b"\r\n"]),
        None => write(&[target.as_bytes(), b" HTTP/1.1\r\n"]),
    }
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != header::COOKIE) {
        write(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    write_cookies(&parts.headers, &mut write);
    if !bodiless && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        write(&[b"transfer-encoding: chunked\r\n"]);
    }
    write(&[b"\r\n"]);
    Ok(())
}

/// Cookies may come in crumbs, and are one field everywhere else (RFC 9113, section 8.2.3).
fn write_cookies(headers: &HeaderMap, write: &mut impl FnMut(&[&[u8]])) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    write(&[b"cookie: ", first.as_bytes()]);
    crumbs.for_each(|crumb| write(&[b"; ", crumb.as_bytes()]));
    write(&[b"\r\n"]);
}

/// HTTP/2 is only ever spoken over TLS here; without an authority no scheme is kept.
fn is_of_https(uri: &uri::Uri) -> bool {
    uri.scheme().is_none_or(|scheme| *scheme == uri::Scheme::HTTPS)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http1::{Limits, RequestParser};

    use super::*;

    /// The head in HTTP/1.1, and what its parser says.
    fn translated(method: &str, uri: &str, fields: &[(&str, &str)], bodiless: bool) -> (String, Result<(), Refusal>) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut head = Vec::new();
        let verdict = translate(&request.body(()).unwrap().into_parts().0, bodiless, &mut head)
            .and_then(|()| RequestParser::new(Limits::default()).parse(&head).map(|read| assert!(read.is_some())));
        (String::from_utf8(head).unwrap(), verdict)
    }

    #[test]
    fn a_head_says_the_same_in_both_versions() {
        for (method, uri, fields, bodiless, expected) in [
            ("GET", "https://a.test/b?c=d", &[][..], true, "GET /b?c=d HTTP/1.1\r\nhost: a.test\r\n\r\n"),
            (
                "POST",
                "https://a.test:8443/",
                &[("accept", "*/*")],
                false,
                "POST / HTTP/1.1\r\nhost: a.test:8443\r\naccept: */*\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "PUT",
                "https://a.test/",
                &[("content-length", "3")],
                false,
                "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\n",
            ),
            (
                "GET",
                "https://a.test/",
                &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")],
                true,
                "GET / HTTP/1.1\r\nhost: a.test\r\nx: y\r\ncookie: a=1; b=2; c=3\r\n\r\n",
            ),
            (
                "GET",
                "https://a.test/b",
                &[("host", "A.test")],
                true,
                "GET https://a.test/b HTTP/1.1\r\nhost: A.test\r\n\r\n",
            ),
            ("GET", "/b", &[("host", "a.test")], true, "GET /b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ] {
            assert_eq!(translated(method, uri, fields, bodiless), (expected.to_owned(), Ok(())), "{method} {uri}");
        }
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        for (method, uri, fields, expected) in [
            ("GET", "https://a.test/", &[("host", "b.test")][..], Refusal::HostMismatch),
            ("GET", "https://a.test/", &[("host", "a.test"), ("host", "a.test")], Refusal::TwoHosts),
            ("GET", "/", &[], Refusal::MissingHost),
            ("GET", "https://u@a.test/", &[], Refusal::BadHost),
            ("GET", "http://a.test/", &[], Refusal::BadTarget),
            ("get", "https://a.test/", &[], Refusal::LowerCaseMethod),
            ("CONNECT", "a.test:443", &[], Refusal::ConnectMethod),
            ("GET", "https://a.test/", &[("content-length", "1"), ("content-length", "1")], Refusal::TwoContentLengths),
            ("GET", "https://a.test/", &[("content-length", "+1")], Refusal::BadContentLength),
            ("GET", "https://a.test/", &[("transfer_encoding", "chunked")], Refusal::DisguisedFramingField),
            ("GET", "https://a.test/", &[("expect", "202-yes")], Refusal::UnknownExpectation),
        ] {
            assert_eq!(translated(method, uri, fields, true).1, Err(expected), "{method} {uri} {fields:?}");
        }
    }
}
