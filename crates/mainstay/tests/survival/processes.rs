//! The process table, as far as it concerns one folder. Never signals a process that it has not just found there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) started: u64,
    pub(crate) command: String,
}

/// The live process with this number.
pub(crate) fn look(pid: u32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let command = fs::read(folder.join("cmdline")).ok()?;
    let dead = matches!(*fields.first()?, "Z" | "X");
    (!dead).then_some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        command: String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned(),
    })
}

/// Every live process that works in a folder, runs a program in it, carries the mark of a unit in it, or makes a data
/// directory in it. One that merely names a file of it is somebody else's.
pub(crate) fn of_folder(folder: &Path) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| *pid != std::process::id() && concerns(*pid, folder)).filter_map(look).collect()
}

fn concerns(pid: u32, folder: &Path) -> bool {
    let leads_in = |link: &str| fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path.starts_with(folder));
    leads_in("cwd")
        || leads_in("exe")
        || marked(pid).is_some_and(|mark| Path::new(&mark).starts_with(folder))
        || made_by(pid).is_some_and(|data| Path::new(&data).starts_with(folder))
}

/// The data directory that an initdb makes.
fn made_by(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split('\0');
    let program = words.next()?;
    (program.ends_with("/initdb") && words.next()? == "-D").then(|| words.next().map(str::to_owned))?
}

/// The unit's folder that a process's environment names.
fn marked(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = bytes.split(|byte| *byte == 0);
    let mark = variables.find_map(|variable| variable.strip_prefix(b"MAINSTAY_UNIT="))?;
    String::from_utf8(mark.to_vec()).ok()
}

/// The shims of a state directory by unit.
pub(crate) fn shims(state: &Path) -> BTreeMap<String, Process> {
    let units = format!(" shim {}/units/", state.display());
    let shim = |process: Process| {
        let (_, rest) = process.command.rsplit_once(&units)?;
        let unit = rest.split(' ').next()?.to_owned();
        Some((unit, process))
    };
    of_folder(state).into_iter().filter_map(shim).collect()
}

/// What each shim of a state directory holds, by unit.
pub(crate) fn children(state: &Path) -> BTreeMap<String, Process> {
    let shims = shims(state);
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<Process> = numbers.filter_map(look).collect();
    let child = |shim: &Process| all.iter().find(|it| it.parent == shim.pid).cloned();
    shims.iter().filter_map(|(unit, shim)| Some((unit.clone(), child(shim)?))).collect()
}

/// SIGKILL to exactly this process; nothing when it is gone.
pub(crate) fn kill(process: &Process) {
    send(process, Signal::KILL);
}

/// Sends a signal to exactly this process.
pub(crate) fn send(process: &Process, signal: Signal) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if look(process.pid).is_some_and(|now| now.started == process.started) {
        // It may have ended in between, which is what is wanted.
        let _gone = pidfd_send_signal(&held, signal).is_err();
    }
}
