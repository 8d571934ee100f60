//! What was asked for and waits for its turn: restarts and runs by hand. Start reading at [`Node::go_on_with_pending`].
//!
//! Nothing waits forever: a restart is given up at its deadline, and a run when nobody waits for it any more.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Exit, ExitStatus, Happening, ReleaseNumber, ReplicaNumber, ServiceName, Span, UnitId};
use plan::traffic;
use supervise::supervisor::{Notice, State};

use super::Node;

/// How long a restart may take to get to the last replica, unless its caller says otherwise.
const RESTART_TIME_MAX: Span = Span::secs(60);
/// A run that waits begins only while somebody asks how it stands, at least this often. In seconds.
const RUN_ASKED_EVERY: u32 = 5;
/// How often a node that has nothing else to do counts that nobody asked.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// For how long nobody has asked after a run that waits. Only what a node counts while no call waits to be answered is
/// time in which nobody asked: one that was busy, or stopped, for a minute has counted a second of it at the most.
#[derive(Debug)]
pub(super) struct Unasked {
    seconds: u32,
    /// When it was last counted, in steady time.
    counted: Duration,
}

/// A restart of a service that goes from replica to replica.
#[derive(Debug)]
pub(super) struct Restart {
    /// The replicas that are still to be restarted.
    replicas: BTreeSet<(ReleaseNumber, ReplicaNumber)>,
    /// How long it may take.
    within: Span,
    /// When that is over, in steady time.
    until: Duration,
}

impl Restart {
    /// When it is given up, in steady time.
    pub(super) fn until(&self) -> Duration {
        self.until
    }
}

impl Unasked {
    /// When to count again, in steady time.
    pub(super) fn counted_next(&self) -> Duration {
        self.counted.saturating_add(COUNT_EVERY)
    }
}

impl Node {
    /// Gives up what has waited for too long, and restarts what is next.
    pub(super) fn go_on_with_pending(&mut self) {
        self.give_up_runs();
        self.give_up_restarts();
        self.restart_withdrawn();
        self.restart_next();
    }

    /// Restarts all replicas of a service, one after the other.
    pub(super) fn begin_restart(&mut self, service: &ServiceName, within: Option<Span>) {
        let replicas = self.applied.rollouts.get(service).cloned().unwrap_or_default();
        let within = within.unwrap_or(RESTART_TIME_MAX);
        let until = self.now().steady.saturating_add(within.duration());
        self.agenda.restarts.insert(service.clone(), Restart { replicas, within, until });
    }

    /// Whether replicas of a service are still to be restarted.
    pub(super) fn is_restarting(&self, service: &ServiceName) -> bool {
        self.agenda.restarts.contains_key(service)
            || self.agenda.withdrawn.keys().any(|unit| unit.service() == Some(service))
    }

    /// Withdraws the next of the replicas whose restart was asked for, once the others are ready.
    fn restart_next(&mut self) {
        if self.agenda.restarts.is_empty() || !self.agenda.withdrawn.is_empty() {
            return;
        }
        let units = self.supervisor.snapshot();
        let mut next = Vec::new();
        for (service, Restart { replicas: pending, .. }) in &mut self.agenda.restarts {
            let Some(observed) = services::rollout::observe(service, &units) else { continue };
            pending
                .retain(|(release, number)| observed.iter().any(|it| it.release == *release && it.number == *number));
            if let Some(key) = plan::rollout::next_restart(pending, &observed) {
                pending.remove(&key);
                next.push(UnitId::Replica(service.clone(), key.0, key.1));
            }
        }
        self.agenda.restarts.retain(|_, restart| !restart.replicas.is_empty());
        let now = self.now().steady;
        self.agenda.withdrawn.extend(next.into_iter().map(|unit| (unit, now)));
        // The edge is told at once; without one nothing has to be waited for.
        self.seen = None;
        self.restart_withdrawn();
    }

