//! What happens to each supervised unit next.
//!
//! Start reading at [`decide()`], which looks at every [`Standing`] and returns a [`Decision`]; how what
//! happened changes an [`Observed`] is in [`observed`], and who waits for whom in [`order`]. This module
//! never carries anything out and never sees a launch, a process or a file.

pub mod decide;
pub mod observed;
pub mod order;
#[cfg(test)]
mod tests;

pub use decide::{Action, Circumstances, Decision, WaitingOn, decide};
pub use observed::{Answers, Asking, Ended, Link, Observed, Phase, ProbeKind, StopReason, Stopping, Verdict};

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Digest, ResourceName, ServiceName, UnitId};

/// Something that is to run under a shim, as far as deciding about it needs to know. How exactly it is
/// started is the launch that belongs to it, which this module never sees.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unit {
    /// Which unit.
    pub id: UnitId,
    /// The digest of everything that makes it what it is; one that runs with another digest is replaced.
    pub digest: Digest,
    /// What must hold before it starts.
    pub requires: BTreeSet<Requirement>,
    /// Whether a task prepares it before each start (a data directory, configuration files).
    pub prepared: bool,
    /// The digest of what a task does to it after it became ready and before others may use it (roles,
    /// databases), if anything. When only this digest changes, the task runs again and the unit stays up.
    pub completed: Option<Digest>,
    /// How its readiness is asked, if it is.
    pub ready: Option<ProbePolicy>,
    /// How its liveness is asked, if it is.
    pub live: Option<ProbePolicy>,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// Whether it is to stay up or to run once.
    pub life: Life,
}

/// What must hold before a unit starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// The resource serves: its unit is ready and completed.
    Resource(ResourceName),
    /// At least one replica of the service is ready.
    Service(ServiceName),
    /// The unit, which is wanted too, has run and succeeded, and that is recorded.
    Success(UnitId),
}

/// How often a question is asked and when its answers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProbePolicy {
    /// From one question to the next.
    pub every: Duration,
    /// Within which each is to be answered.
    pub timeout: Duration,
    /// How many failures in a row count as no.
    pub failures: u32,
}

/// How a unit is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StopPolicy {
    /// What asks it to stop.
    pub gently: GentleSignal,
    /// How long it may take before it is killed.
    pub deadline: Duration,
}

/// The signals that ask a process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GentleSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT, which PostgreSQL takes for a fast shutdown.
    Interrupt,
}

/// Whether a unit is to stay up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Started again whenever it ends.
    Lasting,
    /// Runs to its end; started again only when it failed and the flag says so.
    Once {
        /// Whether a failed run is tried again with back-off.
        retry: bool,
    },
}

/// One unit as the decision sees it: what is wanted of it beside what is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What is wanted, or was last of one that is held; nothing when it is to go, or is left alone.
    pub wanted: Option<Unit>,
    /// Whether it is held and how it was last wanted is not known, so that what there is of it is neither started
    /// nor stopped. Nothing is wanted of it meanwhile.
    pub left_alone: bool,
    /// What is observed.
    pub observed: Observed,
}

impl Standing {
    /// Whether what runs is what is wanted, answers, and is completed: what [`Requirement::Resource`] asks.
    pub fn serves(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| self.ready() && self.observed.completed == wanted.completed)
    }

    /// Whether what runs is what is wanted and answers.
    pub fn ready(&self) -> bool {
        let current = match (&self.wanted, &self.observed.running) {
            (Some(wanted), Some(running)) => wanted.digest == running.digest,
            _ => false,
        };
        current
            && self.observed.phase == Phase::Up
            && self.observed.stop.is_none()
            && self.observed.answers == Answers::Yes
    }

    /// Whether it has run to a recorded success.
    pub fn succeeded(&self) -> bool {
        match &self.wanted {
            Some(wanted) => self.observed.succeeded == Some(wanted.digest) && !self.observed.unsaved,
            None => false,
        }
    }
}
