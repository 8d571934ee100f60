//! What is kept of each unit on disk: `units/<id>/unit.json`, so that the next node finds what this one
//! started.
//!
//! Start reading at [`Record`]. The file is one JSON object, replaced whole; `format` is [`FORMAT`]. Beside
//! it the unit's shim writes `exit.json`, an [`ExitReport`], when its child has
//! ended.
//!
//! The order of writing is what makes any death of the node harmless:
//!
//! 1. `exit.json` of the last start is removed; what it said was taken in before.
//! 2. The record is written with [`Stage::Started`] and no shim: the intent.
//! 3. The shim is spawned; then its identity is written into the record.
//! 4. When the child has ended, the record is written with [`Stage::Ended`], or, once nothing of the unit
//!    is left, with [`Stage::Idle`].
//!
//! A node that finds `Started` looks for the shim by its socket and, when there is none, by its identity;
//! when neither is there it takes in `exit.json`, and in any case sweeps before it starts anything anew.

use std::fmt;
use std::path::{Path, PathBuf};

use model::{BootId, Digest, Port, ProcessIdentity, Timestamp, UnitId};
use plan::backoff::Failures;
use plan::supervision::Unit;
use sys::FolderIdentity;

use crate::protocol::ExitReport;

/// The version of the format that this module writes.
pub const FORMAT: u32 = 1;
/// The record's file name within the unit's folder.
pub const RECORD_FILE: &str = "unit.json";
/// The file that a shim writes when its child has ended.
pub const EXIT_FILE: &str = "exit.json";

/// The folders of one state directory's units.
#[derive(Debug, Clone)]
pub struct UnitFolders(PathBuf);

impl UnitFolders {
    /// The units below this state directory.
    pub fn below(state: &Path) -> Self {
        Self(state.join("units"))
    }

    /// The folder that holds the units' folders.
    pub fn all(&self) -> &Path {
        &self.0
    }

    /// A unit's folder.
    pub fn of(&self, unit: &UnitId) -> PathBuf {
        self.0.join(unit.to_string())
    }
}

/// How far a unit's last start came, as far as the node wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its shim was started, or is about to be.
    Started,
    /// It was asked to stop.
    Stopping,
    /// Its child has ended; processes of it may be left.
    Ended,
    /// Nothing of it is left.
    Idle,
}

/// Why something was last not as wanted, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: FailureKind,
}

/// See [`LastFailure`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It ended when it should not have.
    Exit(ExitReport),
    /// A probe's answer was no.
    Probe {
        /// Whether it was the readiness probe; else the liveness probe.
        readiness: bool,
        /// What was answered.
        failure: sys::ProbeFailure,
    },
    /// A task that prepares or completes it failed.
    Task(String),
    /// Its shim could not be started.
    Spawn(String),
}

impl FailureKind {
    /// What its liveness probe was answered, if that is what failed.
    pub const fn liveness(&self) -> Option<&sys::ProbeFailure> {
        match self {
            FailureKind::Probe { readiness: false, failure } => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Exit(report) => match &report.note {
                Some(note) => write!(f, "{}: {note}", report.exit.status),
                None => write!(f, "{}", report.exit.status),
            },
            FailureKind::Probe { readiness: true, failure } => write!(f, "the readiness probe says: {}", failure.what),
            FailureKind::Probe { readiness: false, failure } => write!(f, "the liveness probe says: {}", failure.what),
            FailureKind::Task(message) | FailureKind::Spawn(message) => f.write_str(message),
        }
    }
}

/// What is kept of one unit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The unit as it was last started.
    pub unit: Unit,
    /// The boot in which all of this was so. In another boot nothing of it runs and no time in it counts.
    pub boot: BootId,
    /// The folder of units in which all of this was so. In a copy of it the record tells of the original's
    /// processes, and nothing of it counts. Absent where the folder could not be told: then nothing counts either.
    pub home: Option<FolderIdentity>,
    /// How far its last start came.
    pub stage: Stage,
    /// Its shim, once it is known.
    pub shim: Option<ProcessIdentity>,
    /// The port the node chose for it or was given.
    pub port: Option<Port>,
    /// When it was last started.
    pub launched: Timestamp,
    /// The same on the steady clock of `boot`, in milliseconds.
    pub launched_steady_ms: u64,
    /// Whether it has been ready since it was last started.
    pub ready: bool,
    /// What it was completed to since then.
    pub completed: Option<Digest>,
    /// The failures in a row of `failures_of`.
    pub failures: Failures,
    /// The digest that failed.
    pub failures_of: Option<Digest>,
    /// The digest that ran once and succeeded: it is never run again.
    pub succeeded: Option<Digest>,
    /// The digest that ran once, failed, and is not tried again by itself.
    pub gave_up: Option<Digest>,
    /// How often it was started again after it failed, ever.
    pub restarts: u64,
    /// Why it last failed.
    pub last_failure: Option<LastFailure>,
}

