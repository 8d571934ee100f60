//! From the draft to the checked stack: what the file leaves out is filled in from [`crate::defaults`].

use std::collections::{BTreeMap, BTreeSet};

use model::edge::{Edge, Ports, Route};
use model::stack::{Backups, Check, Health, Listen, Rollout, Service, Stack, Volume};
use model::{ByteSize, Port, ServiceName};

use crate::defaults;
use crate::draft::{Draft, EdgeDraft, Located, PortDraft, RouteDraft, ServiceDraft};

/// The stack of a draft in which no error was found; `None` if a needed part is missing after all.
pub(crate) fn stack(draft: Draft) -> Option<Stack> {
    let edge = match draft.edge {
        Some(edge) => Some(self::edge(edge)?),
        None => None,
    };
    let routes = edge.iter().flat_map(|edge| &edge.routes);
    let routed: BTreeSet<ServiceName> = routes.map(|route| route.to.clone()).collect();
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
        edge,
        backups: draft.backups.map(|read| Backups { schedule: read.schedule, destinations: read.destinations }),
    })
}

fn service(draft: ServiceDraft, routed: bool) -> Option<Service> {
    let listen = listen(&draft, routed);
    Some(Service {
        replicas: draft.replicas.as_ref().map_or(defaults::REPLICAS, |replicas| replicas.value),
        rollout: rollout(&draft, listen),
        listen,
        source: draft.source?.value,
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
    if draft.folder().is_some() {
        return Listen::None;
    }
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

fn edge(edge: EdgeDraft) -> Option<Edge> {
    let port = |port: Option<Located<Port>>| port.map(|read| read.value);
    let body_max = edge.body_max;
    let routes = edge.routes.into_iter().map(|route| self::route(route, body_max));
    Some(Edge {
        routes: routes.collect::<Option<_>>()?,
        listen: Ports { https: port(edge.https), http: port(edge.http) },
        trust: edge.trust,
        strict_headers: edge.strict_headers,
    })
}

fn route(route: RouteDraft, body_max: Option<ByteSize>) -> Option<Route> {
    Some(Route {
        host: route.host?,
        path: route.path?,
        methods: route.methods.into_iter().collect(),
        to: route.to?.value,
        limit: route.limit,
        timeout: route.timeout,
        body_max: route.body_max.or(body_max),
        cors: route.cors.map(|read| read.value),
    })
}
