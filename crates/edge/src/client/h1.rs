//! A client that speaks HTTP/1.1: one request of its connection. Start reading at [`H1Client`].

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http1::response::{Kind, Onward};
use http1::{Asked, BodyDecoder, BodyEncoder, Edits, Piece, ResponseHead, Trailers};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;
use crate::exchange::{Arrived, Client, ClientError};
use crate::serve::{Added, Additions};

/// One request of a connection, and its response.
pub(crate) struct H1Client<'c, S> {
    stream: &'c mut S,
    input: &'c mut Buffer,
    request: &'c mut Incoming,
    asked: Asked,
    additions: &'c Additions,
    response: Response<'c>,
    /// Whether the client will send no more.
    ended: bool,
    /// Whether the connection ends after this response whatever the client asked: asked when its head is written.
    ends: &'c dyn Fn() -> bool,
}

/// The body of the request.
pub(crate) struct Incoming {
    pub(crate) decoder: BodyDecoder,
    /// Frames it for the service; `None` once it is whole.
    pub(crate) encoder: Option<BodyEncoder>,
}

/// The response, on its way out.
struct Response<'c> {
    /// What stands before the bytes of the body: the head, the line of a chunk.
    out: &'c mut Vec<u8>,
    written: usize,
    encoder: Option<BodyEncoder>,
    /// Bytes of the body that the piece under way still has.
    framed: usize,
    /// What stands behind them.
    tail: &'static [u8],
    keep_alive: bool,
}

impl<'c, S: AsyncRead + AsyncWrite + Unpin> H1Client<'c, S> {
    /// The client's side of a request whose head has been read.
    pub(crate) fn new(
        stream: &'c mut S,
        input: &'c mut Buffer,
        out: &'c mut Vec<u8>,
        request: &'c mut Incoming,
        asked: Asked,
        additions: &'c Additions,
        ends: &'c dyn Fn() -> bool,
    ) -> Self {
        out.clear();
        let response = Response { out, written: 0, encoder: None, framed: 0, tail: b"", keep_alive: false };
        Self { stream, input, request, asked, additions, response, ended: false, ends }
    }

    /// Whether the response says that the connection goes on.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.response.keep_alive
    }

    fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>> {
        let response = &mut self.response;
        let data = &data[..data.len().min(response.framed)];
        let head = &response.out[response.written..];
        let slices = [IoSlice::new(head), IoSlice::new(data)];
        let slices = if head.is_empty() { &slices[1..] } else { &slices[..] };
        let count = match ready!(Pin::new(&mut *self.stream).poll_write_vectored(context, slices)) {
            Ok(count @ 1..) => count,
            Ok(0) | Err(_) => return Poll::Ready(Err(ClientError::Gone)),
        };
        let of_head = count.min(head.len());
        response.written += of_head;
        if response.written == response.out.len() {
            response.out.clear();
            response.written = 0;
        }
        let of_data = count - of_head;
        response.framed -= of_data;
        if response.framed == 0 && of_data > 0 {
            response.out.extend_from_slice(response.tail);
            response.tail = b"";
        }
        Poll::Ready(Ok(of_data))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client for H1Client<'_, S> {
    fn poll_body(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<Arrived, ClientError>> {
        loop {
            let Some(encoder) = &mut self.request.encoder else { return Poll::Ready(Ok(Arrived::End)) };
            let decoded = self.request.decoder.decode(self.input.bytes()).map_err(ClientError::Refused)?;
            match decoded.piece {
                Piece::Data(piece) => {
                    let frame = encoder.frame(piece).map_err(ClientError::Response)?;
                    frame.parts().iter().for_each(|part| out.extend_from_slice(part));
                    self.input.consume(decoded.consumed);
                    return Poll::Ready(Ok(Arrived::Part));
                }
                Piece::Trailers(trailers) => {
                    let encoder = self.request.encoder.take();
                    let ended = encoder.map_or(Ok(()), |encoder| encoder.end(Some(trailers), out));
                    ended.map_err(ClientError::Response)?;
                    self.input.consume(decoded.consumed);
                    return Poll::Ready(Ok(Arrived::End));
                }
                Piece::NeedMore => self.input.consume(decoded.consumed),
            }
            if self.request.decoder.is_finished() {
                let encoder = self.request.encoder.take();
                encoder.map_or(Ok(()), |encoder| encoder.end(None, out)).map_err(ClientError::Response)?;
                return Poll::Ready(Ok(Arrived::End));
            }
            match ready!(self.input.poll_fill(self.stream, context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(ClientError::Gone)),
            }
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The next request may already be arriving; one buffer of it is taken.
        while !self.ended && self.input.bytes().len() < crate::buffer::BYTES_MIN {
            match ready!(self.input.poll_fill(self.stream, context)) {
                Ok(1..) => {}
                // It may still read: whether it does shows when there is something to send.
                Ok(0) => self.ended = true,
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn start(&mut self, head: &ResponseHead<'_>, edits: &Edits<'_>) -> Result<(), ClientError> {
        let added = match head.kind() {
            Kind::Final => self.additions.for_response(head, edits),
            Kind::Interim | Kind::Switch => Added::default(),
        };
        let edits = Edits { set: &added.set, add: &added.add, ..*edits };
        let forwarded = head.forward(&Onward { asked: self.asked, close: (self.ends)(), edits }, self.response.out);
        if head.kind() == Kind::Final {
            self.response.encoder = Some(forwarded.body);
            self.response.keep_alive = forwarded.keep_alive;
        }
        Ok(())
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>> {
        if self.response.framed == 0 {
            let Some(encoder) = &mut self.response.encoder else { return Poll::Ready(Ok(data.len())) };
            let frame = encoder.frame(data).map_err(ClientError::Response)?;
            self.response.out.extend_from_slice(frame.line());
            self.response.framed = data.len();
            self.response.tail = frame.tail();
        }
        loop {
            match ready!(self.poll_write(context, data))? {
                0 => {}
                count => return Poll::Ready(Ok(count)),
            }
        }
    }

    fn finish(&mut self, trailers: Option<Trailers<'_>>) -> Result<(), ClientError> {
        let encoder = self.response.encoder.take();
        encoder.map_or(Ok(()), |encoder| encoder.end(trailers, self.response.out)).map_err(ClientError::Response)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        while !self.response.out.is_empty() {
            ready!(self.poll_write(context, b""))?;
        }
        Pin::new(&mut *self.stream).poll_flush(context).map_err(|_| ClientError::Gone)
    }
}
