//! Everything that belongs to one unit, also when its shim is gone and its child has left children behind.
//!
//! A process belongs to the unit of a folder when any of these holds: its environment names the folder in
//! [`UNIT_VARIABLE`], and its home in [`HOME_VARIABLE`]; it holds the folder's lock file open (children inherit it); it is in one of the
//! control groups that the folder's `groups` file names; it is the folder's shim by its command line.
//! No single mark is enough: servers overwrite their environment with a title, some runtimes close what
//! they inherit, and control groups are not to be had everywhere. What names the folder by its path names its home too:
//! when all of it was moved while the unit ran, another folder may be at that path. What a version before said without
//! a home is believed.
//!
//! Start reading at [`members`]. Invariant: nothing here signals a process that was not found by a mark
//! after its pidfd was opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::Pid;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, pidfd_send_signal};

use super::{Seen, all, hold, look, read};
use crate::files::FolderIdentity;

/// The environment variable that marks every process of a unit with the unit's folder.
pub const UNIT_VARIABLE: &str = "MAINSTAY_UNIT";
/// The environment variable that tells the unit's folder from a later one at the same path: its [`home`].
pub const HOME_VARIABLE: &str = "MAINSTAY_UNIT_HOME";
/// The file in a unit's folder that is locked while any process of the unit lives.
pub const LOCK_FILE: &str = "lock";
/// The file in a unit's folder that names its control groups' folders, one in each line after the first. The first
/// line is the unit's [`home`]: in a copy, the groups are those of the original.
pub const GROUPS_FILE: &str = "groups";
/// The name that a shim gives itself in the process table.
pub const SHIM_NAME: &str = "mainstay-shim";

/// A shim that looks for what belongs to its own unit.
#[derive(Debug, Clone, Copy)]
pub struct OwnShim {
    /// Its process.
    pub pid: Pid,
    /// The home of its unit's folder when it began.
    pub home: Option<FolderIdentity>,
}

