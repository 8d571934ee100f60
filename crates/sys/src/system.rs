//! What supervision asks of the machine.
//!
//! Every call returns at once. What takes time (a probe, a task, a shim's messages) is begun by a call and
//! answered later by an [`Event`] that the owner of the loop hands on. So a supervisor is one owner of
//! its state fed by one stream of events, and the simulated world decides in which order, when, and with
//! which faults they come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Address, BootId, Pid, Port, ProcessIdentity, Timestamp};

use crate::files::FolderIdentity;
use crate::listeners::{Listening, Taken};

/// What time it is, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: for people and schedules. It may jump either way.
    pub wall: Timestamp,
    /// Time since this machine booted, suspended time included (CLOCK_BOOTTIME): for every deadline and
    /// back-off. It never goes back and is the same for every process of one boot.
    pub steady: Duration,
}

impl Now {
    /// What the wall clock, as it is set now, shows of a moment of the steady clock that has passed.
    pub fn wall_of(self, moment: Duration) -> Timestamp {
        self.wall.before(self.steady.saturating_sub(moment))
    }
}

/// Names what was begun, so that its answer finds its way. Never used twice by one supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One open connection to a shim. Never used twice by one system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The signals that are sent to processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGTERM: finish and end.
    Terminate,
    /// SIGINT: PostgreSQL's fast shutdown.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGKILL: end now.
    Kill,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The process with exactly this identity got it.
    Sent,
    /// No process with this identity exists any more; nothing was signalled.
    Gone,
}

/// A file operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {doing} {}: {trouble}", path.display())]
pub struct FileError {
    /// What was being done, as a verb (`read`, `write`, `list`, `remove`, `hold on to`).
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// Why not.
    pub trouble: FileTrouble,
}

/// The reasons that callers tell apart; everything else keeps the operating system's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileTrouble {
    /// ENOSPC or EDQUOT.
    #[error("no space left on the device")]
    NoSpace,
    /// EACCES or EPERM.
    #[error("permission denied")]
    Denied,
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

/// What is needed to start one shim. The launch message holds the child's environment, secrets
/// included: it travels through an inherited pipe, never through argv, the environment or a file.
#[derive(Clone)]
pub struct ShimStart {
    /// The unit's folder: the shim's working directory, where it keeps its socket's name, exit record
    /// and lock.
    pub folder: PathBuf,
    /// The launch message, encoded; the shim reads it from descriptor 0 until its end.
    pub launch: Vec<u8>,
    /// Where its child listens on sockets that it inherits.
    pub listening: Listening,
}

/// A shim could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot start a shim in {}: {reason}", folder.display())]
pub struct SpawnError {
    /// The unit's folder.
    pub folder: PathBuf,
    /// Why.
    pub reason: String,
}

/// Whom a probe asks, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTarget {
    /// An HTTP/1.1 GET; a status from 200 to 399 is an answer.
    Http {
        /// Where the replica listens.
        address: Address,
        /// The path asked for.
        path: model::UrlPath,
    },
    /// A connection that is accepted.
    Connect {
        /// Where.
        address: Address,
    },
    /// Bytes sent and the bytes that the answer must start with.
    Exchange {
        /// Where.
        address: Address,
        /// What is sent.
        send: Vec<u8>,
        /// What the answer must start with.
        expect: Vec<u8>,
    },
    /// A command that is to exit with 0, run by the unit's shim in the unit's environment.
    Command {
        /// The unit's folder, where its shim is found.
        folder: PathBuf,
        /// The command.
        words: Vec<String>,
    },
}

/// What a probe found.
pub type ProbeOutcome = Result<(), ProbeFailure>;

/// Why a probe's answer is no.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProbeFailure {
    /// One sentence with what tells most of the answer: `status 503: no database`, `connection refused`,
    /// `no answer within 2s`, `exit code 1: no such table`.
    pub what: String,
    /// The beginning of the answer's body or the end of the command's output, at most 512 bytes.
    pub snippet: String,
}

