//! A connection that speaks HTTP/2: many requests at once, each a task of its own. Start reading at [`connection`].
//!
//! Everything that makes a request one of HTTP/2 ends in here and in [`crate::client::h2`]: what is decided about it, how
//! it is forwarded, counted and logged is what HTTP/1.1 has. Frames, compression of heads and flow control are the `h2`
//! crate's, with the bounds below; what it refuses itself (it resets the stream or ends the connection) is not logged.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason as H2Reason, RecvStream};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http1::{Limits, RequestParser};
use tokio::io::{AsyncRead, AsyncWrite};

use super::entry::Entry;
use super::forward::Forwarded;
use super::origin::Origin;
use super::prepare::{From, Prepared};
use super::progress::{Progress, Watched};
use super::record::Record;
use super::respond::{Additions, Own};
use super::translate::translate;
use super::{IDLE_TIME_MAX, REQUESTS_MAX};
use crate::answer::Reason;
use crate::client::h2::H2Client;
use crate::deadline::{Deadline, Late};
use crate::settled::Settled;
use crate::worker::Worker;

/// Requests of one connection that are under way at the same time.
const STREAMS_MAX: u32 = 100;
/// Bytes of one request's body that its client may send before they are taken.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// Bytes of all bodies of a connection: so many that bodies which nobody takes never hold up another one.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX;
/// Bytes of one response that wait to be written.
const SEND_BUFFER_BYTES: usize = 32 << 10;
/// Bytes of a head, 32 more counted for each field (RFC 9113, section 6.5.2): what a head of HTTP/1.1 may have.
const HEAD_LIST_BYTES_MAX: u32 = 36 << 10;
/// Streams that a client has reset before they were taken up.
const RESETS_EARLY_MAX: usize = 20;
/// Streams that were reset because of what the client sent on them.
const RESETS_OF_ERRORS_MAX: usize = 100;
/// Requests that a client may take back at once.
const RESETS_BURST_MAX: u32 = 200;
/// Requests that it may take back per second after that.
const RESETS_PER_SECOND: u32 = 20;
/// How often a connection with requests under way is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// How long the client of a connection that is to end may take for its part, where no answer is on its way to it.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long after an answer some of it may still be on its way.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);
/// Sets of memory for one request that a thread keeps.
const WORKSPACES_MAX: usize = 64;

thread_local! {
    static WORKSPACES: RefCell<Vec<Workspace>> = const { RefCell::new(Vec::new()) };
}

/// Memory for one request.
struct Workspace {
    parser: RequestParser,
    head: Vec<u8>,
    onward: Vec<u8>,
}

impl Workspace {
    fn take() -> Self {
        let new = || Self { parser: RequestParser::new(Limits::default()), head: Vec::new(), onward: Vec::new() };
        WORKSPACES.with_borrow_mut(Vec::pop).unwrap_or_else(new)
    }

    fn keep(mut self) {
        self.head.clear();
        self.onward.clear();
        WORKSPACES.with_borrow_mut(|kept| {
            if kept.len() < WORKSPACES_MAX {
                kept.push(self);
            }
        });
    }
}

/// What the requests of a connection share.
struct Front {
    worker: Rc<Worker>,
    origin: Origin,
    progress: Rc<Progress>,
    /// Requests under way.
    open: Cell<u32>,
    began: Duration,
    /// When the last of them was through.
    answered: Cell<Option<Duration>>,
    resets: Cell<Resets>,
}

/// Whether a connection takes more requests.
#[derive(Clone, Copy)]
enum Stage {
    Serving,
    /// It has told its client to ask no more over it.
    Ending {
        since: Duration,
    },
}

/// Serves a client until its connection ends.
pub(crate) async fn connection<S>(worker: &Rc<Worker>, stream: S, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Rc::new(Progress::default());
    let deadline = worker.deadlines.register();
    let watched = Watched::new(stream, Rc::clone(worker), Rc::clone(&progress));
    let beginning = deadline.limit(worker.times().head.duration(), bounds().handshake(watched));
    let Ok(Ok(mut connection)) = beginning.await else { return };
    let front = Rc::new(Front {
        worker: Rc::clone(worker),
        origin,
        progress,
        open: Cell::new(0),
        began: worker.now(),
        answered: Cell::new(None),
        resets: Cell::new(Resets::new(worker.now())),
    });
    let (mut stage, mut requests) = (Stage::Serving, 0);
    loop {
        let accepting = poll_fn(|context| {
            let accepted = connection.poll_accept(context);
            if let (Stage::Serving, Some(span)) = (stage, front.progress.ended_for(worker.now())) {
                // No request is waited for any more, but the end of whoever did what is not allowed.
                deadline.extend(CLOSE_TIME_MAX.saturating_sub(span));
            }
            accepted
        });
        let next = match stage {
            Stage::Serving => deadline.limit_idle(front.patience(), accepting).await,
            Stage::Ending { .. } => deadline.limit(CLOSE_TIME_MAX, accepting).await,
        };
        match next {
            Ok(Some(Ok((request, respond)))) => {
                requests += 1;
                sys::cores::spawn_here(Rc::clone(&front).request(request, respond));
            }
            Ok(Some(Err(_)) | None) => return,
            Err(Late) if front.is_given_up(stage) => return,
            Err(Late) => {}
        }
        if front.resets.get().is_exceeded() {
            connection.abrupt_shutdown(H2Reason::ENHANCE_YOUR_CALM);
        }
        if matches!(stage, Stage::Serving) && (requests == REQUESTS_MAX || front.is_to_end()) {
            connection.graceful_shutdown();
            stage = Stage::Ending { since: worker.now() };
        }
    }
}

