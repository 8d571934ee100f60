//! Sockets that listen for a child, and outlive it: whoever holds a copy keeps clients waiting in the backlog, rather
//! than turned away, until the next child takes them.
//!
//! The node binds them and the shim inherits them, and its child after it ([`inherited`]). Both keep copies: the node
//! for the next shim, and the shim for the next node, which fetches them. Where a unit that runs is to listen elsewhere,
//! both are handed others ([`handover`]). Start reading at [`HeldSockets`]. Invariant: a port that somebody else listens
//! on is never shared, although sockets of one port are.

pub mod handover;

mod bind;
mod owner;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Port;

pub(crate) use bind::unprivileged_from;
pub use bind::{Barred, barred, is_privileged};
pub use owner::{Owner, Taken};

/// The environment variable in which a shim, and its child, finds the numbers of the descriptors it inherits.
pub const VARIABLE: &str = "MAINSTAY_LISTENERS";
/// Sockets of one unit at most: two ports, and one socket for each of many cores.
pub const SOCKETS_MAX: usize = 128;

/// Where a unit listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Listening {
    /// The ports, on all addresses of the machine.
    pub ports: Vec<Port>,
    /// How many sockets each has: one for each thread that accepts, among which the kernel spreads connections.
    pub sockets: usize,
}

/// The sockets that a node holds for its units.
#[derive(Debug, Clone, Default)]
pub struct HeldSockets(Arc<Mutex<Held>>);

impl HeldSockets {
    /// What is held. Every change is a single step, so one that a panic interrupted is still whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a unit whose shim runs listen on these ports from now on: the shim holds their sockets once this succeeds, and no
    /// others. Returns copies for the shim's child, who is to be handed them next ([`handover::give`]): it closes last what
    /// is not wanted any more, so that nobody is turned away whom it could still accept.
    ///
    /// May be done again at any time, also after it was broken off in the middle or by another node.
    pub async fn move_to(&self, unit: &Path, wanted: &Listening) -> Result<Vec<OwnedFd>, MoveError> {
        let mut shim = handover::Shim::reach(unit).await.map_err(MoveError::Shim)?;
        let sockets = {
            let mut held = self.lock();
            held.keep(unit, shim.sockets());
            held.take(unit, wanted)?;
            held.copies(unit).map_err(MoveError::Copy)?
        };
        shim.hand(&sockets).await.map_err(MoveError::Shim)?;
        Ok(sockets)
    }
}

/// A unit that runs cannot be made to listen elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of the ports.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// There is no room for another descriptor.
    #[error("cannot copy a socket")]
    Copy(#[source] io::Error),
    /// Its shim.
    #[error("its shim does not take the sockets")]
    Shim(#[source] io::Error),
}

/// The sockets that are held, by the folder of the unit that listens on them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    units: BTreeMap<PathBuf, BTreeMap<Port, Vec<OwnedFd>>>,
}

impl Held {
    /// The sockets for a unit: those that are held already, and new ones where there are none. What it does not listen
    /// on any more is closed, once it has everything that it is to listen on.
    pub(crate) fn take(&mut self, unit: &Path, wanted: &Listening) -> Result<Vec<RawFd>, Barred> {
        if wanted.ports.is_empty() {
            self.units.remove(unit);
            return Ok(Vec::new());
        }
        let held = self.units.entry(unit.to_owned()).or_default();
        for port in &wanted.ports {
            if !held.contains_key(port) {
                held.insert(*port, bind::sockets(*port, wanted.sockets.clamp(1, SOCKETS_MAX))?);
            }
        }
        held.retain(|port, _| wanted.ports.contains(port));
        Ok(held.values().flatten().map(AsRawFd::as_raw_fd).collect())
    }

    /// Keeps what a shim that runs has handed over, where nothing is held. What could not be fetched is asked for again.
    pub(crate) fn keep(&mut self, unit: &Path, sockets: Vec<OwnedFd>) {
        if self.units.contains_key(unit) || sockets.is_empty() {
            return;
        }
        let mut held: BTreeMap<Port, Vec<OwnedFd>> = BTreeMap::new();
        for socket in sockets {
            if let Some(port) = bind::port_of(&socket) {
                held.entry(port).or_default().push(socket);
            }
        }
        self.units.insert(unit.to_owned(), held);
    }

    /// Copies of what is held for a unit.
    fn copies(&self, unit: &Path) -> io::Result<Vec<OwnedFd>> {
        self.units.get(unit).into_iter().flat_map(BTreeMap::values).flatten().map(OwnedFd::try_clone).collect()
    }

