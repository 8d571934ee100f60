//! From the draft to the checked stack: what the file leaves out is filled in from [`crate::defaults`].

use std::collections::{BTreeMap, BTreeSet};

use model::ServiceName;
use model::stack::{Backups, Check, Health, Listen, Rollout, Route, Service, Stack, Volume};

use crate::defaults;
use crate::draft::{Draft, EdgeDraft, PortDraft, ServiceDraft};

/// The stack of a draft in which no error was found; `None` if a needed part is missing after all.
pub(crate) fn stack(draft: Draft) -> Option<Stack> {
    let routes = routes(draft.edge);
    let routed: BTreeSet<ServiceName> = routes.iter().map(|route| route.to.clone()).collect();
    let mut services = BTreeMap::new();
    for service in draft.services {
        let is_routed = routed.contains(&service.name.value);
        services.insert(service.name.value.clone(), self::service(service, is_routed)?);
    }
    let mut resources = BTreeMap::new();
    for resource in draft.resources {
        resources.insert(resource.name.value, resource.kind?);
    }
    let mut secrets = BTreeMap::new();
    for secret in draft.secrets {
        secrets.insert(secret.name.value, secret.source?);
    }
    Some(Stack {
        name: draft.stack?.value,
        environment: draft.environment,
        timezone: draft.timezone.map_or_else(defaults::timezone, |read| read.value),
        advisory: draft.advisory,
        server: draft.server,
        objectives: draft.objectives,
        services,
        resources,
        secrets,
        routes,
        backups: draft.backups.map(|read| Backups { schedule: read.schedule, destinations: read.destinations }),
    })
}

fn service(draft: ServiceDraft, routed: bool) -> Option<Service> {
    let listen = listen(&draft, routed);
    Some(Service {
        replicas: draft.replicas.as_ref().map_or(defaults::REPLICAS, |replicas| replicas.value),
        rollout: rollout(&draft, listen),
        listen,
        source: draft.source?,
        uses: draft.uses.into_iter().map(|read| read.value).collect(),
        needs: draft.needs.into_iter().map(|read| read.value).collect(),
        secrets: draft.secrets.into_iter().map(|read| read.value).collect(),
        env: draft.env.into_iter().map(|(name, value)| (name.value, value)).collect(),
        user: draft.user,
        volumes: draft
            .volumes
            .into_iter()
            .map(|(name, variable)| Volume { name: name.value, variable: variable.value })
            .collect(),
        health: Health {
            ready: draft.ready.map(|read| read.value),
            live: draft.live.map(|read| read.value),
            drain: draft.drain.unwrap_or(defaults::DRAIN),
        },
        limits: draft.limits,
        release_run: draft.release_run,
        schedule: draft.schedule.map(|read| read.value),
    })
}

/// A service that is asked something over the network has a port without saying so.
fn listen(draft: &ServiceDraft, routed: bool) -> Listen {
    let asked = [&draft.ready, &draft.live]
        .into_iter()
        .flatten()
        .any(|check| matches!(check.value, Check::Http(_) | Check::Tcp));
    match draft.port.as_ref().map(|port| port.value) {
        Some(PortDraft::Fixed(port)) => Listen::Fixed(port),
        Some(PortDraft::Auto) => Listen::Chosen,
        None if asked || routed => Listen::Chosen,
        None => Listen::None,
    }
}

/// A fixed port cannot be held by the old and the new replica together.
fn rollout(draft: &ServiceDraft, listen: Listen) -> Rollout {
    match (&draft.rollout, listen) {
        (Some(rollout), _) => rollout.value.rollout.clone(),
        (None, Listen::Fixed(_)) => Rollout::Recreate,
        (None, _) => defaults::ROLLOUT,
    }
}

/// Of a route that lacks something was said so, or that the edge is not carried out.
fn routes(edge: EdgeDraft) -> Vec<Route> {
    let route = |route: crate::draft::RouteDraft| {
        Some(Route {
            host: route.host?,
            path: route.path?,
            to: route.to?.value,
            limit: route.limit,
            timeout: route.timeout,
        })
    };
    edge.routes.into_iter().filter_map(route).collect()
}
