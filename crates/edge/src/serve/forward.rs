//! A request's way to a replica, and to another one when the first fails it. Start reading at [`forward`].

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http1::{Asked, Limits};
use model::{ReleaseNumber, ReplicaNumber, ServiceName};

use super::record::Record;
use crate::admission::Admitted;
use crate::answer::Reason;
use crate::balance::{Ticket, Tracked};
use crate::deadline::{Deadline, Late};
use crate::exchange::{Client, ClientError, End, Exchange, Failure};
use crate::outgoing::Outgoing;
use crate::patience::Patience;
use crate::settled::Settled;
use crate::upstream::{CONNECT_TIME_MAX, Upstream};
use crate::worker::Worker;

/// How often a request is sent at the most, and to how many replicas a connection is tried before it waits.
pub(crate) const TRIES_MAX: usize = 3;
/// How long a request waits at the most for a replica that can be asked: longer than one that was killed takes to be
/// replaced.
pub(crate) const WAIT_TIME_MAX: Duration = Duration::from_secs(3);
/// How often it is looked whether there is one.
const WAIT_PERIOD: Duration = Duration::from_millis(100);
/// Requests to one service that wait so at the same time.
pub(crate) const WAITERS_MAX: u32 = 1_000;

/// One request that is to be forwarded.
pub(crate) struct Forwarding<'f> {
    pub(crate) worker: &'f Worker,
    pub(crate) live: &'f Settled,
    pub(crate) deadline: &'f Deadline,
    /// Whose memory it takes.
    pub(crate) payer: &'f Rc<Admitted>,
    pub(crate) service: &'f ServiceName,
    pub(crate) asked: Asked,
    /// How long the service may take for the head of its answer.
    pub(crate) timeout: Duration,
    /// Whether asking twice is as good as asking once (RFC 9110, section 9.2.2).
    pub(crate) idempotent: bool,
}

/// How it ended.
pub(crate) enum Forwarded {
    /// The response is through; whether the request was read to its end.
    Through { request_read: bool },
    /// Both sides speak another protocol now.
    Switched(Box<Switched>),
    /// Nothing was sent to the client: answer in the service's place.
    Refuse(Reason),
    /// Something was sent: all that can be done is to close.
    Cut(Reason),
    /// The client is gone.
    Gone,
    /// The client sent something that is refused.
    Refused(http1::Refusal),
}

/// A replica's connection that speaks another protocol now.
pub(crate) struct Switched {
    pub(crate) upstream: Upstream,
    /// It is under way at its replica until this is dropped.
    pub(crate) _ticket: Ticket,
}

/// The replicas that were asked for a request, and what came of it.
struct Tries {
    /// Those that failed it.
    tried: Vec<Arc<Tracked>>,
    /// How many of them did so before it last waited, and may be asked again.
    long_ago: usize,
    /// How often it was sent.
    sent: usize,
    /// Until when it waits for a replica, once it has to.
    until: Option<Duration>,
    /// The one that failed last, where that is not booked.
    failed: Option<(ReleaseNumber, ReplicaNumber)>,
    /// Why there is no answer, if there is to be none.
    reason: Reason,
    /// A kept connection turned out closed: the next one is made anew.
    anew: bool,
}

