//! The shim: the tiny parent of one child process, which survives the node.
//!
//! It is started as `mainstay shim FOLDER HOME` with a launch message on its standard input, and keeps these in the
//! unit's folder: `lock` (held while any process of the unit lives), `s` (its socket), `groups` (its control
//! groups), `exit.json` (the [`ExitReport`], once its child has ended) and `exit.reserve` (the space for that); and `l`,
//! where a node fetches the sockets that the child listens on, if it inherits any, and hands over others.
//!
//! Start reading at [`run`], then [`core`], which decides everything; [`host`] carries it out. Invariant: one
//! thread, no runtime; nothing here talks to the network, and no file but those of the unit's folder and its
//! log folder is written.

pub mod core;

mod clients;
mod commands;
mod exit_record;
mod host;
mod start;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use model::cause::chain;
use model::{Exit, ExitStatus};
use sys::listeners::{self, NotInherited};
use sys::lock::{Lock, LockError};
use sys::process::unit::{LOCK_FILE, SHIM_NAME};
use zeroize::Zeroizing;

pub use crate::record::EXIT_FILE;

use crate::launch::Launch;
use crate::protocol::ExitReport;

/// Longest launch message in bytes.
pub const LAUNCH_BYTES_MAX: u64 = 1 << 20;
/// How long a shim waits for the one before it, which may be about to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Why a shim ended without having run anything. There is no exit record then: the folder may be another
/// shim's.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error("cannot use the folder")]
    Folder(#[source] std::io::Error),
    #[error("cannot read the launch message")]
    Launch(#[source] std::io::Error),
    #[error("a process of this unit still lives")]
    Lock(#[from] LockError),
    #[error(transparent)]
    Listeners(#[from] NotInherited),
    #[error("cannot become a shim")]
    Become(#[source] std::io::Error),
}

/// Runs the shim of a unit's folder to its end. The launch message comes on standard input; `inherited` is the value of
/// [`listeners::VARIABLE`], if it is set. What goes wrong before there is a place to tell it is written to standard
/// error.
pub fn run(folder: &Path, inherited: Option<&str>) -> ExitCode {
    match shim(folder, inherited) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &dyn std::error::Error) {
    use std::io::Write;
    // There is nowhere else to say it.
    drop(writeln!(std::io::stderr(), "shim: {}", chain(error)));
}

fn shim(folder: &Path, inherited: Option<&str>) -> Result<(), ShimError> {
    let sockets = inherited.map(listeners::inherited).transpose()?;
    become_shim().map_err(ShimError::Become)?;
    let folder = folder.canonicalize().map_err(ShimError::Folder)?;
    let message = read_message().map_err(ShimError::Launch)?;
    let lock = wait_for_lock(&folder)?;
    exit_record::prepare(&folder);
    let launch: Launch = match serde_json::from_slice(&message) {
        Ok(launch) => launch,
        Err(error) => {
            // The place and kind of the mistake only: the error's own words quote the content.
            let (kind, place) = (error.classify(), error.column());
            let note = format!("the launch message cannot be read: {kind:?} error at byte {place}");
            let exit = Exit { at: sys::clock::now().wall, status: ExitStatus::NotStarted };
            exit_record::write(&folder, &ExitReport { exit, note: Some(note), last_lines: Vec::new() });
            return Ok(());
        }
    };
    drop(message);
    host::Host::new(folder, launch, lock, sockets.unwrap_or_default()).map_err(ShimError::Folder)?.run();
    Ok(())
}

/// Orphans of the child come to this process; nobody reads its memory; its name tells what it is.
fn become_shim() -> std::io::Result<()> {
    sys::process::guard_memory()?;
    sys::process::close_on_exec()?;
    sys::process::adopt_orphans()?;
    sys::process::set_name(SHIM_NAME)
}

fn read_message() -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut message = Zeroizing::new(Vec::with_capacity(64 << 10));
    std::io::stdin().lock().take(LAUNCH_BYTES_MAX + 1).read_to_end(&mut message)?;
    match message.len() as u64 > LAUNCH_BYTES_MAX {
        true => Err(std::io::Error::other(format!("it is longer than {LAUNCH_BYTES_MAX} bytes"))),
        false => Ok(message),
    }
}

fn wait_for_lock(folder: &Path) -> Result<Lock, LockError> {
    let until = sys::clock::now().steady + LOCK_PATIENCE;
    loop {
        match Lock::take(folder, LOCK_FILE) {
            Err(LockError::Held { .. }) if sys::clock::now().steady < until => std::thread::sleep(LOCK_AGAIN),
            other => return other,
        }
    }
}