    /// Whether something is held for a unit.
    pub(crate) fn has(&self, unit: &Path) -> bool {
        self.units.contains_key(unit)
    }

    /// Closes what is held for a unit.
    pub(crate) fn close(&mut self, unit: &Path) {
        self.units.remove(unit);
    }
}

/// The numbers of descriptors, as [`VARIABLE`] has them.
pub(crate) fn numbers_text(descriptors: &[RawFd]) -> String {
    descriptors.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What was inherited is not what the variable says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}={0:?} names no listening sockets of this process")]
pub struct NotInherited(String);

/// Takes over the sockets that [`VARIABLE`] names. To be called once, before anything else opens descriptors.
pub fn inherited(text: &str) -> Result<Vec<OwnedFd>, NotInherited> {
    let bad = || NotInherited(text.to_owned());
    let numbers: Vec<RawFd> = text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != numbers.len() || sorted.len() > SOCKETS_MAX || sorted.first().is_some_and(|first| *first < 3) {
        return Err(bad());
    }
    if !numbers.iter().all(|number| Path::new(&format!("/proc/self/fd/{number}")).exists()) {
        return Err(bad());
    }
    #[expect(unsafe_code, reason = "descriptors that were inherited have no owner yet")]
    // SAFETY: each is open, above the standard ones, named once, and this is called before anything of this process
    // opened a descriptor of its own.
    let sockets: Vec<OwnedFd> = numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
    match sockets.iter().all(|socket| bind::port_of(socket).is_some()) {
        true => Ok(sockets),
        false => Err(bad()),
    }
}

/// What tells a socket from every other of this boot, whoever holds a copy and by whatever number.
pub fn identity(socket: impl AsFd) -> io::Result<u64> {
    Ok(rustix::net::sockopt::socket_cookie(socket)?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn free_port() -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Port::new(listener.local_addr().unwrap().port()).unwrap()
    }

    #[test]
    fn sockets_are_kept_from_one_start_to_the_next_and_closed_when_they_are_not_wanted() {
        let (mut held, unit, port) = (Held::default(), Path::new("/units/edge"), free_port());
        let wanted = Listening { ports: vec![port], sockets: 2 };
        let first = held.take(unit, &wanted).unwrap();
        assert_eq!(first.len(), 2);
        // Nobody accepts: a client waits in the backlog all the same.
        let client = TcpStream::connect(("127.0.0.1", port.number())).unwrap();
        assert_eq!(held.take(unit, &wanted).unwrap(), first);
        drop(client);
        let other = Listening { ports: vec![free_port()], sockets: 1 };
        assert_eq!(held.take(unit, &other).unwrap().len(), 1);
        assert!(TcpStream::connect(("127.0.0.1", port.number())).is_err());
        held.close(unit);
        assert!(TcpStream::connect(("127.0.0.1", other.ports[0].number())).is_err());
    }

    #[test]
    fn nothing_that_was_fetched_is_nothing_that_is_held() {
        let (mut held, unit) = (Held::default(), Path::new("/units/edge"));
        held.keep(unit, Vec::new());
        assert!(!held.has(unit), "the next fetch may bring them");
        held.keep(unit, vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]);
        assert!(held.has(unit));
    }

    #[test]
    fn a_port_of_somebody_else_is_not_shared() {
        let (mut one, mut other, port) = (Held::default(), Held::default(), free_port());
        let wanted = Listening { ports: vec![port], sockets: 1 };
        one.take(Path::new("/units/edge"), &wanted).unwrap();
        let refused = other.take(Path::new("/elsewhere/edge"), &wanted).unwrap_err();
        let own = std::process::id();
        assert!(refused.to_string().contains(&format!("process {own}")), "{refused}");
        assert_eq!(barred(port), Some(refused));
        assert_eq!(barred(free_port()), None);
    }

    /// Fails when what is held is closed for the sake of a port that cannot be had.
    #[test]
    fn nothing_is_closed_before_everything_wanted_is_held() {
        let (mut held, unit, port) = (Held::default(), Path::new("/units/edge"), free_port());
        held.take(unit, &Listening { ports: vec![port], sockets: 1 }).unwrap();
        let others = TcpListener::bind("0.0.0.0:0").unwrap();
        let taken = Port::new(others.local_addr().unwrap().port()).unwrap();
        held.take(unit, &Listening { ports: vec![taken], sockets: 1 }).unwrap_err();
        TcpStream::connect(("127.0.0.1", port.number())).unwrap();
    }

    #[test]
    fn what_is_no_list_of_sockets_is_refused() {
        for text in ["", "x", "3,", "1", "0", "3,3", "99999"] {
            assert!(inherited(text).is_err(), "{text}");
        }
    }
}
