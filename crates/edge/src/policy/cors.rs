//! Which scripts of other origins a browser may let read answers (the Fetch standard, section 3.2). Start reading at
//! [`judge`].
//!
//! Nothing here protects a service: it says to browsers what they may do. A request that is not a preflight is
//! forwarded whatever its origin.

use crate::settings::Cors;

/// The origin that stands for all.
const ANY: &str = "*";
/// The field that names who may read an answer.
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
/// What a refusal by a limit says, and browsers would keep from scripts.
const EXPOSED: &str = "Retry-After, RateLimit, RateLimit-Policy";
/// Methods that need no permission.
const SIMPLE_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
/// Headers that need no permission.
const SIMPLE_HEADERS: [&str; 4] = ["accept", "accept-language", "content-language", "content-type"];

/// What a request says of where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`, which only a preflight has.
    pub request_method: Option<&'a str>,
    /// `Access-Control-Request-Headers`.
    pub request_headers: Option<&'a str>,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; the answer gets these fields.
    Forward(Vec<(&'static str, String)>),
    /// It is a preflight: answer 204 with these fields. Without permission they grant nothing.
    Preflight(Vec<(&'static str, String)>),
}

/// What to do about a request on a route with this policy.
pub fn judge(cors: &Cors, asked: Asked<'_>) -> Verdict {
    // Caches must not give one origin's answer to another.
    let vary = || if cors.origins.contains(ANY) { Vec::new() } else { vec![("Vary", "Origin".to_owned())] };
    let granted = asked.origin.and_then(|origin| grant(cors, origin));
    match (asked.method, asked.request_method) {
        ("OPTIONS", Some(method)) if asked.origin.is_some() => {
            let mut fields = vary();
            let allowed =
                granted.filter(|_| allows_method(cors, method) && allows_headers(cors, asked.request_headers));
            if let Some(granted) = allowed {
                fields.extend(granted);
                fields.push(("Access-Control-Allow-Methods", method.to_owned()));
                fields.extend(asked.request_headers.map(|it| ("Access-Control-Allow-Headers", it.to_owned())));
                fields.push(("Access-Control-Max-Age", cors.keep.duration().as_secs().to_string()));
            }
            Verdict::Preflight(fields)
        }
        _ => Verdict::Forward(vary().into_iter().chain(granted.into_iter().flatten()).collect()),
    }
}

/// What lets a script of another origin read that it asked too often, and when it may again.
pub fn for_refusal(cors: &Cors, asked: Asked<'_>) -> Vec<(&'static str, String)> {
    let (Verdict::Forward(mut fields) | Verdict::Preflight(mut fields)) = judge(cors, asked);
    if fields.iter().any(|(name, _)| *name == ALLOW_ORIGIN) {
        fields.push(("Access-Control-Expose-Headers", EXPOSED.to_owned()));
    }
    fields
}

fn grant(cors: &Cors, origin: &str) -> Option<Vec<(&'static str, String)>> {
    let named = if cors.origins.contains(ANY) {
        ANY
    } else {
        cors.origins.iter().find(|it| it.eq_ignore_ascii_case(origin)).map(|_| origin)?
    };
    let mut fields = vec![(ALLOW_ORIGIN, named.to_owned())];
    if cors.credentials && named != ANY {
        fields.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    Some(fields)
}

fn allows_method(cors: &Cors, method: &str) -> bool {
    SIMPLE_METHODS.contains(&method) || cors.methods.contains(method)
}

fn allows_headers(cors: &Cors, names: Option<&str>) -> bool {
    let allowed = |name: &str| {
        SIMPLE_HEADERS.iter().any(|it| it.eq_ignore_ascii_case(name))
            || cors.headers.iter().any(|it| it.eq_ignore_ascii_case(name))
    };
    names.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&str], credentials: bool) -> Cors {
        let set = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        let keep = model::Span::millis(600_000);
        Cors { origins: set(origins), methods: set(&["PUT"]), headers: set(&["X-Token"]), credentials, keep }
    }

    fn shown(verdict: &Verdict) -> String {
        let (kind, fields) = match verdict {
            Verdict::Forward(fields) => ("forward", fields),
            Verdict::Preflight(fields) => ("preflight", fields),
        };
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{kind} [{}]", fields.join("; "))
    }

    #[test]
    fn who_may_read_answers_may_read_refusals() {
        let own = policy(&["https://app.example.com"], false);
        let names = |origin| {
            let fields = for_refusal(&own, Asked { method: "GET", origin: Some(origin), ..Asked::default() });
            fields.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("https://app.example.com"), ["Vary", ALLOW_ORIGIN, "Access-Control-Expose-Headers"]);
        assert_eq!(names("https://evil.example"), ["Vary"]);
    }

    #[test]
    fn other_origins_are_granted_what_the_policy_says() {
        let own = policy(&["https://app.example.com"], true);
        let any = policy(&["*"], false);
        let app = Some("https://app.example.com");
        let plain = Asked { method: "GET", ..Asked::default() };
        let preflight = Asked { method: "OPTIONS", origin: app, request_method: Some("PUT"), ..Asked::default() };
        for (policy, asked, expected) in [
            (&own, plain, "forward [Vary: Origin]"),
            (
                &own,
                Asked { origin: app, ..plain },
                "forward [Vary: Origin; Access-Control-Allow-Origin: https://app.example.com; Access-Control-Allow-Credentials: true]",
            ),
            (&own, Asked { origin: Some("https://evil.example"), ..plain }, "forward [Vary: Origin]"),
            (&own, Asked { origin: Some("null"), ..plain }, "forward [Vary: Origin]"),
            (&any, Asked { origin: app, ..plain }, "forward [Access-Control-Allow-Origin: *]"),
            (&any, plain, "forward []"),
            (
                &own,
                Asked { request_headers: Some("x-token, content-type"), ..preflight },
                "preflight [Vary: Origin; Access-Control-Allow-Origin: https://app.example.com; Access-Control-Allow-Credentials: true; \
                 Access-Control-Allow-Methods: PUT; Access-Control-Allow-Headers: x-token, content-type; Access-Control-Max-Age: 600]",
            ),
            (&own, Asked { request_headers: Some("x-other"), ..preflight }, "preflight [Vary: Origin]"),
            (&own, Asked { request_method: Some("DELETE"), ..preflight }, "preflight [Vary: Origin]"),
            (&own, Asked { method: "OPTIONS", ..plain }, "forward [Vary: Origin]"),
        ] {
            assert_eq!(shown(&judge(policy, asked)), expected, "{asked:?}");
        }
    }
}
