//! What all clients have of the edge at the same time, and what one has: connections, handshakes, requests over HTTP/2 and
//! memory. Start reading at [`Admission::admit`].
//!
//! Shared by all threads. A connection of HTTP/1.1 has one request at a time, which is not counted here: its way takes no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::policy::network;
use crate::settings::{ConnectionLimits, Settings};

/// Handshakes that are under way at the same time: each costs a private key's signature.
pub(crate) const HANDSHAKES_MAX: u64 = 1_000;
/// Of one client: more than the browsers behind one address begin at once, and few enough that one who finishes none keeps
/// nobody else out.
pub(crate) const HANDSHAKES_PER_CLIENT_MAX: u32 = 200;
/// Bytes that buffers may have beyond the least: of all connections. What follows from it for the process is added up where
/// its memory is bounded.
pub(crate) const GROWN_BYTES_MAX: u64 = 96 << 20;
/// Of one client.
pub(crate) const GROWN_BYTES_PER_CLIENT_MAX: u64 = GROWN_BYTES_MAX / 8;
/// Descriptors that are not for connections of clients: listeners, the node, files, idle connections to replicas.
const DESCRIPTORS_RESERVED: u64 = 512;
/// One of its own, and one for the connection of its request to a replica.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// Parts that the counts per client are divided into, so that threads rarely wait for each other.
const SHARDS: usize = 64;

/// The connections that are open, and those that were not let in.
pub(crate) struct Admission {
    /// For how many connections there are descriptors.
    room: u64,
    open: AtomicU64,
    clients: [Mutex<HashMap<u128, Held>>; SHARDS],
    handshakes: AtomicU64,
    grown_bytes: AtomicU64,
    turned_away: AtomicU64,
    handshakes_failed: AtomicU64,
}

/// What one client has of the edge.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    connections: u32,
    handshakes: u32,
    requests: u32,
    grown_bytes: u64,
}

/// Connections that came to nothing since the edge began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TurnedAway {
    /// Beyond a limit of connections or of handshakes.
    pub by_limits: u64,
    /// Without a handshake that came to its end.
    pub in_handshake: u64,
}

/// A connection is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// For the edge.
    Edge,
    /// For its client.
    Client,
}

impl Admission {
    /// Of a process that may have so many descriptors.
    pub(crate) fn within(descriptors: u64) -> Self {
        Self {
            room: (descriptors.saturating_sub(DESCRIPTORS_RESERVED) / DESCRIPTORS_PER_CONNECTION).max(1),
            open: AtomicU64::new(0),
            clients: std::array::from_fn(|_| Mutex::default()),
            handshakes: AtomicU64::new(0),
            grown_bytes: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
        }
    }

    /// Lets a connection of this peer in, and counts it until what is returned is dropped. A trusted peer speaks for many
    /// clients and is not limited as one.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, settings: &Settings) -> Result<Admitted, Full> {
        let ConnectionLimits { total, per_client } = settings.connections;
        // Counted before it is compared: of two that come at once for one place, none is let in beyond it.
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let mut admitted = Admitted { admission: Arc::clone(self), client: None };
        let limited = !settings.trust.iter().any(|network| network.holds(peer));
        let client = Some(network::counted(peer)).filter(|_| limited);
        let full = if open >= total.min(self.room) {
            Some(Full::Edge)
        } else if client.is_some_and(|client| !self.enter(client, per_client)) {
            Some(Full::Client)
        } else {
            None
        };
        match full {
            Some(full) => {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                Err(full)
            }
            None => {
                admitted.client = client;
                Ok(admitted)
            }
        }
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Those that were not let in.
    pub(crate) fn turned_away(&self) -> TurnedAway {
        TurnedAway {
            by_limits: self.turned_away.load(Ordering::Relaxed),
            in_handshake: self.handshakes_failed.load(Ordering::Relaxed),
        }
    }

    fn enter(&self, client: u128, most: u32) -> bool {
        self.with_shard(client, |clients| {
            let held = clients.entry(client).or_default();
            let enters = held.connections < most;
            held.connections += u32::from(enters);
            enters
        })
    }

    fn leave(&self, client: u128) {
        self.with_shard(client, |clients| {
            if let Some(held) = clients.get_mut(&client) {
                held.connections -= 1;
                if held.connections == 0 {
                    clients.remove(&client);
                }
            }
        });
    }

    fn with_shard<T>(&self, client: u128, work: impl FnOnce(&mut HashMap<u128, Held>) -> T) -> T {
        // The lower half of an IPv6 network is zero, the upper half of an IPv4 address.
        let bits = client ^ (client >> 64) ^ (client >> 72) ^ (client >> 80);
        let shard = usize::try_from(bits % SHARDS as u128).unwrap_or(0);
        // What is done under this lock cannot panic.
        work(&mut self.clients[shard].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that was let in.
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    /// Whom it counts for, unless its peer is trusted.
    client: Option<u128>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            self.admission.leave(client);
        }
    }
}

