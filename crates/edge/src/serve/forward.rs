//! A request's way to a replica, and to another one when the first fails it. Start reading at [`forward`].

use std::sync::Arc;
use std::time::Duration;

use http1::{Asked, Limits};
use model::{ReleaseNumber, ReplicaNumber};

use super::record::Record;
use crate::answer::Reason;
use crate::balance::{Pool, Ticket, Tracked};
use crate::deadline::Deadline;
use crate::exchange::{Client, ClientError, End, Exchange, Failure};
use crate::outgoing::Outgoing;
use crate::patience::Patience;
use crate::settled::Settled;
use crate::upstream::{CONNECT_TIME_MAX, Upstream};
use crate::worker::Worker;

/// Replicas that are asked for one request at the most.
pub(crate) const TRIES_MAX: usize = 3;

/// One request that is to be forwarded.
pub(crate) struct Forwarding<'f> {
    pub(crate) worker: &'f Worker,
    pub(crate) live: &'f Settled,
    pub(crate) deadline: &'f Deadline,
    pub(crate) pool: Option<&'f Pool>,
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
        let status = exchange.status;
        outgoing = exchange.into_outgoing();
        if let Some(status) = status {
            record.status = status;
            ticket.tracked().pardon();
        }
        let ended = match next(&outcome, status, forwarding.idempotent && outgoing.can_be_sent_again()) {
            Step::Again(reason) => {
                outgoing.rewind();
                tries.note_closed(&ticket, &upstream, reason);
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
        Self { tried: Vec::new(), failed: None, reason: Reason::NoReplica, anew: false }
    }
}

impl Tries {
    /// A connection to the next replica. `None` when that one could not be reached, an error when there is to be no other.
    async fn next(
        &mut self,
        forwarding: &Forwarding<'_>,
        record: &mut Record,
    ) -> Result<Option<(Ticket, Upstream)>, Reason> {
        let worker = forwarding.worker;
        let ticket = self.pick(forwarding)?;
        let replica = of(&ticket);
        if let Some((failed, route)) = self.failed.take().zip(record.route) {
            forwarding.live.count_retried(route, failed);
        }
        record.replica = Some(replica);
        record.tries = record.tries.saturating_add(1);
        match connection(forwarding, ticket.tracked(), self.anew).await {
            Ok(upstream) => Ok(Some((ticket, upstream))),
            Err(NotConnected::Shortage) => Err(Reason::OutOfSockets),
            Err(NotConnected::Unreachable) => {
                ticket.tracked().shun(worker.now());
                self.note_failed(&ticket, Reason::Unreachable);
                Ok(None)
            }
        }
    }

    fn pick(&self, forwarding: &Forwarding<'_>) -> Result<Ticket, Reason> {
        let worker = forwarding.worker;
        let pool = forwarding.pool.filter(|pool| self.tried.len() < pool.len().min(TRIES_MAX)).ok_or(self.reason)?;
        let ticket = pool.pick(worker.draw(), worker.now(), &self.tried).ok_or(self.reason)?;
        match ticket.is_within(forwarding.live.settings.requests.per_service) {
            true => Ok(ticket),
            false if self.tried.is_empty() => Err(Reason::ServiceBusy),
            false => Err(self.reason),
        }
    }

    /// The connection ended before a byte of the answer. One that was kept and had been closed says nothing about its
    /// replica.
    fn note_closed(&mut self, ticket: &Ticket, upstream: &Upstream, reason: Reason) {
        self.anew = upstream.used;
        match upstream.used {
            true => self.reason = reason,
            false => self.note_failed(ticket, reason),
        }
    }

    fn note_failed(&mut self, ticket: &Ticket, reason: Reason) {
        self.tried.push(Arc::clone(ticket.tracked()));
        self.failed = Some(of(ticket));
        self.reason = reason;
    }
}

fn of(ticket: &Ticket) -> (ReleaseNumber, ReplicaNumber) {
    let endpoint = &ticket.tracked().endpoint;
    (endpoint.release, endpoint.replica)
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
        Err(Failure::Upstream { reason, nothing_said: true }) if again => Step::Again(*reason),
        Err(Failure::Upstream { reason, .. }) => fail(*reason),
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
    if let Some(kept) = forwarding.worker.upstreams.take(address).filter(|_| !anew) {
        return Ok(kept);
    }
    let connecting = Upstream::connect(address, Limits::default());
    match forwarding.deadline.limit(CONNECT_TIME_MAX, connecting).await {
        Ok(Ok(upstream)) => Ok(upstream),
        Ok(Err(error)) if sys::shortage::is_one(&error) => Err(NotConnected::Shortage),
        Ok(Err(_)) | Err(_) => Err(NotConnected::Unreachable),
    }
}
