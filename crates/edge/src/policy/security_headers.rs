//! The security headers that `strict` adds to an answer. The benchmark beside other gateways includes this very file.
//!
//! A field that the service sets itself is its own decision and stays. Sources: the OWASP HTTP headers cheat sheet;
//! RFC 6797 for HSTS, which is only ever said where a public authority vouches for the certificate: a browser told so
//! about a development port keeps to it for a year.

/// Fields with their values, besides HSTS.
const STRICT: [(&str, &str); 7] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// A year, and every host below.
const INSIST: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains");

/// The fields to add to an answer.
pub(crate) fn strict(insist_on_https: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    STRICT.into_iter().chain(insist_on_https.then_some(INSIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_port_never_insists_on_https() {
        let names = |insist| strict(insist).map(|(name, _)| name).collect::<Vec<_>>();
        assert!(!names(false).contains(&"Strict-Transport-Security"));
        assert!(names(true).contains(&"Strict-Transport-Security"));
        assert_eq!(names(false).len(), STRICT.len());
    }
}
