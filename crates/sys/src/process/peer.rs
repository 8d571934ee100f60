//! Who is at the other end of a local socket, and whether it may give orders.
//!
//! Where services run as the node's own user, the user id says nothing: a service could order other
//! services' shims, or the node, to stop. So a caller is also refused when it runs inside a unit: when one of its ancestors
//! is a shim. A shim adopts what its descendants orphan, so a service cannot leave its shim's tree. A
//! shim that is an ancestor of the callee too does not count: a whole node may run inside a unit.
//! What a killed shim left behind has no shim above it any more; it is still known by its user namespace,
//! where services are given one, for nothing leaves a user namespace.
//!
//! Start reading at [`check`]. Invariant: a caller that cannot be looked at is refused.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use model::Pid;
use rustix::net::UCred;
use rustix::net::sockopt::socket_peercred;

use super::look;
use super::unit::SHIM_NAME;

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process.
    pub pid: Pid,
    /// Its user.
    pub uid: u32,
}

/// Why a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefusal {
    /// The kernel does not say who called, or the caller is already gone.
    #[error("the caller cannot be identified")]
    Unknown,
    /// It runs as somebody else.
    #[error("user id {uid} may not call: only root and user id {own} may")]
    User {
        /// The caller's user.
        uid: u32,
        /// The callee's user.
        own: u32,
    },
    /// It runs inside a supervised unit.
    #[error("process {pid} may not call: it runs inside a service")]
    InsideUnit {
        /// The caller.
        pid: Pid,
    },
    /// It runs in a user namespace of its own, as services of a node do that is not root.
    #[error("process {pid} may not call: it runs in another user namespace")]
    Namespace {
        /// The caller.
        pid: Pid,
    },
}

/// Lets through root and this process's own user, wherever the caller runs: for a process that runs inside a unit itself.
pub fn check_user(socket: impl AsFd) -> Result<UCred, PeerRefusal> {
    let caller = socket_peercred(socket).map_err(|_| PeerRefusal::Unknown)?;
    let uid = caller.uid.as_raw();
    let own = rustix::process::geteuid().as_raw();
    match uid == 0 || uid == own {
        true => Ok(caller),
        false => Err(PeerRefusal::User { uid, own }),
    }
}

/// Lets through root and this process's own user, unless the caller runs inside a unit.
pub fn check(socket: impl AsFd) -> Result<Peer, PeerRefusal> {
    let caller = check_user(socket)?;
    // A caller in a process namespace that this one cannot see has no number here.
    let pid = u32::try_from(caller.pid.as_raw_pid()).ok().filter(|pid| *pid != 0).ok_or(PeerRefusal::Unknown)?;
    let (pid, uid) = (Pid(pid), caller.uid.as_raw());
    let around = shims_around(pid).ok_or(PeerRefusal::Unknown)?;
    // This process's own shims, if it is a node in a unit; never this process itself, if it is a shim.
    let own = look(Pid(std::process::id())).map_err(|_| PeerRefusal::Unknown)?;
    let ours: BTreeSet<Pid> = own
        .and_then(|own| if own.parent.0 == 0 { Some(BTreeSet::new()) } else { shims_around(own.parent) })
        .unwrap_or_default();
    if !around.is_subset(&ours) {
        return Err(PeerRefusal::InsideUnit { pid });
    }
    match super::namespace::has_our_map(pid) {
        Some(true) => Ok(Peer { pid, uid }),
        Some(false) => Err(PeerRefusal::Namespace { pid }),
        None => Err(PeerRefusal::Unknown),
    }
}

/// The shims among a process and its ancestors; `None` when the process is gone or a look at them failed. This very process,
/// when it asks about itself, is not looked at as a shim's child.
fn shims_around(pid: Pid) -> Option<BTreeSet<Pid>> {
    let mut shims = BTreeSet::new();
    let mut visited = BTreeSet::new();
    let mut next = pid;
    while next.0 != 0 && visited.insert(next) {
        let seen = match look(next).ok()? {
            Some(seen) => seen,
            // The caller itself must be there; an ancestor that ended meanwhile has handed its
            // children on, so the walk starts anew from the caller.
            None if next == pid => return None,
            None => return shims_around(pid),
        };
        if seen.name == SHIM_NAME {
            shims.insert(next);
        }
        next = seen.parent;
    }
    Some(shims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_call_itself() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(check(&one).unwrap().pid, Pid(std::process::id()));
    }
}
