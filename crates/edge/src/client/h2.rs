//! A client that speaks HTTP/2: one stream of its connection. Start reading at [`H2Client`].
//!
//! The service's side is HTTP/1.1, so a body is framed for it here, and a response's head loses its framing. Whoever is
//! slow slows the other side down: the client may send as much as was taken off its stream, and of a response as much is
//! taken from the service as the client has room for.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http1::response::Kind;
use http1::{Body, BodyEncoder, Edits, EncodeError, Limits, Refusal, ResponseHead, Trailers, Withheld};

use crate::exchange::{Arrived, Client, ClientError};
use crate::serve::Additions;

/// One stream.
pub(crate) struct H2Client<'c> {
    body: RecvStream,
    /// Frames the request's body for the service; `None` once it is whole.
    encoder: Option<BodyEncoder>,
    /// Bytes of it that are still taken.
    allowance: u64,
    respond: &'c mut SendResponse<Bytes>,
    response: Sending,
    additions: &'c Additions,
}

/// How far the response is.
enum Sending {
    /// Its head is not sent.
    Awaited,
    /// Its body is. `left` is what its head announced and was not sent, `withheld` what does not come behind it.
    Body { stream: SendStream<Bytes>, left: Option<u64>, withheld: Withheld },
    /// It is through.
    Ended,
}

impl<'c> H2Client<'c> {
    /// The client's side of a stream whose head has been read.
    pub(crate) fn new(
        body: RecvStream,
        encoder: Option<BodyEncoder>,
        body_max: u64,
        respond: &'c mut SendResponse<Bytes>,
        additions: &'c Additions,
    ) -> Self {
        Self { body, encoder, allowance: body_max, respond, response: Sending::Awaited, additions }
    }

    /// Tells the client that the response is not whole and never will be.
    pub(crate) fn cut(&mut self) {
        self.respond.send_reset(Reason::INTERNAL_ERROR);
    }

    /// Puts a piece of the request's body into the service's framing, and lets the client send as much again.
    fn take(&mut self, piece: &Bytes, out: &mut Vec<u8>) -> Result<(), ClientError> {
        let len = piece.len() as u64;
        self.allowance = self.allowance.checked_sub(len).ok_or(ClientError::Refused(Refusal::BodyTooLarge))?;
        if let Some(encoder) = &mut self.encoder {
            let frame = encoder.frame(piece).map_err(not_as_announced)?;
            frame.parts().iter().for_each(|part| out.extend_from_slice(part));
        }
        self.body.flow_control().release_capacity(piece.len()).map_err(|_| ClientError::Gone)
    }

    fn end(&mut self, trailers: Option<&HeaderMap>, out: &mut Vec<u8>) -> Result<Arrived, ClientError> {
        let Some(encoder) = self.encoder.take() else { return Ok(Arrived::End) };
        let section = trailers.map(section);
        let limits = Limits::default();
        let trailers = match &section {
            Some(section) if section.len() > usize::from(limits.trailer_bytes) => Err(Refusal::TrailersTooLarge),
            Some(section) => Trailers::read(section, &limits).map(Some),
            None => Ok(None),
        };
        encoder.end(trailers.map_err(ClientError::Refused)?, out).map_err(not_as_announced)?;
        Ok(Arrived::End)
    }
}

