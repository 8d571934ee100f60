//! Fixed ports: each belongs to one process.

use std::collections::BTreeMap;

use model::Port;
use model::stack::{Replicas, Rollout};

use crate::draft::{Draft, EdgeDraft, Located, PortDraft, ServiceDraft};
use crate::problem::Problems;
use crate::rule::RuleId;

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    for service in &draft.services {
        if let Some(Located { value: PortDraft::Fixed(port), .. }) = service.port {
            alone(service, port, problems);
        }
    }
    claimed_once(draft, problems);
}

/// A fixed port serves one replica at a time.
fn alone(service: &ServiceDraft, port: Port, problems: &mut Problems<'_>) {
    let name = &service.name.value;
    if let Some(replicas) = &service.replicas {
        let several = match replicas.value {
            Replicas::Fixed(count) => count > 1,
            Replicas::Scaled { max, .. } => max > 1,
            Replicas::Derived => false,
        };
        if several {
            let message = format!("several replicas of `{name}` cannot share port {port}");
            let hint = "write `port: auto`: each replica is told its own in PORT";
            problems.report_with(RuleId::PortConflict, replicas.place, message, hint);
        }
    }
    if let Some(rollout) = &service.rollout
        && rollout.value.rollout == Rollout::Rolling
    {
        let message = format!("a rolling release of `{name}` runs old and new together, and port {port} is one");
        let hint = "write `port: auto`, or `strategy: recreate`";
        problems.report_with(RuleId::PortConflict, rollout.place, message, hint);
    }
}

fn claimed_once(draft: &Draft, problems: &mut Problems<'_>) {
    let services = draft.services.iter().filter_map(|service| match service.port {
        Some(Located { value: PortDraft::Fixed(port), place }) => {
            Some((Located { value: port, place }, format!("service `{}`", service.name.value)))
        }
        _ => None,
    });
    let resources = draft
        .resources
        .iter()
        .filter_map(|resource| Some((resource.port.clone()?, format!("resource `{}`", resource.name.value))));
    let edge = draft.edge.iter().flat_map(EdgeDraft::ports).map(|port| (port.clone(), "the edge".to_owned()));
    let mut owners: BTreeMap<Port, String> = BTreeMap::new();
    for (port, owner) in services.chain(resources).chain(edge) {
        if let Some(first) = owners.get(&port.value) {
            let message = format!("port {} is already that of {first}", port.value);
            problems.report_with(RuleId::PortConflict, port.place, message, format!("give {owner} another port"));
        } else {
            owners.insert(port.value, owner);
        }
    }
}
