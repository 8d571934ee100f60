//! Which processes there are, and what memory each takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Memory of one process or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident set, pages that it shares with others included.
    pub(super) rss_kib: u64,
    /// Proportional set: shared pages divided among those who share them. Sums of it are honest.
    pub(super) pss_kib: u64,
    /// Pages that nobody else has: what one more such process costs.
    pub(super) own_kib: u64,
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Memory>>(all: I) -> Memory {
        all.fold(Memory::default(), |a, b| Memory {
            rss_kib: a.rss_kib + b.rss_kib,
            pss_kib: a.pss_kib + b.pss_kib,
            own_kib: a.own_kib + b.own_kib,
        })
    }
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Its arguments, program first.
    pub(super) arguments: Vec<String>,
}

/// Every process on the machine.
pub(super) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn process(pid: u32) -> Option<Process> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = line.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    Some(Process { pid, arguments: arguments.collect() })
}

/// The processes that run this program for something in this folder, and what they started that runs it too: others on
/// the machine are not ours.
pub(super) fn running(program: &Path, folder: &Path) -> Vec<Process> {
    let (named, others): (Vec<Process>, Vec<Process>) = processes()
        .into_iter()
        .filter(|process| runs(process, program))
        .partition(|process| process.arguments.iter().any(|argument| Path::new(argument).starts_with(folder)));
    let started: BTreeSet<u32> = named.iter().flat_map(|process| children(process.pid)).collect();
    named.into_iter().chain(others.into_iter().filter(|process| started.contains(&process.pid))).collect()
}

fn runs(process: &Process, program: &Path) -> bool {
    let exe = fs::read_link(format!("/proc/{}/exe", process.pid));
    let named = Path::new(&process.arguments[0]);
    exe.is_ok_and(|exe| exe == program) || named == program || named == Path::new("/proc/self/exe")
}

/// What one process takes; nothing when it is gone or not ours to look into.
pub(super) fn of_process(pid: u32) -> Memory {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = |key: &str| {
        let line = rollup.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let kib = |key: &str| kib(key).unwrap_or(0);
    Memory { rss_kib: kib("Rss:"), pss_kib: kib("Pss:"), own_kib: kib("Private_Clean:") + kib("Private_Dirty:") }
}

/// From here on the peak is what comes now (proc(5), `clear_refs`).
pub(super) fn forget_peak(pid: u32) {
    // Where it is not ours to reset, the peak is that of its whole life: too high, never too low.
    drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
}

/// The largest resident set of a process; nothing when it is gone.
pub(super) fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The children of a process.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