impl Client for H2Client<'_> {
    fn poll_body(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<Arrived, ClientError>> {
        if self.encoder.is_none() {
            return Poll::Ready(Ok(Arrived::End));
        }
        match ready!(self.body.poll_data(context)) {
            Some(Ok(piece)) => {
                self.take(&piece, out)?;
                Poll::Ready(Ok(Arrived::Part))
            }
            Some(Err(error)) => Poll::Ready(Err(broken_off(&error))),
            None => {
                let trailers = ready!(self.body.poll_trailers(context)).map_err(|error| broken_off(&error))?;
                Poll::Ready(self.end(trailers.as_ref(), out))
            }
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.response {
            Sending::Awaited => self.respond.poll_reset(context),
            Sending::Body { stream, .. } => stream.poll_reset(context),
            Sending::Ended => return Poll::Pending,
        };
        reset.map(drop)
    }

    fn start(&mut self, head: &ResponseHead<'_>, edits: &Edits<'_>) -> Result<(), ClientError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(head.status()).map_err(|_| ClientError::Gone)?;
        match head.kind() {
            Kind::Interim => {
                *response.headers_mut() = fields(head, &Edits::default());
                self.respond.send_informational(response).map_err(|_| ClientError::Gone)
            }
            Kind::Final => {
                let added = self.additions.for_response(head, edits);
                let edits = Edits { set: &added.set, add: &added.add, ..*edits };
                *response.headers_mut() = fields(head, &edits);
                let bodiless = matches!(head.body(), Body::None | Body::Length(0));
                let stream = self.respond.send_response(response, bodiless).map_err(|_| ClientError::Gone)?;
                self.response = match bodiless {
                    true => Sending::Ended,
                    false => Sending::Body { stream, left: head.length(), withheld: head.withheld(&edits) },
                };
                Ok(())
            }
            // Never asked for: this version has no such answer (RFC 9113, section 8.6).
            Kind::Switch => Err(ClientError::Gone),
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>> {
        let Sending::Body { stream, left, .. } = &mut self.response else { return Poll::Ready(Ok(data.len())) };
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(ClientError::Gone)),
            }
        }
        let piece = &data[..data.len().min(stream.capacity())];
        if let Some(left) = left {
            let rest = left.checked_sub(piece.len() as u64);
            *left = rest.ok_or(ClientError::Response(EncodeError::TooLong))?;
        }
        // The last piece says so itself.
        let last = *left == Some(0);
        stream.send_data(Bytes::copy_from_slice(piece), last).map_err(|_| ClientError::Gone)?;
        let sent = piece.len();
        if last {
            self.response = Sending::Ended;
        }
        Poll::Ready(Ok(sent))
    }

    fn finish(&mut self, trailers: Option<Trailers<'_>>) -> Result<(), ClientError> {
        let Sending::Body { stream, left, withheld } = &mut self.response else { return Ok(()) };
        if let Some(missing @ 1..) = *left {
            return Err(ClientError::Response(EncodeError::TooShort { missing }));
        }
        let ended = match trailers {
            Some(trailers) => {
                let passed = trailers.iter().filter(|trailer| !withheld.holds(trailer));
                stream.send_trailers(header_map(passed, None))
            }
            None => stream.send_data(Bytes::new(), true),
        };
        self.response = Sending::Ended;
        ended.map_err(|_| ClientError::Gone)
    }

    /// What was taken is the connection's, which sends it as fast as its client reads.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }
}

/// Why a request's body ended before its end.
fn broken_off(error: &h2::Error) -> ClientError {
    match error.is_library() {
        // Its length is not what its head says, for one: the stream is reset already.
        true => ClientError::Refused(Refusal::TruncatedBody),
        false => ClientError::Gone,
    }
}

fn not_as_announced(_: EncodeError) -> ClientError {
    ClientError::Refused(Refusal::TruncatedBody)
}

/// The fields of a response as the client gets them.
fn fields(head: &ResponseHead<'_>, edits: &Edits<'_>) -> HeaderMap {
    header_map(head.onward(edits), head.length())
}

/// Fields that a parser has checked, and the length of the body where it is known. All values share one block of memory.
fn header_map<'f>(fields: impl Iterator<Item = http1::Field<'f>>, length: Option<u64>) -> HeaderMap {
    const FIELDS: usize = 24;
    const BYTES: usize = 1024;
    let mut map = HeaderMap::with_capacity(FIELDS);
    let mut block = BytesMut::with_capacity(BYTES);
    for field in fields {
        block.extend_from_slice(field.value());
        let value = HeaderValue::from_maybe_shared(block.split().freeze());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name()), value) {
            map.append(name, value);
        }
    }
    if let Some(length) = length {
        map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    map
}

/// Trailers as HTTP/1.1 has them.
fn section(trailers: &HeaderMap) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            section.extend_from_slice(part);
        }
    }
    section.extend_from_slice(b"\r\n");
    section
}
