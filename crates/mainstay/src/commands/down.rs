//! `mainstay down`: everything stops, data stays.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use model::UnitId;
use supervise::supervisor::State;

use super::failure::{Exit, Failure};
use super::node::{self, START_TIME_MAX};
use super::session::Session;
use super::wait::LOOK_EVERY;
use crate::api::bodies::{ErrorKind, StatusBody, UnitBody};
use crate::api::client::{Client, ClientError};
use crate::node::down_request::Purpose;
use crate::node::layout::Layout;
use crate::node::status::state_word;
use crate::terminal::progress::Progress;
use crate::terminal::{Terminal, human};
use sys::process::unit::Census;

/// Stops every service and resource, then the node; data stays
///
/// Where no node runs and what one left goes on, a node is started that takes over and stops all of it. Where nothing
/// runs, there is nothing to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// How long is waited for the end. Each unit has its own deadline after which it is killed; this is beyond
/// any sum of them that makes sense.
const DOWN_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Nodes that are asked for the end, one after another was killed while it was at it.
const NODES_MAX: u32 = 3;

/// Asks for the end and watches it come.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let mut asked = 0;
    loop {
        // Looked for anew each time: where the socket is, is decided when the state directory is made.
        let (client, layout) = (session.client()?, session.layout()?);
        // A node that was killed in the middle of it leaves what it had not stopped yet, and another may be there.
        if is_over(&client, &layout).await? {
            refuse_orphans(&layout)?;
            session.terminal.note(if asked == 0 { "nothing runs, and no node does" } else { "everything is stopped" });
            return Ok(ExitCode::SUCCESS);
        }
        if asked == NODES_MAX {
            let ended = format!("not everything is stopped: {NODES_MAX} nodes ended before what they were stopping");
            return Err(Failure::new(ended).with_hint("`mainstay events` says what they did last"));
        }
        if ask(session, &client).await? {
            watch(&client, &session.terminal).await?;
        }
        asked += 1;
    }
}

/// Whether there is no node and nothing of one that was killed.
async fn is_over(client: &Client, layout: &Layout) -> Result<bool, Failure> {
    Ok(!answers_by_now(client, layout).await? && !something_is_left(layout)?)
}

/// Whether a node answers, once one that holds the state directory has had the time to begin, or to end.
async fn answers_by_now(client: &Client, layout: &Layout) -> Result<bool, Failure> {
    let begun = sys::clock::now().steady;
    loop {
        if client.is_served().await? {
            return Ok(true);
        }
        let Some(holder) = node::holder(layout)? else { return Ok(false) };
        if sys::clock::now().steady.saturating_sub(begun) >= START_TIME_MAX {
            let (pid, state) = (holder.pid, layout.state().display());
            return Err(Failure::new(format!("process {pid} holds {state} and does not answer"))
                .with_exit(Exit::NotReady)
                .with_hint(format!("end it with `kill -9 {pid}` and say `mainstay down` again")));
        }
        tokio::time::sleep(LOOK_EVERY / 10).await;
    }
}

/// Sees to it that a node is at it: asks the one that is there, and starts one where it was killed. False where that one
/// was killed this moment, so that what it left has to be looked for.
async fn ask(session: &Session, client: &Client) -> Result<bool, Failure> {
    if !client.is_served().await? {
        session.terminal.note("no node runs: one is started to stop what is left");
        node::detach(session, client, Purpose::Stop, START_TIME_MAX).await?;
    }
    if client.status().await.is_ok_and(|status| status.stopping) {
        return Ok(true);
    }
    match client.down(None).await {
        Err(ClientError::BrokenOff(_) | ClientError::NoNode { .. }) => Ok(false),
        Err(ClientError::Refused(said)) if said.kind == ErrorKind::Ending => Ok(false),
        asked => Ok(asked.map(|_| true)?),
    }
}

/// Whether a node of this state directory was killed and left a socket or anything that lives.
fn something_is_left(layout: &Layout) -> Result<bool, Failure> {
    if !layout.state().exists() {
        return Ok(false);
    }
    let units = layout.units();
    let names = sys::files::names(&units).map_err(|error| Failure::of(&error))?;
    if layout.control_socket().exists() {
        return Ok(true);
    }
    let census = Census::take().map_err(|error| Failure::of(&error))?;
    for name in names {
        if !census.members(&units.join(name)).map_err(|error| Failure::of(&error))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What runs of a state directory that was removed from here is nobody's any more, and "everything is stopped" would be
/// untrue. It is told of, not signalled: that it was removed is only what those processes show of themselves.
fn refuse_orphans(layout: &Layout) -> Result<(), Failure> {
    let orphans = Census::take().and_then(|census| census.orphans(&layout.units()));
    let orphans = orphans.map_err(|error| Failure::of(&error))?;
    if orphans.is_empty() {
        return Ok(());
    }
    let pids: Vec<String> = orphans.iter().map(|orphan| orphan.pid.to_string()).collect();
    let state = layout.state().display();
    Err(Failure::new(format!(
        "a state directory was removed from {state} while it ran; this still runs: {}",
        pids.join(", ")
    ))
    .with_exit(Exit::NotReady)
    .with_hint(format!("no node looks after it any more: look at it, and end it with `kill {}`", pids.join(" "))))
}

/// Waits until the node has ended, showing what still runs and what is in the way. One that took over from it has to be
/// asked anew.
pub(crate) async fn watch(client: &Client, terminal: &Terminal) -> Result<(), Failure> {
    let begun = sys::clock::now().steady;
    let mut progress = Progress::new(terminal);
    let (mut node, mut told) = (None, BTreeSet::new());
    loop {
        let elapsed = sys::clock::now().steady.saturating_sub(begun);
        let left = match client.status().await {
            Ok(status) if *node.get_or_insert(status.node.pid) != status.node.pid => return Ok(()),
            Ok(status) => {
                for (unit, why) in in_the_way(&status).filter(|(unit, _)| told.insert(unit.clone())) {
                    progress.clear();
                    terminal.note(&format!("{unit} is not known to have ended: {why}"));
                }
                left(&status)
            }
            Err(ClientError::NoNode { .. } | ClientError::BrokenOff(_)) if !listens(client).await => return Ok(()),
            // A node on its way out may be too busy for one answer.
            Err(_) => Vec::new(),
        };
        if elapsed >= DOWN_TIME_MAX {
            let late = format!("after {} not everything is stopped: {}", human::span(elapsed), human::list(&left));
            return Err(Failure::new(late)
                .with_exit(Exit::NotReady)
                .with_hint("`mainstay events` says what was tried; the node goes on trying"));
        }
        match left.is_empty() {
            true => progress.show("stopping", elapsed),
            false => progress.show(&format!("stopping {}", human::list(&left)), elapsed),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn listens(client: &Client) -> bool {
    !matches!(client.status().await, Err(ClientError::NoNode { .. }))
}

/// What runs, and what may.
fn left(status: &StatusBody) -> Vec<String> {
    let left = status.units().filter(|(_, unit)| unit.pid.is_some() || is_unknown(unit));
    left.map(|(unit, _)| unit.to_string()).collect()
}

/// What the node could not find out about, and why.
fn in_the_way(status: &StatusBody) -> impl Iterator<Item = (UnitId, &str)> {
    let unknown = status.units().filter(|(_, unit)| is_unknown(unit));
    unknown.filter_map(|(id, unit)| Some((id, unit.note.as_deref()?)))
}

fn is_unknown(unit: &UnitBody) -> bool {
    unit.state == state_word(State::Finding)
}
