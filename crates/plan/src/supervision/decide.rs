//! The decision: for each unit the one next action, or what it waits for and until when.
//!
//! Start reading at [`decide()`]. The caller carries the actions out, notes what came of them, and asks again
//! until there is no action left; then it sleeps until an event or [`Decision::wake_at`].

use std::collections::BTreeMap;
use std::time::Duration;

use model::UnitId;

use super::observed::{Answers, Link, Observed, Phase, ProbeKind, StopReason};
use super::{Life, ProbePolicy, Requirement, Standing, Unit, order};
use crate::backoff::scramble;

/// How long a unit that has never been ready is spared its liveness question.
pub const START_MAX: Duration = Duration::from_secs(600);
/// How long after a stop's deadline its shim is believed to be still at it.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long a shim that lives is sought before it is taken for stuck and killed.
pub const SEEK_MAX: Duration = Duration::from_secs(60);
/// How long an opened connection may stay silent before it is opened again.
pub const GREETING_MAX: Duration = Duration::from_secs(10);
/// How long a shim may take to end after its child, unless it still tries to write its exit record.
pub const ENDING_MAX: Duration = Duration::from_secs(5);

/// One thing to do to one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read its record and find out what is there.
    Read,
    /// Write its record.
    Save,
    /// Drop it from memory: it is not wanted and nothing of it is there.
    Drop,
    /// Begin the task that prepares it.
    Prepare,
    /// Forget that it was prepared.
    Abandon,
    /// Start its shim.
    Launch,
    /// Connect to its shim, or find out that there is none.
    Connect,
    /// Look whether its shim has ended.
    Look,
    /// Ask a question.
    Ask(ProbeKind),
    /// Count a question as answered with no: the answer is overdue.
    CountLost(ProbeKind),
    /// Note that it is ready: it has no readiness probe and its child runs.
    CountReady,
    /// Begin the task that completes it.
    Complete,
    /// Ask it to stop within its deadline.
    Stop(StopReason),
    /// Kill its shim: it is stuck.
    Kill,
    /// Go on without its shim's word: its child has ended and that is recorded.
    LeaveShim,
    /// Kill what is left of it, and find out whether that was all.
    Sweep,
}

/// What a unit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingOn {
    /// This must hold before it starts.
    Requirement(Requirement),
    /// It has failed and is tried again at this steady time.
    BackOff {
        /// When.
        until: Duration,
        /// How many failures in a row there were.
        failures: u32,
        /// Whether they are a loop.
        looping: bool,
    },
    /// The machine refused the next step, which is tried again at this steady time.
    Trouble(Duration),
    /// A task that prepares it.
    Preparation,
    /// A task that completes it.
    Completion,
    /// Its readiness probe.
    Readiness,
    /// This unit, which needs it, is to be gone first.
    Dependent(UnitId),
    /// It was asked to stop, and is killed at this steady time.
    StopBy(Duration),
    /// It ran once and failed; it is not tried again by itself.
    Someone,
    /// Somebody who can tell again how it is to run.
    Hold,
}

/// What is to happen next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// At most one action for each unit.
    pub actions: Vec<(UnitId, Action)>,
    /// What units without an action wait for.
    pub waiting: BTreeMap<UnitId, WaitingOn>,
    /// The steady time by which to decide again although nothing happened.
    pub wake_at: Option<Duration>,
}

/// Under which circumstances it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The steady time.
    pub now: Duration,
    /// What the jitter is drawn from.
    pub seed: u64,
    /// Whether it is known what is wanted. Before, units are only found, never started or stopped.
    pub told: bool,
}

/// Decides about every unit.
pub fn decide<E: AsRef<Standing>>(units: &BTreeMap<UnitId, E>, circumstances: Circumstances) -> Decision {
    let deadlocked = order::deadlocked(units);
    let mut decision = Decision::default();
    for (id, entry) in units {
        let view = View { id, units, circumstances, deadlocked };
        match view.turn(entry.as_ref()) {
            Turn::Act(action) => decision.actions.push((id.clone(), action)),
            Turn::Wait(reason, until) => {
                decision.waiting.insert(id.clone(), reason);
                decision.wake_by(until);
            }
            Turn::Rest(until) => decision.wake_by(until),
        }
    }
    decision
}

