//! The edge's part of a plan: whether it starts, goes on or stops, and which routes come, change and go.

use std::fmt;

use model::Network;
use model::edge::{Edge, Ports, Route};

use super::{Action, Note, Running, Step, Subject, note};
use crate::text::listed;

/// One thing to know about what happens to the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeNote {
    /// What the edge listens on.
    Listens(Ports),
    /// Its certificates are the local authority's.
    LocalCertificates,
    /// How many routes it has.
    Routes(usize),
    /// One of them.
    Route(Route),
    /// A route that is new.
    RouteAdded(Route),
    /// A route that is no more.
    RouteRemoved(Route),
    /// A route that does something else with its requests.
    RouteChanged {
        /// Before.
        from: Box<Route>,
        /// Now.
        to: Box<Route>,
    },
    /// The edge listens elsewhere.
    OtherPorts {
        /// Before.
        from: Ports,
        /// Now.
        to: Ports,
    },
    /// Whose forwarding headers are believed now.
    Trusts(Vec<Network>),
    /// Whether answers carry the strict security headers now.
    StrictHeaders(bool),
    /// The edge is no longer wanted.
    EdgeStops(Ports),
}

/// What happens to the edge; `None` where there is none and is to be none.
pub(super) fn step(wanted: Option<&Edge>, running: &Running) -> Option<Step> {
    let subject = Subject::Edge;
    let condition = running.conditions.get(&subject);
    let (planned, notes) = match (&running.edge, wanted) {
        (None, None) => return None,
        (None, Some(wanted)) => (Action::Create, described(wanted)),
        (Some(running), None) => (Action::Remove, vec![EdgeNote::EdgeStops(running.listen)]),
        (Some(running), Some(wanted)) => match differences(running, wanted) {
            notes if notes.is_empty() => (Action::Keep, summary(wanted)),
            notes => (Action::Change, summary(wanted).into_iter().chain(notes).collect()),
        },
    };
    let action = running.as_it_stands(&subject, planned);
    let notes = notes.into_iter().map(Note::Edge).chain(note::of_condition(action, condition)).collect();
    Some(Step { subject, action, notes })
}

fn summary(edge: &Edge) -> Vec<EdgeNote> {
    vec![EdgeNote::Listens(edge.listen), EdgeNote::Routes(edge.routes.len())]
}

fn described(edge: &Edge) -> Vec<EdgeNote> {
    let certificates = edge.listen.https.map(|_| EdgeNote::LocalCertificates);
    summary(edge).into_iter().chain(certificates).chain(edge.routes.iter().cloned().map(EdgeNote::Route)).collect()
}

fn differences(old: &Edge, new: &Edge) -> Vec<EdgeNote> {
    let mut notes = Vec::new();
    if old.listen != new.listen {
        notes.push(EdgeNote::OtherPorts { from: old.listen, to: new.listen });
    }
    if old.listen.https.is_none() && new.listen.https.is_some() {
        notes.push(EdgeNote::LocalCertificates);
    }
    for route in &new.routes {
        match old.routes.iter().find(|other| is_same(other, route)) {
            None => notes.push(EdgeNote::RouteAdded(route.clone())),
            Some(other) if other != route => {
                notes.push(EdgeNote::RouteChanged { from: Box::new(other.clone()), to: Box::new(route.clone()) });
            }
            Some(_) => {}
        }
    }
    let gone = old.routes.iter().filter(|route| !new.routes.iter().any(|other| is_same(other, route)));
    notes.extend(gone.cloned().map(EdgeNote::RouteRemoved));
    if old.trust != new.trust {
        notes.push(EdgeNote::Trusts(new.trust.clone()));
    }
    if old.strict_headers != new.strict_headers {
        notes.push(EdgeNote::StrictHeaders(new.strict_headers));
    }
    notes
}

/// Whether two routes answer the same requests: what they do with them is a change of one.
fn is_same(one: &Route, other: &Route) -> bool {
    (&one.host, &one.path, &one.methods) == (&other.host, &other.path, &other.methods)
}

impl fmt::Display for EdgeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeNote::Listens(ports) => write!(f, "listens on {}", ports_text(*ports)),
            EdgeNote::LocalCertificates => {
                f.write_str("certificates of a local authority: `mainstay trust` says how clients come to trust it")
            }
            EdgeNote::Routes(0) => f.write_str("no routes: every request is answered with 404"),
            EdgeNote::Routes(1) => f.write_str("1 route"),
            EdgeNote::Routes(count) => write!(f, "{count} routes"),
            EdgeNote::Route(route) => f.write_str(&route_text(route)),
            EdgeNote::RouteAdded(route) => write!(f, "new route: {}", route_text(route)),
            EdgeNote::RouteRemoved(route) => write!(f, "no longer a route: {}", route_text(route)),
            EdgeNote::RouteChanged { from, to } => write!(f, "{}; before: {}", route_text(to), route_text(from)),
            EdgeNote::OtherPorts { from, to } => {
                write!(f, "{} → {}: open connections go on, whatever their port", ports_text(*from), ports_text(*to))
            }
            EdgeNote::Trusts(networks) if networks.is_empty() => {
                f.write_str("no forwarding headers are believed any more")
            }
            EdgeNote::Trusts(networks) => write!(f, "believes forwarding headers of {}", listed(networks)),
            EdgeNote::StrictHeaders(true) => f.write_str("answers carry the strict security headers"),
            EdgeNote::StrictHeaders(false) => f.write_str("answers carry no security headers of the edge any more"),
            EdgeNote::EdgeStops(ports) => write!(f, "it stops: nothing listens on {} any more", ports_text(*ports)),
        }
    }
}

/// `https 8443 and http 8080`.
fn ports_text(ports: Ports) -> String {
    let named = [("https", ports.https), ("http", ports.http)];
    let named: Vec<String> = named.iter().filter_map(|(name, port)| Some(format!("{name} {}", (*port)?))).collect();
    named.join(" and ")
}

/// `POST shop.example/api/ → api (at most 100/min from one address)`.
fn route_text(route: &Route) -> String {
    let methods: String = route.methods.iter().map(|method| format!("{method} ")).collect();
    let policies = [
        route.limit.map(|rate| format!("at most {rate} from one address")),
        route.timeout.map(|timeout| format!("answers begin within {timeout}")),
        route.body_max.map(|size| format!("bodies up to {size}")),
        route.cors.as_ref().map(|cors| format!("open to {}", listed(&cors.origins.iter().collect::<Vec<_>>()))),
    ];
    let policies: Vec<String> = policies.into_iter().flatten().collect();
    let policies = if policies.is_empty() { String::new() } else { format!(" ({})", policies.join(", ")) };
    format!("{methods}{}{} → {}{policies}", route.host, route.path, route.to)
}
