//! One request and its response, between a client and a replica. Start reading at [`Exchange::run`].
//!
//! Both directions move at the same time in one task: a service may answer before it has read the whole body, and a
//! body may wait for the service to ask for it. Each direction holds at most one buffer, so whoever is slow slows the
//! other side down instead of filling memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http1::response::Kind;
use http1::{Asked, BodyDecoder, Edits, Piece, Refusal, ResponseHead, Trailers};
use tokio::io::AsyncWrite;

use crate::answer::Reason;
use crate::buffer;
use crate::deadline::Deadline;
use crate::serve::STALL_TIME_MAX;
use crate::upstream::Upstream;

/// Bytes of a request that are kept, so that it can be sent again to another replica.
pub(crate) const REPLAY_BYTES_MAX: usize = 64 << 10;

/// The client's side of one request.
pub(crate) trait Client {
    /// Appends what has arrived of the request's body to `out`, framed for the service.
    fn poll_body(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<Arrived, ClientError>>;

    /// Ready when a client whose request is whole has gone away.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Takes the head of a response: of an interim one, or of the final one, whose body follows. The edits are to
    /// be made on the way.
    fn start(&mut self, head: &ResponseHead<'_>, edits: &Edits<'_>) -> Result<(), ClientError>;

    /// Sends the beginning of these bytes of the response's body, and says how many that were. What was not sent is
    /// presented again.
    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>>;

    /// Takes the end of the response's body.
    fn finish(&mut self, trailers: Option<Trailers<'_>>) -> Result<(), ClientError>;

    /// Sends what was taken and is still here.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>>;
}

/// What came of asking for more of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// There is more to come.
    Part,
    /// It is whole.
    End,
}

/// Why nothing more can be done for a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Its connection ended or broke.
    #[error("the client has gone away")]
    Gone,
    /// What it sends is refused.
    #[error("the client's request is refused")]
    Refused(#[source] Refusal),
    /// The service's response is not what its head said.
    #[error("the response is not what its head says")]
    Response(#[source] http1::EncodeError),
    /// The response could not be compressed.
    #[error("the response cannot be compressed")]
    Coding(#[source] std::io::Error),
}

/// Why an exchange ended before its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client is at fault, or gone.
    Client(ClientError),
    /// The service is. `nothing_said`: not a byte of its answer has arrived.
    Upstream {
        /// What to answer when nothing was sent to the client yet.
        reason: Reason,
        /// Whether the request can be sent to another replica, if that is safe at all.
        nothing_said: bool,
    },
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The response is through.
    Response {
        /// Whether the service's connection can be used again.
        upstream_reusable: bool,
        /// Whether the request was read to its end: if not, the client's connection cannot be used again.
        request_read: bool,
    },
    /// Both sides speak another protocol from here on.
    Switched,
}

/// The state of one exchange.
pub(crate) struct Exchange<'u> {
    upstream: &'u mut Upstream,
    /// Put off whenever a body makes progress.
    deadline: &'u Deadline,
    asked: Asked,
    outgoing: Outgoing,
    phase: Phase,
    /// Bytes at the beginning of the service's buffer that are a piece of the body on its way to the client.
    unsent: usize,
    /// Whether anything of the answer has arrived.
    heard: bool,
    /// Whether the final response's head went to the client.
    pub(crate) status: Option<u16>,
}

/// The request, on its way to the service.
pub(crate) struct Outgoing {
    /// Head and body, framed.
    bytes: Vec<u8>,
    written: usize,
    /// No more will be added.
    whole: bool,
    /// The beginning of `bytes` was given up, so that it cannot be sent again.
    forgot: bool,
    /// The service takes no more of it; it may still answer.
    broken: bool,
}

enum Phase {
    /// Waiting for the final response's head.
    Head,
    Body {
        decoder: BodyDecoder,
        reusable: bool,
    },
    /// All of the response is with the client's side.
    Flush {
        reusable: bool,
    },
}

impl Outgoing {
    /// A request whose head is written; `whole` when it has no body.
    pub(crate) fn new(head: Vec<u8>, whole: bool) -> Self {
        Self { bytes: head, written: 0, whole, forgot: false, broken: false }
    }

