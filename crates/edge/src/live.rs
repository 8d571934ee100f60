//! The settings that an edge works by, compiled. Start reading at [`Live::renewed`].
//!
//! Never changed, only replaced whole: a request keeps the one it began with. What counts for longer (the limits' clients,
//! the requests under way at each endpoint) is handed on from one to the next by its identity.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use model::{Rate, ServiceName};

use crate::balance::Pool;
use crate::host::HostPattern;
use crate::policy::limit::Limiter;
use crate::settings::{Folder, Route, Settings};
use crate::table::{RouteIndex, Table};

/// Settings, and what was made of them.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) settings: Settings,
    pub(crate) table: Table,
    pools: BTreeMap<ServiceName, Pool>,
    limits: BTreeMap<LimitKey, Arc<Limiter>>,
    /// The limit of each route, in the settings' order.
    of_route: Vec<Option<Arc<Limiter>>>,
}

/// What makes a limit the same after a change of the settings.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct LimitKey {
    host: HostPattern,
    path: String,
    methods: Vec<String>,
    events: u32,
    unit: &'static str,
}

impl LimitKey {
    fn of(route: &Route, rate: Rate) -> Self {
        Self {
            host: route.host.clone(),
            path: route.path.as_str().to_owned(),
            methods: route.methods.iter().cloned().collect(),
            events: rate.events,
            unit: rate.per.unit(),
        }
    }
}

impl Live {
    /// New settings; what the old ones counted is kept.
    pub(crate) fn renewed(&self, settings: Settings) -> Self {
        let pool = |(name, endpoints): (&ServiceName, &Vec<_>)| {
            // A pool of its own where there was none: it counts the requests of one service.
            let known = self.pools.get(name).map(|pool| pool.renewed(endpoints));
            (name.clone(), known.unwrap_or_else(|| Pool::default().renewed(endpoints)))
        };
        let limited = settings.routes.iter().filter(|route| route.limit.is_some()).count();
        let mut limits = BTreeMap::new();
        let of_route = settings.routes.iter().map(|route| {
            let rate = route.limit?;
            let key = LimitKey::of(route, rate);
            let known = self.limits.get(&key).cloned().unwrap_or_else(|| Arc::new(Limiter::new(rate, limited)));
            limits.insert(key, Arc::clone(&known));
            Some(known)
        });
        let of_route = of_route.collect();
        let pools = settings.endpoints.iter().map(pool).collect();
        let table = Table::new(&settings.routes);
        Self { table, pools, limits, of_route, settings }
    }

    /// A route.
    pub(crate) fn route(&self, index: RouteIndex) -> Option<&Route> {
        self.settings.routes.get(index.0)
    }

    /// The limit of a route.
    pub(crate) fn limiter(&self, index: RouteIndex) -> Option<&Limiter> {
        self.of_route.get(index.0)?.as_deref()
    }

    /// The limits, to be looked after.
    pub(crate) fn limiters(&self) -> impl Iterator<Item = &Limiter> {
        self.limits.values().map(|limiter| &**limiter)
    }

    /// The endpoints of a service.
    pub(crate) fn pool(&self, service: &ServiceName) -> Option<&Pool> {
        self.pools.get(service)
    }

    /// The folder of a service that is one.
    pub(crate) fn folder(&self, service: &ServiceName) -> Option<&Folder> {
        self.settings.folders.get(service)
    }

    /// Whether a service's files are here.
    pub(crate) fn serves(&self, root: &Path) -> bool {
        self.settings.folders.values().any(|folder| folder.root == root)
    }

    /// Whether any service has an endpoint here.
    pub(crate) fn leads_to(&self, address: SocketAddr) -> bool {
        self.settings.endpoints.values().flatten().any(|endpoint| endpoint.address == address)
    }
}
