//! A connection that speaks HTTP/1.1: one request after the other. Start reading at [`connection`].

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http1::{Limits, RequestParser};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::entry::Entry;
use super::forward::{Forwarded, Switched};
use super::origin::Origin;
use super::prepare::{From, Prepared};
use super::record::Record;
use super::respond::{Additions, Own};
use super::tunnel::{self, Side, Silence};
use super::{IDLE_TIME_MAX, LINGER_BYTES_MAX, LINGER_TIME_MAX, REQUESTS_MAX};
use crate::answer::Reason;
use crate::buffer::Buffer;
use crate::client::h1::H1Client;
use crate::deadline::{Deadline, Late};
use crate::settled::Settled;
use crate::upstream::Upstream;
use crate::worker::{Place, Worker};

/// A client's connection, and what is kept from one of its requests to the next.
struct Connection<'w, S> {
    worker: &'w Worker,
    stream: S,
    origin: Origin,
    deadline: Deadline,
    input: Buffer,
    /// Memory for heads of requests on their way to a service, and of responses.
    onward: Vec<u8>,
    out: Vec<u8>,
}

/// Whether a connection goes on after a request.
enum Next<'w> {
    /// Another request may come.
    Request,
    /// Another protocol is spoken over it.
    Tunnel(Tunnel<'w>),
    /// It ends; what the client still sends is dropped for a while, so that it reads the answer.
    Linger,
    /// It ends at once.
    Close,
}

/// A request that switched protocols: under way until its connection ends.
struct Tunnel<'w> {
    switched: Box<Switched>,
    _place: Place<'w>,
}

/// A head that was read, and what is to be done about it by the settings of that moment.
struct Judged {
    live: Rc<Settled>,
    prepared: Result<Prepared, Reason>,
}

/// What came of passing a request on.
enum Passed<'w> {
    /// The client has its answer, or is gone.
    Through(Next<'w>),
    /// There is none: the edge answers.
    Failed(Reason),
}

/// Serves a client until its connection ends.
pub(crate) async fn connection<S>(worker: &Worker, stream: S, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        worker,
        stream,
        deadline: worker.deadlines.register(),
        input: Buffer::of(&origin.admitted),
        origin,
        onward: Vec::new(),
        out: Vec::new(),
    };
    let mut parser = RequestParser::new(Limits::default());
    for count in 1..=REQUESTS_MAX {
        let waited = if count == 1 { worker.times().head.duration() } else { IDLE_TIME_MAX };
        match connection.request(&mut parser, waited, count).await {
            Next::Request => connection.input.release(),
            Next::Linger => return connection.linger().await,
            Next::Tunnel(_) | Next::Close => return,
        }
    }
}

