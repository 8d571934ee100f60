//! From a launch to a running process: the child's, and each command's beside it.
//!
//! Start reading at [`process`]. Invariant: whatever was asked for and cannot be had is an error here, and
//! the program has then not run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::{Address, Pid};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use sys::FolderIdentity;
use sys::lock::Lock;
use sys::process::child::{ChildError, ChildStart};
use sys::process::program::{self, NotInPath};
use sys::process::unit::{HOME_VARIABLE, UNIT_VARIABLE};

use crate::control_group::{Group, GroupError};
use crate::isolation::{self, IsolationError};
use crate::launch::Launch;

/// A process cannot be started as its launch asks.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Program(#[from] NotInPath),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    #[error("cannot make a pipe for its output")]
    Pipe(#[source] io::Error),
    #[error("its folder's path is not UTF-8")]
    Folder,
}

/// A process that runs, and the ends of its output that are ours to read.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) output: File,
    /// Absent for a command, whose two streams are one.
    pub(super) errors: Option<File>,
}

/// The unit's side of each start.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) home: Option<FolderIdentity>,
    pub(super) lock: &'a Lock,
    pub(super) group: Option<&'a Group<'a>>,
    /// Whether it is what listens on the unit's port; a command is not.
    pub(super) listens: bool,
    /// Sockets that it inherits; none for a command.
    pub(super) listeners: &'a [OwnedFd],
}

/// Starts the launch's program.
pub(super) fn child(launch: &Launch, place: &Place<'_>) -> Result<Running, StartError> {
    let (output, theirs) = pipe()?;
    let (errors, their_errors) = pipe()?;
    let pid = process(launch, place, &launch.program, &launch.arguments, theirs, their_errors)?;
    Ok(Running { pid, output, errors: Some(errors) })
}

/// Starts a command as the launch's program would be started: found from the launch's folder or in the PATH of its
/// environment.
pub(super) fn command(launch: &Launch, place: &Place<'_>, words: &[String]) -> Result<Running, StartError> {
    let (output, theirs) = pipe()?;
    let their_errors = fcntl_dupfd_cloexec(&theirs, 0).map_err(|error| StartError::Pipe(error.into()))?;
    let (word, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let path: Vec<PathBuf> =
        launch.environment.get("PATH").into_iter().flat_map(|path| std::env::split_paths(&path.0)).collect();
    let program = program::find(word, &launch.folder, &path, launch.user.map(|user| (user.uid, user.gid)))?;
    let pid = process(launch, place, &program, arguments, theirs, their_errors)?;
    Ok(Running { pid, output, errors: None })
}

fn process(
    launch: &Launch,
    place: &Place<'_>,
    program: &Path,
    arguments: &[String],
    output: OwnedFd,
    errors: OwnedFd,
) -> Result<Pid, StartError> {
    let unit_folder = place.folder.to_str().ok_or(StartError::Folder)?;
    let mut environment: BTreeMap<&str, &str> =
        launch.environment.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
    environment.insert(UNIT_VARIABLE, unit_folder);
    let home = place.home.map(|home| home.to_string());
    environment.extend(home.as_deref().map(|home| (HOME_VARIABLE, home)));
    // A user of its own is kept apart by the kernel's ordinary rules, and nothing holds root.
    let confine = match sys::process::is_root() {
        true if launch.hidden.is_empty() => None,
        true => return Err(IsolationError::Root.into()),
        false => isolation::confinement(launch)?,
    };
    let start = ChildStart {
        program,
        arguments,
        environment,
        folder: &launch.folder,
        user: launch.user.map(|user| (user.uid, user.gid)),
        privileged_ports: place.listens && listens_where_its_user_may_not(launch),
        keep: place.lock.as_fd(),
        listeners: place.listeners,
        groups: place.group.map(Group::entrances).transpose()?.unwrap_or_default(),
        confine,
        output,
        errors,
    };
    Ok(start.start()?)
}

/// Whether a launch is to listen on a port on which only root may, and is not root itself.
fn listens_where_its_user_may_not(launch: &Launch) -> bool {
    let changes_user = sys::process::is_root() && launch.user.is_some_and(|user| user.uid != 0);
    let privileged = matches!(&launch.address, Some(Address::Tcp(at)) if sys::listeners::is_privileged(at.port()));
    launch.privileged_port && changes_user && privileged
}

/// A pipe whose reading end never waits.
fn pipe() -> Result<(File, OwnedFd), StartError> {
    let failed = |error: rustix::io::Errno| StartError::Pipe(error.into());
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
    Ok((File::from(ours), theirs))
}
