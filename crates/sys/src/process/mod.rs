//! Processes of the operating system: who they are, starting, signalling, collecting and finding them.
//!
//! Start reading at [`look`] (what `/proc` says about one process), then [`child`] (how a shim starts its
//! child), `capability` (which right of root's it may keep), [`program`] (which file a command's word stands for),
//! [`namespace`] (what a child cannot see), [`reap`] (how it learns of ends), [`mod@unit`] (how everything that belongs to a
//! unit is found) and [`peer`] (who may give orders).
//! Invariants: a signal goes through a pidfd whose process was checked after the pidfd was opened, so that
//! a process that merely has the same pid is never hit; what could not be looked at is an error and never "there is
//! none": only a process that is gone, or that another user hides from this one, counts as not there.

mod capability;
pub mod child;
pub mod namespace;
pub mod peer;
pub mod program;
pub mod reap;
pub mod unit;

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{BootId, ByteSize, Pid, ProcessIdentity};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::files::{failed, if_there};
use crate::system::{Delivery, FileError, Signal};

/// What most files of `/proc/PID` fit in; longer ones are read whole too.
const PROC_FILE_BYTES: usize = 4096;
/// `PF_KTHREAD` of the kernel's `sched.h`, in the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What `/proc/PID/stat` says about one process (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process id.
    pub pid: Pid,
    /// The name the kernel knows it by, at most 15 bytes.
    pub name: String,
    /// Whether it has ended and only waits to be collected.
    pub zombie: bool,
    /// Whether it is a thread of the kernel: without an environment, a command line and open files.
    pub kernel: bool,
    /// Its parent's process id; 0 for none.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Processor time it has used, in clock ticks.
    pub cpu_ticks: u64,
    /// Pages of memory it has resident.
    pub resident_pages: u64,
}

/// What `/proc` says about a process now; `None` when there is none with this pid, or none that this one may see.
pub fn look(pid: Pid) -> Result<Option<Seen>, FileError> {
    let Some(bytes) = read(pid, "stat")? else { return Ok(None) };
    // The name may hold any byte.
    match parse_stat(&String::from_utf8_lossy(&bytes)) {
        Stat::Process(seen) => Ok(Some(seen)),
        Stat::Released => Ok(None),
        Stat::Strange => Err(failed("read", &file_of(pid, "stat"))(io::ErrorKind::InvalidData.into())),
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
enum Stat {
    Process(Seen),
    /// The kernel is just taking the process apart, and has no group of it any more.
    Released,
    /// It is not what proc(5) describes.
    Strange,
}

/// What a file of `/proc/PID` holds; `None` as in [`if_there`]. It has no size to go by: asked for in small pieces it costs
/// five calls instead of one.
fn read(pid: Pid, file: &str) -> Result<Option<Vec<u8>>, FileError> {
    let path = file_of(pid, file);
    let mut bytes = Vec::with_capacity(PROC_FILE_BYTES);
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
    Ok(if_there("read", &path, read)?.map(|_| bytes))
}

fn file_of(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn parse_stat(text: &str) -> Stat {
    let mut fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let (state, group) = (fields.next(), fields.nth(1));
    match state == Some("X") || group == Some("-1") {
        true => Stat::Released,
        false => parse_process(text).map_or(Stat::Strange, Stat::Process),
    }
}

fn parse_process(text: &str) -> Option<Seen> {
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Counted from field 3, the state. What is no number makes the line one that is not understood.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let id = |field: usize| Some(Pid(u32::try_from(number(field)?).ok()?));
    Some(Seen {
        pid: Pid(pid.parse().ok()?),
        name: name.to_owned(),
        zombie: *fields.first()? == "Z",
        kernel: number(9)? & KERNEL_THREAD != 0,
        parent: id(4)?,
        group: id(5)?,
        started: number(22)?,
        cpu_ticks: number(14)?.saturating_add(number(15)?),
        resident_pages: number(24)?,
    })
}

/// Every process of this machine that this one may see.
pub fn list() -> Result<Vec<Seen>, FileError> {
    let proc = Path::new("/proc");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(proc).map_err(failed("list", proc))? {
        let name = entry.map_err(failed("list", proc))?.file_name();
        // What is no number is no process.
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        found.extend(look(Pid(pid))?);
    }
    Ok(found)
}

/// The identity of the process that has this pid now; a zombie has none, for it can do nothing any more.
pub fn identify(boot: &BootId, pid: Pid) -> Result<Option<ProcessIdentity>, FileError> {
    let seen = look(pid)?.filter(|seen| !seen.zombie);
    Ok(seen.map(|seen| ProcessIdentity { boot: boot.clone(), pid, started: seen.started }))
}

/// Holds on to the process that has this pid now, whatever becomes of the pid.
fn hold(pid: Pid) -> Result<Option<OwnedFd>, FileError> {
    // No process has a number that the kernel cannot take.
    let Some(raw) = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw) else { return Ok(None) };
    let held = pidfd_open(raw, PidfdFlags::empty()).map_err(io::Error::from);
    if_there("hold on to", Path::new(&format!("/proc/{pid}")), held)
}

/// Sends a signal to exactly this process, and to nothing when its identity no longer matches.
pub fn signal(boot: &BootId, process: &ProcessIdentity, signal: Signal) -> Result<Delivery, FileError> {
    let Some(held) = hold(process.pid)? else { return Ok(Delivery::Gone) };
    if process.boot != *boot || identify(boot, process.pid)?.as_ref() != Some(process) {
        return Ok(Delivery::Gone);
    }
    match pidfd_send_signal(&held, kernel_signal(signal)) {
        Ok(()) => Ok(Delivery::Sent),
        // It ended this moment, or its user is another one now: it is not ours to signal.
        Err(_) => Ok(Delivery::Gone),
    }
}

fn kernel_signal(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Hangup => rustix::process::Signal::HUP,
        Signal::Kill => rustix::process::Signal::KILL,
    }
}

/// Forbids other processes of the same user to read this one's memory, and the kernel to write it to a
/// core file.
pub fn guard_memory() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    forbid_dumps()?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Forbids the kernel to write this process's memory to a core file or to give it to a crash reporter, and its
/// children after it.
fn forbid_dumps() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |bytes| setrlimit(Resource::Core, Rlimit { current: Some(bytes), maximum: Some(bytes) });
    // One byte is too small for a file, and the one limit at which the kernel starts no crash reporter either,
    // which it does for a limit of 0 (core(5)). Where 0 was inherited, that cannot be raised again.
    Ok(limit(1).or_else(|_| limit(0))?)
}

