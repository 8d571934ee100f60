//! The edge's part of a plan: whether it starts, goes on or stops, and which routes come, change and go.

use model::edge::{Edge, Ports, Route};

use super::{Action, Note, Running, Step, Subject, note};

/// What happens to the edge; `None` where there is none and is to be none.
pub(super) fn step(wanted: Option<&Edge>, running: &Running) -> Option<Step> {
    let subject = Subject::Edge;
    let condition = running.conditions.get(&subject);
    let (planned, notes) = match (&running.edge, wanted) {
        (None, None) => return None,
        (None, Some(wanted)) => (Action::Create, described(wanted)),
        (Some(running), None) => (Action::Remove, vec![Note::EdgeStops(running.listen)]),
        (Some(running), Some(wanted)) => match differences(running, wanted) {
            notes if notes.is_empty() => (Action::Keep, summary(wanted)),
            notes => (Action::Change, summary(wanted).into_iter().chain(notes).collect()),
        },
    };
    let action = running.as_it_stands(&subject, planned);
    let notes = notes.into_iter().chain(note::of_condition(action, condition)).collect();
    Some(Step { subject, action, notes })
}

fn summary(edge: &Edge) -> Vec<Note> {
    vec![Note::Listens(edge.listen), Note::Routes(edge.routes.len())]
}

fn described(edge: &Edge) -> Vec<Note> {
    let certificates = edge.listen.https.map(|_| Note::LocalCertificates);
    summary(edge).into_iter().chain(certificates).chain(edge.routes.iter().cloned().map(Note::Route)).collect()
}

fn differences(old: &Edge, new: &Edge) -> Vec<Note> {
    let mut notes = Vec::new();
    if old.listen != new.listen {
        notes.push(Note::OtherPorts { from: old.listen, to: new.listen });
    }
    if old.listen.https.is_none() && new.listen.https.is_some() {
        notes.push(Note::LocalCertificates);
    }
    for route in &new.routes {
        match old.routes.iter().find(|other| is_same(other, route)) {
            None => notes.push(Note::RouteAdded(route.clone())),
            Some(other) if other != route => {
                notes.push(Note::RouteChanged { from: Box::new(other.clone()), to: Box::new(route.clone()) });
            }
            Some(_) => {}
        }
    }
    let gone = old.routes.iter().filter(|route| !new.routes.iter().any(|other| is_same(other, route)));
    notes.extend(gone.cloned().map(Note::RouteRemoved));
    if old.trust != new.trust {
        notes.push(Note::Trusts(new.trust.clone()));
    }
    if old.strict_headers != new.strict_headers {
        notes.push(Note::StrictHeaders(new.strict_headers));
    }
    notes
}

/// Whether two routes answer the same requests: what they do with them is a change of one.
fn is_same(one: &Route, other: &Route) -> bool {
    (&one.host, &one.path, &one.methods) == (&other.host, &other.path, &other.methods)
}

/// `https 8443 and http 8080`.
pub(super) fn ports_text(ports: Ports) -> String {
    let named = [("https", ports.https), ("http", ports.http)];
    let named: Vec<String> = named.iter().filter_map(|(name, port)| Some(format!("{name} {}", (*port)?))).collect();
    named.join(" and ")
}

/// `POST shop.example/api/ → api (at most 100/min from one address)`.
pub(super) fn route_text(route: &Route) -> String {
    let methods: String = route.methods.iter().map(|method| format!("{method} ")).collect();
    let policies = [
        route.limit.map(|rate| format!("at most {rate} from one address")),
        route.timeout.map(|timeout| format!("answers begin within {timeout}")),
        route.body_max.map(|size| format!("bodies up to {size}")),
        route.cors.as_ref().map(|cors| format!("open to {}", note::listed(&cors.origins.iter().collect::<Vec<_>>()))),
    ];
    let policies: Vec<String> = policies.into_iter().flatten().collect();
    let policies = if policies.is_empty() { String::new() } else { format!(" ({})", policies.join(", ")) };
    format!("{methods}{}{} → {}{policies}", route.host, route.path, route.to)
}
