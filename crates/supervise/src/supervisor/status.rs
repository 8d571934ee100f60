//! How units stand, for `status`: a copy that nothing else depends on.
//!
//! Start reading at [`UnitStatus`].

use std::time::Duration;

use model::{Address, Digest, Pid, UnitId};
use plan::supervision::{Answers, Life, Phase, WaitingOn};

use super::entry::Entry;
use crate::record::LastFailure;

/// One unit as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStatus {
    /// Which.
    pub unit: UnitId,
    /// Whether it is known how it is to run; also of one that is held and goes on as it was last wanted.
    pub wanted: bool,
    /// Whether it is held and how it was last wanted is not known, so that it is neither started nor stopped.
    pub left_alone: bool,
    /// How it stands.
    pub state: State,
    /// Since when, on the steady clock.
    pub since: Duration,
    /// The digest of what runs or ran last.
    pub digest: Option<Digest>,
    /// Its child's process id.
    pub pid: Option<Pid>,
    /// Its shim's process id.
    pub shim: Option<Pid>,
    /// Where it listens.
    pub address: Option<Address>,
    /// When its child was last started, on the steady clock.
    pub started: Option<Duration>,
    /// How often it was started again after it failed.
    pub restarts: u64,
    /// How often it has failed in a row.
    pub failures: u32,
    /// How often in a row its liveness probe has failed since it was last started.
    pub liveness_failures: u32,
    /// Why it last failed.
    pub last_failure: Option<LastFailure>,
    /// What it waits for.
    pub waiting: Option<WaitingOn>,
    /// What the machine refuses at the moment, as a sentence, and how often in a row.
    pub trouble: Option<(String, u32)>,
}

impl UnitStatus {
    /// Whether it is wanted or left alone; one that is neither is on its way out.
    pub const fn stays(&self) -> bool {
        self.wanted || self.left_alone
    }
}

/// How a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being found out whether an earlier node left it running.
    Finding,
    /// It waits for what it requires, or for the machine to allow its next step.
    Waiting,
    /// A task prepares it.
    Preparing,
    /// Its shim was started.
    Launching,
    /// It runs and is not ready yet.
    Starting,
    /// It answers, and a task completes it before others may use it.
    Completing,
    /// It runs, answers and may be used.
    Ready,
    /// It runs, was ready and no longer answers.
    Unready,
    /// It was asked to stop.
    Stopping,
    /// It has ended, and what is left of it is cleared away.
    Clearing,
    /// It failed and waits for its next try.
    BackingOff,
    /// It failed so often that it is tried rarely.
    CrashLoop,
    /// It ran once and succeeded.
    Succeeded,
    /// It ran once, failed, and is not tried again by itself.
    Failed,
    /// Nothing of it is there.
    Down,
}

pub(super) fn of<Task>(unit: &UnitId, entry: &Entry<Task>) -> UnitStatus {
    let observed = &entry.standing.observed;
    UnitStatus {
        unit: unit.clone(),
        wanted: entry.standing.wanted.is_some(),
        left_alone: entry.standing.left_alone,
        state: state(entry),
        since: observed.since,
        digest: observed.running.as_ref().map(|running| running.digest),
        pid: entry.child.as_ref().map(|child| child.pid),
        shim: entry.shim.as_ref().map(|shim| shim.pid),
        address: entry.address(),
        started: entry.launched.map(|_| observed.started),
        restarts: entry.restarts,
        failures: observed.failures.in_a_row(),
        liveness_failures: observed.live.failures,
        last_failure: entry.last_failure.clone(),
        waiting: entry.waiting.clone(),
        trouble: entry.trouble.as_ref().map(|trouble| (trouble.what.clone(), trouble.times)),
    }
}

fn state<Task>(entry: &Entry<Task>) -> State {
    let observed = &entry.standing.observed;
    match observed.phase {
        Phase::Unread => State::Finding,
        Phase::Preparing => State::Preparing,
        Phase::Prepared => State::Waiting,
        Phase::Ending | Phase::Remains => State::Clearing,
        Phase::Seeking | Phase::Up if observed.stop.is_some() => State::Stopping,
        Phase::Seeking if entry.found => State::Finding,
        Phase::Seeking if observed.answers == Answers::NotYet => State::Launching,
        Phase::Seeking | Phase::Up => running(entry),
        Phase::Down => down(entry),
    }
}

fn running<Task>(entry: &Entry<Task>) -> State {
    let observed = &entry.standing.observed;
    match observed.answers {
        Answers::NotYet => State::Starting,
        Answers::NoLonger => State::Unready,
        Answers::Yes => match &entry.standing.wanted {
            Some(wanted) if wanted.completed.is_some() && wanted.completed != observed.completed => State::Completing,
            _ => State::Ready,
        },
    }
}

fn down<Task>(entry: &Entry<Task>) -> State {
    let observed = &entry.standing.observed;
    let Some(wanted) = &entry.standing.wanted else {
        return if entry.standing.left_alone { State::Waiting } else { State::Down };
    };
    let once = matches!(wanted.life, Life::Once { .. });
    match &entry.waiting {
        _ if once && observed.succeeded == Some(wanted.digest) => State::Succeeded,
        _ if once && observed.gave_up == Some(wanted.digest) => State::Failed,
        Some(WaitingOn::BackOff { looping: true, .. }) => State::CrashLoop,
        Some(WaitingOn::BackOff { .. }) => State::BackingOff,
        _ => State::Waiting,
    }
}