/// The bounds of every connection.
fn bounds() -> server::Builder {
    let mut bounds = server::Builder::new();
    bounds
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEAD_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_EARLY_MAX)
        .max_local_error_reset_streams(Some(RESETS_OF_ERRORS_MAX));
    bounds
}

impl Front {
    /// How long to wait before the connection is looked at.
    fn patience(&self) -> Duration {
        match self.open.get() {
            0 => (self.answered.get().unwrap_or(self.began) + IDLE_TIME_MAX).saturating_sub(self.worker.now()),
            _ => LOOK_PERIOD,
        }
    }

    /// Whether it is to take no more requests.
    fn is_to_end(&self) -> bool {
        let quiet = self.open.get() == 0 && self.patience().is_zero();
        quiet || self.worker.deadlines.is_draining()
    }

    /// Whether nothing more is to be expected of its client.
    fn is_given_up(&self, stage: Stage) -> bool {
        let now = self.worker.now();
        let ended = match stage {
            Stage::Serving => self.progress.ended_for(now).is_some_and(|span| span >= CLOSE_TIME_MAX),
            Stage::Ending { since } => {
                self.open.get() == 0 && !self.is_arriving(now) && now.saturating_sub(since) >= CLOSE_TIME_MAX
            }
        };
        ended || self.progress.stuck_for(now) >= self.worker.times().stall.duration()
    }

    /// Whether some of an answer may still be in the buffers of either system.
    fn is_arriving(&self, now: Duration) -> bool {
        self.answered.get().is_some_and(|answered| now.saturating_sub(answered) < ARRIVAL_TIME_MAX)
    }

    /// Answers one request.
    async fn request(self: Rc<Self>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let _open = Open::new(&self);
        let deadline = self.worker.deadlines.register();
        let now = sys::clock::now();
        let live = self.worker.live();
        let mut entry = Entry::new(&self.worker, now.steady, Record::new(now.wall, self.origin.peer.ip()));
        let stream = Stream { front: &self, live: &live, deadline: &deadline, respond };
        stream.serve(request, &mut entry.record).await;
        entry.count(&live);
        if entry.record.gone {
            self.resets.set(self.resets.get().and_one(self.worker.now()));
        }
    }
}

/// One request that is being answered.
struct Stream<'s> {
    front: &'s Front,
    live: &'s Settled,
    deadline: &'s Deadline,
    respond: SendResponse<Bytes>,
}

