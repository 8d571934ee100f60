//! What node and shim say to each other: one JSON object per line over the shim's unix socket.
//!
//! The shim of an older release must be understood by a newer node, and the other way round: a field
//! once written keeps its name and meaning, a new one is optional, and unknown fields are passed over.
//! [`VERSION`] changes only when that cannot hold.

use model::{Digest, Exit, ProcessIdentity, Timestamp, UnitId};
use sys::FolderIdentity;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// Longest message in bytes, the line feed included. A longer one ends the connection.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What the node asks of a shim.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Request {
    /// Sends the gentle signal now and SIGKILL to everything of the unit at the deadline. A second
    /// request can bring the deadline nearer, never push it out.
    Stop {
        /// The signal's number.
        signal: i32,
        /// Milliseconds from now until the kill.
        deadline_ms: u64,
    },
    /// Runs a command in the child's environment, as its user and within its limits.
    Command {
        /// Comes back in the answer.
        ticket: u64,
        /// The command's words.
        words: Vec<String>,
        /// Milliseconds until it is killed.
        timeout_ms: u64,
    },
}

/// What a shim tells the node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "tell")]
pub enum Report {
    /// The first message on every connection.
    Hello {
        /// The shim's protocol version.
        version: u32,
        /// Its unit.
        unit: UnitId,
        /// The digest the unit was started with.
        digest: Digest,
        /// The folder of units that it was started in: the socket of a copied folder may lead to the original's
        /// shim. Absent where the shim could not tell: the node does not take it for its unit's then.
        home: Option<FolderIdentity>,
        /// The child; absent when it could not be started or has ended.
        child: Option<ProcessIdentity>,
        /// When the child was started.
        started: Timestamp,
        /// How it ended, when it has. Processes that it left behind may still be alive: only
        /// [`Report::Exited`] says that none is.
        exit: Option<ExitReport>,
    },
    /// The child ended. The shim has written the same to its exit record and is about to end itself.
    Exited(ExitReport),
    /// A command ended.
    CommandEnded {
        /// The ticket it was asked with.
        ticket: u64,
        /// Its exit code; absent when it was killed or could not be started.
        code: Option<i32>,
        /// The end of its output, at most 512 bytes; of one that could not be started, why not.
        output: String,
    },
}

/// How a child ended, with what a person needs to see why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExitReport {
    /// Status and time.
    pub exit: Exit,
    /// Why it could not be started, or what the shim has to say about its end.
    pub note: Option<String>,
    /// The last lines of its output, at most 20.
    pub last_lines: Vec<String>,
}
