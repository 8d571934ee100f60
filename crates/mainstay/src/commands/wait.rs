//! Waiting until the stack is as it should be, and saying what is not.

use std::time::Duration;

use model::UnitId;

use crate::api::bodies::{StatusBody, UnitBody};
use crate::api::client::{Client, ClientError};
use crate::terminal::Terminal;
use crate::terminal::human;
use crate::terminal::progress::Progress;

/// From one look at the status to the next.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a wait came to.
pub(crate) enum Waited {
    /// It is as it was waited for.
    Settled(Box<StatusBody>),
    /// Time ran out.
    NotYet(Box<StatusBody>),
}

/// Looks until everything is ready or `limit` has passed.
pub(crate) async fn until_settled(
    client: &Client,
    terminal: &Terminal,
    limit: Duration,
) -> Result<Waited, ClientError> {
    until(client, terminal, limit, |status| status.settled).await
}

/// Looks until what is waited for is so or `limit` has passed.
pub(crate) async fn until(
    client: &Client,
    terminal: &Terminal,
    limit: Duration,
    is_so: impl Fn(&StatusBody) -> bool,
) -> Result<Waited, ClientError> {
    let begun = sys::clock::now().steady;
    let mut progress = Progress::new(terminal);
    loop {
        let status = Box::new(client.status().await?);
        if is_so(&status) {
            return Ok(Waited::Settled(status));
        }
        let elapsed = sys::clock::now().steady.saturating_sub(begun);
        if elapsed >= limit {
            return Ok(Waited::NotYet(status));
        }
        progress.show(&format!("waiting for {}", human::list(&names(&not_ready(&status)))), elapsed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Something that is not ready, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Its name.
    pub(crate) name: String,
    /// How it stands.
    pub(crate) state: String,
    /// Why, as far as that is known.
    pub(crate) why: Vec<String>,
}

impl Missing {
    /// As one line or block for people.
    pub(crate) fn text(&self) -> String {
        match self.why.as_slice() {
            [] => format!("{}: {}", self.name, self.state),
            why => format!("{}: {}; {}", self.name, self.state, why.join("; ")),
        }
    }
}

/// What is not ready: resources first, since services wait for them.
pub(crate) fn not_ready(status: &StatusBody) -> Vec<Missing> {
    let resources = status.resources.iter().filter(|resource| resource.unit.state != "ready").map(|resource| Missing {
        name: resource.name.to_string(),
        state: resource.unit.state.clone(),
        why: resource.unit.note.clone().into_iter().collect(),
    });
    let services = status.services.iter().filter(|service| !at_rest(&service.state)).map(|service| {
        let late = service.replicas.iter().filter(|replica| replica.unit.state != "ready");
        Missing {
            name: service.name.to_string(),
            state: format!("{}, {} of {} ready", service.state, service.serving.min(service.wanted), service.wanted),
            why: service.change.clone().into_iter().chain(late.filter_map(|it| why(&it.id, &it.unit))).collect(),
        }
    });
    resources.chain(services).collect()
}

fn why(id: &UnitId, unit: &UnitBody) -> Option<String> {
    unit.note.as_ref().map(|note| format!("{id}: {note}"))
}

fn at_rest(state: &str) -> bool {
    matches!(state, "ready" | "scheduled" | "stopped")
}

/// The names alone.
pub(crate) fn names(missing: &[Missing]) -> Vec<String> {
    match missing {
        [] => vec!["the last steps".to_owned()],
        missing => missing.iter().map(|missing| missing.name.clone()).collect(),
    }
}
