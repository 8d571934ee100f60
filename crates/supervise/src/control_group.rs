//! Control groups: what a unit may take from the machine, and what it takes (cgroups(7)).
//!
//! Start reading at [`discover`], which says where groups can be made here or why not, then [`Group`], a
//! unit's own. Version 2 is preferred; version 1 is used where only it has the controllers. Invariant: a
//! limit is either in the kernel or an error; and no group is touched but below `mainstay`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{ByteSize, Limits, UnitId};

use crate::launch::ControlGroup;

/// The folder under which every group of ours is made.
const OURS: &str = "mainstay";
/// The time in which a processor quota is counted, in microseconds; for tiny quotas, the longest allowed,
/// since the kernel takes no quota under a millisecond.
const PERIOD_US: u64 = 100_000;
const PERIOD_LONG_US: u64 = 1_000_000;

/// Where control groups can be made on this machine, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// Below this folder of the unified hierarchy.
    Unified(PathBuf),
    /// Below these folders, one for each controller.
    PerController {
        /// Of the `cpu` hierarchy.
        cpu: PathBuf,
        /// Of the `memory` hierarchy.
        memory: PathBuf,
        /// Of the `pids` hierarchy.
        pids: PathBuf,
    },
    /// Nowhere.
    Unavailable {
        /// Why, as a sentence for people.
        reason: String,
    },
}

impl Support {
    /// The control group for a unit; `tag` tells this state directory's units from another's and is one
    /// plain path component.
    pub fn group(&self, tag: &str, unit: &UnitId) -> Option<ControlGroup> {
        let place = |base: &Path| base.join(OURS).join(tag).join(unit.to_string());
        match self {
            Support::Unified(base) => Some(ControlGroup::Unified(place(base))),
            Support::PerController { cpu, memory, pids } => {
                Some(ControlGroup::PerController { cpu: place(cpu), memory: place(memory), pids: place(pids) })
            }
            Support::Unavailable { .. } => None,
        }
    }
}

/// Finds out where control groups can be made here, by making one.
pub fn discover() -> Support {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"));
    let (mounts, own) = match (read("/proc/self/mountinfo"), read("/proc/self/cgroup")) {
        (Ok(mounts), Ok(own)) => (mounts, own),
        (Err(reason), _) | (_, Err(reason)) => return Support::Unavailable { reason },
    };
    let unified = match unified_base(&mounts, &own) {
        Ok(base) => return Support::Unified(base),
        Err(reason) => reason,
    };
    let base = |controller| per_controller_base(&mounts, &own, controller);
    match (base("cpu"), base("memory"), base("pids")) {
        (Ok(cpu), Ok(memory), Ok(pids)) => Support::PerController { cpu, memory, pids },
        (cpu, memory, pids) => {
            let legacy = [cpu, memory, pids].into_iter().find_map(Result::err).unwrap_or_default();
            Support::Unavailable { reason: format!("{unified}; {legacy}") }
        }
    }
}

/// One mounted hierarchy: where it is mounted, and which part of it.
struct Mount<'a> {
    at: PathBuf,
    kind: &'a str,
    options: &'a str,
}

fn hierarchies(mounts: &str) -> impl Iterator<Item = Mount<'_>> {
    mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let at = left.split(' ').nth(4)?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        Some(Mount { at: PathBuf::from(at), kind, options: right.nth(1)? })
    })
}

/// This process's place in a hierarchy: `""` names the unified one. Where the place is not visible under
/// the mount (a container), the mount's top.
fn own_place(mount: &Path, own: &str, controller: &str) -> PathBuf {
    let place = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?;
        let found = names.split(',').any(|name| name == controller);
        found.then(|| fields.next()).flatten()
    });
    let inside = mount.join(place.unwrap_or("/").trim_start_matches('/'));
    match inside.is_dir() {
        true => inside,
        false => mount.to_owned(),
    }
}

