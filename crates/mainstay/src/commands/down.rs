//! `mainstay down`: everything stops, data stays.

use std::process::ExitCode;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::LOOK_EVERY;
use crate::api::bodies::StatusBody;
use crate::api::client::{Client, ClientError};
use crate::terminal::progress::Progress;
use crate::terminal::{Terminal, human};

/// Stops every service and resource, then the node; data stays
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// How long is waited for the end. Each unit has its own deadline after which it is killed; this is beyond
/// any sum of them that makes sense.
const DOWN_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Asks for the end and watches it come.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    client.down().await?;
    watch(&client, &session.terminal).await?;
    session.terminal.note("everything is stopped");
    Ok(ExitCode::SUCCESS)
}

/// Waits until the node has ended, showing what still runs.
pub(crate) async fn watch(client: &Client, terminal: &Terminal) -> Result<(), Failure> {
    let begun = sys::clock::now().steady;
    let mut progress = Progress::new(terminal);
    loop {
        let elapsed = sys::clock::now().steady.saturating_sub(begun);
        let running = match client.status().await {
            Ok(status) => running(&status),
            Err(ClientError::NoNode { .. } | ClientError::BrokenOff(_)) if !listens(client).await => return Ok(()),
            // A node on its way out may be too busy for one answer.
            Err(_) => Vec::new(),
        };
        if elapsed >= DOWN_TIME_MAX {
            let late = format!("after {} there still runs {}", human::span(elapsed), human::list(&running));
            return Err(Failure::new(late)
                .with_exit(Exit::NotReady)
                .with_hint("`mainstay events` says what was tried; the node goes on trying"));
        }
        match running.is_empty() {
            true => progress.show("stopping", elapsed),
            false => progress.show(&format!("stopping {}", human::list(&running)), elapsed),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn listens(client: &Client) -> bool {
    !matches!(client.status().await, Err(ClientError::NoNode { .. }))
}

fn running(status: &StatusBody) -> Vec<String> {
    let replicas = status.services.iter().flat_map(|service| &service.replicas);
    let replicas = replicas.filter(|replica| replica.unit.pid.is_some()).map(|replica| replica.id.to_string());
    let resources = status.resources.iter().filter(|resource| resource.unit.pid.is_some());
    replicas.chain(resources.map(|resource| resource.name.to_string())).collect()
}