impl Admitted {
    /// Lets the connection's handshake begin, and counts it until what is returned is dropped.
    pub(crate) fn begin_handshake(&self) -> Option<Handshake<'_>> {
        // Counted before it is compared, as connections are.
        let under_way = self.admission.handshakes.fetch_add(1, Ordering::Relaxed);
        let of_client = self.count_handshakes(|count| std::mem::replace(count, *count + 1));
        let handshake = Handshake(self);
        if under_way >= HANDSHAKES_MAX || of_client >= HANDSHAKES_PER_CLIENT_MAX {
            self.admission.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(handshake)
    }

    /// Notes that its handshake did not come to its end.
    pub(crate) fn note_failed_handshake(&self) {
        self.admission.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets a request of a connection that has many begin, where its client has not so many under way, and counts it until
    /// what is returned is dropped.
    pub(crate) fn begin_request(&self, most: u32) -> Option<Request<'_>> {
        let begins = |held: &mut Held| {
            let begins = held.requests < most;
            held.requests += u32::from(begins);
            begins
        };
        self.of_client(begins).unwrap_or(true).then(|| Request(self))
    }

    /// Changes the count of its client's handshakes; 0 for a client that is not counted.
    fn count_handshakes(&self, change: impl FnOnce(&mut u32) -> u32) -> u32 {
        self.of_client(|held| change(&mut held.handshakes)).unwrap_or_default()
    }

    /// Works on what its client has; `None` for a client that is not counted.
    fn of_client<T>(&self, work: impl FnOnce(&mut Held) -> T) -> Option<T> {
        let client = self.client?;
        self.admission.with_shard(client, |clients| clients.get_mut(&client).map(work))
    }
}

/// A request under way. Its connection outlives it.
pub(crate) struct Request<'a>(&'a Admitted);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.of_client(|held| held.requests -= 1);
    }
}

/// Memory that a connection's buffer has beyond the least; given back when this is dropped.
pub(crate) struct Account {
    of: Rc<Admitted>,
    bytes: u64,
}

impl Account {
    /// Of a buffer that has none yet.
    pub(crate) fn new(of: &Rc<Admitted>) -> Self {
        Self { of: Rc::clone(of), bytes: 0 }
    }

    /// Has so many bytes from now on, where that is not more than there is for its client and for all.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let before = self.bytes;
        self.set(bytes);
        let exceeded = self.bytes > before && self.is_exceeded();
        if exceeded {
            self.set_bytes(before);
        }
        !exceeded
    }

    /// Has so many bytes from now on, as nothing goes on without them.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.set_bytes(bytes as u64);
    }

    fn is_exceeded(&self) -> bool {
        let of_client = self.of.of_client(|held| held.grown_bytes).unwrap_or(0);
        of_client > GROWN_BYTES_PER_CLIENT_MAX
            || self.of.admission.grown_bytes.load(Ordering::Relaxed) > GROWN_BYTES_MAX
    }

    /// Counted before it is compared, as connections are.
    fn set_bytes(&mut self, bytes: u64) {
        if bytes == self.bytes {
            return;
        }
        let change = |count: u64| count + bytes - self.bytes;
        self.of.of_client(|held| held.grown_bytes = change(held.grown_bytes));
        // Wraps around on the way to less.
        self.of.admission.grown_bytes.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set_bytes(0);
    }
}

/// A connection of nobody in particular.
#[cfg(test)]
pub(crate) fn anybody() -> Rc<Admitted> {
    let settings = Settings::default();
    let admitted = Arc::new(Admission::within(u64::MAX)).admit([192, 0, 2, 1].into(), &settings);
    Rc::new(admitted.unwrap_or_else(|full| panic!("{full:?}")))
}

