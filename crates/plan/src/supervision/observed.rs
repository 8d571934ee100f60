//! What is known of one unit, and how what happens to it changes that.
//!
//! Start reading at [`Observed`]. Invariant: every method only notes what happened; what follows from it is
//! [`super::decide()`]'s.

use std::time::Duration;

use model::{Digest, ExitStatus};

use super::{Life, ProbePolicy, Unit};
use crate::backoff::Failures;

/// How much later than its timeout a probe's answer may come before it counts as lost.
pub const ANSWER_SLACK: Duration = Duration::from_secs(5);

/// From a failed readiness probe to the next while a unit starts, at least.
pub const STARTING_FIRST: Duration = Duration::from_millis(50);
/// The same as a part of the time since its start, up to what its policy says.
pub const STARTING_PART: u32 = 4;

/// Where a unit is between nothing and a running child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its record has not been read yet: anything may be there.
    Unread,
    /// Nothing of it is there.
    Down,
    /// A task prepares it.
    Preparing,
    /// The task has prepared it; what it was prepared for is [`Observed::prepared`].
    Prepared,
    /// A shim was started or is recorded, and has not told us about its child on this connection.
    Seeking,
    /// Its child runs and its shim is connected.
    Up,
    /// Its child has ended; its shim has not.
    Ending,
    /// Its shim is gone; processes of it may be left.
    Remains,
}

/// What its readiness probe last came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Not yet since it was started.
    NotYet,
    /// It answers.
    Yes,
    /// It did, and does not any more.
    NoLonger,
}

/// The connection to its shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// None.
    Closed,
    /// Opened at this time, and nothing heard yet.
    Opening(Duration),
    /// The shim has greeted us.
    Open,
}

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// May it get work?
    Ready,
    /// Is it still alive?
    Live,
}

/// The course of one question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asking {
    /// When the answer under way counts as lost.
    pub lost_at: Option<Duration>,
    /// When it is asked next.
    pub next: Duration,
    /// How many failures in a row.
    pub failures: u32,
}

/// Why a unit is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It is not wanted any more.
    Unwanted,
    /// Another digest of it is wanted.
    Replaced,
    /// Its liveness probe failed.
    Unhealthy,
    /// A restart was asked for.
    Asked,
    /// Its record is lost, and with it where it listens.
    Unrecorded,
    /// An earlier node had begun to stop it.
    Begun,
}

/// A stop under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// By when its shim has killed it.
    pub deadline: Duration,
    /// Why.
    pub why: StopReason,
}

/// What a probe's answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Same,
    /// It answers now, and did not before.
    Ready,
    /// It no longer answers.
    Unready,
    /// It is not alive.
    Dead,
}

/// What the end of a child means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    AsAsked,
    /// It did what it was started for.
    Succeeded,
    /// It should not have.
    Failed {
        /// How many failures in a row this makes.
        in_a_row: u32,
        /// Whether with this one they became a loop.
        loop_begins: bool,
    },
}

/// What is known of one unit. All times are on the steady clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub since: Duration,
    /// The unit as it was last started, whether or not it runs.
    pub running: Option<Unit>,
    /// When it was last started.
    pub started: Duration,
    /// The digest it is prepared for.
    pub prepared: Option<Digest>,
    /// The connection to its shim.
    pub link: Link,
    /// A stop under way.
    pub stop: Option<Stopping>,
    /// What its readiness probe came to.
    pub answers: Answers,
    /// The course of its readiness probe.
    pub ready: Asking,
    /// The course of its liveness probe.
    pub live: Asking,
    /// Why it is to be stopped although it is wanted as it is: it was found dead, or a restart was asked for.
    pub stop_due: Option<StopReason>,
    /// What it is completed to.
    pub completed: Option<Digest>,
    /// Whether a task completes it now.
    pub completing: bool,
    /// The failures to complete it.
    pub completion_failures: Failures,
    /// The failures of `failures_of`.
    pub failures: Failures,
    /// Which digest failed; another one starts with a clean slate.
    pub failures_of: Option<Digest>,
    /// The digest that ran once and succeeded.
    pub succeeded: Option<Digest>,
    /// The digest that ran once, failed, and is not tried again.
    pub gave_up: Option<Digest>,
    /// When the last step that the machine refused is tried again.
    pub retry_at: Option<Duration>,
    /// When its record is written again after the machine refused that. Apart from `retry_at`, so that a
    /// full disk keeps no shim from being found.
    pub save_at: Option<Duration>,
    /// Whether something is known that its record does not hold.
    pub unsaved: bool,
}

impl Observed {
    /// A unit of which nothing is known.
    pub fn unread(now: Duration) -> Self {
        Self {
            phase: Phase::Unread,
            since: now,
            running: None,
            started: now,
            prepared: None,
            link: Link::Closed,
            stop: None,
            answers: Answers::NotYet,
            ready: Asking::default(),
            live: Asking::default(),
            stop_due: None,
            completed: None,
            completing: false,
            completion_failures: Failures::default(),
            failures: Failures::default(),
            failures_of: None,
            succeeded: None,
            gave_up: None,
            retry_at: None,
            save_at: None,
            unsaved: false,
        }
    }

