//! How a shim starts its child and its commands, and how a node starts a shim.
//!
//! Start reading at [`ChildStart::start`] and [`ShimCommand::start`]. Invariant: nothing is inherited
//! that is not listed here: the environment is given whole, and every descriptor of ours closes at exec
//! but the unit's lock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::{BootId, Pid, ProcessIdentity};
use rustix::io::{FdFlags, fcntl_setfd};

use super::capability;
use super::program::is_executable;
use super::unit::home;
use crate::listeners;
use crate::system::{ShimStart, SpawnError};

/// A confinement that a child puts on itself before it runs its program.
pub type Confinement = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

/// A child process that leaves nothing to choose.
pub struct ChildStart<'a> {
    /// The program's path.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [String],
    /// Its environment, whole.
    pub environment: BTreeMap<&'a str, &'a str>,
    /// Its working directory.
    pub folder: &'a Path,
    /// The user and group it runs as.
    pub user: Option<(u32, u32)>,
    /// Whether it may listen on privileged ports although its user may not. Only for a process of root that has a user to
    /// change to.
    pub privileged_ports: bool,
    /// A descriptor that stays open in it and in all its children.
    pub keep: BorrowedFd<'a>,
    /// Sockets that it is told of and inherits.
    pub listeners: &'a [OwnedFd],
    /// Control groups to join: each one's `cgroup.procs`, open for writing.
    pub groups: Vec<File>,
    /// Confines it further.
    pub confine: Option<Confinement>,
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error.
    pub errors: OwnedFd,
}

/// Why a program could not be started, as a person needs to know it.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// There is no such file.
    #[error("cannot run {}: there is no such file", .0.display())]
    NoProgram(PathBuf),
    /// The program is there, and what it says is to run it is not.
    #[error(
        "cannot run {}: the interpreter or loader that it names is missing (its #! line, or a program built for another system)",
        .0.display()
    )]
    NoInterpreter(PathBuf),
    /// The file is not executable.
    #[error("cannot run {}: it is not executable (chmod +x)", .0.display())]
    NotExecutable(PathBuf),
    /// The file is not a program.
    #[error("cannot run {}: it is neither a program for this machine nor a script with a #! line", .0.display())]
    NotAProgram(PathBuf),
    /// The working directory is not there.
    #[error("cannot start in {}: there is no such folder", .0.display())]
    NoFolder(PathBuf),
    /// The right to listen on privileged ports is not ours to give.
    #[error(
        "cannot let {} listen on its port: only root may listen there, and the node is root without CAP_NET_BIND_SERVICE \
         (give the node that, or the resource a `port` that every user may listen on)",
        .0.display()
    )]
    NoPrivilegedPorts(PathBuf),
    /// A folder on the way cannot be entered by the user.
    #[error(
        "user id {uid} cannot reach {}: it may not enter {} (chmod o+x, or move it)",
        wanted.display(),
        blocked.display()
    )]
    Blocked {
        /// The user.
        uid: u32,
        /// What it was to reach.
        wanted: PathBuf,
        /// The folder that it cannot enter.
        blocked: PathBuf,
    },
    /// Anything else, in the operating system's words.
    #[error("cannot run {}", program.display())]
    Other {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ChildStart<'_> {
    /// Starts the child: as the leader of its own session, with no way to gain rights, without core
    /// dumps, ended by the kernel when this process ends. Only for a process with a single thread,
    /// since the confinement runs between fork and exec.
    pub fn start(self) -> Result<Pid, ChildError> {
        let (program, folder, user) = (self.program.to_owned(), self.folder.to_owned(), self.user);
        if self.privileged_ports && !capability::may_pass_on() {
            return Err(ChildError::NoPrivilegedPorts(program));
        }
        match self.spawn() {
            Ok(pid) => Ok(pid),
            Err(error) => Err(diagnose(program, folder, user, error)),
        }
    }

    fn spawn(self) -> io::Result<Pid> {
        let mut command = Command::new(self.program);
        command.args(self.arguments).env_clear().envs(&self.environment).current_dir(self.folder);
        command.stdin(Stdio::null()).stdout(self.output).stderr(self.errors);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let listeners: Vec<RawFd> = self.listeners.iter().map(AsRawFd::as_raw_fd).collect();
        if !listeners.is_empty() {
            command.env(listeners::VARIABLE, listeners::numbers_text(&listeners));
        }
        let kept: Vec<RawFd> = listeners.into_iter().chain([self.keep.as_raw_fd()]).collect();
        let parent = rustix::process::getpid();
        let mut groups = self.groups;
        let mut confine = self.confine;
        let privileged_ports = self.privileged_ports;
        let prepare = move || {
            rustix::process::setsid()?;
            super::forbid_dumps()?;
            for group in &mut groups {
                group.write_all(b"0")?;
            }
            rustix::thread::set_no_new_privs(true)?;
            if privileged_ports {
                capability::only_privileged_ports()?;
            }
            if let Some(confine) = &mut confine {
                confine()?;
            }
            // After the changes of user and of namespace, which can clear it.
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            keep_over_exec(&kept)?;
            super::reap::plain()
        };
        #[expect(unsafe_code, reason = "what must hold before the program runs can only be done between fork and exec")]
        // SAFETY: the calling process has one thread, so the forked child may allocate and take locks; it
        // only makes system calls on its own descriptors.
        unsafe {
            command.pre_exec(prepare);
        }
        // The child changes its user between fork and exec.
        let _kept = privileged_ports.then(capability::Kept::begin).transpose()?;
        // The child is collected by `reap`, not through this handle.
        command.spawn().map(|child| Pid(child.id()))
    }
}

