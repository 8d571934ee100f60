//! What the edge is told: a pure function of the stack and of where requests go. Start reading at [`settings`].

use std::collections::BTreeMap;
use std::path::Path;

use edge::settings::{Endpoint, Folder, Route, Settings};
use model::edge::Edge;
use model::{ServiceName, Span, UnitId};
use plan::traffic::Endpoints;
use services::artefact::site;

use super::super::applied::Applied;

/// The settings of an edge, without their number. A route that states no timeout has this one.
pub(crate) fn settings(
    edge: &Edge,
    timeout: Span,
    endpoints: &Endpoints,
    folders: BTreeMap<ServiceName, Folder>,
) -> Settings {
    let of_service = |of: &BTreeMap<UnitId, std::net::SocketAddr>| {
        of.iter().filter_map(|(unit, address)| endpoint(unit, *address)).collect()
    };
    Settings {
        number: 0,
        routes: edge.routes.iter().map(|route| self::route(route, timeout)).collect(),
        endpoints: endpoints.iter().map(|(service, of)| (service.clone(), of_service(of))).collect(),
        folders,
        trust: edge.trust.clone(),
        strict_headers: edge.strict_headers,
        https: edge.listen.https,
        ..Settings::default()
    }
}

/// The copies of the folders that the edge is to send.
pub(crate) fn folders(applied: &Applied, artefacts: &Path) -> BTreeMap<ServiceName, Folder> {
    let names = applied.current.iter().flat_map(|current| current.sites.keys());
    let sites = names.filter_map(|name| Some((name.clone(), &applied.wanted_site(name)?.site)));
    sites.map(|(name, site)| (name, Folder { root: site::path_of(artefacts, site.digest), spa: site.spa })).collect()
}

fn route(route: &model::edge::Route, timeout: Span) -> Route {
    Route {
        host: route.host.clone(),
        path: route.path.clone(),
        methods: route.methods.clone(),
        to: route.to.clone(),
        limit: route.limit,
        timeout: route.timeout.unwrap_or(timeout),
        body_max: route.body_max,
        cors: route.cors.clone(),
    }
}

fn endpoint(unit: &UnitId, address: std::net::SocketAddr) -> Option<Endpoint> {
    match unit {
        UnitId::Replica(_, release, replica) => Some(Endpoint { release: *release, replica: *replica, address }),
        UnitId::Resource(_) | UnitId::ReleaseRun(..) | UnitId::Run(..) | UnitId::Edge => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_an_edge_is_told() {
        let text = "stack: shop
services: { api: { run: bin/api } }
edge:
  listen: { http: 8080 }
  trust: [10.0.0.0/8]
  routes:
    - { host: \"{tenant}.shop.example\", path: /api/, to: api, limit: { rate: 5/s }, timeout: 2s }
    - { host: shop.example, to: api }
  protect: { headers: strict, body: 1MiB }
";
        let stack = config::check(&config::SourceFile::new("mainstay.yaml", text), None).stack.unwrap();
        let of = ["api.3.1", "api.4.2"].map(|unit| (unit.parse().unwrap(), ([127, 0, 0, 1], 7001).into()));
        let endpoints = [("api".parse().unwrap(), of.into())].into();
        let folder = Folder { root: "/srv/shop/.mainstay/artefacts/aa/site".into(), spa: true };
        let folders = [("web".parse().unwrap(), folder)].into();
        let told = settings(&stack.edge.unwrap(), Span::secs(30), &endpoints, folders);
        expect![[r#"
            {
              "number": 0,
              "routes": [
                {
                  "host": "{tenant}.shop.example",
                  "path": "/api/",
                  "methods": [],
                  "to": "api",
                  "limit": "5/s",
                  "timeout": "2s",
                  "body_max": 1048576,
                  "cors": null
                },
                {
                  "host": "shop.example",
                  "path": "/",
                  "methods": [],
                  "to": "api",
                  "limit": null,
                  "timeout": "30s",
                  "body_max": 1048576,
                  "cors": null
                }
              ],
              "endpoints": {
                "api": [
                  {
                    "release": 3,
                    "replica": 1,
                    "address": "127.0.0.1:7001"
                  },
                  {
                    "release": 4,
                    "replica": 2,
                    "address": "127.0.0.1:7001"
                  }
                ]
              },
              "folders": {
                "web": {
                  "root": "/srv/shop/.mainstay/artefacts/aa/site",
                  "spa": true
                }
              },
              "trust": [
                "10.0.0.0/8"
              ],
              "strict_headers": true,
              "https": null,
              "connections": {
                "total": 20000,
                "per_client": 1000
              },
              "requests": {
                "total": 20000,
                "per_service": 10000,
                "per_client": 500
              },
              "times": {
                "head": "15s",
                "slow_grace": "20s",
                "least_bytes_per_second": 500,
                "stall": "1m",
                "answer_pause": "5m",
                "tunnel_pause": "1h"
              }
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&told).unwrap());
    }
}