/// Lets this process open as many files and sockets as it may at all. Where the limit stays low, there are fewer.
pub fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _stays = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Sees to it that no descriptor but the three standard ones survives an exec from here on, whatever this
/// process itself inherited.
pub fn close_on_exec() -> std::io::Result<()> {
    #[expect(unsafe_code, reason = "close_range has no safe interface among our dependencies")]
    // SAFETY: marking descriptors changes what a later exec does and nothing that is open now.
    let failed = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) } != 0;
    match failed {
        true => Err(std::io::Error::last_os_error()),
        false => Ok(()),
    }
}

/// Makes this process the new parent of whatever its descendants orphan.
pub fn adopt_orphans() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Gives this process a name in the process table; the kernel keeps 15 bytes of it.
pub fn set_name(name: &str) -> std::io::Result<()> {
    let name = std::ffi::CString::new(name)?;
    Ok(rustix::thread::set_name(&name)?)
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What processes use at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory; pages that several processes share count for each.
    pub memory: ByteSize,
    /// Processor time used since each was started.
    pub cpu: Duration,
    /// How many processes.
    pub processes: usize,
}

/// What a process and all its descendants use, found in a listing made by [`list`].
pub fn usage(root: Pid, listing: &[Seen]) -> Usage {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    unit::descendants(root, listing).into_iter().chain(listing.iter().filter(|seen| seen.pid == root)).fold(
        Usage::default(),
        |sum, seen| Usage {
            memory: sum.memory.saturating_add(ByteSize::bytes(seen.resident_pages.saturating_mul(page))),
            cpu: sum.cpu + Duration::from_millis(seen.cpu_ticks.saturating_mul(1000) / ticks_per_second),
            processes: sum.processes + 1,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_hostile_name_reads() {
        let line = "42 (a) R 1 (b) S 7 8 9 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 1 0 12345 1000 77 0 0";
        let seen = parse_process(line).unwrap();
        assert_eq!(seen.name, "a) R 1 (b");
        assert_eq!((seen.parent, seen.group, seen.started), (Pid(7), Pid(8), 12345));
        assert_eq!((seen.cpu_ticks, seen.resident_pages, seen.zombie), (7, 77, false));
        assert_eq!(parse_stat("42 (x"), Stat::Strange);
    }

    #[test]
    fn a_process_that_is_being_taken_apart_is_none() {
        let released = "42 (a) X 0 -1 -1 0 -1 4194380 0 0 0 0 0 0 0 0 20 0 0 0 31 0 0";
        let not_yet_dead = "42 (a) b) Z 7 -1 -1 0 -1 4194380 0 0 0 0 0 0 0 0 20 0 0 0 31 0 0";
        assert_eq!([released, not_yet_dead].map(parse_stat), [Stat::Released, Stat::Released]);
        assert_eq!(parse_stat("42 (a) S 7"), Stat::Strange);
    }

    #[test]
    fn threads_of_the_kernel_are_told_apart() {
        let thread = "25 (kdevtmpfs) S 2 0 0 0 -1 2130240 0 0 0 0 0 0 0 0 20 0 1 0 31 0 0";
        let program = "40 (a) S 2 40 40 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 31 0 0";
        let is_of_kernel = |line| parse_process(line).map(|seen| seen.kernel);
        assert_eq!([is_of_kernel(thread), is_of_kernel(program)], [Some(true), Some(false)]);
    }

    #[test]
    fn a_process_with_another_start_is_never_signalled() {
        let boot = crate::clock::boot().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let true_one = identify(&boot, Pid(child.id())).unwrap().unwrap();
        let reused = ProcessIdentity { started: true_one.started + 1, ..true_one.clone() };
        let other_boot = ProcessIdentity { boot: BootId("other".into()), ..true_one };
        assert_eq!(signal(&boot, &reused, Signal::Kill), Ok(Delivery::Gone));
        assert_eq!(signal(&boot, &other_boot, Signal::Kill), Ok(Delivery::Gone));
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(signal(&boot, &true_one, Signal::Kill), Ok(Delivery::Sent));
        assert!(!child.wait().unwrap().success());
        assert_eq!(signal(&boot, &true_one, Signal::Kill), Ok(Delivery::Gone));
    }

    #[test]
    fn usage_counts_this_process() {
        let usage = usage(Pid(std::process::id()), &list().unwrap());
        assert!(usage.memory > ByteSize::bytes(100_000), "{usage:?}");
        assert!(usage.processes >= 1);
    }
}
