//! Which hosts a route answers for, and by which name a request's host is found among them.

use std::borrow::Cow;

pub use model::{HostError, HostPattern};

/// The name by which routes are found: in lower case and without a final dot. Borrowed where nothing had to change,
/// which is nearly always. Takes a name that was checked when it was read ([`http1::Host::name`]); one with an empty label is
/// nobody's, and no label of it a tenant's.
pub fn routed_name(name: &[u8]) -> Option<Cow<'_, str>> {
    let name = std::str::from_utf8(name.strip_suffix(b".").unwrap_or(name)).ok()?;
    if name.split('.').any(str::is_empty) {
        return None;
    }
    let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_written() {
        for (name, routed) in [("example.com", "example.com"), ("Example.COM.", "example.com"), ("[::1]", "[::1]")] {
            assert_eq!(routed_name(name.as_bytes()).as_deref(), Some(routed));
        }
    }

    #[test]
    fn a_name_with_an_empty_label_is_nobodys() {
        for name in ["", ".", ".example.com", "a..example.com", "example.com.."] {
            assert_eq!(routed_name(name.as_bytes()), None, "{name:?}");
        }
    }
}
