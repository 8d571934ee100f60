//! What the node tells the edge to do: everything at once, as plain values. Start reading at [`Settings`].
//!
//! Settings are replaced whole. What lives longer than one set of settings (connections, limits' counts, counts per
//! endpoint) is found again by the identities in here. An edge may be older than the node that tells it: what it does not
//! know is passed over, and what came in later has a default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use model::{ByteSize, Port, Rate, ReleaseNumber, ReplicaNumber, ServiceName, Span, UrlPath};

pub use model::edge::Cors;

use crate::host::HostPattern;
use crate::policy::network::Network;

/// Everything an edge has to know except the keys of its certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Grows with every change, so that an edge can say which settings it works by.
    pub number: u64,
    /// The routes, in the file's order. The longest path of the most exact host wins, whatever the order.
    pub routes: Vec<Route>,
    /// Where the replicas of each service are that take requests.
    pub endpoints: BTreeMap<ServiceName, Vec<Endpoint>>,
    /// The services that are folders: the edge answers for them itself.
    #[serde(default)]
    pub folders: BTreeMap<ServiceName, Folder>,
    /// Networks whose forwarding headers are believed.
    pub trust: Vec<Network>,
    /// Whether answers carry the strict security headers.
    pub strict_headers: bool,
    /// The port that clients reach HTTPS at, where it is served: plain requests are sent there.
    pub https: Option<Port>,
    /// How many connections are served at the same time.
    #[serde(default)]
    pub connections: ConnectionLimits,
    /// How many requests are under way at the same time.
    #[serde(default)]
    pub requests: RequestLimits,
    /// How long clients and services are waited for.
    #[serde(default)]
    pub times: TimeLimits,
}

/// How many connections of clients are served at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConnectionLimits {
    /// Of all clients.
    pub total: u64,
    /// Of one client: an IPv4 address, or an IPv6 network of 64 bits. A trusted peer is not limited by it.
    pub per_client: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 20_000, per_client: 1_000 }
    }
}

/// How many requests are under way at the same time, connections that speak another protocol included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RequestLimits {
    /// Of all services. Each thread of the edge has an equal share.
    pub total: u32,
    /// Of one service.
    pub per_service: u32,
    /// Of one client over HTTP/2, whose connections carry many at a time; over HTTP/1.1 the limit of its connections is the
    /// one of its requests.
    #[serde(default = "requests_per_client")]
    pub per_client: u32,
}

/// As many as five connections carry: each may have a body of 128 KiB on its way that nobody takes.
fn requests_per_client() -> u32 {
    500
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { total: 20_000, per_service: 10_000, per_client: requests_per_client() }
    }
}

/// How long clients and services are waited for, besides the timeout of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TimeLimits {
    /// For a head of a request, from its first byte or from the beginning of the connection.
    pub head: Span,
    /// For a client that sends or takes a body more slowly than the least rate.
    pub slow_grace: Span,
    /// The least rate.
    pub least_bytes_per_second: NonZeroU32,
    /// For a client, however fast it was before, to send or take any of a body; for a service to take any of a request.
    pub stall: Span,
    /// Between two bytes of an answer, for the service.
    pub answer_pause: Span,
    /// Between two bytes of a connection that speaks another protocol, either way.
    pub tunnel_pause: Span,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            head: Span::secs(15),
            slow_grace: Span::secs(20),
            least_bytes_per_second: LEAST_BYTES_PER_SECOND,
            stall: Span::secs(60),
            answer_pause: Span::secs(5 * 60),
            tunnel_pause: Span::secs(60 * 60),
        }
    }
}

/// Less than any connection has that people work over.
const LEAST_BYTES_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(499);

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// The hosts it answers for.
    pub host: HostPattern,
    /// The path it answers for, with everything below.
    pub path: UrlPath,
    /// The methods it answers for; all where there is none.
    pub methods: BTreeSet<String>,
    /// The service that its requests go to.
    pub to: ServiceName,
    /// How often one client address may ask.
    pub limit: Option<Rate>,
    /// How long the service may take for the head of its answer, once it has the request.
    pub timeout: Span,
    /// The largest body of a request.
    pub body_max: Option<ByteSize>,
    /// Which other origins a browser may let read its answers.
    pub cors: Option<Cors>,
}

/// A replica that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Endpoint {
    /// Its release.
    pub release: ReleaseNumber,
    /// Its number.
    pub replica: ReplicaNumber,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A release of static files. The node has copied it to where the edge may read, and never writes to it again: another release
/// has another root.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Folder {
    /// Where its files are.
    pub root: PathBuf,
    /// Whether a page that no file has is answered with `index.html`, because an application in it knows the path.
    pub spa: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a field is refused because it is unknown, or one that an older node does not say is needed.
    #[test]
    fn an_edge_understands_older_and_newer_nodes() {
        let text = r#"{
            "number": 7, "new": { "list": [1] },
            "routes": [{
                "host": "shop.test", "path": "/", "methods": [], "to": "api", "limit": null, "timeout": "30s",
                "body_max": null, "new": 1,
                "cors": { "origins": [], "methods": [], "headers": [], "credentials": false, "keep": "1h", "new": 1 }
            }],
            "endpoints": { "api": [{ "release": 1, "replica": 2, "address": "127.0.0.1:7001", "new": 1 }] },
            "trust": [], "strict_headers": true, "https": null
        }"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!((settings.number, settings.routes.len(), settings.endpoints.len()), (7, 1, 1));
        assert_eq!((settings.folders.len(), settings.connections), (0, ConnectionLimits::default()));
        assert_eq!((settings.requests, settings.times), (RequestLimits::default(), TimeLimits::default()));
    }
}