/// The processes in `listing` that descend from `ancestor`, without itself.
pub fn descendants(ancestor: Pid, listing: &[Seen]) -> Vec<&Seen> {
    let mut children: BTreeMap<Pid, Vec<&Seen>> = BTreeMap::new();
    for seen in listing {
        children.entry(seen.parent).or_default().push(seen);
    }
    let mut found = Vec::new();
    let mut next = vec![ancestor];
    while let Some(parent) = next.pop() {
        // Removed, so that a listing torn by pid reuse cannot make a circle.
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// The live processes of a unit's folder, without the calling one and, when the caller is the unit's `shim`,
/// with all its descendants. Those of other boots cannot be among them.
pub fn members(folder: &Path, shim: Option<OwnShim>) -> Vec<Seen> {
    let marks = Marks::of(folder, shim.map_or_else(|| home(folder), |shim| shim.home));
    let listing = all();
    let own = Pid(std::process::id());
    let tree: BTreeSet<Pid> =
        shim.iter().flat_map(|shim| descendants(shim.pid, &listing)).map(|seen| seen.pid).collect();
    // A shim starts in a unit that was swept: what is older has nothing of it.
    let since = shim.and_then(|shim| look(shim.pid)).map_or(0, |shim| shim.started);
    listing
        .iter()
        .filter(|seen| seen.pid != own && !seen.zombie && !seen.kernel)
        .filter(|seen| {
            tree.contains(&seen.pid)
                || marks.groups.contains(&seen.pid)
                || (seen.started >= since && marks.are_on(seen.pid))
        })
        .cloned()
        .collect()
}

/// Sends SIGKILL to the members that `wanted` picks and returns how many members were found alive.
pub fn kill_members(folder: &Path, shim: Option<OwnShim>, wanted: impl Fn(&Seen) -> bool) -> usize {
    let found = members(folder, shim);
    for seen in found.iter().filter(|seen| wanted(seen)) {
        let Some(held) = hold(seen.pid) else { continue };
        // The pidfd and the process that was found are the same one when its start is the same.
        if look(seen.pid).is_some_and(|again| again.started == seen.started) {
            // Ended meanwhile, or (root's process under a plain user) not ours to kill: both are seen
            // by the next look.
            let _gone = pidfd_send_signal(&held, Signal::KILL);
        }
    }
    found.len()
}

struct Marks {
    folder: PathBuf,
    home: Option<String>,
    /// Absent when nobody has it, or when the folder at this path is not that of this home any more.
    lock: Option<PathBuf>,
    groups: BTreeSet<Pid>,
}

impl Marks {
    fn of(folder: &Path, of: Option<FolderIdentity>) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let lock = Some(folder.join(LOCK_FILE)).filter(|lock| home(&folder) == of && is_held(lock));
        let groups = groups_of(&folder, of).iter().flat_map(|group| group_members(group)).collect();
        Self { folder, home: of.map(|home| home.to_string()), lock, groups }
    }

    fn are_on(&self, pid: Pid) -> bool {
        self.in_environment(pid) || self.is_shim(pid) || self.holds_lock(pid)
    }

    fn in_environment(&self, pid: Pid) -> bool {
        read(pid, "environ").is_ok_and(|environment| {
            variable(&environment, UNIT_VARIABLE)
                .is_some_and(|folder| self.names(folder, variable(&environment, HOME_VARIABLE)))
        })
    }

    /// A shim cannot be asked for its environment, which is closed even to its own user.
    fn is_shim(&self, pid: Pid) -> bool {
        let Ok(line) = read(pid, "cmdline") else { return false };
        let words: Vec<&[u8]> = line.strip_suffix(&[0]).unwrap_or(&line).split(|byte| *byte == 0).collect();
        match words.as_slice() {
            [.., b"shim", folder, home] => self.names(folder, Some(home)),
            [.., b"shim", folder] => self.names(folder, None),
            _ => false,
        }
    }

    /// Whether what a process says of its unit means this one.
    fn names(&self, folder: &[u8], home: Option<&[u8]>) -> bool {
        let is_at_home = home.is_none_or(|home| self.home.as_ref().is_some_and(|own| own.as_bytes() == home));
        is_at_home && folder == self.folder.as_os_str().as_bytes()
    }

    fn holds_lock(&self, pid: Pid) -> bool {
        let (Some(lock), Ok(open)) = (&self.lock, fs::read_dir(format!("/proc/{pid}/fd"))) else { return false };
        open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == *lock))
    }
}

