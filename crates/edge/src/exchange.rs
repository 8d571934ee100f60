//! One request and its response, between a client and a replica. Start reading at [`Exchange::run`].
//!
//! Both directions move at the same time in one task: a service may answer before it has read the whole body, and a
//! body may wait for the service to ask for it. Each direction holds little, so whoever is slow slows the other side down
//! instead of filling memory, and at each moment one thing is waited for ([`Patience`]).

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http1::response::Kind;
use http1::{Asked, BodyDecoder, Edits, Piece, Refusal, ResponseHead, Trailers};

use crate::answer::Reason;
use crate::deadline::{Deadline, Late};
use crate::outgoing::{Outgoing, Rest};
use crate::patience::{Awaited, Patience};
use crate::upstream::Upstream;

/// What a service says that wants the body of a request that holds it back (RFC 9110, section 15.2.1).
const CONTINUE: u16 = 100;

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
    /// The service is: what to answer when nothing was sent to the client yet.
    Upstream(Reason),
    /// This was waited for too long.
    Late(Awaited),
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
    asked: Asked,
    outgoing: Outgoing,
    patience: &'u mut Patience,
    deadline: &'u Deadline,
    phase: Phase,
    /// Bytes at the beginning of the service's buffer that are a piece of the body on its way to the client.
    unsent: usize,
    /// Whether anything of the answer has arrived.
    pub(crate) heard: bool,
    /// Whether the client has anything of it: another replica's answer can only take the place of nothing.
    pub(crate) handed: bool,
    /// When the service last took some of the request.
    last_taken: Duration,
    /// How long it took from then to the head of its answer.
    waited: Option<Duration>,
    /// What the answer that went to the client begins with, once it does.
    pub(crate) status: Option<u16>,
}

enum Phase {
    /// Waiting for the final response's head.
    Head,
    Body {
        decoder: BodyDecoder,
        reusable: bool,
    },
    /// All of the response is with the client's side.
    Flush(Last),
}

/// What an exchange ends with.
#[derive(Clone, Copy)]
enum Last {
    Response { reusable: bool },
    Switch,
}

impl<'u> Exchange<'u> {
    /// An exchange over a connection to a replica.
    pub(crate) fn new(
        upstream: &'u mut Upstream,
        asked: Asked,
        outgoing: Outgoing,
        patience: &'u mut Patience,
        deadline: &'u Deadline,
    ) -> Self {
        Self {
            upstream,
            asked,
            outgoing,
            patience,
            deadline,
            phase: Phase::Head,
            unsent: 0,
            heard: false,
            handed: false,
            last_taken: sys::clock::now().steady,
            waited: None,
            status: None,
        }
    }

    /// Carries both directions until the response is through, or somebody is too slow.
    pub(crate) async fn run<C: Client>(&mut self, client: &mut C) -> Result<End, Failure> {
        let deadline = self.deadline;
        self.patience.begin(deadline.now());
        let carrying = poll_fn(|context| {
            let polled = self.poll(client, context);
            if polled.is_pending() {
                deadline.set(self.patience.wait_for(self.awaited(), deadline.now()));
            }
            polled
        });
        match deadline.drive(carrying).await {
            Ok(ended) => ended,
            Err(Late) => Err(Failure::Late(self.patience.awaited())),
        }
    }

    /// The request, to be sent again or to be recycled.
    pub(crate) fn into_outgoing(self) -> Outgoing {
        self.outgoing
    }

    /// How long the service took for the head of its answer once it had the request, or went without one.
    pub(crate) fn waited(&self, outcome: &Result<End, Failure>) -> Option<Duration> {
        let failed = match outcome {
            Err(Failure::Upstream(_)) => true,
            Err(Failure::Late(awaited)) => awaited.reason().is_of_service(),
            Ok(_) | Err(Failure::Client(_)) => false,
        };
        self.waited.or_else(|| failed.then(|| self.since_last_taken()))
    }

    fn since_last_taken(&self) -> Duration {
        sys::clock::now().steady.saturating_sub(self.last_taken)
    }

    /// What nothing can go on without.
    fn awaited(&self) -> Awaited {
        match &self.phase {
            Phase::Flush(_) => Awaited::AnswerTaken,
            Phase::Body { .. } if self.unsent > 0 => Awaited::AnswerTaken,
            // A service may begin to answer and still want the rest of the request.
            Phase::Head | Phase::Body { .. } if self.outgoing.is_waiting() => Awaited::RequestTaken,
            Phase::Head | Phase::Body { .. } if self.outgoing.is_to_come() => Awaited::Request,
            Phase::Head => Awaited::Head,
            Phase::Body { .. } => Awaited::Answer,
        }
    }

