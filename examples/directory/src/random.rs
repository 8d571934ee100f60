//! Unguessable values.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// So many random bytes.
///
/// # Panics
///
/// When the operating system has no randomness to give: nothing safe can be done without it.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// 256 random bits as text that fits into a cookie or a key.
pub(crate) fn token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// So many random bytes in hexadecimal.
pub(crate) fn hex<const N: usize>() -> String {
    in_hex(&bytes::<N>())
}

/// Bytes in hexadecimal.
pub(crate) fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
