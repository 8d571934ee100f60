//! Figures for whoever operates this, in the text form that Prometheus reads.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::App;
use super::problem::Problem;
use crate::with_causes;

/// Upper bounds of the durations that are counted together, in seconds; around the objective of 200 ms.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 2.0];

/// A request's answer. Routes are templates, so there are no more series than routes, methods and statuses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// Whether an answer was kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    result: &'static str,
}

/// The state of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionState {
    state: &'static str,
}

/// What is counted.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    durations: Family<Route, Histogram>,
    kept_answers: Family<Lookup, Counter>,
    connections: Family<ConnectionState, Gauge>,
    live: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("directory"),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            kept_answers: Family::default(),
            connections: Family::default(),
            live: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Answered requests", metrics.requests.clone());
        registry.register("request_seconds", "How long answers took", metrics.durations.clone());
        registry.register("answer_lookups", "Lookups of kept answers", metrics.kept_answers.clone());
        registry.register("database_connections", "Connections to PostgreSQL", metrics.connections.clone());
        registry.register("live_connections", "Open WebSockets", metrics.live.clone());
        metrics
    }
}

impl Metrics {
    /// Counts an answer.
    pub(super) fn count(&self, method: &Method, route: &str, status: StatusCode, duration: Duration) {
        let answer = Answer { method: known(method).to_owned(), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&answer).inc();
        self.durations.get_or_create(&Route { route: route.to_owned() }).observe(duration.as_secs_f64());
    }

    /// Counts a lookup of a kept answer.
    pub(super) fn count_kept_answer(&self, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        self.kept_answers.get_or_create(&Lookup { result }).inc();
    }

    /// Notes how many WebSockets are open.
    pub(super) fn set_live(&self, open: usize) {
        self.live.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    fn set_connections(&self, state: &'static str, count: usize) {
        self.connections.get_or_create(&ConnectionState { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// A client can make up methods; series are made for known ones only.
fn known(method: &Method) -> &str {
    let ours = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if ours.contains(method) { method.as_str() } else { "other" }
}

/// All figures.
pub(super) async fn show(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let (open, idle) = app.database.connections();
    app.metrics.set_connections("idle", idle);
    app.metrics.set_connections("busy", open.saturating_sub(idle));
    app.metrics.set_live(app.live.len());
    let mut text = String::new();
    encode(&mut text, &app.metrics.registry).map_err(|error| Problem::Broken(with_causes(&error)))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