    fn note(&mut self, progress: Awaited, bytes: usize) {
        self.patience.note(progress, bytes, self.deadline.now());
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
            let sent = self.poll_outgoing(context);
            if !self.outgoing.goes_on() {
                if sent.is_ready() && client.poll_gone(context).is_ready() {
                    return Poll::Ready(Err(ClientError::Gone));
                }
                break;
            }
            let Poll::Ready(bytes) = self.poll_more(client, context)? else { break };
            self.note(Awaited::Request, bytes);
            moved = true;
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sends what is here of the request. Ready when the service has it, or takes no more.
    fn poll_outgoing(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.outgoing.is_waiting() {
            let taken = ready!(self.outgoing.poll_send(&mut self.upstream.stream, context));
            self.note(Awaited::RequestTaken, taken);
            self.last_taken = sys::clock::now().steady;
        }
        Poll::Ready(())
    }

    /// Takes more of the request from the client, if there is room, and says how many bytes.
    fn poll_more<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<usize, ClientError>> {
        let Some(room) = self.outgoing.room() else { return Poll::Pending };
        let before = room.len();
        let arrived = ready!(client.poll_body(context, room))?;
        let bytes = room.len() - before;
        self.outgoing.note_arrived(match arrived {
            Arrived::Part => Rest::Coming,
            Arrived::End => Rest::Nothing,
        });
        Poll::Ready(Ok(bytes))
    }

    /// Moves what there is of the response; ready when it is through.
    fn poll_response<C: Client>(&mut self, client: &mut C, context: &mut Context<'_>) -> Poll<Result<End, Failure>> {
        loop {
            match &mut self.phase {
                Phase::Head => match self.read_head(client)? {
                    Head::Final => continue,
                    // An interim response must not wait for the final one.
                    Head::Partial => drop(client.poll_flush(context)),
                },
                Phase::Body { .. } => {
                    if ready!(self.poll_body(client, context))? {
                        continue;
                    }
                }
                Phase::Flush(last) => {
                    let last = *last;
                    ready!(client.poll_flush(context)).map_err(Failure::Client)?;
                    return Poll::Ready(Ok(self.end(last)));
                }
            }
            let read = match ready!(self.upstream.poll_fill(context)) {
                Ok(read) => read,
                Err(_) => return Poll::Ready(Err(Failure::Upstream(Reason::UpstreamClosed))),
            };
            self.note(Awaited::Answer, read);
            self.heard |= read > 0;
            if read == 0 {
                self.at_end(client)?;
            }
        }
    }

    fn end(&self, last: Last) -> End {
        match last {
            Last::Response { reusable } => End::Response {
                upstream_reusable: reusable && self.outgoing.is_through(),
                request_read: self.outgoing.rest() == Rest::Nothing,
            },
            Last::Switch => End::Switched,
        }
    }

    /// Reads the heads that have arrived and hands them to the client.
    fn read_head<C: Client>(&mut self, client: &mut C) -> Result<Head, Failure> {
        loop {
            let malformed = |_| Failure::Upstream(Reason::UpstreamMalformed);
            let (parser, input) = (&mut self.upstream.parser, &self.upstream.input);
            let Some(head) = parser.parse(input.bytes(), self.asked).map_err(malformed)? else {
                return Ok(Head::Partial);
            };
            self.handed = true;
            client.start(&head, &Edits::default()).map_err(Failure::Client)?;
            let (len, kind, status) = (head.len(), head.kind(), head.status());
            let (body, reusable) = (head.body(), head.reusable());
            self.upstream.input.consume(len);
            match kind {
                Kind::Interim if status == CONTINUE => self.outgoing.ask_for_rest(),
                Kind::Interim => {}
                Kind::Switch => {
                    self.waited = Some(self.since_last_taken());
                    self.status = Some(status);
                    self.phase = Phase::Flush(Last::Switch);
                    return Ok(Head::Final);
                }
                Kind::Final => {
                    self.waited = Some(self.since_last_taken());
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
            let malformed = |_| Failure::Upstream(Reason::UpstreamMalformed);
            // What is left of a piece that the client did not take whole.
            if self.unsent > 0 {
                let data = &self.upstream.input.bytes()[..self.unsent];
                let polled = client.poll_send(context, data);
                if polled.is_pending() {
                    self.upstream.input.shrink();
                }
                let sent = ready!(polled).map_err(Failure::Client)?;
                self.unsent -= sent;
                self.upstream.input.consume(sent);
                self.note(Awaited::AnswerTaken, sent);
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
                    self.phase = Phase::Flush(Last::Response { reusable: reusable && self.upstream.input.is_empty() });
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
        Ok(Phase::Flush(Last::Response { reusable: reusable && self.upstream.input.is_empty() }))
    }

    /// The service sends no more.
    fn at_end<C: Client>(&mut self, client: &mut C) -> Result<(), Failure> {
        const CLOSED: Failure = Failure::Upstream(Reason::UpstreamClosed);
        let Phase::Body { decoder, .. } = &mut self.phase else { return Err(CLOSED) };
        if decoder.end().is_err() {
            return Err(CLOSED);
        }
        self.phase = self.finished(client, false)?;
        Ok(())
    }
}

enum Head {
    Partial,
    /// The last one.
    Final,
}
