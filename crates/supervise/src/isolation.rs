//! What keeps services apart on this machine.
//!
//! When the node is root, every service has a user of its own, and the kernel's ordinary rules do the work. A
//! service that asked for `user: root` is held by nothing.
//!
//! When it is not, all services share the node's user, to whom every file mode and most signals are open. Each
//! child then gets
//!
//! * a user and a mount namespace of its own ([`sys::process::namespace`]), in which the folders that its
//!   launch hides are empty, and from which it cannot look into a process outside: its memory, environment
//!   and open files stay closed;
//! * a Landlock domain (landlock(7)), from which it can signal nobody outside, from Linux 6.12 on. Where
//!   namespaces are not to be had, the domain also closes memory and environments; files stay open then.
//!
//! A command run beside a child is in a domain and in namespaces of its own, so it cannot signal the child.
//!
//! Start reading at [`available`] and [`confinement`]. Invariant: nothing here weakens what was asked for:
//! what a launch hides is hidden or the launch fails, and [`available`] tells what can be asked for.

use std::fmt;
use std::io;

use landlock::{
    AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use sys::process::child::Confinement;
use sys::process::namespace::{self, View, ViewError};

use crate::launch::Launch;

/// What keeps services apart on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// The node is root: each service runs as its own user.
    Users,
    /// All services share the node's user; each has namespaces of its own, in which files can be hidden.
    Namespaces {
        /// Whether Landlock keeps them from signalling each other (Linux 6.12 and later).
        signals: bool,
    },
    /// All services share the node's user; Landlock keeps them out of each other's memory and environment,
    /// and nothing hides files.
    Landlock {
        /// Whether it also keeps them from signalling each other.
        signals: bool,
        /// Why there are no namespaces.
        reason: String,
    },
    /// All services share the node's user and nothing but being separate processes keeps them apart.
    ProcessOnly {
        /// Why there are no namespaces.
        reason: String,
    },
}

impl Isolation {
    /// Whether a launch may hide files.
    pub fn hides(&self) -> bool {
        matches!(self, Isolation::Namespaces { .. })
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Isolation::Users => f.write_str("by user: each service has its own"),
            Isolation::Namespaces { signals: true } => f.write_str(
                "by namespaces and Landlock: services share your user, but see neither the state directory nor other \
                 processes' memory and environment, and signal nobody outside themselves",
            ),
            Isolation::Namespaces { signals: false } => f.write_str(
                "by namespaces: services share your user, but see neither the state directory nor other processes' \
                 memory and environment; they can signal your processes (only Landlock, in Linux 6.12 and later, \
                 forbids that)",
            ),
            Isolation::Landlock { signals, reason } => {
                let also = if *signals { "nor signal" } else { "but can signal" };
                write!(
                    f,
                    "by Landlock, in part: services share your user; they cannot read other processes' memory and \
                     environment, {also} them, but they can read the state directory and the vault's key, because \
                     namespaces of their own are not to be had: {reason}"
                )
            }
            Isolation::ProcessOnly { reason } => write!(
                f,
                "by process only: services share your user, and can read whatever you can and signal your processes: \
                 this kernel has no Landlock or does not enable it (lsm=landlock), and namespaces are not to be had: \
                 {reason}"
            ),
        }
    }
}

/// What keeps services apart here. Starts a process to find out.
pub fn available() -> Isolation {
    if sys::process::is_root() {
        return Isolation::Users;
    }
    let signals = Domain::supported() == Domain::Signals;
    match (namespace::probe(), Domain::supported()) {
        (Ok(()), _) => Isolation::Namespaces { signals },
        (Err(error), Domain::Nothing) => Isolation::ProcessOnly { reason: error.to_string() },
        (Err(error), _) => Isolation::Landlock { signals, reason: error.to_string() },
    }
}

/// What a Landlock domain can do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Domain {
    /// It keeps signals in, and tracing.
    Signals,
    /// It keeps tracing in.
    Tracing,
    Nothing,
}

impl Domain {
    fn supported() -> Self {
        if signal_ruleset().is_ok() {
            Domain::Signals
        } else if tracing_ruleset().is_ok() {
            Domain::Tracing
        } else {
            Domain::Nothing
        }
    }
}

fn strict() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

fn signal_ruleset() -> Result<RulesetCreated, IsolationError> {
    Ok(strict().scope(Scope::Signal)?.create()?)
}

/// The kernel refuses a ruleset that handles nothing; one that allows all of something still separates memory.
fn tracing_ruleset() -> Result<RulesetCreated, IsolationError> {
    let handled = make_bitflags!(AccessFs::{ReadFile | Refer});
    Ok(strict().handle_access(handled)?.create()?.add_rule(PathBeneath::new(PathFd::new("/")?, handled))?)
}

/// A child cannot be confined as its launch asks.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// The kernel refuses the ruleset.
    #[error("cannot confine the process with Landlock")]
    Ruleset(#[from] RulesetError),
    /// The root folder cannot be opened.
    #[error("cannot confine the process with Landlock")]
    RootFolder(#[from] PathFdError),
    /// What is to be hidden cannot be.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There are no namespaces.
    #[error("cannot hide the state directory from the process: it cannot be given namespaces of its own")]
    Namespaces(#[source] io::Error),
    /// Nothing hides files where the node is root: users keep services apart there.
    #[error("cannot hide folders from a process that root starts")]
    Root,
}

/// What a child puts on itself before it runs its program; `None` where there is nothing to put on. For a
/// process that is not root.
pub fn confinement(launch: &Launch) -> Result<Option<Confinement>, IsolationError> {
    let hides = !launch.hidden.is_empty();
    let mut view = match hides {
        true => {
            // In the child itself the cause could not be told from other reasons not to start.
            namespace::probe().map_err(IsolationError::Namespaces)?;
            Some(View::new(&launch.hidden, &launch.shown, &launch.folder)?)
        }
        false => None,
    };
    let mut domain = match Domain::supported() {
        Domain::Signals => Some(signal_ruleset()?),
        // Namespaces keep tracing in already.
        Domain::Tracing if !hides => Some(tracing_ruleset()?),
        Domain::Tracing | Domain::Nothing => None,
    };
    if view.is_none() && domain.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(move || {
        // First: a domain may forbid mounting.
        view.as_mut().map_or(Ok(()), View::put_on)?;
        match domain.take().map(RulesetCreated::restrict_self) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(io::Error::last_os_error()),
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_said() {
        let partly = Isolation::Landlock { signals: true, reason: "Operation not permitted".into() };
        assert!(partly.to_string().ends_with(
            "nor signal them, but they can read the state directory and the vault's key, because namespaces of their \
             own are not to be had: Operation not permitted"
        ));
        for isolation in [partly, Isolation::Users, Isolation::ProcessOnly { reason: "x".into() }] {
            assert!(!isolation.hides(), "{isolation}");
        }
        assert!(Isolation::Namespaces { signals: false }.hides());
    }
}