impl Stream<'_> {
    async fn serve(mut self, request: Request<RecvStream>, record: &mut Record) {
        let (parts, body) = request.into_parts();
        let mut space = Workspace::take();
        let onward = std::mem::take(&mut space.onward);
        let read = translate(&parts, body.is_end_stream(), &mut space.head)
            .and_then(|()| space.parser.parse(&space.head))
            .and_then(|head| head.ok_or(http1::Refusal::BadRequestLine));
        let prepared = read.map_err(Reason::Refused).and_then(|head| {
            let front = self.front;
            From { worker: &front.worker, live: self.live, origin: &front.origin }.prepare(&head, onward, record)
        });
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            // The parser's state is not to be trusted after a refusal, so its memory is given up.
            Err(reason) => return self.refuse_unread(reason, record),
        };
        let own = match prepared.own(record) {
            Some(own) => Some(own),
            None => self.pass(&mut prepared, body, record).await.map(|reason| prepared.refusal(reason, record)),
        };
        if let Some(own) = own {
            self.answer(&own, &prepared.additions, prepared.asked.head, record);
        }
        space.onward = prepared.onward;
        space.keep();
    }

    /// Passes a request on to a replica, and its answer back; says why where the edge is to answer itself.
    async fn pass(&mut self, prepared: &mut Prepared, body: RecvStream, record: &mut Record) -> Option<Reason> {
        let limits = self.live.settings.requests;
        let Some(_of_client) = self.front.origin.admitted.begin_request(limits.per_client) else {
            return Some(Reason::TooManyRequests);
        };
        let Some(_place) = self.front.worker.enter(limits.total) else { return Some(Reason::Overloaded) };
        let payer = &self.front.origin.admitted;
        let outgoing = prepared.outgoing(payer);
        let carrying = match prepared.carrying(self.live, &self.front.worker, self.deadline, payer) {
            Ok(carrying) => carrying,
            Err(reason) => return Some(reason),
        };
        let encoder = prepared.incoming.encoder.take();
        let mut client = H2Client::new(body, encoder, prepared.body_max, &mut self.respond, &prepared.additions);
        let (forwarded, onward) = carrying.carry(&mut client, outgoing, record).await;
        prepared.onward = onward;
        match forwarded {
            Forwarded::Through { .. } => None,
            Forwarded::Gone => {
                record.gone = true;
                None
            }
            Forwarded::Cut(reason) => {
                record.reason = Some(reason);
                client.cut();
                None
            }
            // Nobody asks for another protocol here.
            Forwarded::Switched(_) => Some(Reason::UpstreamMalformed),
            Forwarded::Refuse(reason) => Some(reason),
            Forwarded::Refused(refusal) => Some(Reason::Refused(refusal)),
        }
    }

    /// Answers a request whose head is refused.
    fn refuse_unread(mut self, reason: Reason, record: &mut Record) {
        record.request_id = self.front.worker.ids.next();
        record.reason = Some(reason);
        let own = Own::refusal(reason, &record.request_id, None);
        self.answer(&own, &Additions::default(), false, record);
    }

    /// Sends an answer of the edge itself. It is short, so the connection takes all of it.
    fn answer(&mut self, own: &Own, additions: &Additions, to_head: bool, record: &mut Record) {
        record.status = own.status;
        record.sent = own.body.len() as u64;
        let bodiless = to_head || own.body.is_empty();
        let sent = self.respond.send_response(response(own, additions), bodiless).and_then(|mut stream| {
            if bodiless { Ok(()) } else { stream.send_data(Bytes::copy_from_slice(own.body.as_bytes()), true) }
        });
        record.gone = sent.is_err();
    }
}

/// An answer of the edge itself, for the `h2` crate.
fn response(own: &Own, additions: &Additions) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(own.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in own.fields(additions) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Counts a request while it is under way.
struct Open<'f>(&'f Front);

impl<'f> Open<'f> {
    fn new(front: &'f Front) -> Self {
        front.open.set(front.open.get() + 1);
        Self(front)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.answered.set(Some(self.0.worker.now()));
    }
}

/// Requests that were taken back: a client that asks only to reset costs more than it pays (CVE-2023-44487).
#[derive(Debug, Clone, Copy)]
struct Resets {
    /// Those that are allowed now.
    left: u32,
    exceeded: bool,
    /// Up to when `left` has grown again.
    grown: Duration,
}

impl Resets {
    fn new(now: Duration) -> Self {
        Self { left: RESETS_BURST_MAX, exceeded: false, grown: now }
    }

    /// One more.
    fn and_one(self, now: Duration) -> Self {
        let seconds = u32::try_from(now.saturating_sub(self.grown).as_secs()).unwrap_or(u32::MAX);
        let left = self.left.saturating_add(seconds.saturating_mul(RESETS_PER_SECOND)).min(RESETS_BURST_MAX);
        let grown = self.grown + Duration::from_secs(seconds.into());
        Self { left: left.saturating_sub(1), exceeded: self.exceeded || left == 0, grown }
    }

    fn is_exceeded(self) -> bool {
        self.exceeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resets(resets: Resets, count: u32, second: u64) -> Resets {
        (0..count).fold(resets, |resets, _| resets.and_one(Duration::from_secs(second)))
    }

    #[test]
    fn a_client_that_only_resets_is_found_out() {
        let burst = resets(Resets::new(Duration::from_secs(5)), RESETS_BURST_MAX, 5);
        assert!(!burst.is_exceeded());
        assert!(resets(burst, 1, 5).is_exceeded());
    }

    #[test]
    fn a_client_that_resets_now_and_then_is_not() {
        let burst = resets(Resets::new(Duration::ZERO), RESETS_BURST_MAX, 0);
        let steady = (1..1000).fold(burst, |so_far, second| resets(so_far, RESETS_PER_SECOND, second));
        assert!(!steady.is_exceeded());
        assert!(resets(steady, RESETS_PER_SECOND + 1, 1000).is_exceeded());
    }
}
