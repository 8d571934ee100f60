//! What the journal records: one entry for every action and every refusal.

use std::fmt;

use crate::id::{ReleaseNumber, UnitId};
use crate::name::{ResourceName, SecretName, ServiceName};
use crate::time::Timestamp;

/// The number of a journal entry; the first is 1 and none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Who caused an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The node by itself: supervision, schedules, derived behaviour.
    Node,
    /// A process on this machine through the control socket, by its user id.
    Local {
        /// The caller's user id, from the socket's peer credentials.
        uid: u32,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Node => f.write_str("node"),
            Actor::Local { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// When it was written.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub what: Happening,
    /// Why, as a sentence for people.
    pub reason: String,
    /// What was seen that led to it: probe answers, exit codes, digests. Never a secret's value.
    pub evidence: Vec<Evidence>,
    /// The entry that led to this one.
    pub cause: Option<EntryId>,
}

/// One observation behind an entry: a short name and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// What was looked at, in few words (`exit`, `probe`, `last lines`).
    pub name: String,
    /// What was seen there.
    pub seen: String,
}

/// What happened. Closed: whatever can be journaled is listed here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Happening {
    /// A node took charge of the state directory.
    NodeStarted {
        /// How many running units it adopted.
        adopted: usize,
    },
    /// The node ended by request.
    NodeStopped,
    /// A file was applied.
    Applied {
        /// How many steps its plan has.
        steps: usize,
    },
    /// The stack was asked to stop.
    DownRequested,
    /// A release was made.
    ReleaseMade {
        /// Of which service.
        service: ServiceName,
        /// Its number.
        release: ReleaseNumber,
    },
    /// A unit was started.
    UnitStarted {
        /// Which.
        unit: UnitId,
    },
    /// A unit answers its readiness probe, or has none and runs.
    UnitReady {
        /// Which.
        unit: UnitId,
    },
    /// A unit that was ready no longer answers.
    UnitUnready {
        /// Which.
        unit: UnitId,
    },
    /// A unit ended by itself.
    UnitExited {
        /// Which.
        unit: UnitId,
    },
    /// A unit is started again after a failure.
    UnitRestarted {
        /// Which.
        unit: UnitId,
        /// How many starts in a row have failed, this one not counted.
        attempt: u32,
    },
    /// A unit failed so often that restarts are now rare.
    CrashLoop {
        /// Which.
        unit: UnitId,
    },
    /// A unit was asked to stop.
    UnitStopping {
        /// Which.
        unit: UnitId,
    },
    /// A unit was killed because it did not stop in time or its liveness probe failed.
    UnitKilled {
        /// Which.
        unit: UnitId,
    },
    /// A unit that ran before this node started was taken over.
    UnitAdopted {
        /// Which.
        unit: UnitId,
    },
    /// A recorded process is not ours any more and is left alone.
    UnitLost {
        /// Which.
        unit: UnitId,
    },
    /// The machine refused the next step of a unit (a record not written, a shim not started); it is
    /// tried again.
    UnitBlocked {
        /// Which.
        unit: UnitId,
    },
    /// A preparation (creating a data directory, roles, users) succeeded.
    ResourcePrepared {
        /// Of which resource.
        resource: ResourceName,
    },
    /// A preparation failed.
    ResourceFailed {
        /// Of which resource.
        resource: ResourceName,
    },
    /// The edge was given certificates.
    CertificatesIssued {
        /// For how many hosts.
        hosts: usize,
        /// When the first of them ends.
        until: Timestamp,
    },
    /// A secret got a new version.
    SecretSet {
        /// Which.
        secret: SecretName,
        /// The version's number.
        version: u32,
    },
    /// A secret's value was read.
    SecretRead {
        /// Which.
        secret: SecretName,
        /// Which version.
        version: u32,
        /// The unit that it was read for; absent when a person read it.
        unit: Option<UnitId>,
    },
    /// A secret and all its versions were removed.
    SecretRemoved {
        /// Which.
        secret: SecretName,
    },
    /// A restart was asked for.
    RestartRequested {
        /// Of which service.
        service: ServiceName,
    },
    /// A one-off command was asked for.
    RunRequested {
        /// In the place of which service.
        service: ServiceName,
    },
    /// A restart's time was over before it had come to every replica.
    RestartGivenUp {
        /// Of which service.
        service: ServiceName,
    },
    /// A one-off command had not begun, and nobody waited for it any more.
    RunGivenUp {
        /// The unit under which it would have run.
        unit: UnitId,
    },
    /// Runs of a schedule did not happen, because the node was down or the last run was still going.
    RunsMissed {
        /// Of which service.
        service: ServiceName,
        /// How many.
        count: u32,
    },
    /// Things happened that the journal could not be told of.
    EntriesLost {
        /// How many.
        count: u64,
    },
    /// A call was refused.
    Refused {
        /// What was asked, as the API names it.
        call: String,
    },
}