/// Whether any process may have the lock open. Asking for it is far cheaper than a look at every open file.
fn is_held(lock: &Path) -> bool {
    match fs::File::open(lock) {
        // Let go at once, when the file is closed.
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The value of a variable in an environment as the kernel shows it.
fn variable<'e>(environment: &'e [u8], name: &str) -> Option<&'e [u8]> {
    environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Notes a unit's control groups in its folder.
pub fn note_groups(folder: &Path, groups: &[&Path]) -> io::Result<()> {
    let home = home(folder).ok_or(io::ErrorKind::NotFound)?;
    let lines: String = groups.iter().map(|group| format!("{}\n", group.display())).collect();
    fs::write(folder.join(GROUPS_FILE), format!("{home}\n{lines}"))
}

/// The control groups' folders that a unit's folder names. None, where the names were written for another home; one
/// whose last part is not the unit's own name is passed over: nothing but a unit's own group is ever emptied.
pub fn groups(folder: &Path) -> Vec<PathBuf> {
    groups_of(folder, home(folder))
}

fn groups_of(folder: &Path, home: Option<FolderIdentity>) -> Vec<PathBuf> {
    let text = fs::read_to_string(folder.join(GROUPS_FILE)).unwrap_or_default();
    let lines = match text.split_once('\n') {
        // Shims of versions before wrote no home, and may run still.
        _ if text.starts_with('/') => text.as_str(),
        Some((written_for, lines)) if home.is_some_and(|home| written_for == home.to_string()) => lines,
        _ => "",
    };
    lines.lines().map(PathBuf::from).filter(|group| group.file_name() == folder.file_name()).collect()
}

/// The home of a unit's folder: which folder of all units it is in. By it a copy is told from its original.
pub fn home(folder: &Path) -> Option<FolderIdentity> {
    FolderIdentity::of(folder.parent()?)
}

/// Removes the control groups of a unit whose shim did not live to do it. One that is not empty stays.
pub fn remove_groups(folder: &Path) {
    let removed = groups(folder).iter().all(|group| match fs::remove_dir(group) {
        Ok(()) => {
            if let Some(parent) = group.parent() {
                // The folder of the state directory's groups goes with the last of them.
                drop(fs::remove_dir(parent));
            }
            true
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    });
    if removed {
        // Without groups it says nothing.
        drop(fs::remove_file(folder.join(GROUPS_FILE)));
    }
}

fn group_members(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: u32, parent: u32) -> Seen {
        Seen {
            pid: Pid(pid),
            name: "x".into(),
            zombie: false,
            kernel: false,
            parent: Pid(parent),
            group: Pid(pid),
            started: 1,
            cpu_ticks: 0,
            resident_pages: 0,
        }
    }

    #[test]
    fn groups_of_a_copied_folder_are_the_originals() {
        let base = std::env::temp_dir().join(format!("mainstay-groups-{}", std::process::id()));
        let (unit, copy) = (base.join("a/units/web.1.1"), base.join("b/units/web.1.1"));
        fs::create_dir_all(&unit).unwrap();
        fs::create_dir_all(&copy).unwrap();
        let (own, foreign) = (Path::new("/groups/x/web.1.1"), Path::new("/groups/x/web.1.2"));
        note_groups(&unit, &[own, foreign]).unwrap();
        fs::copy(unit.join(GROUPS_FILE), copy.join(GROUPS_FILE)).unwrap();
        assert_eq!(groups(&unit), [own]);
        assert_eq!(groups(&copy), Vec::<PathBuf>::new());
        fs::rename(base.join("a"), base.join("moved")).unwrap();
        assert_eq!(groups(&base.join("moved/units/web.1.1")), [own]);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn groups_that_were_written_without_a_home_are_believed() {
        let base = std::env::temp_dir().join(format!("mainstay-old-groups-{}", std::process::id()));
        let unit = base.join("units/web.1.1");
        fs::create_dir_all(&unit).unwrap();
        fs::write(unit.join(GROUPS_FILE), "/groups/cpu/web.1.1\n/groups/x/web.1.2\n/groups/memory/web.1.1\n").unwrap();
        assert_eq!(groups(&unit), [Path::new("/groups/cpu/web.1.1"), Path::new("/groups/memory/web.1.1")]);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_folder_at_the_same_path_has_no_claim_on_those_of_another_home() {
        let own = FolderIdentity { device: 1, inode: 2 };
        let marks = Marks::of(Path::new("/nowhere/units/web.1.1"), Some(own));
        let names = |home: Option<&str>| marks.names(b"/nowhere/units/web.1.1", home.map(str::as_bytes));
        assert_eq!([names(Some("1:2")), names(Some("1:3")), names(None)], [true, false, true]);
        assert!(!marks.names(b"/nowhere/units/web.1.2", Some(b"1:2")));
        let environment = b"MAINSTAY_UNIT_HOME=1:2\0MAINSTAY_UNIT=/nowhere\0";
        assert_eq!(variable(environment, UNIT_VARIABLE), Some(b"/nowhere".as_slice()));
    }

    #[test]
    fn descendants_are_found_through_generations() {
        let listing = [seen(1, 0), seen(5, 1), seen(6, 5), seen(7, 6), seen(8, 1), seen(9, 9)];
        let found: Vec<u32> = descendants(Pid(5), &listing).iter().map(|seen| seen.pid.0).collect();
        assert_eq!(found, [6, 7]);
        assert_eq!(descendants(Pid(9), &listing).len(), 1);
    }
}
