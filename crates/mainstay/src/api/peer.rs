//! Who is at the other end of the control socket, and whether they may be there.
//!
//! Admin is user 0 and the node's own user. The platform's own services are refused whatever their user:
//! without root they have the node's own, and a service may be told to run as root. They are known by a shim
//! among their ancestors, which [`sys::process::peer`] looks for, and, where the shim was killed and they
//! have not been swept up yet, by the mark in their environment.

use std::path::{Path, PathBuf};

use model::{Actor, Pid, UnitId};
use sys::process::peer::PeerRefusal;
use sys::process::unit;
use tokio::net::UnixStream;

/// Why a peer may not use the control API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Its user or its ancestors speak against it.
    #[error(transparent)]
    Peer(#[from] PeerRefusal),
    /// Its environment does.
    #[error("process {pid} may not call: it belongs to {unit}")]
    Marked {
        /// Its process.
        pid: Pid,
        /// The unit that its environment names.
        unit: String,
    },
}

/// A refused peer.
#[derive(Debug)]
pub(crate) struct Refused {
    /// As whom it is journaled; absent where even its user is unknown.
    pub(crate) actor: Option<Actor>,
    /// Why.
    pub(crate) refusal: Refusal,
}

/// The actor at the other end, if it may use the API.
pub(crate) fn admit(stream: &UnixStream) -> Result<Actor, Refused> {
    // Where the kernel does not say who, the refusal is journaled without.
    let user = stream.peer_cred().ok().map(|credentials| Actor::Local { uid: credentials.uid() });
    match judge(stream) {
        Ok(actor) => Ok(actor),
        Err(refusal) => Err(Refused { actor: user, refusal }),
    }
}

fn judge(stream: &UnixStream) -> Result<Actor, Refusal> {
    let peer = sys::process::peer::check(stream)?;
    // Another user's environment cannot be read, nor that of a process which forbids it; the ancestors,
    // which were looked at, still tell. A whole node may run inside a unit: then its own mark says nothing.
    match mark(peer.pid)? {
        Some(folder) if Some(&folder) != mark(Pid(std::process::id()))?.as_ref() => {
            Err(Refusal::Marked { pid: peer.pid, unit: unit_of(&folder) })
        }
        _ => Ok(Actor::Local { uid: peer.uid }),
    }
}

/// The unit's folder that a process's environment names. Where a look at it fails, it is not known who calls.
fn mark(pid: Pid) -> Result<Option<PathBuf>, PeerRefusal> {
    unit::mark(pid).map_err(|_| PeerRefusal::Unknown)
}

/// The unit of a folder. The text comes from a process that may lie: only a unit's name is repeated.
fn unit_of(folder: &Path) -> String {
    let unit = folder.file_name().and_then(|name| name.to_str()?.parse::<UnitId>().ok());
    unit.map_or_else(|| "a service".to_owned(), |unit| unit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_units_name_is_repeated() {
        assert_eq!(unit_of(Path::new("/x/units/api.3.1")), "api.3.1");
        assert_eq!(unit_of(Path::new("/x/\x1b[2J")), "a service");
    }
}
