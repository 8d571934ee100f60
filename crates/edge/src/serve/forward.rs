//! A request's way to a replica, and to another one when the first fails it. Start reading at [`forward`].

use std::sync::Arc;
use std::time::Duration;

use http1::{Asked, Limits};

use super::record::Record;
use crate::answer::Reason;
use crate::balance::{Pool, Tracked};
use crate::deadline::{Deadline, Late};
use crate::exchange::{Client, ClientError, End, Exchange, Failure, Outgoing};
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
    /// How long the service may take for its head.
    pub(crate) timeout: Duration,
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
    loop {
        let picked = forwarding.pool.and_then(|pool| {
            let most = pool.len().min(TRIES_MAX);
            let may = tried.len() < most;
            may.then(|| pool.pick(forwarding.worker.draw(), forwarding.worker.now(), &tried)).flatten()
        });
        let Some(ticket) = picked else { return (Forwarded::Refuse(last), outgoing.into_bytes()) };
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
        let mut exchange = Exchange::new(&mut upstream, forwarding.asked, outgoing, forwarding.deadline);
        let outcome = forwarding.deadline.limit(forwarding.timeout, exchange.run(client)).await;
        let (status, request_whole) = (exchange.status, exchange.request_is_whole());
        outgoing = exchange.into_outgoing();
        if let Some(status) = status {
            record.status = status;
            tracked.pardon();
        }
        let step = next(&outcome, status, request_whole, forwarding.idempotent && outgoing.rewind());
        match step {
            Step::Again(reason) => {
                // A kept connection that had been closed says nothing about its replica.
                stale = was_used;
                if !was_used {
                    tried.push(Arc::clone(tracked));
                }
                last = reason;
            }
            Step::Keep { request_read } => {
                forwarding.worker.upstreams.keep(upstream, forwarding.worker.now());
                return (Forwarded::Through { request_read }, outgoing.into_bytes());
            }
            Step::Switch => return (Forwarded::Switched(upstream), outgoing.into_bytes()),
            Step::End(ended) => return (ended, outgoing.into_bytes()),
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
fn next(outcome: &Result<Result<End, Failure>, Late>, status: Option<u16>, request_whole: bool, again: bool) -> Step {
    let fail = |reason| match status {
        Some(_) => Step::End(Forwarded::Cut(reason)),
        None => Step::End(Forwarded::Refuse(reason)),
    };
    match outcome {
        Ok(Ok(End::Response { upstream_reusable: true, request_read })) => Step::Keep { request_read: *request_read },
        Ok(Ok(End::Response { upstream_reusable: false, request_read })) => {
            Step::End(Forwarded::Through { request_read: *request_read })
        }
        Ok(Ok(End::Switched)) => Step::Switch,
        Ok(Err(Failure::Client(ClientError::Refused(refusal)))) if status.is_none() => {
            Step::End(Forwarded::Refused(*refusal))
        }
        Ok(Err(Failure::Client(ClientError::Gone | ClientError::Refused(_)))) => Step::End(Forwarded::Gone),
        Ok(Err(Failure::Client(ClientError::Response(_)))) => Step::End(Forwarded::Cut(Reason::UpstreamMalformed)),
        Ok(Err(Failure::Client(ClientError::Coding(_)))) => Step::End(Forwarded::Cut(Reason::Internal)),
        Ok(Err(Failure::Upstream { reason, nothing_said: true })) if again => Step::Again(*reason),
        Ok(Err(Failure::Upstream { reason, .. })) => fail(*reason),
        Err(Late) if request_whole => fail(Reason::UpstreamTimeout),
        Err(Late) => fail(Reason::BodyTimeout),
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
