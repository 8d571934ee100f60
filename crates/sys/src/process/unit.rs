//! Everything that belongs to one unit, also when its shim is gone and its child has left children behind.
//!
//! A process belongs to the unit of a folder when any of these holds: its environment names the folder in
//! [`UNIT_VARIABLE`], and its home in [`HOME_VARIABLE`]; it holds the folder's lock file open (children inherit it); it is in one of the
//! control groups that the folder's `groups` file names; it is the folder's shim by its command line.
//! No single mark is enough: servers overwrite their environment with a title, some runtimes close what
//! they inherit, and control groups are not to be had everywhere. What names the folder by its path names its home too:
//! when all of it was moved while the unit ran, another folder may be at that path. What names no home is not believed.
//! Nor is a mark on a process that the node cannot have started: everybody may give a process any words.
//!
//! Start reading at [`Census`]. Invariants: nothing here signals a process that was not found by a mark
//! after its pidfd was opened; a look that fails is an error, and never means that nobody is there.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::Pid;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use super::{Seen, file_of, hold, list, look, read};
use crate::files::{FolderIdentity, if_there};
use crate::system::FileError;

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

/// One listing of this machine's processes, in which those of units are looked for. It costs the same for one unit as
/// for many: what a process says of its unit is read once.
#[derive(Debug)]
pub struct Census(Vec<Listed>);

#[derive(Debug)]
struct Listed {
    seen: Seen,
    claims: OnceCell<Vec<Claim>>,
}

/// Which unit a process says that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    folder: PathBuf,
    home: String,
}

impl Census {
    /// The processes that live now, without the calling one.
    pub fn take() -> Result<Self, FileError> {
        let own = Pid(std::process::id());
        let others = list()?.into_iter().filter(|seen| seen.pid != own && !seen.zombie && !seen.kernel);
        Ok(Self(others.map(|seen| Listed { seen, claims: OnceCell::new() }).collect()))
    }

    /// The processes of a unit's folder. Those of other boots cannot be among them.
    pub fn members(&self, folder: &Path) -> Result<Vec<Seen>, FileError> {
        let marks = Marks::of(folder, home(folder))?;
        self.seen(|listed| marks.are_on(listed))
    }

    /// The processes of units whose folders were in this folder of units, and were removed with it while they ran. Each
    /// shows it of itself; yet it may say so falsely, so that they are to be told of, not signalled.
    pub fn orphans(&self, units: &Path) -> Result<Vec<Seen>, FileError> {
        self.seen(|listed| {
            let of_units = listed.claims()?.iter().filter(|claim| claim.folder.parent() == Some(units));
            Ok(any(of_units, |claim| shows_removed(listed.seen.pid, claim))? && may_be_ours(listed.seen.pid)?)
        })
    }

    /// What a shim finds of its own unit: all its descendants beside what is marked.
    fn members_of(&self, folder: &Path, shim: OwnShim) -> Result<Vec<Seen>, FileError> {
        let marks = Marks::of(folder, shim.home)?;
        let listing: Vec<Seen> = self.0.iter().map(|listed| listed.seen.clone()).collect();
        let tree: BTreeSet<Pid> = descendants(shim.pid, &listing).into_iter().map(|seen| seen.pid).collect();
        // A shim starts in a unit that was swept: what is older has nothing of it.
        let since = look(shim.pid)?.map_or(0, |shim| shim.started);
        self.seen(|it| {
            Ok(tree.contains(&it.seen.pid)
                || marks.groups.contains(&it.seen.pid)
                || it.seen.started >= since && marks.are_on(it)?)
        })
    }

    fn seen(&self, wanted: impl Fn(&Listed) -> Result<bool, FileError>) -> Result<Vec<Seen>, FileError> {
        let picked = self.0.iter().map(|listed| Ok(wanted(listed)?.then(|| listed.seen.clone())));
        picked.filter_map(Result::transpose).collect()
    }
}