    /// Makes it ready to be sent to another replica. `false` when its beginning is not there any more.
    pub(crate) fn rewind(&mut self) -> bool {
        self.written = 0;
        self.broken = false;
        !self.forgot
    }

    /// The memory, for the next request.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn is_written(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn has_room(&self) -> bool {
        self.bytes.len() - self.written < buffer::BYTES_MAX
    }

    /// Gives up what was written, once it is too much to keep for another replica.
    fn forget_written(&mut self) {
        if self.written > REPLAY_BYTES_MAX {
            self.bytes.drain(..self.written);
            self.written = 0;
            self.forgot = true;
        }
    }

    fn poll_write(&mut self, upstream: &mut Upstream, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_written() && !self.broken {
            let write = Pin::new(&mut upstream.stream).poll_write(context, &self.bytes[self.written..]);
            match ready!(write) {
                Ok(count @ 1..) => self.written += count,
                // The service may have answered already and closed its ear: its answer is still to be read.
                Ok(0) | Err(_) => self.broken = true,
            }
        }
        self.forget_written();
        Poll::Ready(())
    }
}

impl<'u> Exchange<'u> {
    /// An exchange over a connection to a replica.
    pub(crate) fn new(upstream: &'u mut Upstream, asked: Asked, outgoing: Outgoing, deadline: &'u Deadline) -> Self {
        Self { upstream, deadline, asked, outgoing, phase: Phase::Head, unsent: 0, heard: false, status: None }
    }

    /// Carries both directions until the response is through.
    pub(crate) async fn run<C: Client>(&mut self, client: &mut C) -> Result<End, Failure> {
        poll_fn(|context| self.poll(client, context)).await
    }

    /// Whether the request has arrived to its end.
    pub(crate) fn request_is_whole(&self) -> bool {
        self.outgoing.whole
    }

    /// The request, to be sent again or to be recycled.
    pub(crate) fn into_outgoing(self) -> Outgoing {
        self.outgoing
    }

