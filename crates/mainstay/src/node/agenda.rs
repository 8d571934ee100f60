//! What waits for its time. Start reading at [`Agenda::due_in`].

use std::collections::BTreeMap;
use std::time::Duration;

use model::{ServiceName, UnitId};
use plan::traffic::Withdrawals;
use sys::Now;

use super::PERIOD;
use super::jobs::Upcoming;
use super::pending::{Restart, Unasked};

/// What waits for its time. Nothing of it does any more once everything is being stopped.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// When to ask again what is to run, in steady time.
    pub(super) look_at: Option<Duration>,
    /// The restarts that are under way.
    pub(super) restarts: BTreeMap<ServiceName, Restart>,
    /// Replicas that are to be restarted once the edge sends nothing to them any more, and since when.
    pub(super) withdrawn: Withdrawals,
    /// Replicas that are to go, and since when.
    pub(super) withdrawals: Withdrawals,
    /// When the edge's certificates are tried again after they could not be had, in steady time.
    pub(super) certify_at: Option<Duration>,
    /// Of each run by hand that has not begun, for how long nobody has asked after it.
    pub(super) unasked: BTreeMap<UnitId, Unasked>,
    /// What is next of each schedule.
    pub(super) upcoming: BTreeMap<ServiceName, Upcoming>,
    /// When a look at a schedule first found its service held, in steady time, until its occurrences are dealt with again.
    pub(super) held_from: BTreeMap<ServiceName, Duration>,
}

impl Agenda {
    /// How long until the first of it is due, [`PERIOD`] at most.
    pub(super) fn due_in(&self, now: Now) -> Duration {
        let restarts = self.restarts.values().map(Restart::until);
        let unasked = self.unasked.values().map(Unasked::counted_next);
        let steady = restarts.chain(unasked).chain(self.look_at).min();
        let steady = steady.map_or(PERIOD, |at| at.saturating_sub(now.steady));
        let run = self.upcoming.values().map(|it| it.look_at).min().map_or(PERIOD, |at| at.since(now.wall));
        steady.min(run).min(PERIOD)
    }
}
