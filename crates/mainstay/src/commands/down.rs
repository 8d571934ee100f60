//! `mainstay down`: everything stops, data stays.

use std::process::ExitCode;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::node::{self, Purpose, START_TIME_MAX};
use super::session::Session;
use super::wait::LOOK_EVERY;
use crate::api::bodies::StatusBody;
use crate::api::client::{Client, ClientError};
use crate::node::layout::Layout;
use crate::terminal::progress::Progress;
use crate::terminal::{Terminal, human};
use sys::process::Seen;

/// Stops every service and resource, then the node; data stays
///
/// Where the node was killed and what it ran goes on, a node is started that takes over and stops all of it. Where
/// nothing runs, there is nothing to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// How long is waited for the end. Each unit has its own deadline after which it is killed; this is beyond
/// any sum of them that makes sense.
const DOWN_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Nodes that are asked for the end, one after another was killed while it was at it.
const NODES_MAX: u32 = 3;

/// Asks for the end and watches it come.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let layout = session.layout()?;
    if !client.is_served().await? && !something_is_left(&layout)? {
        session.terminal.note("nothing runs, and no node does");
        return Ok(ExitCode::SUCCESS);
    }
    for _ in 0..NODES_MAX {
        ask(session, &client).await?;
        let node = node::process(&layout);
        watch(&client, &session.terminal).await?;
        if let Some(node) = node {
            until_gone(&layout, &node).await?;
        }
        // A node that was killed in the middle of it leaves what it had not stopped yet.
        if !something_is_left(&layout)? {
            session.terminal.note("everything is stopped");
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(Failure::new(format!("not everything is stopped: {NODES_MAX} nodes ended before what they were stopping"))
        .with_hint("`mainstay events` says what they did last"))
}

/// Asks the node for the end; where it was killed, one is started for that.
async fn ask(session: &Session, client: &Client) -> Result<(), Failure> {
    if client.is_served().await? {
        return match client.down(None).await {
            // It was killed this moment; what it left is looked for.
            Err(ClientError::BrokenOff(_) | ClientError::NoNode { .. }) => Ok(()),
            asked => Ok(asked.map(drop)?),
        };
    }
    session.terminal.note("the node was killed: one is started to stop what it left");
    node::detach(session, client, Purpose::Stop, START_TIME_MAX).await
}

/// Whether a node of this state directory that was killed left a socket or anything that lives.
fn something_is_left(layout: &Layout) -> Result<bool, Failure> {
    let units = layout.units();
    let names = sys::files::names(&units).map_err(|error| Failure::of(&error))?;
    let lives = |name: &String| !sys::process::unit::members(&units.join(name), None).is_empty();
    Ok(layout.control_socket().exists() || names.iter().any(lives))
}

/// Waits until the node, which answers no more, has ended, so that whatever comes next finds nothing of it.
async fn until_gone(layout: &Layout, node: &Seen) -> Result<(), Failure> {
    let begun = sys::clock::now().steady;
    while node::process(layout).is_some_and(|now| now.started == node.started) {
        if sys::clock::now().steady.saturating_sub(begun) >= START_TIME_MAX {
            return Err(Failure::new(format!(
                "everything is stopped, but the node, process {}, does not end",
                node.pid
            ))
            .with_hint("`mainstay events` says what it did last"));
        }
        tokio::time::sleep(LOOK_EVERY / 10).await;
    }
    Ok(())
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