    fn poll<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<End, Failure>> {
        loop {
            let sending = self.poll_request(client, context).map_err(Failure::Client)?;
            if let Poll::Ready(end) = self.poll_response(client, context) {
                return Poll::Ready(end);
            }
            if sending.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Moves what there is of the request. Ready when that may have made room for more.
    fn poll_request<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let mut moved = false;
        loop {
            let written = self.outgoing.poll_write(self.upstream, context);
            if self.outgoing.whole || self.outgoing.broken {
                if written.is_ready() && client.poll_gone(context).is_ready() {
                    return Poll::Ready(Err(ClientError::Gone));
                }
                break;
            }
            if !self.outgoing.has_room() {
                break;
            }
            match client.poll_body(context, &mut self.outgoing.bytes)? {
                Poll::Ready(arrived) => {
                    self.outgoing.whole = arrived == Arrived::End;
                    self.deadline.extend(STALL_TIME_MAX);
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Moves what there is of the response; ready when it is through.
    fn poll_response<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<End, Failure>> {
        loop {
            match &mut self.phase {
                Phase::Head => match self.read_head(client)? {
                    Head::Final => continue,
                    Head::Switch => {
                        return client.poll_flush(context).map(|flushed| {
                            flushed.map_err(Failure::Client)?;
                            Ok(End::Switched)
                        });
                    }
                    // An interim response must not wait for the final one.
                    Head::Partial => drop(client.poll_flush(context)),
                },
                Phase::Body { .. } => {
                    if ready!(self.poll_body(client, context))? {
                        continue;
                    }
                }
                Phase::Flush { reusable } => {
                    let reusable = *reusable;
                    ready!(client.poll_flush(context)).map_err(Failure::Client)?;
                    let request_read = self.outgoing.whole;
                    let upstream_reusable = reusable && request_read && self.outgoing.is_written();
                    return Poll::Ready(Ok(End::Response { upstream_reusable, request_read }));
                }
            }
            let read = match ready!(self.upstream.poll_fill(context)) {
                Ok(read) => read,
                Err(_) => return Poll::Ready(Err(self.closed())),
            };
            self.heard |= read > 0;
            if read == 0 {
                self.at_end(client)?;
            }
        }
    }

    /// Reads the heads that have arrived and hands them to the client.
    fn read_head<C: Client>(&mut self, client: &mut C) -> Result<Head, Failure> {
        loop {
            let malformed = |_| Failure::Upstream { reason: Reason::UpstreamMalformed, nothing_said: false };
            let (parser, input) = (&mut self.upstream.parser, &self.upstream.input);
            let Some(head) = parser.parse(input.bytes(), self.asked).map_err(malformed)? else {
                return Ok(Head::Partial);
            };
            client.start(&head, &Edits::default()).map_err(Failure::Client)?;
            let (len, kind, status) = (head.len(), head.kind(), head.status());
            let (body, reusable) = (head.body(), head.reusable());
            self.upstream.input.consume(len);
            match kind {
                Kind::Interim => {}
                Kind::Switch => return Ok(Head::Switch),
                Kind::Final => {
                    self.status = Some(status);
                    let decoder = BodyDecoder::new(body, self.upstream.limits, u64::MAX).map_err(malformed)?;
                    self.phase = match decoder.is_finished() {
                        true => self.finished(client, reusable)?,
                        false => Phase::Body { decoder, reusable },
                    };
                    return Ok(Head::Final);
                }
            }
        }
    }

    /// Hands on what has arrived of the body. `true` when that ended it, `false` when more has to arrive.
    fn poll_body<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        loop {
            let Phase::Body { decoder, reusable } = &mut self.phase else { return Poll::Ready(Ok(true)) };
            let malformed = |_| Failure::Upstream { reason: Reason::UpstreamMalformed, nothing_said: false };
            // What is left of a piece that the client did not take whole.
            if self.unsent > 0 {
                let data = &self.upstream.input.bytes()[..self.unsent];
                let sent = ready!(client.poll_send(context, data)).map_err(Failure::Client)?;
                self.deadline.extend(STALL_TIME_MAX);
                self.unsent -= sent;
                self.upstream.input.consume(sent);
                continue;
            }
            if decoder.is_finished() {
                let reusable = *reusable;
                self.phase = self.finished(client, reusable)?;
                return Poll::Ready(Ok(true));
            }
            let decoded = decoder.decode(self.upstream.input.bytes()).map_err(malformed)?;
            match decoded.piece {
                Piece::Data(piece) => {
                    self.unsent = piece.len();
                    let before = decoded.consumed - piece.len();
                    self.upstream.input.consume(before);
                }
                Piece::Trailers(trailers) => {
                    client.finish(Some(trailers)).map_err(Failure::Client)?;
                    let (reusable, consumed) = (*reusable, decoded.consumed);
                    self.upstream.input.consume(consumed);
                    self.phase = Phase::Flush { reusable: reusable && self.upstream.input.is_empty() };
                    return Poll::Ready(Ok(true));
                }
                Piece::NeedMore => {
                    let consumed = decoded.consumed;
                    self.upstream.input.consume(consumed);
                    if !decoder.is_finished() {
                        // What was taken so far goes out before there is a wait.
                        drop(client.poll_flush(context));
                        return Poll::Ready(Ok(false));
                    }
                }
            }
        }
    }

    /// The body has ended without trailers.
    fn finished<C: Client>(&self, client: &mut C, reusable: bool) -> Result<Phase, Failure> {
        client.finish(None).map_err(Failure::Client)?;
        // Bytes that nobody asked for make the connection unfit for another request.
        Ok(Phase::Flush { reusable: reusable && self.upstream.input.is_empty() })
    }

    /// The service sends no more.
    fn at_end<C: Client>(&mut self, client: &mut C) -> Result<(), Failure> {
        let closed = self.closed();
        let Phase::Body { decoder, .. } = &mut self.phase else { return Err(closed) };
        if decoder.end().is_err() {
            return Err(closed);
        }
        self.phase = self.finished(client, false)?;
        Ok(())
    }

    fn closed(&self) -> Failure {
        Failure::Upstream { reason: Reason::UpstreamClosed, nothing_said: !self.heard }
    }
}

enum Head {
    Partial,
    Final,
    Switch,
}
