//! Ports for services and servers.
//!
//! They are taken from below the range from which the kernel picks ports for outgoing connections, so that no
//! such connection sits on a service's port when the service comes back to it. Those of data services are taken from the
//! privileged ones, so that no other user's process does either, and receives the passwords that are meant for the server.
//!
//! Start reading at [`Ports::next`] and [`Ports::next_privileged`]. Invariant: a port is not given twice within [`KEPT`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use model::Port;

use crate::listeners::{Taken, unprivileged_from};

/// How long a port that was given stays given, although nothing listens on it yet.
const KEPT: Duration = Duration::from_secs(60);
/// Where the search begins.
const LOWEST: u16 = 20_000;
/// Privileged ports, in the order in which they are looked through. Below are those that everybody knows; from 665 on the
/// kernel's clients of network file systems take theirs (`sunrpc.min_resvport`).
const PRIVILEGED: [Range<u16>; 2] = [512..665, 665..1024];
/// Which ports have a name that everybody knows (services(5)).
const NAMED_FILE: &str = "/etc/services";
/// Ports that are tried before giving up.
const TRIES_MAX: u32 = 2_000;

/// The ports that were given lately.
#[derive(Debug, Default)]
pub(super) struct Ports {
    given: BTreeMap<Port, Duration>,
}

impl Ports {
    /// A port of the loopback interface on which nothing listens; `None` when none was found.
    pub(super) fn next(&mut self, now: Duration) -> Option<Port> {
        self.search(range(), &BTreeSet::new(), now)
    }

    /// A port of the loopback interface on which nothing listens, only root may, and no other program is expected; `None`
    /// when none was found.
    pub(super) fn next_privileged(&mut self, now: Duration) -> Option<Port> {
        let named = named(&std::fs::read_to_string(NAMED_FILE).unwrap_or_default());
        let end = unprivileged_from();
        PRIVILEGED.into_iter().find_map(|range| self.search(range.start..range.end.min(end), &named, now))
    }

    fn search(&mut self, range: Range<u16>, avoided: &BTreeSet<u16>, now: Duration) -> Option<Port> {
        self.given.retain(|_, at| *at + KEPT > now);
        let width = range.end.saturating_sub(range.start);
        let first = random().checked_rem(width)?;
        let mut candidates = (0..u32::from(width).min(TRIES_MAX)).filter_map(|step| {
            let offset = (u32::from(first) + step) % u32::from(width);
            // Smaller than the width, so it is a port's number.
            Port::new(range.start + u16::try_from(offset).ok()?)
        });
        let passes = |port: &Port| !self.given.contains_key(port) && !avoided.contains(&port.number());
        let port = candidates.find(|port| passes(port) && is_free(*port))?;
        self.given.insert(port, now);
        Some(port)
    }
}

/// Who listens on this port, be it on all addresses. A listener of ours on it would be in the way,
/// which is what the machine is asked; one that was closed a moment ago is not.
pub(super) fn taken(port: Port) -> Option<Taken> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()));
    bound.is_err_and(|error| error.kind() == ErrorKind::AddrInUse).then(|| Taken::now(port))
}

fn range() -> Range<u16> {
    // Where the kernel does not say, its default.
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let outgoing = text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(32_768);
    // A machine that uses nearly all ports for outgoing connections leaves no better choice.
    if outgoing > LOWEST + 1_000 { LOWEST..outgoing } else { LOWEST..60_000 }
}

fn is_free(port: Port) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).is_ok()
}

/// The TCP ports that a file of services names.
fn named(services: &str) -> BTreeSet<u16> {
    let ports = services.lines().filter_map(|line| line.split_ascii_whitespace().nth(1)?.strip_suffix("/tcp"));
    ports.filter_map(|number| number.parse().ok()).collect()
}

/// Any number will do: it only keeps two nodes from trying the same ports in the same order.
fn random() -> u16 {
    let mut bytes = [0_u8; 2];
    let _filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_not_given_twice() {
        let mut ports = Ports::default();
        let first = ports.next(Duration::ZERO).unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first.number())).unwrap();
        let more: Vec<Port> = (0..50).map(|_| ports.next(Duration::from_secs(1)).unwrap()).collect();
        assert!(!more.contains(&first));
        assert_eq!(more.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
        assert!(!is_free(first));
        drop(held);
    }

    #[test]
    fn privileged_ports_are_no_other_users_and_have_no_name() {
        let (mut ports, named) = (Ports::default(), named(&std::fs::read_to_string(NAMED_FILE).unwrap_or_default()));
        let given: Vec<Port> = std::iter::from_fn(|| ports.next_privileged(Duration::ZERO)).take(20).collect();
        if crate::process::is_root() && unprivileged_from() >= PRIVILEGED[0].end {
            assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 20);
        }
        for port in given {
            assert!(PRIVILEGED[0].contains(&port.number()) && port.number() < unprivileged_from(), "{port}");
            assert!(!named.contains(&port.number()), "{port}");
        }
    }

    #[test]
    fn nothing_is_found_where_no_port_is_privileged() {
        // On a machine whose ports are open to everybody from 80 on, the range ends before it begins.
        let backwards = Range { start: 512, end: 80 };
        assert_eq!(Ports::default().search(backwards, &BTreeSet::new(), Duration::ZERO), None);
    }

    #[test]
    fn named_ports_are_those_of_tcp() {
        let services =
            "# a comment of 700/tcp\nldaps\t\t636/tcp\t# LDAP over SSL\nsyslog 514/udp\nipp 631/tcp cups\n\nbad /tcp\n";
        assert_eq!(named(services), BTreeSet::from([631, 636]));
    }

    #[test]
    fn a_port_is_taken_while_somebody_listens_on_any_address() {
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let held = TcpListener::bind((address, 0)).unwrap();
            let port = Port::new(held.local_addr().unwrap().port()).unwrap();
            let by = taken(port).unwrap_or_else(|| panic!("{address}")).by;
            assert_eq!(by.map(|owner| owner.pid.0), Some(std::process::id()), "{address}");
            // A connection that lingers is no listener.
            let client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).unwrap();
            drop(held.accept().unwrap());
            drop((held, client));
            assert_eq!(taken(port), None, "{address}");
        }
    }
}