impl<'w, S: AsyncRead + AsyncWrite + Unpin> Connection<'w, S> {
    /// Reads one request and answers it.
    async fn request(&mut self, parser: &mut RequestParser, idle: Duration, count: u32) -> Next<'w> {
        if self.input.is_empty() {
            match self.deadline.limit_idle(idle, fill(&mut self.stream, &mut self.input)).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Next::Close,
            }
        }
        let now = sys::clock::now();
        let began = now.steady;
        let mut record = Record::new(now.wall, self.origin.peer.ip());
        let Some(Judged { live, prepared }) = self.head(parser, began, &mut record).await else { return Next::Close };
        let worker = self.worker;
        let mut entry = Entry::new(worker, began, record);
        let next = match prepared {
            Ok(prepared) => {
                let ends = move || count == REQUESTS_MAX || worker.deadlines.is_draining();
                self.answer(&live, prepared, &ends, &mut entry.record).await
            }
            Err(reason) => self.refuse_unread(reason, &mut entry.record).await,
        };
        entry.count(&live);
        let Next::Tunnel(mut tunnel) = next else { return next };
        // A tunnel lasts longer than settings do.
        drop(live);
        self.carry(&mut tunnel.switched.upstream, &mut entry.record).await;
        Next::Close
    }

    /// Carries what both sides say in another protocol.
    async fn carry(&mut self, upstream: &mut Upstream, record: &mut Record) {
        let received = record.received.insert(0);
        let client = Side { stream: &mut self.stream, said: &mut self.input, passed: received };
        let service = Side { stream: &mut upstream.stream, said: &mut upstream.input, passed: &mut record.sent };
        let times = self.worker.times();
        let silence =
            Silence { deadline: &self.deadline, most: times.tunnel_pause.duration(), untaken: times.stall.duration() };
        if let Err(Late) = tunnel::carry(client, service, silence).await {
            record.reason = Some(Reason::TunnelSilent);
        }
    }

    /// The head of the next request, and what is to be done about it. `None` when the client ends before its head does.
    async fn head(&mut self, parser: &mut RequestParser, began: Duration, record: &mut Record) -> Option<Judged> {
        loop {
            if let Some(judged) = self.judge(parser, record) {
                return Some(judged);
            }
            let left = (began + self.worker.times().head.duration()).saturating_sub(self.worker.now());
            match self.deadline.limit(left, fill(&mut self.stream, &mut self.input)).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_late) => return Some(Judged { live: self.worker.live(), prepared: Err(Reason::HeadTimeout) }),
            }
        }
    }

    /// Judges the head of the next request by the settings of now, where all of it is here.
    fn judge(&mut self, parser: &mut RequestParser, record: &mut Record) -> Option<Judged> {
        let live = self.worker.live();
        let prepared = match parser.parse(self.input.bytes()) {
            Ok(None) => return None,
            Ok(Some(head)) => {
                let onward = std::mem::take(&mut self.onward);
                let from = From { worker: self.worker, live: &live, origin: &self.origin };
                let prepared = from.prepare(&head, onward, record);
                let len = head.len();
                self.input.consume(len);
                prepared
            }
            Err(refusal) => Err(Reason::Refused(refusal)),
        };
        Some(Judged { live, prepared })
    }

    /// Answers a request. `ends` says whether the connection does, whatever the client asked.
    async fn answer(
        &mut self,
        live: &Settled,
        mut prepared: Prepared,
        ends: &dyn Fn() -> bool,
        record: &mut Record,
    ) -> Next<'w> {
        let own = match prepared.own(record) {
            Some(own) => own,
            None => match self.pass(live, &mut prepared, ends, record).await {
                Passed::Through(next) => return next,
                Passed::Failed(reason) => {
                    prepared.unread = !prepared.incoming.decoder.is_finished();
                    prepared.refusal(reason, record)
                }
            },
        };
        // What a body still brings is not the next request.
        let keep_alive = prepared.asked.keep_alive && !prepared.unread && !ends();
        record.status = own.status;
        record.sent = own.body.len() as u64;
        self.out.clear();
        own.write(&prepared.additions, prepared.asked.head, keep_alive, &mut self.out);
        match self.send_out().await {
            true if keep_alive => Next::Request,
            true => Next::Linger,
            false => Next::Close,
        }
    }

    /// Passes a request on to a replica, and its answer back.
    async fn pass(
        &mut self,
        live: &Settled,
        prepared: &mut Prepared,
        ends: &dyn Fn() -> bool,
        record: &mut Record,
    ) -> Passed<'w> {
        let Some(place) = self.worker.enter(live.settings.requests.total) else {
            return Passed::Failed(Reason::Overloaded);
        };
        let payer = &self.origin.admitted;
        let outgoing = prepared.outgoing(payer);
        let carrying = match prepared.carrying(live, self.worker, &self.deadline, payer) {
            Ok(carrying) => carrying,
            Err(reason) => return Passed::Failed(reason),
        };
        // Nobody reads what is sent to a folder.
        let unread = carrying.is_of_folder() && prepared.unread;
        let ends = &|| unread || ends();
        let mut client = H1Client::new(
            &mut self.stream,
            &mut self.input,
            &mut self.out,
            &mut prepared.incoming,
            prepared.asked,
            &prepared.additions,
            ends,
        );
        let (forwarded, onward) = carrying.carry(&mut client, outgoing, record).await;
        let keep_alive = client.keeps_alive();
        self.onward = onward;
        match forwarded {
            Forwarded::Through { request_read } if keep_alive && request_read => Passed::Through(Next::Request),
            Forwarded::Through { .. } => Passed::Through(Next::Linger),
            Forwarded::Switched(switched) => Passed::Through(Next::Tunnel(Tunnel { switched, _place: place })),
            Forwarded::Gone => {
                record.gone = true;
                Passed::Through(Next::Close)
            }
            Forwarded::Cut(reason) => {
                record.reason = Some(reason);
                Passed::Through(Next::Close)
            }
            Forwarded::Refuse(reason) => Passed::Failed(reason),
            Forwarded::Refused(refusal) => Passed::Failed(Reason::Refused(refusal)),
        }
    }

    /// Answers a request whose head cannot be read; the connection ends with that.
    async fn refuse_unread(&mut self, reason: Reason, record: &mut Record) -> Next<'w> {
        record.request_id = self.worker.ids.next();
        (record.reason, record.status) = (Some(reason), reason.status());
        let own = Own::refusal(reason, &record.request_id, None);
        self.out.clear();
        own.write(&Additions::default(), false, false, &mut self.out);
        if self.send_out().await { Next::Linger } else { Next::Close }
    }

    async fn send_out(&mut self) -> bool {
        let sending = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        matches!(self.deadline.limit(self.worker.times().stall.duration(), sending).await, Ok(Ok(())))
    }

    /// Ends the connection in a way that lets the client read the answer: bytes that arrive for a closed socket would
    /// make the system discard it (RFC 9112, section 9.6).
    async fn linger(mut self) {
        let reading = async {
            self.stream.shutdown().await?;
            let mut dropped = self.input.bytes().len();
            self.input.consume(usize::MAX);
            while dropped < LINGER_BYTES_MAX && fill(&mut self.stream, &mut self.input).await {
                dropped += self.input.bytes().len();
                self.input.consume(usize::MAX);
            }
            std::io::Result::Ok(())
        };
        // The connection is over either way.
        drop(self.deadline.limit(LINGER_TIME_MAX, reading).await);
    }
}

/// Reads once; `false` when there will be no more.
async fn fill<S: AsyncRead + Unpin>(stream: &mut S, input: &mut Buffer) -> bool {
    matches!(poll_fn(|context| input.poll_fill(stream, context)).await, Ok(1..))
}
