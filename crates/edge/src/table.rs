//! The routes, compiled for finding. Start reading at [`Table::find`].
//!
//! A table never changes; new settings make a new one. Finding takes no lock and allocates nothing.

use std::collections::HashMap;

use crate::host::HostPattern;
use crate::path;
use crate::settings::Route;

/// Where a route is in the settings' list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteIndex(pub usize);

/// The routes of one set of settings.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Vec<Entry>>,
    tenants: HashMap<String, Vec<Entry>>,
}

/// A route among those of one host, longest path first.
#[derive(Debug)]
struct Entry {
    path: String,
    methods: Vec<String>,
    route: RouteIndex,
}

/// What was found for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'h> {
    /// The route, and the tenant where its host has one.
    Route {
        /// Which route.
        route: RouteIndex,
        /// The label that stands where the route says `{tenant}`.
        tenant: Option<&'h str>,
    },
    /// No route answers for the host.
    NoHost,
    /// The host is known, the path is not.
    NoPath,
    /// The path is known, the method is not.
    NoMethod {
        /// The methods that would have been answered, for the `Allow` field.
        allowed: Vec<String>,
    },
}

impl Table {
    /// The table of these routes.
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let entry = Entry {
                path: route.path.as_str().to_owned(),
                methods: route.methods.iter().cloned().collect(),
                route: RouteIndex(index),
            };
            let (hosts, name) = match &route.host {
                HostPattern::Exact(name) => (&mut table.exact, name),
                HostPattern::Tenant(suffix) => (&mut table.tenants, suffix),
            };
            hosts.entry(name.clone()).or_default().push(entry);
        }
        for entries in table.exact.values_mut().chain(table.tenants.values_mut()) {
            // Of equal paths, one with methods is asked before one for all of them, and the earlier before the later.
            entries.sort_by_key(|entry| (std::cmp::Reverse(entry.path.len()), entry.methods.is_empty(), entry.route));
        }
        table
    }

    /// The route for a request, by the name of its host ([`crate::host::routed_name`]) and its normal path
    /// ([`crate::path::normal`]). An exact host goes before `{tenant}`, then a longer path before a shorter one.
    pub fn find<'h>(&self, host: &'h str, path: &str, method: &str) -> Found<'h> {
        let tenant = || host.split_once('.').and_then(|(label, suffix)| Some((label, self.tenants.get(suffix)?)));
        let (entries, tenant) = match self.exact.get(host) {
            Some(entries) => (entries, None),
            None => match tenant() {
                Some((label, entries)) => (entries, Some(label)),
                None => return Found::NoHost,
            },
        };
        let mut allowed = Vec::new();
        for entry in entries.iter().filter(|entry| path::is_below(path, &entry.path)) {
            if entry.answers(method) {
                return Found::Route { route: entry.route, tenant };
            }
            allowed.extend(entry.methods.iter().cloned());
        }
        if allowed.is_empty() { Found::NoPath } else { Found::NoMethod { allowed } }
    }
}

impl Entry {
    /// Whoever answers GET answers HEAD (RFC 9110, section 9.3.2).
    fn answers(&self, method: &str) -> bool {
        let stated = |wanted: &str| self.methods.iter().any(|it| it == wanted);
        self.methods.is_empty() || stated(method) || (method == "HEAD" && stated("GET"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str, path: &str, methods: &[&str]) -> Route {
        Route {
            host: host.parse().unwrap(),
            path: path.parse().unwrap(),
            methods: methods.iter().map(|&it| it.to_owned()).collect(),
            to: "web".parse().unwrap(),
            limit: None,
            timeout: model::Span::millis(1000),
            body_max: None,
            cors: None,
        }
    }

    /// The routes of the test, and what finds which.
    fn found(host: &str, path: &str, method: &str) -> String {
        let table = Table::new(&[
            route("{tenant}.example.com", "/", &[]),
            route("{tenant}.example.com", "/api/", &[]),
            route("{tenant}.example.com", "/api/photos/", &[]),
            route("www.example.com", "/", &["GET"]),
            route("www.example.com", "/form", &["POST"]),
            route("www.example.com", "/form", &[]),
            route("www.example.com", "/only", &["PUT", "DELETE"]),
            route("api.example.com", "/v1", &[]),
        ]);
        match table.find(host, path, method) {
            Found::Route { route, tenant } => format!("{} {}", route.0, tenant.unwrap_or("-")),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_most_exact_host_and_the_longest_path_win() {
        for (host, path, method, expected) in [
            ("acme.example.com", "/people", "GET", "0 acme"),
            ("acme.example.com", "/api/people", "GET", "1 acme"),
            ("acme.example.com", "/api/photos/7", "GET", "2 acme"),
            ("acme.example.com", "/api", "GET", "0 acme"),
            ("a.b.example.com", "/", "GET", "NoHost"),
            ("example.com", "/", "GET", "NoHost"),
            ("www.example.com", "/", "GET", "3 -"),
            ("www.example.com", "/", "HEAD", "3 -"),
            ("www.example.com", "/form", "POST", "4 -"),
            ("www.example.com", "/form", "PUT", "5 -"),
            ("www.example.com", "/only", "PUT", "6 -"),
            ("www.example.com", "/only", "GET", "3 -"),
            ("www.example.com", "/only", "PATCH", r#"NoMethod { allowed: ["DELETE", "PUT", "GET"] }"#),
            ("api.example.com", "/v2", "GET", "NoPath"),
            ("other.org", "/", "GET", "NoHost"),
        ] {
            assert_eq!(found(host, path, method), expected, "{method} {host}{path}");
        }
    }
}
