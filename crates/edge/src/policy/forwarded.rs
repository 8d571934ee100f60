//! Who asks, and what the service is told of it. Start reading at [`client`].
//!
//! What a client says of itself in the fields by which proxies do ([`http1::is_claim`]) is dropped. A trusted peer is believed:
//! its chain of addresses is read from its end, and the first address that is not trusted itself is who asks; the scheme is
//! the one that it was asked by; what it says besides reaches the service.

use std::net::{IpAddr, SocketAddr};

use super::network::{Network, canonical};

/// Addresses of a chain that are read; what stands before them is nobody's word.
const CHAIN_MAX: usize = 32;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether the connection is secured by TLS.
    pub secure: bool,
}

/// What a request says of who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims<'r> {
    /// The values of all `X-Forwarded-For` fields, in their order.
    pub chain: Vec<&'r str>,
    /// The last value of `X-Forwarded-Proto`.
    pub scheme: Option<&'r str>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The peer's address, or the one that a trusted peer names.
    pub address: IpAddr,
    /// Whether it asks by HTTPS: us, or a trusted peer.
    pub secure: bool,
    /// Whether a trusted peer speaks for it, whose other claims are passed on.
    pub vouched: bool,
}

/// Who asks, as far as that is to be believed.
pub fn client(peer: Peer, trust: &[Network], claims: &Claims<'_>) -> Client {
    let trusted = |address: IpAddr| trust.iter().any(|network| network.holds(address));
    let mut address = canonical(peer.address);
    let vouched = trusted(address);
    let hops = claims.chain.iter().rev().flat_map(|value| value.rsplit(','));
    for hop in hops.take(CHAIN_MAX) {
        if !trusted(address) {
            break;
        }
        // What is no address ends the chain: whoever wrote it is the last one known.
        let Some(next) = hop_address(hop.trim()) else { break };
        address = canonical(next);
    }
    let secure = claims.scheme.filter(|_| vouched).and_then(is_https).unwrap_or(peer.secure);
    Client { address, secure, vouched }
}

/// What the last of a list of schemes is: what the peer itself was asked by. Nothing where it is neither.
fn is_https(schemes: &str) -> Option<bool> {
    let scheme = schemes.rsplit(',').next().unwrap_or_default().trim();
    ["http", "https"].iter().position(|known| scheme.eq_ignore_ascii_case(known)).map(|at| at == 1)
}

/// An address with or without port, IPv6 with or without brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

/// What the service is told: `Forwarded` (RFC 7239) and its older kin.
pub fn fields(client: Client, host: &str) -> [(&'static str, String); 4] {
    let proto = if client.secure { "https" } else { "http" };
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
        let peer = Peer { address: peer.parse().unwrap(), secure: false };
        client(peer, &trust, &Claims { chain: chain.to_vec(), scheme: None }).address.to_string()
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
    fn a_scheme_is_believed_of_a_trusted_peer_alone() {
        let trust = ["10.0.0.0/8".parse().unwrap()];
        for (address, secure, scheme, expected) in [
            ("192.0.2.1", false, Some("https"), (false, false)),
            ("192.0.2.1", true, Some("http"), (true, false)),
            ("10.0.0.1", false, Some("https"), (true, true)),
            ("10.0.0.1", true, Some("HTTP"), (false, true)),
            ("10.0.0.1", false, Some("http, https"), (true, true)),
            ("10.0.0.1", false, Some("wss"), (false, true)),
            ("10.0.0.1", true, None, (true, true)),
        ] {
            let peer = Peer { address: address.parse().unwrap(), secure };
            let client = client(peer, &trust, &Claims { chain: Vec::new(), scheme });
            assert_eq!((client.secure, client.vouched), expected, "{address} {scheme:?}");
        }
    }

    #[test]
    fn the_service_is_told_in_both_notations() {
        let address = "2001:db8::1".parse().unwrap();
        let fields = fields(Client { address, secure: true, vouched: false }, "acme.example.com:8443");
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