/// Whether something is so of any of them; the first look that fails ends it.
fn any<T>(items: impl IntoIterator<Item = T>, is_so: impl Fn(T) -> Result<bool, FileError>) -> Result<bool, FileError> {
    for item in items {
        if is_so(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Listed {
    fn claims(&self) -> Result<&[Claim], FileError> {
        if let Some(claims) = self.claims.get() {
            return Ok(claims);
        }
        let environment = read(self.seen.pid, "environ")?.and_then(|bytes| claim_of_environment(&bytes));
        let command = read(self.seen.pid, "cmdline")?.and_then(|bytes| claim_of_shim(&bytes));
        Ok(self.claims.get_or_init(|| environment.into_iter().chain(command).collect()))
    }
}

impl Claim {
    fn new(folder: &[u8], home: &[u8]) -> Option<Self> {
        // A home is written in digits: what is no text names none.
        Some(Self { folder: PathBuf::from(OsStr::from_bytes(folder)), home: String::from_utf8(home.to_vec()).ok()? })
    }
}

fn claim_of_environment(environment: &[u8]) -> Option<Claim> {
    Claim::new(variable(environment, UNIT_VARIABLE)?, variable(environment, HOME_VARIABLE)?)
}

/// A shim cannot be asked for its environment, which is closed even to its own user.
fn claim_of_shim(line: &[u8]) -> Option<Claim> {
    let words: Vec<&[u8]> = line.strip_suffix(&[0]).unwrap_or(line).split(|byte| *byte == 0).collect();
    match words.as_slice() {
        [.., b"shim", folder, home] => Claim::new(folder, home),
        _ => None,
    }
}

/// Whether a process works in its unit's folder or holds its lock, and the kernel says that this was removed.
fn shows_removed(pid: Pid, claim: &Claim) -> Result<bool, FileError> {
    let removed = |path: &Path| {
        let mut text = path.as_os_str().to_owned();
        text.push(" (deleted)");
        PathBuf::from(text)
    };
    let (folder, lock) = (removed(&claim.folder), removed(&claim.folder.join(LOCK_FILE)));
    Ok(leads_to(&file_of(pid, "cwd"), &folder)? || has_open(pid, &lock)?)
}

fn has_open(pid: Pid, path: &Path) -> Result<bool, FileError> {
    let descriptors = file_of(pid, "fd");
    let Some(open) = if_there("list", &descriptors, fs::read_dir(&descriptors))? else { return Ok(false) };
    any(open, |entry| match if_there("list", &descriptors, entry)? {
        Some(entry) => leads_to(&entry.path(), path),
        None => Ok(false),
    })
}

/// Whether a link of `/proc` leads to this path.
fn leads_to(link: &Path, path: &Path) -> Result<bool, FileError> {
    match fs::read_link(link) {
        // What it leads to is longer than any path that can be named, ours included.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NAMETOOLONG) => Ok(false),
        target => Ok(if_there("read", link, target)?.is_some_and(|target| target == path)),
    }
}

/// Sends SIGKILL to the members of a unit's folder and returns how many were found alive.
pub fn kill_members(folder: &Path) -> Result<usize, FileError> {
    let found = Census::take()?.members(folder)?;
    kill(&found)?;
    Ok(found.len())
}

/// Sends SIGKILL to those of a shim's own unit that `wanted` picks and returns how many members were found alive.
pub fn kill_own_members(folder: &Path, shim: OwnShim, wanted: impl Fn(&Seen) -> bool) -> Result<usize, FileError> {
    let found = Census::take()?.members_of(folder, shim)?;
    kill(found.iter().filter(|seen| wanted(seen)))?;
    Ok(found.len())
}

fn kill<'s>(found: impl IntoIterator<Item = &'s Seen>) -> Result<(), FileError> {
    for seen in found {
        let Some(held) = hold(seen.pid)? else { continue };
        // The pidfd and the process that was found are the same one when its start is the same.
        if look(seen.pid)?.is_some_and(|again| again.started == seen.started) {
            // Ended meanwhile, or (root's process under a plain user) not ours to kill: both are seen
            // by the next look.
            let _gone = pidfd_send_signal(&held, Signal::KILL);
        }
    }
    Ok(())
}

struct Marks {
    /// Absent when the folder cannot be told from others at its path: nothing that names it is believed then.
    own: Option<Claim>,
    /// Absent when nobody has it, or when the folder at this path is not that of this home any more.
    lock: Option<PathBuf>,
    groups: BTreeSet<Pid>,
}

impl Marks {
    fn of(folder: &Path, of: Option<FolderIdentity>) -> Result<Self, FileError> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let lock = Some(folder.join(LOCK_FILE)).filter(|lock| home(&folder) == of && is_held(lock));
        let mut groups = BTreeSet::new();
        for group in groups_of(&folder, of)? {
            groups.extend(group_members(&group)?);
        }
        Ok(Self { own: of.map(|home| Claim { folder, home: home.to_string() }), lock, groups })
    }

    fn are_on(&self, listed: &Listed) -> Result<bool, FileError> {
        Ok(self.groups.contains(&listed.seen.pid) || self.are_shown_by(listed)? && may_be_ours(listed.seen.pid)?)
    }

    fn are_shown_by(&self, listed: &Listed) -> Result<bool, FileError> {
        Ok(any(&self.own, |own| Ok(listed.claims()?.contains(own)))?
            || any(&self.lock, |lock| has_open(listed.seen.pid, lock))?)
    }
}

/// Whether a node of this user can have started a process: root's starts them as whomever it likes, another's only as its
/// own user, who stays the real one also where a program changes its rights. A stranger's process could not be ended, and
/// would be waited for without end.
fn may_be_ours(pid: Pid) -> Result<bool, FileError> {
    if super::is_root() {
        return Ok(true);
    }
    let status = read(pid, "status")?.unwrap_or_default();
    Ok(real_user(&status) == Some(rustix::process::getuid().as_raw()))
}

/// The real user in `/proc/PID/status`, in which the kernel escapes the line feeds of a name.
fn real_user(status: &[u8]) -> Option<u32> {
    let users = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(users).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether any process may have the lock open. Asking for it is far cheaper than a look at every open file.
fn is_held(lock: &Path) -> bool {
    match fs::File::open(lock) {
        // Let go at once, when the file is closed.
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The folder that a process's environment names in [`UNIT_VARIABLE`]; `None` where it names none, or is not to be read by
/// this user. A process may lie.
pub fn mark(pid: Pid) -> Result<Option<PathBuf>, FileError> {
    let environment = read(pid, "environ")?.unwrap_or_default();
    Ok(variable(&environment, UNIT_VARIABLE).map(|folder| PathBuf::from(OsStr::from_bytes(folder))))
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
pub fn groups(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    groups_of(folder, home(folder))
}

fn groups_of(folder: &Path, home: Option<FolderIdentity>) -> Result<Vec<PathBuf>, FileError> {
    let path = folder.join(GROUPS_FILE);
    let text = if_there("read", &path, fs::read_to_string(&path))?.unwrap_or_default();
    let lines = match text.split_once('\n') {
        Some((written_for, lines)) if home.is_some_and(|home| written_for == home.to_string()) => lines,
        _ => "",
    };
    Ok(lines.lines().map(PathBuf::from).filter(|group| group.file_name() == folder.file_name()).collect())
}

/// The home of a unit's folder: which folder of all units it is in. By it a copy is told from its original.
pub fn home(folder: &Path) -> Option<FolderIdentity> {
    FolderIdentity::of(folder.parent()?)
}

/// Removes the control groups of a unit whose shim did not live to do it. One that is not empty stays.
pub fn remove_groups(folder: &Path) {
    // Where it cannot be read which they are, they stay for the next look.
    let Ok(groups) = groups(folder) else { return };
    let removed = groups.iter().all(|group| match fs::remove_dir(group) {
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

fn group_members(group: &Path) -> Result<Vec<Pid>, FileError> {
    let path = group.join("cgroup.procs");
    let text = match fs::read_to_string(&path) {
        // So the kernel says that the group was removed this moment.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => String::new(),
        read => if_there("read", &path, read)?.unwrap_or_default(),
    };
    // The kernel writes one number in each line.
    Ok(text.lines().filter_map(|line| line.parse().ok()).map(Pid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    /// From one look to the next.
    const POLL: Duration = Duration::from_millis(2);

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
    fn an_open_file_whose_path_cannot_be_named_is_not_ours() {
        let base = std::env::temp_dir().join(format!("mainstay-deep-{}", std::process::id()));
        fs::create_dir(&base).unwrap();
        let mut deep = std::os::fd::OwnedFd::from(fs::File::open(&base).unwrap());
        let name = "d".repeat(250);
        for _ in 0..18 {
            rustix::fs::mkdirat(&deep, &name, Mode::RWXU).unwrap();
            deep = rustix::fs::openat(&deep, &name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        let own = Pid(std::process::id());
        let link = file_of(own, &format!("fd/{}", deep.as_raw_fd()));
        assert_eq!(fs::read_link(link).unwrap_err().raw_os_error(), Some(Errno::NAMETOOLONG.raw_os_error()));
        assert_eq!(has_open(own, Path::new("/nowhere/lock")), Ok(false));
        drop(deep);
        fs::remove_dir_all(&base).unwrap();
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
        assert_eq!(groups(&unit).unwrap(), [own]);
        assert_eq!(groups(&copy).unwrap(), Vec::<PathBuf>::new());
        fs::rename(base.join("a"), base.join("moved")).unwrap();
        assert_eq!(groups(&base.join("moved/units/web.1.1")).unwrap(), [own]);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn groups_that_were_written_without_a_home_are_nobodys() {
        let base = std::env::temp_dir().join(format!("mainstay-old-groups-{}", std::process::id()));
        let unit = base.join("units/web.1.1");
        fs::create_dir_all(&unit).unwrap();
        fs::write(unit.join(GROUPS_FILE), "/groups/cpu/web.1.1\n/groups/memory/web.1.1\n").unwrap();
        assert_eq!(groups(&unit).unwrap(), Vec::<PathBuf>::new());
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn what_says_no_home_claims_nothing() {
        let claim = Claim { folder: "/state/units/web.1.1".into(), home: "1:2".to_owned() };
        let environment = b"MAINSTAY_UNIT_HOME=1:2\0PATH=/bin\0MAINSTAY_UNIT=/state/units/web.1.1\0";
        assert_eq!(claim_of_environment(environment), Some(claim.clone()));
        assert_eq!(claim_of_environment(b"MAINSTAY_UNIT=/state/units/web.1.1\0"), None);
        assert_eq!(claim_of_shim(b"/proc/self/exe\0shim\0/state/units/web.1.1\x001:2\0"), Some(claim));
        assert_eq!(claim_of_shim(b"/proc/self/exe\0shim\0/state/units/web.1.1\0"), None);
        assert_eq!(claim_of_shim(b"sleep\x00600\0"), None);
        assert_eq!(variable(b"XMAINSTAY_UNIT=db\0MAINSTAY_UNITS=db\0", UNIT_VARIABLE), None);
    }

    #[test]
    fn the_real_user_is_the_first_of_four() {
        let status = b"Name:\ta\\nUid:\t7\nUmask:\t0022\nPid:\t40\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n";
        assert_eq!(real_user(status), Some(1000));
        assert_eq!(real_user(b""), None);
    }

    /// A process with the mark of a unit and its lock open, in a folder of units of its own.
    struct Marked {
        units: PathBuf,
        process: std::process::Child,
    }

    impl Marked {
        fn start(name: &str) -> Self {
            let base = std::env::temp_dir().canonicalize().unwrap();
            let units = base.join(format!("mainstay-census-{name}-{}/units", std::process::id()));
            let unit = units.join("web.1.1");
            fs::create_dir_all(&unit).unwrap();
            let lock = fs::File::create(unit.join(LOCK_FILE)).unwrap();
            let mut command = std::process::Command::new("sleep");
            command.arg("600").current_dir("/").stdin(lock);
            command.env(UNIT_VARIABLE, &unit).env(HOME_VARIABLE, home(&unit).unwrap().to_string());
            let marked = Self { process: command.spawn().unwrap(), units };
            // A program that is just being begun has no environment yet.
            let begun = crate::clock::now().steady;
            while mark(Pid(marked.process.id())) == Ok(None) {
                assert!(crate::clock::now().steady - begun < Duration::from_secs(10), "it bears no mark");
                std::thread::sleep(POLL);
            }
            marked
        }

        /// The pids among these that are its own.
        fn is_among(&self, found: &[Seen]) -> bool {
            found.iter().any(|seen| seen.pid == Pid(self.process.id()))
        }

        fn found(&self, units: &Path) -> (bool, bool) {
            let census = Census::take().unwrap();
            let (members, orphans) = (census.members(&units.join("web.1.1")), census.orphans(units));
            (self.is_among(&members.unwrap()), self.is_among(&orphans.unwrap()))
        }
    }

    impl Drop for Marked {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
            drop(fs::remove_dir_all(self.units.parent().unwrap()));
        }
    }

    #[test]
    fn processes_of_a_removed_folder_of_units_are_its_orphans() {
        let marked = Marked::start("removed");
        assert_eq!(mark(Pid(marked.process.id())), Ok(Some(marked.units.join("web.1.1"))));
        assert_eq!(marked.found(&marked.units), (true, false));
        fs::remove_dir_all(&marked.units).unwrap();
        // Takes the inode that was let go, so that the next folder of units has another one.
        fs::create_dir_all(marked.units.with_file_name("other")).unwrap();
        fs::create_dir_all(marked.units.join("web.1.1")).unwrap();
        assert_eq!(marked.found(&marked.units), (false, true));
    }

    #[test]
    fn processes_of_a_moved_folder_of_units_are_not_those_of_what_is_in_its_place() {
        let marked = Marked::start("moved");
        let moved = marked.units.with_file_name("elsewhere");
        fs::rename(&marked.units, &moved).unwrap();
        fs::create_dir_all(marked.units.join("web.1.1")).unwrap();
        assert_eq!(marked.found(&marked.units), (false, false));
    }

    #[test]
    fn descendants_are_found_through_generations() {
        let listing = [seen(1, 0), seen(5, 1), seen(6, 5), seen(7, 6), seen(8, 1), seen(9, 9)];
        let found: Vec<u32> = descendants(Pid(5), &listing).iter().map(|seen| seen.pid.0).collect();
        assert_eq!(found, [6, 7]);
        assert_eq!(descendants(Pid(9), &listing).len(), 1);
    }
}
