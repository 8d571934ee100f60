//! Routes and listeners of the edge: each request has one route, and there is somewhere to send it to.

use std::collections::BTreeMap;

use model::{HostPattern, UrlPath};

use crate::draft::{Draft, EdgeDraft, RouteDraft};
use crate::problem::Problems;
use crate::rule::RuleId;
use crate::source::Place;

/// The origin that stands for all.
const EVERY_ORIGIN: &str = "*";

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    let Some(edge) = &draft.edge else {
        return;
    };
    if edge.ports().next().is_none() && !problems.any_within(edge.listen) {
        let hint = "write `listen: { http: 8080 }`, with a port of your choice";
        problems.report_with(RuleId::Disagreement, edge.listen, "the edge listens on no port", hint);
    }
    answered_once(edge, problems);
    for cors in edge.routes.iter().filter_map(|route| route.cors.as_ref()) {
        let (every, origins) = (cors.value.origins.contains(EVERY_ORIGIN), cors.value.origins.len());
        if every && (origins > 1 || cors.value.credentials) {
            let message = "`*` stands for every origin: alone, and without credentials";
            problems.report_with(RuleId::Disagreement, cors.place, message, "list the origins that may");
        }
    }
}

/// The longest path of the most exact host wins, so only routes of one host and path can answer the same requests.
fn answered_once(edge: &EdgeDraft, problems: &mut Problems<'_>) {
    let mut known: BTreeMap<(&HostPattern, &UrlPath), Vec<(&RouteDraft, Place)>> = BTreeMap::new();
    for route in &edge.routes {
        let (Some(host), Some(path)) = (&route.host, &route.path) else {
            continue;
        };
        let before = known.entry((host, path)).or_default();
        if let Some((_, first)) = before.iter().find(|(other, _)| answer_alike(route, other)) {
            let message = format!("the route at line {} answers the same requests: {host}{path}", first.start.line);
            let hint = "delete one of the two, or tell them apart by `methods`";
            problems.report_with(RuleId::RouteConflict, route.place, message, hint);
        }
        before.push((route, route.place));
    }
}

/// One with methods goes before one for all of them; two of a kind answer alike where they have a method in common.
fn answer_alike(one: &RouteDraft, other: &RouteDraft) -> bool {
    match (one.methods.is_empty(), other.methods.is_empty()) {
        (true, true) => true,
        (false, false) => {
            one.methods.iter().any(|method| answers(other, method))
                || other.methods.iter().any(|method| answers(one, method))
        }
        _ => false,
    }
}

/// Whoever answers GET answers HEAD (RFC 9110, section 9.3.2).
fn answers(route: &RouteDraft, method: &str) -> bool {
    let stated = |wanted: &str| route.methods.iter().any(|it| it == wanted);
    stated(method) || (method == "HEAD" && stated("GET"))
}