    /// How many failures in a row the next start of this digest comes after; none when it was last stopped
    /// on purpose.
    pub fn failed_before(&self, digest: Digest) -> u32 {
        let failed_last = self.failures.last().is_some_and(|last| last >= self.started);
        if failed_last && self.failures_of == Some(digest) { self.failures.in_a_row() } else { 0 }
    }

    /// Whether it was last started with this digest.
    pub fn runs(&self, digest: Digest) -> bool {
        self.running.as_ref().is_some_and(|running| running.digest == digest)
    }

    /// Goes to a phase.
    pub fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.since = now;
        self.retry_at = None;
    }

    /// The question of this kind.
    pub fn asking(&mut self, kind: ProbeKind) -> &mut Asking {
        match kind {
            ProbeKind::Ready => &mut self.ready,
            ProbeKind::Live => &mut self.live,
        }
    }

    /// It is about to be started as this unit.
    pub fn starting(&mut self, unit: &Unit, now: Duration) {
        self.running = Some(unit.clone());
        self.started = now;
        self.prepared = None;
        self.link = Link::Closed;
        self.stop = None;
        self.answers = Answers::NotYet;
        self.ready = Asking { next: now, ..Asking::default() };
        self.live = Asking { next: now, ..Asking::default() };
        self.stop_due = None;
        self.completed = None;
        self.completion_failures = Failures::default();
        self.forget_failures_of_others(unit);
    }

    /// A restart is asked for: earlier failures do not count any more.
    pub fn ask_restart(&mut self) {
        if matches!(self.phase, Phase::Seeking | Phase::Up) {
            self.stop_due = Some(StopReason::Asked);
        }
        self.forgive();
        self.gave_up = None;
    }

    /// Earlier failures are no reason to wait any more.
    pub fn forgive(&mut self) {
        self.failures = Failures::default();
    }

    /// An attempt to start failed before there was a child.
    pub fn start_failed(&mut self, unit: &Unit, now: Duration) -> Ended {
        self.forget_failures_of_others(unit);
        self.prepared = None;
        self.enter(Phase::Down, now);
        // Nothing of it ran: even what is not to be retried may be started once more.
        self.note_failure(unit, Duration::ZERO, now)
    }

    /// Its child ended, or turned out to have, after it had run for `ran`.
    pub fn ended(&mut self, status: ExitStatus, ran: Duration, now: Duration) -> Ended {
        let asked = self.stop.as_ref().is_some_and(|stop| stop.why != StopReason::Unhealthy);
        self.answers = Answers::NotYet;
        self.completed = None;
        self.stop_due = None;
        self.unsaved = true;
        let Some(unit) = self.running.clone() else { return Ended::AsAsked };
        match unit.life {
            Life::Once { .. } if status.is_success() => {
                self.succeeded = Some(unit.digest);
                Ended::Succeeded
            }
            _ if asked => {
                self.failures.stopped(ran);
                Ended::AsAsked
            }
            life => {
                if life == (Life::Once { retry: false }) {
                    self.gave_up = Some(unit.digest);
                }
                self.note_failure(&unit, ran, now)
            }
        }
    }

    /// A probe was answered, yes or no.
    pub fn probed(&mut self, kind: ProbeKind, yes: bool, policy: &ProbePolicy, now: Duration) -> Verdict {
        let starting = kind == ProbeKind::Ready && self.answers == Answers::NotYet;
        // What starts is asked more often, the more so the shorter it has been at it.
        let soon = (now.saturating_sub(self.started) / STARTING_PART).max(STARTING_FIRST);
        let every = if starting { policy.every.min(soon) } else { policy.every };
        let asking = self.asking(kind);
        asking.lost_at = None;
        asking.next = now.saturating_add(every);
        asking.failures = if yes { 0 } else { asking.failures.saturating_add(1) };
        let out = asking.failures >= policy.failures.max(1);
        match kind {
            ProbeKind::Ready if yes && self.answers != Answers::Yes => {
                self.unsaved |= self.answers == Answers::NotYet;
                self.answers = Answers::Yes;
                self.live.next = self.live.next.max(now);
                Verdict::Ready
            }
            ProbeKind::Ready if out && self.answers == Answers::Yes => {
                self.answers = Answers::NoLonger;
                Verdict::Unready
            }
            ProbeKind::Live if out && self.stop_due.is_none() => {
                self.stop_due = Some(StopReason::Unhealthy);
                Verdict::Dead
            }
            _ => Verdict::Same,
        }
    }

    /// The task that completes it ended.
    pub fn completed(&mut self, to: Option<Digest>, succeeded: bool, now: Duration) {
        self.completing = false;
        match succeeded {
            true => {
                self.completed = to;
                self.completion_failures = Failures::default();
                self.unsaved = true;
            }
            false => self.completion_failures.failed(now, Duration::ZERO),
        }
    }

    fn forget_failures_of_others(&mut self, unit: &Unit) {
        if self.failures_of != Some(unit.digest) {
            self.failures = Failures::default();
            self.failures_of = Some(unit.digest);
        }
    }

    fn note_failure(&mut self, unit: &Unit, ran: Duration, now: Duration) -> Ended {
        let was_looping = self.failures.looping();
        self.failures.failed(now, ran);
        self.failures_of = Some(unit.digest);
        self.unsaved = true;
        Ended::Failed { in_a_row: self.failures.in_a_row(), loop_begins: !was_looping && self.failures.looping() }
    }
}