/// Carries a request to a replica and its response back.
pub(crate) async fn forward<C: Client>(
    forwarding: &Forwarding<'_>,
    client: &mut C,
    mut outgoing: Outgoing,
    record: &mut Record,
) -> (Forwarded, Vec<u8>) {
    let mut tries = Tries::default();
    let mut patience = forwarding.patience();
    loop {
        let (ticket, mut upstream) = match tries.next(forwarding, record).await {
            Ok(Some(connected)) => connected,
            Ok(None) => continue,
            Err(reason) => return (Forwarded::Refuse(reason), outgoing.into_memory()),
        };
        let mut exchange = Exchange::new(&mut upstream, forwarding.asked, outgoing, &mut patience, forwarding.deadline);
        let outcome = exchange.run(client).await;
        let (status, heard, handed) = (exchange.status, exchange.heard, exchange.handed);
        record.waited = exchange.waited(&outcome);
        outgoing = exchange.into_outgoing();
        if let Some(status) = status {
            record.status = status;
            ticket.tracked().pardon();
        }
        let again = !handed && forwarding.idempotent && outgoing.can_be_sent_again();
        let ended = match next(&outcome, status, again) {
            Step::Again(reason) => {
                outgoing.rewind();
                tries.note_unanswered(&ticket, upstream.used && !heard, reason);
                continue;
            }
            Step::Keep { request_read } => {
                forwarding.worker.upstreams.keep(upstream, forwarding.worker.now());
                Forwarded::Through { request_read }
            }
            Step::Switch => Forwarded::Switched(Box::new(Switched { upstream, _ticket: ticket })),
            Step::End(ended) => ended,
        };
        return (ended, outgoing.into_memory());
    }
}

impl Forwarding<'_> {
    /// How long who is waited for.
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.live.settings.times, self.timeout)
    }
}

impl Default for Tries {
    fn default() -> Self {
        let (tried, failed) = (Vec::new(), None);
        Self { tried, long_ago: 0, sent: 0, until: None, failed, reason: Reason::NoReplica, anew: false }
    }
}

impl Tries {
    /// A connection to the next replica. `None` when that one could not be reached or there was none, an error when there is
    /// to be no other.
    async fn next(
        &mut self,
        forwarding: &Forwarding<'_>,
        record: &mut Record,
    ) -> Result<Option<(Ticket, Upstream)>, Reason> {
        let worker = forwarding.worker;
        let Some(ticket) = self.pick(forwarding)? else { return self.wait(forwarding).await.map(|()| None) };
        let replica = of(&ticket);
        if let Some((failed, route)) = self.failed.take().zip(record.route) {
            forwarding.live.count_retried(route, failed);
        }
        record.replica = Some(replica);
        record.tries = record.tries.saturating_add(1);
        match connection(forwarding, ticket.tracked(), self.anew).await {
            Ok(mut upstream) => {
                upstream.input.charge(forwarding.payer);
                self.sent += 1;
                Ok(Some((ticket, upstream)))
            }
            Err(NotConnected::Shortage) => Err(Reason::OutOfSockets),
            Err(NotConnected::Unreachable) => {
                ticket.tracked().shun(worker.now());
                self.note_failed(&ticket, Reason::Unreachable);
                Ok(None)
            }
        }
    }

    /// One of the replicas that there are now: those of a moment ago may be gone. `None` when none can be asked.
    fn pick(&self, forwarding: &Forwarding<'_>) -> Result<Option<Ticket>, Reason> {
        let worker = forwarding.worker;
        let live = worker.live();
        let tried = &self.tried[self.long_ago..];
        if self.sent == TRIES_MAX {
            return Err(self.reason);
        }
        let pool = live.pool(forwarding.service).filter(|_| tried.len() < TRIES_MAX);
        let Some(ticket) = pool.and_then(|pool| pool.pick(worker.draw(), worker.now(), tried)) else { return Ok(None) };
        match ticket.is_within(live.settings.requests.per_service) {
            true => Ok(Some(ticket)),
            false if tried.is_empty() => Err(Reason::ServiceBusy),
            false => Err(self.reason),
        }
    }

    /// Waits for a moment, after which there may be a replica to ask; says why there is no answer where that has no prospect.
    async fn wait(&mut self, forwarding: &Forwarding<'_>) -> Result<(), Reason> {
        let worker = forwarding.worker;
        let until = *self.until.get_or_insert(worker.now().saturating_add(WAIT_TIME_MAX));
        let left = until.saturating_sub(worker.now());
        if left.is_zero() || !is_of_restart(self.reason) {
            return Err(self.reason);
        }
        let waiter = worker.live().pool(forwarding.service).and_then(|pool| pool.wait(WAITERS_MAX));
        let _waiter = waiter.ok_or(self.reason)?;
        // Nothing but the end of this time is waited for.
        let (Ok(()) | Err(Late)) = forwarding.deadline.limit(left.min(WAIT_PERIOD), pending::<()>()).await;
        self.long_ago = self.tried.len();
        Ok(())
    }

