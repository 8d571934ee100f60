//! What is noted of a request for the access log and the counts. Start reading at [`Record`].

use std::net::IpAddr;
use std::time::Duration;

use model::{ReleaseNumber, ReplicaNumber, ServiceName, Timestamp};

use crate::answer::Reason;
use crate::evidence::Outcome;
use crate::table::RouteIndex;

/// One request, from its head to its last byte.
#[derive(Debug)]
pub(crate) struct Record {
    /// When its head was there.
    pub(crate) at: Timestamp,
    pub(crate) client: IpAddr,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
    pub(crate) tenant: Option<String>,
    pub(crate) route: Option<RouteIndex>,
    pub(crate) service: Option<ServiceName>,
    pub(crate) replica: Option<(ReleaseNumber, ReplicaNumber)>,
    pub(crate) status: u16,
    /// Bytes of the response's body, or to the client after a switch of protocols.
    pub(crate) sent: u64,
    /// Bytes from the client after a switch of protocols.
    pub(crate) received: Option<u64>,
    /// Why the edge answered itself, or why the response was cut.
    pub(crate) reason: Option<Reason>,
    /// Whether the client went away before its response was through.
    pub(crate) gone: bool,
    /// Replicas that were asked.
    pub(crate) tries: u8,
    /// Until the last byte of its answer.
    pub(crate) took: Duration,
    /// How long its service took for the head of the answer once it had the request, or went without one.
    pub(crate) waited: Option<Duration>,
}

impl Record {
    /// Of a request that has just arrived.
    pub(crate) fn new(at: Timestamp, client: IpAddr) -> Self {
        Self {
            at,
            client,
            method: String::new(),
            host: String::new(),
            path: String::new(),
            request_id: String::new(),
            trace_id: String::new(),
            tenant: None,
            route: None,
            service: None,
            replica: None,
            status: 0,
            sent: 0,
            received: None,
            reason: None,
            gone: false,
            tries: 0,
            took: Duration::ZERO,
            waited: None,
        }
    }

    /// How it went.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.reason {
            _ if self.gone => Outcome::Gone,
            Some(Reason::AnswerNotTaken) => Outcome::Gone,
            Some(reason) if reason.is_of_service() => Outcome::Failed,
            Some(reason) if reason.is_of_edge() => Outcome::FailedHere,
            _ => Outcome::Answered(self.status),
        }
    }
}
