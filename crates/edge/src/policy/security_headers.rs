//! The security headers that `strict` adds to an answer. The benchmark beside other gateways includes this very file.
//!
//! A field that the service sets itself is its own decision and stays. Source: the OWASP HTTP headers cheat sheet. HSTS
//! (RFC 6797) is not among them: a browser that is told so about a development port keeps to it for a year, so it is only
//! ever to be said where a public authority vouches for the certificate.

/// Fields with their values.
pub(crate) const STRICT: [(&str, &str); 7] = [
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
