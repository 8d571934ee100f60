//! What happens to each supervised unit next.

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
    /// Whether a task completes it after it became ready and before others may use it (roles, databases).
    pub completed: bool,
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
    /// The unit has run and succeeded.
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