/// Where the unified hierarchy lets groups with all three controllers be made. As root that is its top;
/// as another user the outermost folder around this process that was delegated.
fn unified_base(mounts: &str, own: &str) -> Result<PathBuf, String> {
    let mount = hierarchies(mounts).find(|mount| mount.kind == "cgroup2").ok_or("no cgroup v2 is mounted")?.at;
    let place = own_place(&mount, own, "");
    let base = outermost_delegated(&mount, &place).ok_or_else(|| not_delegated(&place))?;
    let controllers = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
    for wanted in ["cpu", "memory", "pids"] {
        if !controllers.split_whitespace().any(|name| name == wanted) {
            return Err(format!("cgroup v2 has no {wanted} controller at {}", base.display()));
        }
    }
    for folder in [base, &base.join(OURS)] {
        make(folder)
            .and_then(|()| if writable(folder) { enable(folder) } else { Err(io::ErrorKind::PermissionDenied.into()) })
            .map_err(|error| not_divisible(folder, &error))?;
    }
    Ok(base.to_owned())
}

fn outermost_delegated<'a>(mount: &Path, place: &'a Path) -> Option<&'a Path> {
    place
        .ancestors()
        .take_while(|folder| folder.starts_with(mount))
        .take_while(|folder| writable(&folder.join("cgroup.procs")) && writable(&folder.join("cgroup.subtree_control")))
        .last()
}

/// The session of a login belongs to root; what a user's own service manager starts belongs to the user.
fn not_delegated(place: &Path) -> String {
    format!(
        "cgroup v2 is not delegated to this user at {} (begin with `systemd-run --user --scope mainstay up`, or say \
         Delegate=yes in the service that runs this)",
        place.display()
    )
}

/// The kernel divides no group that has processes of its own.
fn not_divisible(folder: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::ResourceBusy => " (processes run in it; systemd 254 and later: DelegateSubgroup=node)",
        _ => "",
    };
    format!("cgroup v2 at {} cannot be divided: {error}{hint}", folder.display())
}

fn per_controller_base(mounts: &str, own: &str, controller: &str) -> Result<PathBuf, String> {
    let mount = hierarchies(mounts)
        .find(|mount| mount.kind == "cgroup" && mount.options.split(',').any(|name| name == controller))
        .ok_or_else(|| format!("no cgroup v1 {controller} hierarchy is mounted"))?;
    let place = own_place(&mount.at, own, controller);
    let ours = place.join(OURS);
    make(&ours)
        .and_then(|()| if writable(&ours) { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) })
        .map_err(|error| format!("cgroup v1 {controller} at {} is closed to this user: {error}", place.display()))?;
    Ok(place)
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn enable(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.subtree_control"), "+cpu +memory +pids")
}

