//! What to do with a request, from its head alone. Start reading at [`decide`].
//!
//! The order is that of ARCHITECTURE.md: host and path, method, address rate limit, CORS preflight. Nothing here waits.

use std::borrow::Cow;
use std::time::Duration;

use http1::Target;

use crate::answer::Reason;
use crate::folder;
use crate::host;
use crate::live::Live;
use crate::path;
use crate::policy::cors::{self, Asked};
use crate::policy::forwarded::Client;
use crate::policy::{hops, limit, network};
use crate::settings::Route;
use crate::table::{Found, RouteIndex};
use crate::tls::Certified;

/// The port that `https:` means.
const HTTPS_PORT: u16 = 443;
/// What OPTIONS asks for that is about the whole server (RFC 9110, section 9.3.7).
const WHOLE_SERVER: &str = "*";

/// What a decision is made from.
#[derive(Clone, Copy)]
pub(crate) struct Request<'r> {
    /// The method.
    pub(crate) method: &'r str,
    /// The host without its port, as sent.
    pub(crate) host: &'r [u8],
    /// The path without the query, as sent.
    pub(crate) path: &'r str,
    /// The first value of a field.
    pub(crate) field: &'r dyn Fn(&[u8]) -> Option<&'r str>,
    /// What the connection is secured with, if it is.
    pub(crate) certified: Option<&'r Certified>,
}

/// What to do.
pub(crate) struct Decision<'r> {
    /// The route, where one was found.
    pub(crate) route: Option<RouteIndex>,
    /// The tenant, where the host has one.
    pub(crate) tenant: Option<Cow<'r, str>>,
    /// The path to forward.
    pub(crate) path: Cow<'r, str>,
    /// Fields that the answer gets.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// What to do.
    pub(crate) verdict: Verdict,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it on to the route's target.
    Pass,
    /// Answer in the service's place.
    Refuse(Reason),
    /// Grant or deny what a browser asks before it lets a script ask.
    Preflight,
    /// Say what OPTIONS asks for: it is about the edge itself, or may be passed on no further.
    Options,
    /// Send the client to the same address by HTTPS.
    Redirect {
        /// Where to.
        port: u16,
    },
}

impl Decision<'_> {
    /// Where a redirection leads: the same address by HTTPS.
    pub(crate) fn https_address(&self, host: &str, target: Target<'_>) -> Option<String> {
        let Verdict::Redirect { port } = self.verdict else { return None };
        let query = target.query().map(|query| format!("?{}", String::from_utf8_lossy(query))).unwrap_or_default();
        let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
        Some(format!("https://{host}{port}{}{query}", self.path))
    }
}

/// What to do with a request of a client. `now` is on the steady clock.
pub(crate) fn decide<'r>(live: &Live, client: Client, request: Request<'r>, now: Duration) -> Decision<'r> {
    let mut decision = Decision {
        route: None,
        tenant: None,
        path: Cow::Borrowed(request.path),
        fields: Vec::new(),
        verdict: Verdict::Refuse(Reason::UnknownHost),
    };
    if request.method == "TRACE" {
        decision.verdict = Verdict::Refuse(Reason::TraceMethod);
        return decision;
    }
    if request.path == WHOLE_SERVER {
        decision.verdict = Verdict::Options;
        return decision;
    }
    match path::normal(request.path) {
        Ok(path) => decision.path = path,
        Err(_) => {
            decision.verdict = Verdict::Refuse(Reason::AmbiguousPath);
            return decision;
        }
    }
    let Some(host) = host::routed_name(request.host) else { return decision };
    if request.certified.is_some_and(|certified| !certified.covers(&host)) {
        decision.verdict = Verdict::Refuse(Reason::MisdirectedHost);
        return decision;
    }
    let (route, tenant) = match live.table.find(&host, &path::routed(&decision.path), request.method) {
        Found::Route { route, tenant } => (route, tenant),
        Found::NoHost => return decision,
        Found::NoPath => {
            decision.verdict = Verdict::Refuse(Reason::NoRoute);
            return decision;
        }
        Found::NoMethod { allowed } => {
            decision.fields.push(("Allow", allowed.join(", ")));
            decision.verdict = Verdict::Refuse(Reason::MethodNotAllowed);
            return decision;
        }
    };
    decision.route = Some(route);
    decision.tenant = tenant.map(|tenant| Cow::Owned(tenant.to_owned()));
    decision.verdict = match live.settings.https.filter(|_| !client.secure) {
        Some(port) => Verdict::Redirect { port: port.number() },
        None => by_policies(live, route, client, request, now, &mut decision.fields),
    };
    if decision.verdict == Verdict::Pass && is_folder(live, route) && !folder::answers(request.method) {
        decision.fields.push(("Allow", folder::METHODS.to_owned()));
        decision.verdict = Verdict::Refuse(Reason::MethodNotAllowed);
    }
    if decision.verdict == Verdict::Pass && hops::left(request.method, (request.field)(b"max-forwards")) == Some(0) {
        decision.verdict = Verdict::Options;
    }
    decision
}

fn is_folder(live: &Live, route: RouteIndex) -> bool {
    live.route(route).is_some_and(|route| live.folder(&route.to).is_some())
}

fn by_policies(
    live: &Live,
    route: RouteIndex,
    client: Client,
    request: Request<'_>,
    now: Duration,
    fields: &mut Vec<(&'static str, String)>,
) -> Verdict {
    let cors = live.route(route).and_then(|route: &Route| route.cors.as_ref());
    let field = request.field;
    let asked = Asked {
        method: request.method,
        origin: field(b"origin"),
        request_method: field(b"access-control-request-method"),
        request_headers: field(b"access-control-request-headers"),
    };
    if let Some(limiter) = live.limiter(route) {
        let verdict = limiter.admit(network::counted(client.address), now);
        fields.extend(limit_fields(limiter.rate(), verdict));
        if !verdict.admitted {
            fields.extend(cors.into_iter().flat_map(|cors| cors::for_refusal(cors, asked)));
            return Verdict::Refuse(Reason::RateLimited);
        }
    }
    let Some(cors) = cors else { return Verdict::Pass };
    match cors::judge(cors, asked) {
        cors::Verdict::Forward(granted) => {
            fields.extend(granted);
            Verdict::Pass
        }
        cors::Verdict::Preflight(granted) => {
            fields.extend(granted);
            Verdict::Preflight
        }
    }
}

/// What an answer says of its limit (draft-ietf-httpapi-ratelimit-headers-10, and `Retry-After` of RFC 9110).
fn limit_fields(rate: model::Rate, verdict: limit::Verdict) -> Vec<(&'static str, String)> {
    let period = match rate.per {
        model::RatePeriod::Second => 1,
        model::RatePeriod::Minute => 60,
        model::RatePeriod::Hour => 3600,
    };
    let whole = |span: Duration| span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let mut fields = vec![
        ("RateLimit-Policy", format!("\"address\";q={};w={period}", rate.events)),
        ("RateLimit", format!("\"address\";r={};t={}", verdict.remaining, whole(verdict.reset))),
    ];
    if !verdict.admitted {
        fields.push(("Retry-After", whole(verdict.retry_after).max(1).to_string()));
    }
    fields
}
