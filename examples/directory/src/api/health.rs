//! What probes ask: is it ready, is it alive?

use std::sync::Arc;

use axum::extract::State;

use super::App;
use super::problem::Problem;
use crate::cache;

/// Whether requests can be answered: both stores do. The photo store is not asked; without it, people can be found.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.stopping.is_cancelled() {
        return Err(Problem::Stopping);
    }
    app.database.connection().await?.ping().await?;
    cache::ping(&app.cache).await?;
    Ok("ready\n")
}

/// That the process lives. It says nothing about the stores, because starting it again would not mend one.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}
