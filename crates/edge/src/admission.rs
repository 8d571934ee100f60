//! How many connections are served and how many handshakes are under way at the same time: of all clients, and of one. Start
//! reading at [`Admission::admit`].
//!
//! Shared by all threads and asked once per connection, never per request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::policy::network;
use crate::settings::{ConnectionLimits, Settings};

/// Handshakes that are under way at the same time: each costs a private key's signature.
pub(crate) const HANDSHAKES_MAX: u64 = 1_000;
/// Of one client: more than the browsers behind one address begin at once, and few enough that one who finishes none keeps
/// nobody else out.
pub(crate) const HANDSHAKES_PER_CLIENT_MAX: u32 = 200;
/// Parts that the counts per client are divided into, so that threads rarely wait for each other.
const SHARDS: usize = 64;

/// The connections that are open, and those that were not let in.
pub(crate) struct Admission {
    open: AtomicU64,
    clients: [Mutex<HashMap<u128, Held>>; SHARDS],
    handshakes: AtomicU64,
    turned_away: AtomicU64,
    handshakes_failed: AtomicU64,
}

/// What one client has of the edge.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    connections: u32,
    handshakes: u32,
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

impl Default for Admission {
    fn default() -> Self {
        Self {
            open: AtomicU64::new(0),
            clients: std::array::from_fn(|_| Mutex::default()),
            handshakes: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
        }
    }
}

impl Admission {
    /// Lets a connection of this peer in, and counts it until what is returned is dropped. A trusted peer speaks for many
    /// clients and is not limited as one.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, settings: &Settings) -> Result<Admitted, Full> {
        let ConnectionLimits { total, per_client } = settings.connections;
        // Counted before it is compared: of two that come at once for one place, none is let in beyond it.
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let mut admitted = Admitted { admission: Arc::clone(self), client: None };
        let limited = !settings.trust.iter().any(|network| network.holds(peer));
        let client = Some(network::counted(peer)).filter(|_| limited);
        let full = if open >= total {
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

    /// Changes the count of its client's handshakes; 0 for a client that is not counted.
    fn count_handshakes(&self, change: impl FnOnce(&mut u32) -> u32) -> u32 {
        let Some(client) = self.client else { return 0 };
        let of_client =
            |clients: &mut HashMap<u128, Held>| clients.get_mut(&client).map(|it| change(&mut it.handshakes));
        self.admission.with_shard(client, of_client).unwrap_or_default()
    }
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
        let admission = Arc::new(Admission::default());
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
    fn a_trusted_peer_is_many_clients() {
        let admission = Arc::new(Admission::default());
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
        let admission = Arc::new(Admission::default());
        let limits = settings(HANDSHAKES_MAX * 2, u32::MAX);
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
    fn there_is_a_bound_on_all_handshakes() {
        let admission = Arc::new(Admission::default());
        let limits = settings(HANDSHAKES_MAX * 2, 1);
        let trusted = || admission.admit("10.0.0.1".parse().unwrap(), &limits).ok();
        let open: Vec<_> = (0..=HANDSHAKES_MAX).filter_map(|_| trusted()).collect();
        assert_eq!(begun(&open) as u64, HANDSHAKES_MAX);
        assert_eq!(begun(&open[..1]), 1);
    }
}