    /// The request was sent, and there is no answer to it. A kept connection that turned out closed says nothing about
    /// its replica.
    fn note_unanswered(&mut self, ticket: &Ticket, was_closed: bool, reason: Reason) {
        self.anew = was_closed;
        match was_closed {
            true => {
                self.reason = reason;
                self.sent -= 1;
            }
            false => self.note_failed(ticket, reason),
        }
    }

    fn note_failed(&mut self, ticket: &Ticket, reason: Reason) {
        // A replica is booked once, however often it was asked.
        let known = self.tried.iter().any(|tried| Arc::ptr_eq(tried, ticket.tracked()));
        self.failed = Some(of(ticket)).filter(|_| !known);
        self.tried.push(Arc::clone(ticket.tracked()));
        self.reason = reason;
    }
}

fn of(ticket: &Ticket) -> (ReleaseNumber, ReplicaNumber) {
    let endpoint = &ticket.tracked().endpoint;
    (endpoint.release, endpoint.replica)
}

/// Whether a replica that fails so may be on its way down, and another one on its way up.
fn is_of_restart(reason: Reason) -> bool {
    matches!(reason, Reason::NoReplica | Reason::Unreachable | Reason::UpstreamClosed)
}

/// What follows from how an exchange went.
enum Step {
    /// Another try.
    Again(Reason),
    /// It is through, and the service's connection is good for another request.
    Keep { request_read: bool },
    /// The connections belong to another protocol now.
    Switch,
    /// It is over.
    End(Forwarded),
}

/// `status` is that of the response's head, if the client has it; `again` whether the request can be sent once more.
fn next(outcome: &Result<End, Failure>, status: Option<u16>, again: bool) -> Step {
    let fail = |reason| match status {
        Some(_) => Step::End(Forwarded::Cut(reason)),
        None => Step::End(Forwarded::Refuse(reason)),
    };
    match outcome {
        Ok(End::Response { upstream_reusable: true, request_read }) => Step::Keep { request_read: *request_read },
        Ok(End::Response { upstream_reusable: false, request_read }) => {
            Step::End(Forwarded::Through { request_read: *request_read })
        }
        Ok(End::Switched) => Step::Switch,
        Err(Failure::Client(ClientError::Refused(refusal))) if status.is_none() => {
            Step::End(Forwarded::Refused(*refusal))
        }
        Err(Failure::Client(ClientError::Gone | ClientError::Refused(_))) => Step::End(Forwarded::Gone),
        Err(Failure::Client(ClientError::Response(_))) => Step::End(Forwarded::Cut(Reason::UpstreamMalformed)),
        Err(Failure::Client(ClientError::Coding(_))) => Step::End(Forwarded::Cut(Reason::Internal)),
        Err(Failure::Upstream(reason)) if again => Step::Again(*reason),
        Err(Failure::Upstream(reason)) => fail(*reason),
        Err(Failure::Late(awaited)) => fail(awaited.reason()),
    }
}

/// Why there is no connection to a replica.
enum NotConnected {
    /// The replica does not take one.
    Unreachable,
    /// The system gives the edge none; at no replica would that be different.
    Shortage,
}

async fn connection(forwarding: &Forwarding<'_>, tracked: &Tracked, anew: bool) -> Result<Upstream, NotConnected> {
    let address = tracked.endpoint.address;
    if let Some(kept) = forwarding.worker.upstreams.take(address, !forwarding.idempotent).filter(|_| !anew) {
        return Ok(kept);
    }
    let connecting = Upstream::connect(address, Limits::default());
    match forwarding.deadline.limit(CONNECT_TIME_MAX, connecting).await {
        Ok(Ok(upstream)) => Ok(upstream),
        Ok(Err(error)) if sys::shortage::is_one(&error) => Err(NotConnected::Shortage),
        Ok(Err(_)) | Err(_) => Err(NotConnected::Unreachable),
    }
}