/// A handshake under way. Its connection outlives it.
pub(crate) struct Handshake<'a>(&'a Admitted);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
        self.0.count_handshakes(|count| std::mem::replace(count, *count - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(total: u64, per_client: u32) -> Settings {
        Settings {
            connections: ConnectionLimits { total, per_client },
            trust: vec!["10.0.0.0/8".parse().unwrap()],
            ..Settings::default()
        }
    }

    #[test]
    fn neither_the_edge_nor_a_client_has_more_than_its_share() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let settings = settings(4, 2);
        let admit = |peer: &str| admission.admit(peer.parse().unwrap(), &settings);
        let mut open = Vec::new();
        for (peer, expected) in [
            ("192.0.2.1", Ok(())),
            ("2001:db8::1", Ok(())),
            ("2001:db8::2", Ok(())),
            ("2001:db8::3", Err(Full::Client)),
            ("2001:db8:0:1::3", Ok(())),
            ("192.0.2.9", Err(Full::Edge)),
        ] {
            let admitted = admit(peer);
            assert_eq!(admitted.as_ref().map(|_| ()).map_err(|full| *full), expected, "{peer}");
            open.extend(admitted.ok());
        }
        assert_eq!((admission.open(), admission.turned_away().by_limits), (4, 2));
        drop(open);
        assert_eq!(admission.open(), 0);
        assert!(admission.clients.iter().all(|shard| shard.lock().unwrap().is_empty()), "whoever left is forgotten");
    }

    #[test]
    fn no_more_are_let_in_than_there_are_descriptors_for() {
        let admission = Arc::new(Admission::within(DESCRIPTORS_RESERVED + 5));
        let admit = || admission.admit("192.0.2.1".parse().unwrap(), &settings(9, 9));
        let open = [admit(), admit(), admit()];
        let full: Vec<_> = open.iter().map(|it| it.as_ref().err().copied()).collect();
        assert_eq!(full, [None, None, Some(Full::Edge)]);
    }

    #[test]
    fn a_trusted_peer_is_many_clients() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let open: Vec<_> = (0..9).map(|_| admission.admit("10.0.0.1".parse().unwrap(), &settings(9, 1))).collect();
        assert!(open.iter().all(Result::is_ok));
    }

    /// How many handshakes begin over these connections.
    fn begun(open: &[Admitted]) -> usize {
        let under_way: Vec<_> = open.iter().filter_map(Admitted::begin_handshake).collect();
        under_way.len()
    }

    #[test]
    fn no_client_has_all_handshakes_and_they_are_counted_while_they_last() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let limits = settings(HANDSHAKES_MAX * 2, u32::MAX);
        // Who is let in is counted; why others are not is asked by the tests above.
        let admit = |peer: &str| admission.admit(peer.parse().unwrap(), &limits).ok();
        let most = usize::try_from(HANDSHAKES_PER_CLIENT_MAX).unwrap();
        let one: Vec<_> = (0..=most).filter_map(|_| admit("2001:db8::1")).collect();
        let under_way: Vec<_> = one.iter().filter_map(Admitted::begin_handshake).collect();
        assert_eq!((under_way.len(), admission.turned_away().by_limits), (most, 1));
        let neighbour = admit("2001:db8::2").unwrap();
        let other = admit("2001:db8:0:1::1").unwrap();
        assert_eq!((begun(&[neighbour]), begun(&[other])), (0, 1));
        drop(under_way);
        assert_eq!(begun(&one), most);
    }

    #[test]
    fn requests_of_a_client_are_counted_while_they_last() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let admit = |peer: &str| admission.admit(peer.parse().unwrap(), &settings(9, 9)).ok().unwrap();
        let (one, again, other, trusted) =
            (admit("192.0.2.1"), admit("192.0.2.1"), admit("192.0.2.2"), admit("10.0.0.1"));
        let under_way = [one.begin_request(2), again.begin_request(2)];
        assert!(under_way.iter().all(Option::is_some));
        let begins = |of: &Admitted| of.begin_request(2).is_some();
        assert_eq!([begins(&one), begins(&other), begins(&trusted)], [false, true, true]);
        drop(under_way);
        assert!(begins(&again));
    }

    #[test]
    fn no_client_has_all_memory_and_it_is_given_back() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let admit = |peer: &str| Rc::new(admission.admit(peer.parse().unwrap(), &settings(99, 9)).ok().unwrap());
        let most = usize::try_from(GROWN_BYTES_PER_CLIENT_MAX).unwrap();
        let one = admit("192.0.2.1");
        let (mut first, mut second) = (Account::new(&one), Account::new(&one));
        assert_eq!((first.resize(most - 1), second.resize(2), second.resize(1)), (true, false, true));
        // What nothing goes on without is had all the same, and counts.
        second.set(9);
        assert!(first.resize(most - 9) && !first.resize(most - 8));
        let others: Vec<_> = (2..9).map(|number| admit(&format!("192.0.2.{number}"))).collect();
        let full: Vec<_> =
            others.iter().map(Account::new).map(|mut account| account.resize(most).then_some(account)).collect();
        assert!(full.iter().all(Option::is_some));
        let mut late = Account::new(&admit("192.0.2.99"));
        assert!(!late.resize(1));
        drop((first, second));
        assert!(late.resize(1));
        drop((full, late));
        assert_eq!(admission.grown_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_is_a_bound_on_all_handshakes() {
        let admission = Arc::new(Admission::within(u64::MAX));
        let limits = settings(HANDSHAKES_MAX * 2, 1);
        // Who is let in is counted.
        let trusted = || admission.admit("10.0.0.1".parse().unwrap(), &limits).ok();
        let open: Vec<_> = (0..=HANDSHAKES_MAX).filter_map(|_| trusted()).collect();
        assert_eq!(begun(&open) as u64, HANDSHAKES_MAX);
        assert_eq!(begun(&open[..1]), 1);
    }
}
