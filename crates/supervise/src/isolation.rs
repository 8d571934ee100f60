//! What keeps services apart on this machine, and Landlock's part in it.
//!
//! When the node is root, every service has a user of its own, and the kernel's ordinary rules do the work.
//! When it is not, all services share the node's user. Landlock (landlock(7)) then puts each child and its
//! descendants into a domain of their own: they can trace, and read the memory and environment of, nobody
//! outside it; from Linux 6.12 on they can signal nobody outside it; and the folders that a launch hides
//! cannot be read. A service that asked to run as root is confined the same way; root's right to read any
//! process's memory, which recent kernels grant over Landlock's head, remains.
//!
//! What hiding costs. Landlock knows only allowing, so each neighbour of the way to a hidden folder is
//! allowed by name when the child starts. Therefore the child cannot read a *file or folder made later*
//! directly in one of the folders on that way (`/`, `/home`, … the hidden folder's parent); below the
//! neighbours nothing changes. Listing folders, writing, and running programs stay free everywhere.
//! A command run beside a child is in a domain of its own, so it cannot signal the child.
//!
//! Start reading at [`available`] and [`confinement`]. Invariant: nothing here weakens what was asked for
//! without [`available`] telling so.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use sys::process::child::Confinement;

/// Neighbours of the ways to hidden folders that are allowed at most; more refuse the launch.
pub const NEIGHBOURS_MAX: usize = 16 << 10;

/// What keeps services apart on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// The node is root: each service runs as its own user.
    Users,
    /// All services share the node's user; Landlock keeps them apart.
    Landlock {
        /// Whether it also keeps them from signalling each other (Linux 6.12 and later).
        signals: bool,
    },
    /// All services share the node's user and nothing but being separate processes keeps them apart.
    ProcessOnly {
        /// Why there is nothing better.
        reason: String,
    },
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Isolation::Users => f.write_str("by user: each service has its own"),
            Isolation::Landlock { signals: true } => f.write_str("by Landlock: files, memory and signals"),
            Isolation::Landlock { signals: false } => {
                f.write_str("by Landlock: files and memory, but not signals, for which Linux 6.12 is needed")
            }
            Isolation::ProcessOnly { reason } => write!(f, "by process only: {reason}"),
        }
    }
}

/// What keeps services apart here.
pub fn available() -> Isolation {
    if sys::process::is_root() {
        return Isolation::Users;
    }
    match support() {
        Support::Signals => Isolation::Landlock { signals: true },
        Support::Files => Isolation::Landlock { signals: false },
        Support::Nothing => Isolation::ProcessOnly {
            reason: "the node is not root, and this kernel has no Landlock or does not enable it (lsm=landlock)".into(),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Signals,
    Files,
    Nothing,
}

fn support() -> Support {
    if ruleset(true, true).and_then(Ruleset::create).is_ok() {
        Support::Signals
    } else if ruleset(true, false).and_then(Ruleset::create).is_ok() {
        Support::Files
    } else {
        Support::Nothing
    }
}

/// Moving files is handled only because a ruleset that does not handle it forbids it.
fn handled() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | Refer})
}

fn ruleset(files: bool, signals: bool) -> Result<Ruleset, RulesetError> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if files {
        ruleset = ruleset.handle_access(handled())?;
    }
    if signals {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    Ok(ruleset)
}

/// A child cannot be confined as its launch asks.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// The kernel refuses the ruleset.
    #[error("cannot confine the process with Landlock")]
    Ruleset(#[from] RulesetError),
    /// A folder on the way to a hidden one cannot be listed.
    #[error("cannot hide {}: its parent {} cannot be listed", hidden.display(), parent.display())]
    Unlisted {
        /// The folder to hide.
        hidden: PathBuf,
        /// The folder on the way.
        parent: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are too many neighbours.
    #[error("cannot hide {}: there are more than {NEIGHBOURS_MAX} files beside the way to it", .0.display())]
    Crowded(PathBuf),
}

/// What a child puts on itself before it runs its program; `None` where there is nothing to put on. The
/// folders are as they are now: see the module's words on what is made later.
pub fn confinement(hidden: &[PathBuf]) -> Result<Option<Confinement>, IsolationError> {
    let support = support();
    if support == Support::Nothing {
        return Ok(None);
    }
    let hidden = Ways::to(hidden);
    if hidden.ends.is_empty() && support == Support::Files {
        // An empty ruleset is refused by the kernel; one that allows everything still separates memory.
        let created = allow(ruleset(true, false)?.create()?, Path::new("/"))?;
        return Ok(Some(put_on(created)));
    }
    let mut created = ruleset(!hidden.ends.is_empty(), support == Support::Signals)?.create()?;
    for neighbour in hidden.neighbours()? {
        created = allow(created, &neighbour)?;
    }
    Ok(Some(put_on(created)))
}

fn put_on(created: RulesetCreated) -> Confinement {
    let mut created = Some(created);
    Box::new(move || match created.take().map(RulesetCreated::restrict_self) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(io::Error::last_os_error()),
    })
}

/// Allows reading beneath a path; one that is gone meanwhile, or may not be opened, needs no allowing.
fn allow(created: RulesetCreated, path: &Path) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(created) };
    let rights = match path.is_dir() {
        true => handled(),
        false => make_bitflags!(AccessFs::{ReadFile}),
    };
    created.add_rule(PathBeneath::new(opened, rights))
}

/// The hidden folders, and every folder on the way to one.
struct Ways {
    ends: BTreeSet<PathBuf>,
    on_the_way: BTreeSet<PathBuf>,
}

impl Ways {
    fn to(hidden: &[PathBuf]) -> Self {
        // A folder that is not there hides nothing.
        let ends: BTreeSet<PathBuf> = hidden.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let on_the_way = ends.iter().flat_map(|end| end.ancestors().skip(1)).map(Path::to_owned).collect();
        Self { ends, on_the_way }
    }

    fn neighbours(&self) -> Result<Vec<PathBuf>, IsolationError> {
        let mut neighbours = Vec::new();
        for folder in &self.on_the_way {
            if self.ends.iter().any(|end| folder.starts_with(end)) {
                continue;
            }
            let unlisted = |source| IsolationError::Unlisted {
                hidden: self.ends.iter().find(|end| end.starts_with(folder)).cloned().unwrap_or_default(),
                parent: folder.clone(),
                source,
            };
            for entry in std::fs::read_dir(folder).map_err(unlisted)? {
                let path = entry.map_err(unlisted)?.path();
                // A link is followed to what it names, which has its own place in or beside the ways.
                let place = path.canonicalize().unwrap_or_else(|_| path.clone());
                if place == path && !self.ends.contains(&path) && !self.on_the_way.contains(&path) {
                    neighbours.push(path);
                }
                if neighbours.len() > NEIGHBOURS_MAX {
                    return Err(IsolationError::Crowded(folder.clone()));
                }
            }
        }
        Ok(neighbours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_leave_out_the_way_and_its_end() {
        let base = std::env::temp_dir().join(format!("mainstay-ways-{}", std::process::id()));
        for folder in ["state/vault", "state/units", "code"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        std::fs::write(base.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(base.join("state/vault"), base.join("alias")).unwrap();
        let base = base.canonicalize().unwrap();
        let ways = Ways::to(&[base.join("state/vault"), base.join("state/absent")]);
        let inside: BTreeSet<PathBuf> =
            ways.neighbours().unwrap().into_iter().filter(|path| path.starts_with(&base)).collect();
        assert_eq!(inside, BTreeSet::from(["code", "file", "state/units"].map(|name| base.join(name))));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