/// A limit or a group cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Limits were asked for, and there is no group to put them on.
    #[error("the limits that are asked for cannot be had: no control group can be made here")]
    NoGroup,
    /// A group cannot be made.
    #[error("cannot make the control group {}", path.display())]
    Make {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel does not take a limit.
    #[error("cannot limit {what} to {value}: the kernel refuses {}", path.display())]
    Limit {
        /// What is limited.
        what: &'static str,
        /// To what, as the kernel is told.
        value: String,
        /// The kernel's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A group cannot be opened for joining.
    #[error("cannot join the control group {}", path.display())]
    Join {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A unit's control group that exists.
#[derive(Debug)]
pub struct Group<'a> {
    place: &'a ControlGroup,
}

impl<'a> Group<'a> {
    /// Makes a unit's group with its limits; `None` when the unit is to have neither.
    pub fn make(place: Option<&'a ControlGroup>, limits: &Limits) -> Result<Option<Self>, GroupError> {
        let Some(place) = place else {
            return match *limits == Limits::default() {
                true => Ok(None),
                false => Err(GroupError::NoGroup),
            };
        };
        let group = Self { place };
        for folder in group.folders() {
            let unified = matches!(place, ControlGroup::Unified(_));
            // A parent may be removed by the shim of another unit that ends just now: once more, then.
            make_all(folder, unified)
                .or_else(|_| make_all(folder, unified))
                .map_err(|source| GroupError::Make { path: folder.to_owned(), source })?;
        }
        // The kernel has these files where it counts swap.
        let swap = group.no_swap(limits).filter(|setting| setting.path.exists());
        for setting in group.settings(limits).into_iter().chain(swap) {
            fs::write(&setting.path, &setting.value).map_err(|source| setting.refused(source))?;
        }
        Ok(Some(group))
    }

    /// A unit's group that was made before.
    pub fn made(place: &'a ControlGroup) -> Self {
        Self { place }
    }

    /// The group's folders: one, or one for each controller.
    pub fn folders(&self) -> Vec<&Path> {
        folders(self.place)
    }

    /// Each folder's `cgroup.procs`, open for a child to write itself into.
    pub fn entrances(&self) -> Result<Vec<File>, GroupError> {
        let open = |folder: &Path| {
            OpenOptions::new()
                .write(true)
                .open(folder.join("cgroup.procs"))
                .map_err(|source| GroupError::Join { path: folder.to_owned(), source })
        };
        self.folders().into_iter().map(open).collect()
    }

    /// How many processes the kernel has ended here for want of memory since the group was made.
    pub fn memory_kills(&self) -> u64 {
        let (file, key) = match self.place {
            ControlGroup::Unified(folder) => (folder.join("memory.events"), "oom_kill"),
            ControlGroup::PerController { memory, .. } => (memory.join("memory.oom_control"), "oom_kill"),
        };
        // Only explains an end: a kernel that does not count is one that ended nothing.
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Removes the group, which must be empty. The kernel lets go of ended processes a moment late, so
    /// false means: try again soon.
    pub fn remove(&self) -> bool {
        self.folders().into_iter().all(|folder| match fs::remove_dir(folder) {
            Ok(()) => {
                if let Some(parent) = folder.parent() {
                    // The state directory's own folder goes with its last unit; it is not empty before.
                    drop(fs::remove_dir(parent));
                }
                true
            }
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        })
    }

    fn settings(&self, limits: &Limits) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut set = |what, folder: &Path, file: &str, value: String| {
            settings.push(Setting { what, path: folder.join(file), value });
        };
        let quota = limits.cpu.map(|share| {
            let millicores = u64::from(share.as_millicores());
            let period = if millicores < 10 { PERIOD_LONG_US } else { PERIOD_US };
            (millicores * period / 1000, period)
        });
        match self.place {
            ControlGroup::Unified(folder) => {
                if let Some((quota, period)) = quota {
                    set("processor time", folder, "cpu.max", format!("{quota} {period}"));
                }
                if let Some(memory) = limits.memory {
                    set("memory", folder, "memory.max", memory.as_bytes().to_string());
                    set("memory", folder, "memory.oom.group", "1".to_owned());
                }
                if let Some(tasks) = limits.tasks {
                    set("processes and threads", folder, "pids.max", tasks.to_string());
                }
            }
            ControlGroup::PerController { cpu, memory: in_memory, pids } => {
                if let Some((quota, period)) = quota {
                    set("processor time", cpu, "cpu.cfs_period_us", period.to_string());
                    set("processor time", cpu, "cpu.cfs_quota_us", quota.to_string());
                }
                if let Some(memory) = limits.memory {
                    set("memory", in_memory, "memory.limit_in_bytes", memory.as_bytes().to_string());
                }
                if let Some(tasks) = limits.tasks {
                    set("processes and threads", pids, "pids.max", tasks.to_string());
                }
            }
        }
        settings
    }

    /// What passes its memory limit is ended, not moved to swap at the cost of the whole machine. To be set after the
    /// limit itself.
    fn no_swap(&self, limits: &Limits) -> impl Iterator<Item = Setting> {
        limits.memory.into_iter().map(|memory| match self.place {
            ControlGroup::Unified(folder) => {
                Setting { what: "swap", path: folder.join("memory.swap.max"), value: "0".to_owned() }
            }
            ControlGroup::PerController { memory: folder, .. } => Setting {
                what: "memory and swap",
                path: folder.join("memory.memsw.limit_in_bytes"),
                value: memory.as_bytes().to_string(),
            },
        })
    }
}

struct Setting {
    what: &'static str,
    path: PathBuf,
    value: String,
}

impl Setting {
    fn refused(&self, source: io::Error) -> GroupError {
        GroupError::Limit { what: self.what, value: self.value.clone(), path: self.path.clone(), source }
    }
}

/// Makes a group's folder and those above it; in the unified hierarchy each parent hands its controllers on.
fn make_all(folder: &Path, unified: bool) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_all(parent, unified)?;
        if unified && parent.components().any(|part| part.as_os_str() == OURS) {
            enable(parent)?;
        }
    }
    make(folder)
}

fn folders(place: &ControlGroup) -> Vec<&Path> {
    match place {
        ControlGroup::Unified(folder) => vec![folder],
        ControlGroup::PerController { cpu, memory, pids } => vec![cpu, memory, pids],
    }
}

/// What a group's processes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Memory, without page cache that the kernel can drop at once.
    pub memory: ByteSize,
    /// Processor time since the group was made; unknown in version 1, where another hierarchy counts it.
    pub cpu: Option<Duration>,
    /// Processes and threads.
    pub tasks: u64,
}