/// What a task begun with [`System::begin`] came to; the message is for people.
pub type TaskOutcome = Result<(), String>;

/// What the machine reports to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A shim sent one message.
    Message {
        /// Over which connection.
        connection: ConnectionId,
        /// The message's bytes, one line without its line feed.
        bytes: Vec<u8>,
    },
    /// A connection to a shim ended; nothing more comes from it.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// A probe was answered, or ran out of time.
    Probed {
        /// Which.
        ticket: Ticket,
        /// The answer.
        outcome: ProbeOutcome,
    },
    /// A task ended.
    TaskEnded {
        /// Which.
        ticket: Ticket,
        /// With what.
        outcome: TaskOutcome,
    },
}

/// The machine, as supervision sees it. `Task` is the type in which the owner describes work that the
/// binary carries out (creating a data directory, making roles); the system only begins it and reports
/// its end.
pub trait System {
    /// What [`System::begin`] is given.
    type Task;

    /// Both clocks.
    fn now(&self) -> Now;
    /// Which boot this is.
    fn boot(&self) -> BootId;

    /// Which folder is at this path now; `None` when there is none.
    fn folder(&self, path: &Path) -> Option<FolderIdentity>;
    /// A file's bytes; `None` when there is no such file.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, FileError>;
    /// Replaces a file whole: temporary file, fsync, rename, fsync of the folder. Missing folders are
    /// made. Mode 0600. After an error the old content stands.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError>;
    /// The names in a folder, sorted; empty when there is no such folder.
    fn names(&self, folder: &Path) -> Result<Vec<String>, FileError>;
    /// Removes a file or a folder with what is in it; an absent one is no error.
    fn remove(&mut self, path: &Path) -> Result<(), FileError>;

    /// The identity of the process that has this pid now; `None` when there is none. After an error there may be one.
    fn identify(&self, pid: Pid) -> Result<Option<ProcessIdentity>, FileError>;
    /// Starts a shim that outlives the caller: own session, standard input the launch message, working
    /// directory the unit's folder.
    fn spawn_shim(&mut self, start: &ShimStart) -> Result<ProcessIdentity, SpawnError>;
    /// Sends a signal to exactly this process, and to nothing when its identity no longer matches. After an error nothing
    /// was signalled, and the process may be there.
    fn signal(&mut self, process: &ProcessIdentity, signal: Signal) -> Result<Delivery, FileError>;
    /// Kills whatever of a unit outlived its shim: every process that carries the unit's mark. Returns
    /// how many were found; the caller repeats until none is. After an error there may be any number.
    fn sweep(&mut self, folder: &Path) -> Result<usize, FileError>;
    /// A TCP port of the loopback interface on which nothing listens, and which was not given out in
    /// the last minute; `None` when there is none.
    fn free_port(&mut self) -> Option<Port>;
    /// As [`System::free_port`], a port that only root may listen on. `None` also where there are none on this machine,
    /// or this process may not let others listen there.
    fn privileged_port(&mut self) -> Option<Port>;
    /// Who listens on this TCP port of the loopback interface; `None` when nobody does. Whether it may be used is another
    /// question: a port that only root may listen on is free.
    fn port_taken(&mut self, port: Port) -> Option<Taken>;

    /// Closes the sockets that are held for a unit, which is not wanted any more.
    fn close_listeners(&mut self, folder: &Path);

    /// Connects to the shim of a unit's folder. Messages and the end come as events. `None` when no
    /// shim listens there.
    fn connect(&mut self, folder: &Path) -> Option<ConnectionId>;
    /// Sends one message (a line feed is added). A connection that is gone reports [`Event::Closed`].
    fn send(&mut self, connection: ConnectionId, message: &[u8]);

    /// Asks a question that is answered by [`Event::Probed`] within `timeout`.
    fn probe(&mut self, ticket: Ticket, target: ProbeTarget, timeout: Duration);
    /// Begins domain work that is answered by [`Event::TaskEnded`].
    fn begin(&mut self, ticket: Ticket, task: Self::Task);
}
