//! Who asks, and what the service is told of it. Start reading at [`client`].
//!
//! Forwarding fields that a client sends are claims. They are dropped unless the peer is trusted; of a trusted peer
//! the chain is read from its end, and the first address that is not trusted itself is who asks.

use std::net::{IpAddr, SocketAddr};

use super::network::{Network, canonical};
use crate::settings::Client;

/// Addresses of a chain that are read; what stands before them is nobody's word.
const CHAIN_MAX: usize = 32;

/// Who asks, from the values of all `X-Forwarded-For` fields in their order.
pub fn client<'a>(peer: IpAddr, trust: &[Network], chain: impl DoubleEndedIterator<Item = &'a str>) -> Client {
    let peer = canonical(peer);
    let trusted = |address: IpAddr| trust.iter().any(|network| network.holds(address));
    let mut address = peer;
    let hops = chain.rev().flat_map(|value| value.rsplit(','));
    for hop in hops.take(CHAIN_MAX) {
        if !trusted(address) {
            break;
        }
        // What is no address ends the chain: whoever wrote it is the last one known.
        let Some(next) = hop_address(hop.trim()) else { break };
        address = canonical(next);
    }
    Client { peer, address }
}

/// An address with or without port, IPv6 with or without brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

/// Fields that say who asked for what: what a client claims in them goes no further.
pub const CLAIMS: &[&[u8]] = &[
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-real-ip",
    b"x-client-ip",
    b"true-client-ip",
    b"x-tenant",
];

/// What the service is told in their place: `Forwarded` (RFC 7239) and its older kin.
pub fn fields(client: Client, host: &str, https: bool) -> [(&'static str, String); 4] {
    let proto = if https { "https" } else { "http" };
    let quoted = match client.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    [
        ("X-Forwarded-For", client.address.to_string()),
        ("X-Forwarded-Proto", proto.to_owned()),
        ("X-Forwarded-Host", host.to_owned()),
        ("Forwarded", format!("for={quoted};host=\"{host}\";proto={proto}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(peer: &str, trust: &[&str], chain: &[&str]) -> String {
        let trust: Vec<Network> = trust.iter().map(|it| it.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &trust, chain.iter().copied()).address.to_string()
    }

    #[test]
    fn a_chain_is_believed_as_far_as_trust_reaches() {
        let lan = &["10.0.0.0/8"][..];
        for (peer, trust, chain, expected) in [
            ("192.0.2.1", &[][..], &["203.0.113.9"][..], "192.0.2.1"),
            ("192.0.2.1", lan, &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", lan, &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", lan, &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", lan, &["1.1.1.1, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
            ("10.0.0.1", lan, &["1.1.1.1", "203.0.113.9,10.0.0.7"], "203.0.113.9"),
            ("10.0.0.1", lan, &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", lan, &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", lan, &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", lan, &["unknown"], "10.0.0.1"),
            ("10.0.0.1", lan, &["203.0.113.9, unknown, 10.0.0.5"], "10.0.0.5"),
            ("10.0.0.1", lan, &[""], "10.0.0.1"),
            ("10.0.0.1", lan, &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", lan, &["203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(asks(peer, trust, chain), expected, "{peer} {trust:?} {chain:?}");
        }
    }

    #[test]
    fn the_service_is_told_in_both_notations() {
        let address = "2001:db8::1".parse().unwrap();
        let fields = fields(Client { peer: address, address }, "acme.example.com:8443", true);
        assert_eq!(
            fields.map(|(name, value)| format!("{name}: {value}")),
            [
                "X-Forwarded-For: 2001:db8::1",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: acme.example.com:8443",
                "Forwarded: for=\"[2001:db8::1]\";host=\"acme.example.com:8443\";proto=https",
            ]
        );
    }
}