/// Has a helper program killed when this process, or the thread that starts it, ends before it: nobody would take in
/// what it did. To be called after the command's user is set; the program must not change its user.
pub fn end_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    #[expect(unsafe_code, reason = "what must hold before the program runs can only be done between fork and exec")]
    // SAFETY: two system calls that allocate nothing and take no lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            match rustix::process::getppid() == Some(parent) {
                true => Ok(()),
                false => Err(io::ErrorKind::BrokenPipe.into()),
            }
        });
    }
}

fn keep_over_exec(kept: &[RawFd]) -> io::Result<()> {
    for raw in kept {
        #[expect(unsafe_code, reason = "a closure given to pre_exec cannot borrow the descriptor")]
        // SAFETY: the descriptor is borrowed by whoever starts the process, so it is open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(*raw) };
        fcntl_setfd(descriptor, FdFlags::empty())?;
    }
    Ok(())
}

fn diagnose(program: PathBuf, folder: PathBuf, user: Option<(u32, u32)>, error: io::Error) -> ChildError {
    const NO_EXEC: i32 = rustix::io::Errno::NOEXEC.raw_os_error();
    if error.kind() == io::ErrorKind::PermissionDenied
        && let Some((uid, gid)) = user
        && let Some((wanted, blocked)) =
            [&folder, &program].into_iter().find_map(|path| Some((path, blocked_at(path, uid, gid)?)))
    {
        return ChildError::Blocked { uid, wanted: wanted.clone(), blocked };
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !folder.is_dir() => ChildError::NoFolder(folder),
        io::ErrorKind::NotFound if program.exists() => ChildError::NoInterpreter(program),
        io::ErrorKind::NotFound => ChildError::NoProgram(program),
        io::ErrorKind::PermissionDenied if !is_executable(&program) => ChildError::NotExecutable(program),
        _ if error.raw_os_error() == Some(NO_EXEC) => ChildError::NotAProgram(program),
        _ => ChildError::Other { program, source: error },
    }
}

/// The first folder on the way to `path` that a user without further groups may not enter, judged by
/// mode bits; access lists are not looked at.
pub fn blocked_at(path: &Path, uid: u32, gid: u32) -> Option<PathBuf> {
    let mut folders: Vec<&Path> = path.ancestors().collect();
    folders.reverse();
    folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()).find_map(|folder| {
        // One that this process cannot look at itself is not judged.
        let about = folder.metadata().ok().filter(std::fs::Metadata::is_dir)?;
        let bit = match (about.uid() == uid, about.gid() == gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        (uid != 0 && about.mode() & bit == 0).then(|| folder.to_owned())
    })
}

/// How a shim is started: a program and its first words, after which the unit's folder and its home follow.
#[derive(Debug, Clone)]
pub struct ShimCommand {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Its words before the folder (`shim`).
    pub words: Vec<OsString>,
}

/// The file in a unit's folder that takes what a shim itself has to say.
const COMPLAINTS_FILE: &str = "shim.log";

impl ShimCommand {
    /// Starts a shim that outlives the caller and hands it its launch message. The child is the caller's to
    /// collect while it lives. It inherits `sockets`.
    pub fn start(
        &self,
        boot: &BootId,
        start: &ShimStart,
        sockets: &[RawFd],
    ) -> Result<(ProcessIdentity, std::process::Child), SpawnError> {
        let failed = |what: &str, error: io::Error| SpawnError {
            folder: start.folder.clone(),
            reason: format!("cannot {what}: {error}"),
        };
        std::fs::create_dir_all(&start.folder).map_err(|error| failed("make its folder", error))?;
        let folder = start.folder.canonicalize().map_err(|error| failed("find its folder", error))?;
        let complaints =
            File::create(folder.join(COMPLAINTS_FILE)).map_err(|error| failed("open its own log", error))?;
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(&folder).args(home(&folder).map(|home| home.to_string()));
        command.current_dir(&folder).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(complaints);
        if !sockets.is_empty() {
            command.env(listeners::VARIABLE, listeners::numbers_text(sockets));
        }
        let kept = sockets.to_vec();
        #[expect(unsafe_code, reason = "a shim is to leave the node's session before anything can reach it there")]
        // SAFETY: system calls on descriptors that are open while the caller holds them; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                keep_over_exec(&kept)
            });
        }
        let mut child = command.spawn().map_err(|error| failed("run it", error))?;
        let pid = Pid(child.id());
        // Before the launch message: a shim waits for it, so it cannot be gone yet.
        let identity = super::identify(boot, pid).map_err(io::Error::other);
        let sent = child.stdin.take().map(|mut pipe| pipe.write_all(&start.launch)).transpose();
        match (identity, sent) {
            (Ok(Some(identity)), Ok(_)) => Ok((identity, child)),
            (_, Err(error)) => Err(given_up(child, failed("hand over what to run", error))),
            (Ok(None), Ok(_)) => Err(given_up(child, failed("see it run", io::ErrorKind::NotFound.into()))),
            (Err(error), Ok(_)) => Err(given_up(child, failed("see it run", error))),
        }
    }
}

/// A shim that did not get its launch message has started nothing and ends at once.
fn given_up(mut child: std::process::Child, error: SpawnError) -> SpawnError {
    drop(child.kill());
    drop(child.wait());
    error
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_that_blocks_is_named() {
        let base = std::env::temp_dir().join(format!("mainstay-blocked-{}", std::process::id()));
        let inner = base.join("closed/inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(base.join("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(blocked_at(&inner, 54321, 54321), Some(base.join("closed")));
        assert_eq!(blocked_at(&inner, 0, 0), None);
        std::fs::set_permissions(base.join("closed"), std::fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(blocked_at(&inner, 54321, 54321), None);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
