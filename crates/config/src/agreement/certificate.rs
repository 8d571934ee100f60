//! Certificates: there is a port that they are for, and the authority gives one to every host.

use std::collections::BTreeSet;

use model::HostPattern;
use model::host::{UNOWNED_DOMAINS, is_unowned};

use crate::draft::{Authority, Draft, EdgeDraft};
use crate::problem::Problems;
use crate::rule::RuleId;

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    let Some(edge) = &draft.edge else {
        return;
    };
    match (&edge.tls, &edge.https) {
        (Some(tls), None) if !problems.any_within(edge.listen) => {
            let message = "certificates are for `listen.https`, which is not there";
            let hint = "write `listen: { https: 8443 }`, with a port of your choice, or delete the line";
            problems.report_with(RuleId::Disagreement, tls.place, message, hint);
        }
        (tls, Some(_)) if tls.as_ref().is_none_or(|tls| tls.value == Authority::Local) => certified(edge, problems),
        _ => {}
    }
}

/// Each host is reported once, with its first route.
fn certified(edge: &EdgeDraft, problems: &mut Problems<'_>) {
    let mut seen = BTreeSet::new();
    for route in &edge.routes {
        let Some(host) = route.host.as_ref().filter(|host| seen.insert(*host)) else {
            continue;
        };
        if let Some((message, hint)) = why_not(host) {
            problems.report_with(RuleId::Disagreement, route.place, message, hint);
        }
    }
}

/// Why the local authority gives no certificate for a host that a client would take, and what to do.
fn why_not(host: &HostPattern) -> Option<(String, String)> {
    let name = host.name();
    if !is_unowned(name) {
        let message = format!("the local authority certifies no {host}: somebody may own it");
        return Some((message, format!("use a name under {}, or listen on `http` alone", UNOWNED_DOMAINS.join(", "))));
    }
    if name.contains('_') {
        return Some((format!("no certificate is for {host}: its name has a `_`"), "write `-` instead".to_owned()));
    }
    // Browsers and OpenSSL take no wildcard for all of a public suffix.
    let is_suffix = matches!(host, HostPattern::Tenant(suffix) if UNOWNED_DOMAINS.contains(&suffix.as_str()));
    is_suffix.then(|| {
        (format!("clients take no certificate for *.{name}"), format!("put a name in between, as in *.shop.{name}"))
    })
}
