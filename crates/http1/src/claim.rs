//! Fields by which a proxy says who asked it for what: claims, where anybody else sends them. Start reading at [`is_claim`].
//!
//! Proxies, content networks and load balancers each have names of their own for this, and frameworks believe whichever they know:
//! a client that may send one chooses the address it is counted by, the scheme it came with, the path that is answered, or
//! the user it is.

use crate::field::are_twins;

/// Names that are claims by themselves.
const NAMES: [&str; 45] = [
    // All at once (RFC 7239), and the oldest spelling.
    "forwarded",
    "x-forwarded",
    // From which address.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "cloudfront-viewer-address",
    "do-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-nf-client-connection-ip",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    // By which scheme, at which host.
    "cloudfront-forwarded-proto",
    "front-end-https",
    "x-appengine-https",
    "x-arr-ssl",
    "x-host",
    "x-http-host-override",
    "x-scheme",
    "x-url-scheme",
    // For which path.
    "x-replaced-path",
    "x-rewrite-url",
    "x-script-name",
    // As whom.
    "cf-access-authenticated-user-email",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "x-arr-clientcert",
    "x-authenticated-user",
    "x-tenant",
    "x-webauth-user",
];

/// What the names of whole families of claims begin with: one for each thing that a proxy has to say.
const FAMILIES: [&str; 10] = [
    "ssl-client-",
    "tailscale-user-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-envoy-original-",
    "x-forwarded-",
    "x-goog-authenticated-user-",
    "x-original-",
    "x-remote-",
    "x-ssl-client-",
];

/// Longer than every name of [`NAMES`].
const LENGTHS: usize = 40;

/// For each length, the first letters of the names that have it, one bit each: nearly every other name is then known without
/// a comparison.
const FIRST_LETTERS: [u32; LENGTHS] = {
    let mut letters = [0; LENGTHS];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].as_bytes();
        letters[name.len()] |= letter(name[0]);
        at += 1;
    }
    letters
};

/// The first letters of [`FAMILIES`].
const FIRST_LETTERS_OF_FAMILIES: u32 = {
    let mut letters = 0;
    let mut at = 0;
    while at < FAMILIES.len() {
        letters |= letter(FAMILIES[at].as_bytes()[0]);
        at += 1;
    }
    letters
};

/// The bit of a letter in either case; of anything else, that of some letter or none.
const fn letter(byte: u8) -> u32 {
    1 << (byte & 0x1f)
}

/// Whether a field of this name, or of a twin's, is a claim.
pub fn is_claim(name: &[u8]) -> bool {
    let Some(first) = name.first().map(|byte| letter(*byte)) else { return false };
    let may_be = FIRST_LETTERS.get(name.len()).is_some_and(|letters| letters & first != 0);
    let may_be_of_family = FIRST_LETTERS_OF_FAMILIES & first != 0;
    (may_be && NAMES.iter().any(|known| are_twins(name, known.as_bytes())))
        || (may_be_of_family && FAMILIES.iter().any(|family| is_of(name, family.as_bytes())))
}

fn is_of(name: &[u8], family: &[u8]) -> bool {
    name.get(..family.len()).is_some_and(|start| are_twins(start, family))
}

#[cfg(test)]
mod tests {
    use super::{FAMILIES, NAMES, is_claim};

    #[test]
    fn every_name_and_its_twins_are_claims() {
        for name in NAMES.map(str::to_owned).into_iter().chain(FAMILIES.map(|family| format!("{family}anything"))) {
            assert!(is_claim(name.as_bytes()), "{name}");
            assert!(is_claim(name.to_ascii_uppercase().replace('-', "_").as_bytes()), "a twin of {name}");
        }
    }

    #[test]
    fn what_clients_say_for_themselves_is_none() {
        for name in [
            "",
            "x",
            "host",
            "x-forwarde",
            "x-request-id",
            "x-requested-with",
            "x-csrf-token",
            "cf-ray",
            "via",
            "authorization",
            "x-original",
            "x-hostname",
            "remote-users",
        ] {
            assert!(!is_claim(name.as_bytes()), "{name}");
        }
    }
}
