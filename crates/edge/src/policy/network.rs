//! Networks, and the part of an address that a limit counts by.

use std::net::IpAddr;

pub use model::Network;

/// The bits of an IPv6 address that one customer has at the least.
const CUSTOMER_BITS: u32 = 64;

/// An IPv4 address that a socket for both families shows as IPv6, as what it is.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Who is counted together: one IPv4 address, or the /64 that one IPv6 customer has at the least.
pub fn counted(address: IpAddr) -> u128 {
    match canonical(address) {
        // Beside every IPv6 network: ::/96 is not routed.
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & (u128::MAX << CUSTOMER_BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let counted = |text: &str| counted(text.parse().unwrap());
        assert_eq!(counted("2001:db8:0:1::5"), counted("2001:db8:0:1:ffff::9"));
        assert_ne!(counted("2001:db8:0:1::5"), counted("2001:db8:0:2::5"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
    }
}
