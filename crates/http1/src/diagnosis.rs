//! Why `httparse` would not cut a head: looked into only when it would not, so that each refusal has its own name.
//!
//! Invariant: a verdict is never reached here, only explained.

use httparse::Error;
use memchr::memchr;

use crate::Refusal;
use crate::field::is_token;
use crate::limits::METHOD_BYTES_MAX;

/// What is wrong with the head of a request.
#[cold]
pub(crate) fn of_request(head: &[u8], error: Error) -> Refusal {
    let (first, fields) = first_line(head);
    match error {
        Error::TooManyHeaders => Refusal::TooManyFields,
        _ => forbidden_byte(first).or_else(|| of_request_line(first)).unwrap_or_else(|| of_fields(fields)),
    }
}

/// What is wrong with the head of a response.
#[cold]
pub(crate) fn of_response(head: &[u8], error: Error) -> Refusal {
    let (first, fields) = first_line(head);
    match error {
        Error::TooManyHeaders => Refusal::TooManyFields,
        Error::Version | Error::Status | Error::Token => forbidden_byte(first).unwrap_or(Refusal::BadStatusLine),
        Error::HeaderName | Error::HeaderValue | Error::NewLine => of_fields(fields),
    }
}

/// What is wrong with the fields of a trailer section.
#[cold]
pub(crate) fn of_trailers(section: &[u8], error: Error) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::TooManyTrailers,
        _ => of_fields(section),
    }
}

/// The first line without its CRLF, and the others.
fn first_line(head: &[u8]) -> (&[u8], &[u8]) {
    let (first, rest) = head.split_at(memchr(b'\n', head).map_or(head.len(), |lf| lf + 1));
    (content(first), rest)
}

/// A line without its CRLF.
fn content(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r\n").unwrap_or(line)
}

fn forbidden_byte(line: &[u8]) -> Option<Refusal> {
    let byte = line.iter().find(|byte| matches!(byte, 0 | b'\r'))?;
    Some(if *byte == 0 { Refusal::Nul } else { Refusal::BareCr })
}

fn of_request_line(line: &[u8]) -> Option<Refusal> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let (method, rest) = parts.split_first()?;
    if line == b"PRI * HTTP/2.0" {
        return Some(Refusal::Http2Preface);
    }
    if !is_token(method) || method.len() > METHOD_BYTES_MAX {
        return Some(Refusal::BadMethod);
    }
    match rest {
        [target] if target.starts_with(b"/") => Some(Refusal::Http09),
        [target, version] if !target.is_empty() && !version.is_empty() => {
            of_target(target).or_else(|| of_version(version))
        }
        [target, .., version] if !target.is_empty() && version.starts_with(b"HTTP/") => {
            Some(Refusal::WhitespaceInTarget)
        }
        _ => Some(Refusal::BadRequestLine),
    }
}

fn of_target(target: &[u8]) -> Option<Refusal> {
    match target {
        _ if target.contains(&b'\t') => Some(Refusal::WhitespaceInTarget),
        _ if !target.iter().all(u8::is_ascii_graphic) => Some(Refusal::BadTarget),
        _ => None,
    }
}

fn of_version(version: &[u8]) -> Option<Refusal> {
    match version.strip_prefix(b"HTTP/") {
        Some(b"1.0" | b"1.1") => None,
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => Some(Refusal::VersionNotSupported),
        _ => Some(Refusal::BadVersion),
    }
}

/// What is wrong with the first field that something is wrong with. What `httparse` refuses beyond that are bare CRs.
fn of_fields(fields: &[u8]) -> Refusal {
    fields.split_inclusive(|byte| *byte == b'\n').find_map(|line| of_field(content(line))).unwrap_or(Refusal::BareCr)
}

fn of_field(line: &[u8]) -> Option<Refusal> {
    if let Some(refusal) = forbidden_byte(line) {
        return Some(refusal);
    }
    let Some(colon) = memchr(b':', line) else {
        return match line {
            [] => None,
            [b' ' | b'\t', ..] => Some(Refusal::ObsoleteFolding),
            _ => Some(Refusal::FieldWithoutColon),
        };
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    match name {
        [] => Some(Refusal::EmptyFieldName),
        [b' ' | b'\t', ..] => Some(Refusal::ObsoleteFolding),
        [.., b' ' | b'\t'] => Some(Refusal::SpaceBeforeColon),
        _ if !is_token(name) => Some(Refusal::BadFieldName),
        _ => value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t').then_some(Refusal::ControlInFieldValue),
    }
}
