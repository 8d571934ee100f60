//! Where a body ends (RFC 9112, 6): from `Content-Length` and `Transfer-Encoding`, and for responses from the status.
//!
//! Stricter than the RFC asks wherever it leaves a choice. Two lengths are refused even when they are equal (6.3 permits
//! that), a length beside chunks is refused rather than overruled, and no coding but `chunked` is passed on.

use crate::head::{Controls, Single};
use crate::limits::CONTENT_LENGTH_DIGITS_MAX;
use crate::{Refusal, Version};

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks, and perhaps trailers.
    Chunked,
    /// Whatever comes until the connection ends. Only responses have such a body.
    UntilClose,
}

/// The body of a request.
pub(crate) fn of_request(controls: &Controls<'_>, version: Version) -> Result<Body, Refusal> {
    Ok(match declared(controls, version)? {
        Declared::Nothing => Body::None,
        Declared::Length(length) => Body::Length(length),
        Declared::Chunks => Body::Chunked,
    })
}

/// The body of a response, and what its head says of a body that is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseFraming {
    pub(crate) body: Body,
    /// The length that is passed on with a response to HEAD or a 304, which have no body themselves.
    pub(crate) length_without_body: Option<u64>,
    /// Whether the upstream announced a body behind a final response that can have none: what follows may be anything.
    pub(crate) contradicts: bool,
}

/// The body of a response with this status, to a request whose method was HEAD or not.
pub(crate) fn of_response(
    controls: &Controls<'_>,
    version: Version,
    status: u16,
    to_head: bool,
) -> Result<ResponseFraming, Refusal> {
    let declared = declared(controls, version)?;
    let announced = !matches!(declared, Declared::Nothing | Declared::Length(0));
    let (body, length_without_body, contradicts) = match (declared, status) {
        // The next response is read from what follows, so that must not be what the upstream takes for a body.
        (_, 100..=199) if announced => return Err(Refusal::InterimWithBody),
        (_, 100..=199 | 204) => (Body::None, None, announced),
        (Declared::Length(length), 304) => (Body::None, Some(length), false),
        (_, 304) => (Body::None, None, announced),
        (Declared::Length(length), _) if to_head => (Body::None, Some(length), false),
        (_, _) if to_head => (Body::None, None, false),
        (Declared::Length(length), _) => (Body::Length(length), None, false),
        (Declared::Chunks, _) => (Body::Chunked, None, false),
        (Declared::Nothing, _) => (Body::UntilClose, None, false),
    };
    Ok(ResponseFraming { body, length_without_body, contradicts })
}

/// What the fields say, whatever the message is.
#[derive(Debug, Clone, Copy)]
enum Declared {
    Nothing,
    Length(u64),
    Chunks,
}

fn declared(controls: &Controls<'_>, version: Version) -> Result<Declared, Refusal> {
    match (controls.content_length.value, controls.transfer_encoding.value) {
        (None, None) => Ok(Declared::Nothing),
        (Some(_), Some(_)) => Err(Refusal::LengthAndChunked),
        (Some(value), None) if !controls.content_length.repeated => content_length(value).map(Declared::Length),
        (Some(_), None) => Err(Refusal::TwoContentLengths),
        (None, Some(_)) if version == Version::Http10 => Err(Refusal::TransferEncodingIn10),
        (None, Some(value)) => chunks(value, controls.transfer_encoding).map(|()| Declared::Chunks),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.contains(&b',') {
        return Err(Refusal::TwoContentLengths);
    }
    if value.is_empty() || value.len() > CONTENT_LENGTH_DIGITS_MAX || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadContentLength);
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

fn chunks(value: &[u8], field: Single<'_>) -> Result<(), Refusal> {
    if field.repeated {
        return Err(Refusal::TwoTransferEncodings);
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    Err(why_not_chunked_alone(value))
}

#[cold]
fn why_not_chunked_alone(value: &[u8]) -> Refusal {
    let codings: Vec<&[u8]> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    let ends_chunked = codings.last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
    match chunked {
        _ if codings.iter().any(|coding| coding.is_empty()) => Refusal::BadTransferEncoding,
        0 => Refusal::UnknownTransferCoding,
        1 if ends_chunked => Refusal::UnknownTransferCoding,
        1 => Refusal::ChunkedNotLast,
        _ => Refusal::TwoTransferEncodings,
    }
}
