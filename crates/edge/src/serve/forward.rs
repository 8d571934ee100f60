//! A request's way to a replica, and to another one when the first fails it. Start reading at [`forward`].

use std::sync::Arc;
use std::time::Duration;

use http1::{Asked, Limits};

use super::record::Record;
use crate::answer::Reason;
use crate::balance::{Pool, Tracked};
use crate::deadline::Deadline;
use crate::exchange::{Client, ClientError, End, Exchange, Failure};
use crate::outgoing::Outgoing;
use crate::patience::Patience;
use crate::settings::TimeLimits;
use crate::upstream::{CONNECT_TIME_MAX, Upstream};
use crate::worker::Worker;

/// Replicas that are asked for one request at the most.
pub(crate) const TRIES_MAX: usize = 3;

/// One request that is to be forwarded.
pub(crate) struct Forwarding<'f> {
    pub(crate) worker: &'f Worker,
    pub(crate) deadline: &'f Deadline,
    pub(crate) pool: Option<&'f Pool>,
    pub(crate) asked: Asked,
    /// How long the service may take for the head of its answer.
    pub(crate) timeout: Duration,
    pub(crate) times: TimeLimits,
    /// Whether asking twice is as good as asking once (RFC 9110, section 9.2.2).
    pub(crate) idempotent: bool,
}

/// How it ended.
pub(crate) enum Forwarded {
    /// The response is through; whether the request was read to its end.
    Through { request_read: bool },
    /// Both sides speak another protocol now.
    Switched(Upstream),
    /// Nothing was sent to the client: answer in the service's place.
    Refuse(Reason),
    /// Something was sent: all that can be done is to close.
    Cut(Reason),
    /// The client is gone.
    Gone,
    /// The client sent something that is refused.
    Refused(http1::Refusal),
}

/// Carries a request to a replica and its response back.
pub(crate) async fn forward<C: Client>(
    forwarding: &Forwarding<'_>,
    client: &mut C,
    mut outgoing: Outgoing,
    record: &mut Record,
) -> (Forwarded, Vec<u8>) {
    let mut tried: Vec<Arc<Tracked>> = Vec::new();
    let mut last = Reason::NoReplica;
    // A kept connection that turned out closed: the next one is made anew.
    let mut stale = false;
    let mut patience = Patience::new(forwarding.times, forwarding.timeout);
    loop {
        let picked = forwarding.pool.and_then(|pool| {
            let most = pool.len().min(TRIES_MAX);
            let may = tried.len() < most;
            may.then(|| pool.pick(forwarding.worker.draw(), forwarding.worker.now(), &tried)).flatten()
        });
        let Some(ticket) = picked else { return (Forwarded::Refuse(last), outgoing.into_memory()) };
        let tracked = ticket.tracked();
        record.replica = Some((tracked.endpoint.release, tracked.endpoint.replica));
        record.tries = record.tries.saturating_add(1);
        let Some(mut upstream) = connection(forwarding, tracked, stale).await else {
            tracked.shun(forwarding.worker.now());
            tried.push(Arc::clone(tracked));
            last = Reason::Unreachable;
            continue;
        };
        let was_used = upstream.used;
        let mut exchange = Exchange::new(&mut upstream, forwarding.asked, outgoing, &mut patience, forwarding.deadline);
        let outcome = exchange.run(client).await;
        let status = exchange.status;
        outgoing = exchange.into_outgoing();
        if let Some(status) = status {
            record.status = status;
            tracked.pardon();
        }
        match next(&outcome, status, forwarding.idempotent && outgoing.can_be_sent_again()) {
            Step::Again(reason) => {
                outgoing.rewind();
                // A kept connection that had been closed says nothing about its replica.
                stale = was_used;
                if !was_used {
                    tried.push(Arc::clone(tracked));
                }
                last = reason;
            }
            Step::Keep { request_read } => {
                forwarding.worker.upstreams.keep(upstream, forwarding.worker.now());
                return (Forwarded::Through { request_read }, outgoing.into_memory());
            }
            Step::Switch => return (Forwarded::Switched(upstream), outgoing.into_memory()),
            Step::End(ended) => return (ended, outgoing.into_memory()),
        }
    }
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

async fn connection(forwarding: &Forwarding<'_>, tracked: &Tracked, anew: bool) -> Option<Upstream> {
    let address = tracked.endpoint.address;
    if let Some(kept) = forwarding.worker.upstreams.take(address).filter(|_| !anew) {
        return Some(kept);
    }
    let connecting = Upstream::connect(address, Limits::default());
    forwarding.deadline.limit(CONNECT_TIME_MAX, connecting).await.ok()?.ok()
}