    /// Restarts those of the replicas that were withdrawn for it to which nothing is sent any more.
    fn restart_withdrawn(&mut self) {
        if self.agenda.withdrawn.is_empty() {
            return;
        }
        let (reach, now) = (self.reach(&self.supervisor.snapshot()), self.now().steady);
        let withdrawn = traffic::withdraw(self.agenda.withdrawn.keys().cloned(), &self.agenda.withdrawn, &reach, now);
        for unit in withdrawn.since.keys().filter(|unit| !withdrawn.kept.contains(*unit)) {
            // One that is not wanted any more needs no restart.
            let _gone = self.supervisor.restart(unit).is_err();
            self.agenda.withdrawn.remove(unit);
        }
    }

    fn give_up_restarts(&mut self) {
        let now = self.now();
        for (service, restart) in self.agenda.restarts.extract_if(.., |_, restart| restart.until <= now.steady) {
            let unit = |(release, number): &(ReleaseNumber, ReplicaNumber)| {
                UnitId::Replica(service.clone(), *release, *number).to_string()
            };
            let left: Vec<String> = restart.replicas.iter().map(unit).collect();
            let reason = format!(
                "within {} the turn of {} did not come: a replica is restarted once all others are ready",
                restart.within,
                left.join(", ")
            );
            let what = Happening::RestartGivenUp { service };
            self.backlog.push(Notice { at: now.wall, what, reason, evidence: Vec::new() });
        }
    }

    /// Notes that somebody waits for a run.
    pub(super) fn note_asked_after(&mut self, unit: &UnitId) {
        let counted = self.now().steady;
        if let Some(unasked) = self.agenda.unasked.get_mut(unit) {
            *unasked = Unasked { seconds: 0, counted };
        }
    }

    /// Counts that nobody has asked; no call waits to be answered.
    pub(super) fn count_unasked(&mut self) {
        let now = self.now().steady;
        for unasked in self.agenda.unasked.values_mut() {
            if now.saturating_sub(unasked.counted) >= COUNT_EVERY {
                unasked.seconds = unasked.seconds.saturating_add(1);
                unasked.counted = now;
            }
        }
    }

    /// Ends the runs by hand that have not begun and that nobody waits for any more.
    fn give_up_runs(&mut self) {
        let counted = self.now().steady;
        let waiting = self.waiting_runs();
        self.agenda.unasked.retain(|unit, _| waiting.contains(unit));
        for unit in waiting {
            self.agenda.unasked.entry(unit).or_insert(Unasked { seconds: 0, counted });
        }
        let is_over = |(_, unasked): &(&UnitId, &Unasked)| unasked.seconds >= RUN_ASKED_EVERY;
        let over: Vec<UnitId> = self.agenda.unasked.iter().filter(is_over).map(|(unit, _)| unit.clone()).collect();
        // What is not written down is tried again with the next look at what waits, and what is behind it too.
        let _all_given_up = over.iter().all(|unit| self.give_up_run(unit));
    }

    /// The runs by hand that wait for what they need. Nothing of them has been started.
    fn waiting_runs(&self) -> BTreeSet<UnitId> {
        let by_hand = |unit: &UnitId| self.applied.runs.get(unit).is_some_and(|run| run.by_hand && run.ended.is_none());
        if !self.applied.runs.keys().any(by_hand) {
            return BTreeSet::new();
        }
        let waiting = self.supervisor.snapshot().into_iter().filter(|unit| unit.state == State::Waiting);
        waiting.map(|unit| unit.unit).filter(by_hand).collect()
    }

    /// Ends a run that has not begun. False where that could not be written down.
    fn give_up_run(&mut self, unit: &UnitId) -> bool {
        let at = self.now().wall;
        if !self.end_run(unit, Exit { at, status: ExitStatus::NotStarted }) {
            return false;
        }
        self.agenda.unasked.remove(unit);
        self.seen = None;
        let what = Happening::RunGivenUp { unit: unit.clone() };
        let reason = format!("nobody asked how it stands for {RUN_ASKED_EVERY} s, and it had not begun");
        self.backlog.push(Notice { at, what, reason, evidence: Vec::new() });
        true
    }
}
