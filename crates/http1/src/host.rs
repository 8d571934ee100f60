//! The host that a request is for: a name or an address, perhaps with a port.
//!
//! Stricter than a URI's authority: no user, no percent signs, none of the punctuation that a URI permits in a name.

use std::net::Ipv6Addr;

use memchr::memchr;

use crate::Refusal;

/// Bytes of a name; DNS permits 253.
const NAME_BYTES_MAX: usize = 255;
/// Digits of a port.
const PORT_DIGITS_MAX: usize = 5;

/// A host as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a>(&'a [u8]);

impl<'a> Host<'a> {
    /// Checks it.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        let (name, port) = divide(text);
        match is_name(name) && port.is_none_or(is_port) {
            true => Ok(Self(text)),
            false => Err(Refusal::BadHost),
        }
    }

    /// As it was sent.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Without its port; an IPv6 address with its brackets.
    pub fn name(self) -> &'a [u8] {
        divide(self.0).0
    }

    /// Whether it is the same host, written in upper or lower case.
    pub(crate) fn is(self, other: Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

/// The name and what stands behind its colon. Colons within brackets belong to an address.
fn divide(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let from = match text {
        [b'[', ..] => memchr(b']', text).unwrap_or(0),
        _ => 0,
    };
    match memchr(b':', &text[from..]) {
        Some(colon) => (&text[..from + colon], Some(&text[from + colon + 1..])),
        None => (text, None),
    }
}

fn is_name(name: &[u8]) -> bool {
    match name {
        [b'[', address @ .., b']'] => std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
        name => (1..=NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(|byte| IN_NAME[usize::from(*byte)]),
    }
}

/// Which bytes may stand in a name.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        byte += 1;
    }
    table
};

fn is_port(digits: &[u8]) -> bool {
    // At most five digits: the sum cannot overflow.
    (1..=PORT_DIGITS_MAX).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn names_and_addresses_are_hosts() {
        for text in ["a", "a.example", "A-b_c.example:8080", "127.0.0.1", "[::1]", "[2001:db8::1]:443", "a:65535"] {
            assert!(Host::parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            ":80",
            "a:",
            "a:65536",
            "a:+1",
            "a:0x1",
            "a:123456",
            "u@a",
            "a b",
            "a,b",
            "a/b",
            "a%41",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%eth0]",
            "[]",
            "a\\b",
            "a?",
            "ä",
            "a:1:2",
            "[::1]:",
        ] {
            assert!(Host::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_goes_without_its_port() {
        let name = |text: &'static str| Host::parse(text.as_bytes()).expect("a host").name();
        assert_eq!(name("a.example:8080"), b"a.example");
        assert_eq!(name("[::1]:80"), b"[::1]");
    }
}