/// Where a node is: what a record written elsewhere says of processes does not count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The boot of the machine.
    pub boot: BootId,
    /// The folder of units.
    pub home: Option<FolderIdentity>,
}

/// Where a record was written, as seen from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Where the node is.
    Here,
    /// In another boot: what it names is gone.
    OtherBoot,
    /// In another folder, of which this is a copy: what it names is the original's.
    OtherFolder,
}

/// A record's bytes cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// They are not the JSON that is written.
    #[error("the record is damaged")]
    Damaged(#[source] serde_json::Error),
    /// A newer release wrote them.
    #[error("the record has format {0}, this release reads up to {FORMAT}: run the newer release again")]
    Newer(u32),
}

impl Record {
    /// Where it was written.
    pub fn origin(&self, here: &Here) -> Origin {
        if self.boot != here.boot {
            Origin::OtherBoot
        } else if self.home.is_none() || self.home != here.home {
            Origin::OtherFolder
        } else {
            Origin::Here
        }
    }

    /// The bytes that are written.
    pub fn encode(&self) -> Vec<u8> {
        // Nothing in a record can fail to be written as JSON: no map has keys other than text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The record in these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(serde::Deserialize)]
        struct Envelope {
            format: u32,
        }
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(RecordError::Damaged)?;
        if envelope.format > FORMAT {
            return Err(RecordError::Newer(envelope.format));
        }
        serde_json::from_slice(bytes).map_err(RecordError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as each format writes it. A release that can no longer read one loses track of running units.
    const GOLDEN: &str = include_str!("../tests/record/format-1.json");

    #[test]
    fn the_present_format_reads_and_prints_the_same() {
        let record = Record::decode(GOLDEN.trim_end().as_bytes()).unwrap();
        assert_eq!(record.unit.id.to_string(), "db");
        assert_eq!(record.stage, Stage::Started);
        assert_eq!(record.home, Some(FolderIdentity { device: 2049, inode: 131 }));
        assert_eq!(String::from_utf8(record.encode()).unwrap(), GOLDEN.trim_end());
    }

    #[test]
    fn a_record_counts_in_its_own_folder_and_boot_only() {
        let record = Record::decode(GOLDEN.as_bytes()).unwrap();
        let nowhere = Record { home: None, ..record.clone() };
        let here = Here { boot: record.boot.clone(), home: record.home };
        assert_eq!(record.origin(&here), Origin::Here);
        assert_eq!(nowhere.origin(&here), Origin::OtherFolder);
        assert_eq!(nowhere.origin(&Here { home: None, ..here.clone() }), Origin::OtherFolder);
        let copy = FolderIdentity { device: 2049, inode: 132 };
        assert_eq!(record.origin(&Here { home: Some(copy), ..here.clone() }), Origin::OtherFolder);
        assert_eq!(record.origin(&Here { boot: BootId("next".to_owned()), ..here }), Origin::OtherBoot);
    }

    #[test]
    fn fields_of_a_newer_release_are_passed_over() {
        let more = GOLDEN.replacen('{', r#"{"colour":"red","#, 1);
        assert_eq!(Record::decode(more.as_bytes()).unwrap(), Record::decode(GOLDEN.as_bytes()).unwrap());
    }

    #[test]
    fn damage_and_newer_formats_are_told_apart() {
        let told = |text: &str| Record::decode(text.as_bytes()).unwrap_err().to_string();
        let newer = GOLDEN.replacen(r#""format":1"#, r#""format":2"#, 1);
        assert_eq!(told(&newer), "the record has format 2, this release reads up to 1: run the newer release again");
        for text in ["", "{", "null", r#"{"format":1}"#, &GOLDEN[..GOLDEN.len() / 2]] {
            assert_eq!(told(text), "the record is damaged", "{text}");
        }
    }
}
