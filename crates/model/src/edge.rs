//! The edge of a stack: where it listens, which requests go to which service, and by which policies.

use std::collections::BTreeSet;

use crate::endpoint::{Port, UrlPath};
use crate::host::HostPattern;
use crate::name::ServiceName;
use crate::network::Network;
use crate::quantity::{ByteSize, Rate};
use crate::time::Span;

/// The gateway, as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Edge {
    /// The ports that clients reach.
    pub listen: Ports,
    /// Networks whose forwarding fields are believed.
    pub trust: Vec<Network>,
    /// The routes, in the file's order. The longest path of the most exact host wins, whatever the order.
    pub routes: Vec<Route>,
    /// Whether answers carry the strict security headers.
    pub strict_headers: bool,
}

/// The ports that clients reach; at least one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// For HTTPS.
    pub https: Option<Port>,
    /// For plain HTTP, which leads to HTTPS where that is served.
    pub http: Option<Port>,
}

impl Ports {
    /// Whether this is one of them.
    pub fn has(self, port: Port) -> bool {
        [self.https, self.http].contains(&Some(port))
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Port> {
        [self.https, self.http].into_iter().flatten()
    }
}

/// A rule at the edge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// The hosts it answers for.
    pub host: HostPattern,
    /// The path it answers for, with everything below.
    pub path: UrlPath,
    /// The methods it answers for; all where there is none.
    pub methods: BTreeSet<String>,
    /// The service it leads to.
    pub to: ServiceName,
    /// How often one client address may ask.
    pub limit: Option<Rate>,
    /// How long a request may take; derived from the latency objective when absent.
    pub timeout: Option<Span>,
    /// The largest body of a request.
    pub body_max: Option<ByteSize>,
    /// Which other origins a browser may let read its answers.
    pub cors: Option<Cors>,
}

/// What a browser may let scripts of other origins do (the Fetch standard, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cors {
    /// Origins as browsers send them, such as `https://app.example.com`; `*` alone for every origin.
    pub origins: BTreeSet<String>,
    /// Methods besides GET, HEAD and POST.
    pub methods: BTreeSet<String>,
    /// Request headers besides those that need no permission.
    pub headers: BTreeSet<String>,
    /// Whether cookies go with it. Never together with `*`.
    pub credentials: bool,
    /// How long the permission may be kept.
    pub keep: Span,
}
