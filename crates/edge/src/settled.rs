//! The settings that a thread works by, and how the requests went that began by them. Start reading at [`Settled`].
//!
//! Routes are known by their place in the settings, so counts stay with the settings that they speak of until they are
//! named: a request that outlives its settings is booked where it was asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use model::{ReleaseNumber, ReplicaNumber};

use crate::evidence::{Arm, Counts, Evidence, Outcome};
use crate::live::Live;
use crate::serve::Record;
use crate::table::RouteIndex;

/// What tells arms apart as long as the settings are known.
type Place = (RouteIndex, Option<(ReleaseNumber, ReplicaNumber)>);

/// Settings, shared by this thread's requests alone: a count that threads share would be the one word of memory that every
/// request of every core writes to.
pub(crate) struct Settled {
    live: Arc<Live>,
    evidence: RefCell<Evidence<Place>>,
}

impl Deref for Settled {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Settled {
    /// Settings by which nothing was asked yet.
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { live, evidence: RefCell::default() }
    }

    /// Counts a request that is through, at the replica that answered it. What is the edge's own failure is no replica's.
    pub(crate) fn count(&self, record: &Record) {
        let Some(route) = record.route else { return };
        let outcome = record.outcome();
        let replica = record.replica.filter(|_| outcome != Outcome::FailedHere);
        self.evidence.borrow_mut().count((route, replica), outcome, record.waited);
    }

    /// Counts a replica's failure after which another one is asked.
    pub(crate) fn count_retried(&self, route: RouteIndex, replica: (ReleaseNumber, ReplicaNumber)) {
        self.evidence.borrow_mut().count_retried((route, Some(replica)));
    }

    /// What was counted since this was last asked.
    pub(crate) fn take_evidence(&self) -> BTreeMap<Arm, Counts> {
        let taken = self.evidence.borrow_mut().take();
        taken.into_iter().filter_map(|(place, counts)| Some((self.arm(place)?, counts))).collect()
    }

    fn arm(&self, (route, replica): Place) -> Option<Arm> {
        let route = self.route(route)?;
        Some(Arm {
            route: format!("{} {}", route.host, route.path),
            service: route.to.clone(),
            release: replica.map(|(release, _)| release),
            replica: replica.map(|(_, replica)| replica),
        })
    }
}