/// What a unit's group takes now; `None` when there is no such group, or none that can be read: these are figures for
/// people, on which nothing depends.
pub fn read(place: &ControlGroup) -> Option<Reading> {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let from = |path: PathBuf, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse::<u64>().ok())
    };
    let (memory, idle, cpu, tasks) = match place {
        ControlGroup::Unified(folder) => (
            number(folder.join("memory.current"))?,
            from(folder.join("memory.stat"), "inactive_file"),
            from(folder.join("cpu.stat"), "usage_usec"),
            number(folder.join("pids.current"))?,
        ),
        ControlGroup::PerController { memory, pids, .. } => (
            number(memory.join("memory.usage_in_bytes"))?,
            from(memory.join("memory.stat"), "total_inactive_file"),
            None,
            number(pids.join("pids.current"))?,
        ),
    };
    Some(Reading {
        memory: ByteSize::bytes(memory.saturating_sub(idle.unwrap_or(0))),
        cpu: cpu.map(Duration::from_micros),
        tasks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_and_places_read() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found: Vec<String> =
            hierarchies(mounts).map(|m| format!("{} {} {}", m.at.display(), m.kind, m.options)).collect();
        assert_eq!(found, ["/sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct", "/sys/fs/cgroup/unified cgroup2 rw"]);
        let own = "3:cpu,cpuacct:/a/b\n0::/c\n";
        assert_eq!(own_place(Path::new("/nowhere"), own, "cpu"), Path::new("/nowhere"));
        assert_eq!(own_place(Path::new("/"), "0::/proc\n", ""), Path::new("/proc"));
    }

    #[test]
    fn limits_without_a_group_are_refused() {
        let limits = Limits { tasks: Some(5), ..Limits::default() };
        assert!(Group::make(None, &Limits::default()).unwrap().is_none());
        assert_eq!(
            Group::make(None, &limits).unwrap_err().to_string(),
            "the limits that are asked for cannot be had: no control group can be made here"
        );
    }

    #[test]
    fn settings_are_what_the_kernel_wants() {
        let place = ControlGroup::Unified("/g".into());
        let limits = Limits {
            cpu: Some(model::CpuShare::millicores(1500)),
            memory: Some(ByteSize::mebibytes(64)),
            tasks: Some(20),
        };
        let written: Vec<String> = Group { place: &place }
            .settings(&limits)
            .into_iter()
            .map(|s| format!("{} = {}", s.path.display(), s.value))
            .collect();
        assert_eq!(
            written,
            ["/g/cpu.max = 150000 100000", "/g/memory.max = 67108864", "/g/memory.oom.group = 1", "/g/pids.max = 20"]
        );
        let swap: Vec<String> =
            Group { place: &place }.no_swap(&limits).map(|s| s.path.display().to_string()).collect();
        assert_eq!(swap, ["/g/memory.swap.max"]);
        let tiny = Limits { cpu: Some(model::CpuShare::millicores(1)), ..Limits::default() };
        assert_eq!(Group { place: &place }.settings(&tiny)[0].value, "1000 1000000");
    }

    #[test]
    fn a_controller_that_was_not_delegated_is_named() {
        let top = std::env::temp_dir().join(format!("mainstay-cgroup-{}", std::process::id()));
        fs::create_dir(&top).unwrap();
        let files =
            [("cgroup.procs", ""), ("cgroup.subtree_control", ""), ("cgroup.controllers", "cpuset cpu memory\n")];
        for (name, text) in files {
            fs::write(top.join(name), text).unwrap();
        }
        let mounts = format!("30 25 0:26 / {} rw - cgroup2 cgroup2 rw\n", top.display());
        let found = unified_base(&mounts, "0::/elsewhere\n");
        fs::remove_dir_all(&top).unwrap();
        assert_eq!(found, Err(format!("cgroup v2 has no pids controller at {}", top.display())));
    }

    #[test]
    fn a_group_with_processes_of_its_own_is_refused_with_the_way_out() {
        let busy = io::Error::from(rustix::io::Errno::BUSY);
        assert_eq!(
            not_divisible(Path::new("/g"), &busy),
            "cgroup v2 at /g cannot be divided: Device or resource busy (os error 16) (processes run in it; systemd 254 \
             and later: DelegateSubgroup=node)"
        );
    }
}