impl Decision {
    fn wake_by(&mut self, at: Option<Duration>) {
        self.wake_at = match (self.wake_at, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// What comes next for one unit.
enum Turn {
    Act(Action),
    Wait(WaitingOn, Option<Duration>),
    Rest(Option<Duration>),
}

struct View<'a, E> {
    id: &'a UnitId,
    units: &'a BTreeMap<UnitId, E>,
    circumstances: Circumstances,
    deadlocked: bool,
}

impl<E: AsRef<Standing>> View<'_, E> {
    fn turn(&self, standing: &Standing) -> Turn {
        let observed = &standing.observed;
        match observed.phase {
            Phase::Unread => self.when_free(observed, Action::Read),
            Phase::Down => self.down(standing),
            Phase::Preparing => Turn::Wait(WaitingOn::Preparation, None),
            Phase::Prepared => self.prepared(standing),
            Phase::Seeking => self.seeking(standing),
            Phase::Up => self.up(standing),
            Phase::Ending => self.ending(observed),
            Phase::Remains => self.when_free(observed, Action::Sweep),
        }
    }

    const fn now(&self) -> Duration {
        self.circumstances.now
    }

    /// The action, unless the machine refused it a moment ago.
    fn when_free(&self, observed: &Observed, action: Action) -> Turn {
        match observed.retry_at {
            Some(at) if at > self.now() => Turn::Wait(WaitingOn::Trouble(at), Some(at)),
            _ => Turn::Act(action),
        }
    }

    fn down(&self, standing: &Standing) -> Turn {
        if !self.circumstances.told {
            return Turn::Rest(None);
        }
        let observed = &standing.observed;
        let Some(wanted) = &standing.wanted else {
            return match self.saving(observed) {
                Saving::Due => Turn::Act(Action::Save),
                Saving::At(at) => Turn::Wait(WaitingOn::Trouble(at), Some(at)),
                Saving::Done if standing.left_alone => Turn::Wait(WaitingOn::Hold, None),
                Saving::Done => Turn::Act(Action::Drop),
            };
        };
        match (self.start_awaits(wanted, observed), self.saving(observed)) {
            (Some(_), Saving::Due) => Turn::Act(Action::Save),
            (Some(StartAwaits::Nothing), Saving::At(at)) => Turn::Wait(WaitingOn::Trouble(at), Some(at)),
            (Some(StartAwaits::Nothing), Saving::Done) => Turn::Rest(None),
            (Some(StartAwaits::This(reason, until)), Saving::At(at)) => Turn::Wait(reason, earliest(until, Some(at))),
            (Some(StartAwaits::This(reason, until)), Saving::Done) => Turn::Wait(reason, until),
            (None, _) if wanted.prepared => self.when_free(observed, Action::Prepare),
            (None, _) => self.when_free(observed, Action::Launch),
        }
    }

    /// Whether its record is to be written now.
    fn saving(&self, observed: &Observed) -> Saving {
        match observed.save_at {
            _ if !observed.unsaved => Saving::Done,
            Some(at) if at > self.now() => Saving::At(at),
            _ => Saving::Due,
        }
    }

    /// What stands between a wanted unit and its start.
    fn start_awaits(&self, wanted: &Unit, observed: &Observed) -> Option<StartAwaits> {
        if matches!(wanted.life, Life::Once { .. }) {
            if observed.succeeded == Some(wanted.digest) {
                return Some(StartAwaits::Nothing);
            }
            if observed.gave_up == Some(wanted.digest) {
                return Some(StartAwaits::This(WaitingOn::Someone, None));
            }
        }
        if let Some(requirement) = order::unmet(wanted, self.units) {
            return Some(StartAwaits::This(WaitingOn::Requirement(requirement.clone()), None));
        }
        let failures = (observed.failures_of == Some(wanted.digest)).then_some(&observed.failures)?;
        let until = failures.next_try(self.id, self.circumstances.seed ^ number_of(self.id))?;
        (until > self.now()).then(|| {
            let reason = WaitingOn::BackOff { until, failures: failures.in_a_row(), looping: failures.looping() };
            StartAwaits::This(reason, Some(until))
        })
    }

    fn prepared(&self, standing: &Standing) -> Turn {
        let observed = &standing.observed;
        match &standing.wanted {
            Some(wanted) if observed.prepared == Some(wanted.digest) => match order::unmet(wanted, self.units) {
                Some(requirement) => Turn::Wait(WaitingOn::Requirement(requirement.clone()), None),
                None => self.when_free(observed, Action::Launch),
            },
            _ => Turn::Act(Action::Abandon),
        }
    }

    fn seeking(&self, standing: &Standing) -> Turn {
        let observed = &standing.observed;
        if let Some(turn) = self.stopping(standing) {
            return turn;
        }
        let give_up = observed.since.saturating_add(SEEK_MAX);
        if give_up <= self.now() {
            return Turn::Act(Action::Kill);
        }
        let save_at = match self.saving(observed) {
            Saving::Due => return Turn::Act(Action::Save),
            Saving::At(at) => Some(at),
            Saving::Done => None,
        };
        match observed.link {
            Link::Opening(since) if self.now() < since.saturating_add(GREETING_MAX) => {
                let silent = since.saturating_add(GREETING_MAX);
                self.rest_while_stopping(observed, earliest(Some(silent.min(give_up)), save_at))
            }
            _ => match observed.retry_at {
                Some(at) if at > self.now() => {
                    self.rest_while_stopping(observed, earliest(Some(at.min(give_up)), save_at))
                }
                _ => Turn::Act(Action::Connect),
            },
        }
    }

    fn up(&self, standing: &Standing) -> Turn {
        if let Some(turn) = self.stopping(standing) {
            return turn;
        }
        let observed = &standing.observed;
        if observed.stop.is_some() {
            return self.rest_while_stopping(observed, None);
        }
        let Some(unit) = &standing.wanted else { return Turn::Rest(None) };
        let mut wake = None;
        for (kind, policy) in [(ProbeKind::Ready, &unit.ready), (ProbeKind::Live, &unit.live)] {
            match self.question(observed, kind, policy.as_ref()) {
                Err(action) => return Turn::Act(action),
                Ok(at) => wake = earliest(wake, at),
            }
        }
        match self.saving(observed) {
            Saving::Due => return Turn::Act(Action::Save),
            Saving::At(at) => wake = earliest(wake, Some(at)),
            Saving::Done => {}
        }
        if observed.answers == Answers::NotYet {
            return Turn::Wait(WaitingOn::Readiness, wake);
        }
        self.completion(unit, observed, wake)
    }

    /// The next action about one question, or when it is due.
    fn question(
        &self,
        observed: &Observed,
        kind: ProbeKind,
        policy: Option<&ProbePolicy>,
    ) -> Result<Option<Duration>, Action> {
        let asking = match kind {
            ProbeKind::Ready => &observed.ready,
            ProbeKind::Live => &observed.live,
        };
        let due = match (kind, policy) {
            (ProbeKind::Ready, None) if observed.answers != Answers::Yes => return Err(Action::CountReady),
            (_, None) => return Ok(None),
            // What has never been ready is still starting, and a slow start is no death; a start that never
            // ends is one.
            (ProbeKind::Live, Some(_)) if observed.answers == Answers::NotYet => {
                asking.lost_at.unwrap_or(asking.next).max(observed.started.saturating_add(START_MAX))
            }
            (_, Some(_)) => asking.lost_at.unwrap_or(asking.next),
        };
        match (due > self.now(), asking.lost_at) {
            (true, _) => Ok(Some(due)),
            (false, Some(_)) => Err(Action::CountLost(kind)),
            (false, None) => Err(Action::Ask(kind)),
        }
    }

    fn completion(&self, wanted: &Unit, observed: &Observed, wake: Option<Duration>) -> Turn {
        if wanted.completed.is_none() || observed.completed == wanted.completed {
            return match observed.answers {
                Answers::NoLonger => Turn::Wait(WaitingOn::Readiness, wake),
                _ => Turn::Rest(wake),
            };
        }
        if observed.completing || observed.answers != Answers::Yes {
            return Turn::Wait(WaitingOn::Completion, wake);
        }
        match observed.completion_failures.next_try(self.id, self.circumstances.seed ^ number_of(self.id)) {
            Some(at) if at > self.now() => Turn::Wait(WaitingOn::Completion, earliest(wake, Some(at))),
            _ => Turn::Act(Action::Complete),
        }
    }

    /// The next action of a stop that is due or under way; none while there is nothing to stop or the shim
    /// is at it.
    fn stopping(&self, standing: &Standing) -> Option<Turn> {
        let observed = &standing.observed;
        if let Some(stop) = &observed.stop {
            let overdue = stop.deadline.saturating_add(STOP_GRACE) <= self.now();
            return overdue.then_some(Turn::Act(Action::Kill));
        }
        let reason = self.stop_reason(standing)?;
        if reason == StopReason::Unwanted
            && !self.deadlocked
            && let Some(dependent) = order::dependent_to_stop_first(self.id, self.units)
        {
            // While it waits it must still be found: an action of seeking goes on.
            return (observed.phase == Phase::Up).then(|| Turn::Wait(WaitingOn::Dependent(dependent.clone()), None));
        }
        Some(Turn::Act(Action::Stop(reason)))
    }

    fn stop_reason(&self, standing: &Standing) -> Option<StopReason> {
        let observed = &standing.observed;
        if !self.circumstances.told || standing.left_alone {
            return None;
        }
        match (&standing.wanted, &observed.running) {
            (None, _) => Some(StopReason::Unwanted),
            (Some(wanted), Some(running)) if wanted.digest != running.digest => Some(StopReason::Replaced),
            _ => observed.stop_due,
        }
    }

    fn rest_while_stopping(&self, observed: &Observed, wake: Option<Duration>) -> Turn {
        match &observed.stop {
            Some(stop) => {
                let overdue = stop.deadline.saturating_add(STOP_GRACE);
                Turn::Wait(WaitingOn::StopBy(stop.deadline), earliest(wake, Some(overdue)))
            }
            None => Turn::Rest(wake),
        }
    }

    fn ending(&self, observed: &Observed) -> Turn {
        let patience = observed.since.saturating_add(ENDING_MAX);
        // Processes that were asked to stop together with the child keep the time they were given.
        let patience = observed.stop.as_ref().map_or(patience, |stop| patience.max(stop.deadline + STOP_GRACE));
        if patience > self.now() {
            return match observed.retry_at {
                Some(at) if at > self.now() => Turn::Rest(Some(at)),
                _ => Turn::Act(Action::Look),
            };
        }
        match self.saving(observed) {
            Saving::Due => Turn::Act(Action::Save),
            // Its shim still tries to write down that it succeeded, and may be the only one to do so. Any other
            // end may be forgotten rather than hold up a stop.
            Saving::At(at) if observed.succeeded.is_some_and(|digest| observed.runs(digest)) => {
                Turn::Wait(WaitingOn::Trouble(at), Some(at))
            }
            Saving::At(_) | Saving::Done => Turn::Act(Action::LeaveShim),
        }
    }
}

/// See [`View::saving`].
enum Saving {
    Due,
    At(Duration),
    Done,
}

/// See [`View::start_awaits`].
enum StartAwaits {
    /// It has run once; there is nothing to start.
    Nothing,
    /// This, perhaps until a known time.
    This(WaitingOn, Option<Duration>),
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A number for each unit, so that units that failed together are not tried again together (FNV-1a).
fn number_of(id: &UnitId) -> u64 {
    let hash = id
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    scramble(hash)
}
