//! `mainstay up`: the stack as the file says, by a node that is started here where none runs.
//!
//! In the foreground the node runs in this process: Ctrl-C stops the stack, while a closed terminal or a
//! SIGTERM ends only the node, and services and resources go on.

use std::process::ExitCode;
use std::time::Duration;

use model::Span;
use tokio::sync::watch;

use super::check;
use super::down;
use super::failure::{Exit, Failure};
use super::node::{self, Asked, START_TIME_MAX, asked_to_end};
use super::plan;
use super::session::Session;
use super::status::state_of_service;
use super::wait::{LOOK_EVERY, Missing, Waited, not_ready, until_settled};
use crate::api::bodies::{DownCause, ErrorKind, FileBody, StatusBody};
use crate::api::client::{Client, ClientError};
use crate::node::down_request::Purpose;
use crate::node::layout::Layout;
use crate::node::{Ended, Wish};
use crate::terminal::changes::Changes;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{Terminal, Tone, human};

const STOP_GOES_ON: &str = "everything is being stopped, as a `mainstay down` asked, and only a file that is applied takes \
                            that back; `mainstay down` waits until it is done";

const OWN_AUTHORITY: &str =
    "browsers warn of this stack's own certificates until they trust them: `mainstay trust` says how";

/// Brings the stack up, or changes what runs to what the file says
///
/// Where no node runs, one is started: in this process, or with --detach beside it. Ctrl-C then stops the
/// stack; a closed terminal or SIGTERM ends only the node, and services go on until the next `up` takes them
/// over. Where a node runs, it is given the changed file. The plan is shown first in every case.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leaves the node running beside this terminal.
    #[arg(short, long)]
    detach: bool,
    /// Waits until everything is ready, 60s at most unless told otherwise, and ends with 3 when it is not.
    /// The node is left running, as with --detach.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "60s")]
    wait: Option<Span>,
}

/// Brings up or changes.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let file = session.file()?;
    check::accepted(&file, session)?;
    let body = session.file_body(&file)?;
    // Which sockets are those of a directory is known once it is there.
    let layout = session.layout()?;
    layout.make_state().map_err(|error| Failure::of(&error))?;
    let client = session.client()?;
    let started = !client.is_served().await?;
    match (started, arguments.detach || arguments.wait.is_some()) {
        (false, _) => {}
        (true, true) => node::detach(session, &client, Purpose::Apply, START_TIME_MAX).await?,
        (true, false) => return foreground(&body, &layout, session).await,
    }
    let changed = match apply(&client, &body, &session.terminal).await {
        Err(failure) if started => {
            return Err(with_room(&layout, end_idle_node(&client, &session.terminal, failure).await));
        }
        other => other.map_err(|failure| with_room(&layout, failure))?,
    };
    match arguments.wait {
        Some(limit) => wait(&client, limit, &session.terminal).await?,
        None if changed => session.terminal.note("accepted; `mainstay status` shows how it goes on"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A node that was started for a file that it refused ends again, unless it has something to look after.
async fn end_idle_node(client: &Client, terminal: &Terminal, failure: Failure) -> Failure {
    let ended = match client.down(Some(DownCause::FileRefused)).await {
        // One that had nothing left to stop may have ended by itself.
        Ok(_) | Err(ClientError::NoNode { .. } | ClientError::BrokenOff(_)) => {
            down::watch(client, terminal).await.is_ok()
        }
        Err(ClientError::Refused(body)) if body.kind == ErrorKind::Busy => return failure.with_hint(STOP_GOES_ON),
        Err(ClientError::Refused(body)) if body.kind == ErrorKind::Ending => {
            down::watch(client, terminal).await.is_ok()
        }
        // It looks after what runs, or was given another file meanwhile.
        Err(ClientError::Refused(_)) => return failure,
        Err(_) => false,
    };
    match ended {
        true => failure,
        false => failure.with_hint("the node that was started for this still runs; `mainstay down` ends it"),
    }
}

/// Shows the plan and has it carried out; says whether there was anything to do.
async fn apply(client: &Client, file: &FileBody, terminal: &Terminal) -> Result<bool, Failure> {
    let plan = client.plan(file).await?;
    plan::show(&plan, terminal)?;
    if plan.changes {
        client.apply(file).await?;
    }
    Ok(plan.changes)
}

/// Waits until everything is ready, and shows where to look.
async fn wait(client: &Client, limit: Span, terminal: &Terminal) -> Result<(), Failure> {
    let begun = sys::clock::now().steady;
    match until_settled(client, terminal, limit.duration()).await? {
        Waited::Settled(status) => {
            let took = sys::clock::now().steady.saturating_sub(begun);
            terminal.note(&summary(&status, Some(took), terminal));
            Ok(())
        }
        Waited::NotYet(status) => Err(late(&status, limit)),
    }
}

fn late(status: &StatusBody, limit: Span) -> Failure {
    Failure {
        problems: not_ready(status).iter().map(Missing::text).collect(),
        ..Failure::new(format!("not everything is ready after {limit}"))
            .with_exit(Exit::NotReady)
            .with_hint("it goes on: `mainstay status` shows how, `mainstay logs` what was printed")
    }
}

/// What is up, and where to look.
fn summary(status: &StatusBody, took: Option<Duration>, terminal: &Terminal) -> String {
    let took = took.map(|took| format!(" after {}", human::span(took))).unwrap_or_default();
    let mut table = Table::new(&[("NAME", Align::Left), ("STATE", Align::Left), ("ADDRESS", Align::Left)]);
    for resource in &status.resources {
        let address = resource.unit.address.clone().unwrap_or_default();
        table.row(vec![resource.name.as_str().into(), (&*resource.unit.state).into(), address.into()]);
    }
    for service in &status.services {
        let addresses: Vec<String> = service.replicas.iter().filter_map(|it| it.unit.address.clone()).collect();
        let state = state_of_service(service);
        table.row(vec![service.name.as_str().into(), state.into(), Cell::from(addresses.join(" "))]);
    }
    let good = terminal.paint_note(Tone::Good, &format!("{} ({}) is up{took}", status.stack, status.environment));
    let mut text = good;
    for address in &status.edge.addresses {
        text.push_str(&format!("\n  {address}"));
    }
    if status.edge.own_authority {
        text.push_str(&format!("\n  {}", terminal.paint_note(Tone::Quiet, OWN_AUTHORITY)));
    }
    if !table.is_empty() {
        text.push_str(&format!("\n{}", table.render(terminal).trim_end()));
    }
    text
}

/// A failure that a full disk may be the reason of, with what to do then.
fn with_room(layout: &Layout, mut failure: Failure) -> Failure {
    failure.hints.extend(node::room_to_make(layout.state()));
    failure
}

async fn foreground(file: &FileBody, layout: &Layout, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let (wish, wished) = watch::channel(Wish::Run);
    let mut node = std::pin::pin!(node::serve(session, Purpose::Apply, wished));
    let asked = tokio::select! {
        ended = &mut node => return ended.map(|_| ExitCode::SUCCESS),
        Err(failure) = attend(&client, file, &session.terminal) => {
            let failure = tokio::select! {
                ended = &mut node => return ended.and(Err(failure)),
                failure = end_idle_node(&client, &session.terminal, failure.clone()) => failure,
                asked = asked_to_end() => asked.map(|_| failure)?,
            };
            wish.send_replace(Wish::Leave);
            node.await?;
            return Err(with_room(layout, failure));
        }
        asked = asked_to_end() => asked?,
    };
    let terminal = &session.terminal;
    if asked == Asked::Interrupt {
        wish.send_replace(Wish::Down);
        tokio::select! {
            // The node first: one that has not begun stops nothing, and ends at once.
            biased;
            ended = &mut node => return ended.map(|ended| tell_end(ended, terminal)),
            // Shows what still runs; the end of the node is what is waited for.
            () = watch_stop(&client, terminal) => {}
            asked = asked_to_end() => drop(asked?),
        }
    }
    wish.send_replace(Wish::Leave);
    node.await.map(|ended| tell_end(ended, terminal))
}

/// Says what a node that was asked to end has come to.
fn tell_end(ended: Ended, terminal: &Terminal) -> ExitCode {
    let (said, code) = match ended {
        Ended::BeforeItBegan => ("no node has begun; what runs goes on as it was", ExitCode::from(Exit::Failed.code())),
        Ended::Down => ("everything is stopped; data is kept", ExitCode::SUCCESS),
        Ended::LeftRunning => {
            ("the node has ended; what runs goes on, and the next `mainstay up` takes it over", ExitCode::SUCCESS)
        }
    };
    terminal.note(said);
    code
}

/// Shows what still runs while the stack is stopped, and never ends.
async fn watch_stop(client: &Client, terminal: &Terminal) {
    terminal.note("stopping the stack; Ctrl-C again ends only the node");
    if let Err(late) = down::watch(client, terminal).await {
        late.tell(terminal);
    }
    std::future::pending().await
}

/// Applies the file and then tells what changes, until something goes wrong.
async fn attend(client: &Client, file: &FileBody, terminal: &Terminal) -> Result<(), Failure> {
    node::until_it_answers(client, START_TIME_MAX).await?;
    apply(client, file, terminal).await?;
    let mut changes = Changes::default();
    let mut settled = false;
    let begun = sys::clock::now().steady;
    loop {
        // A node that is busy answers the next time; one that ends is seen to end.
        if let Ok(status) = client.status().await {
            for line in changes.between(&status) {
                terminal.note(&line.paint(terminal));
            }
            let elapsed = sys::clock::now().steady.saturating_sub(begun);
            if status.settled && !settled {
                settled = true;
                terminal.note(&summary(&status, Some(elapsed), terminal));
                terminal.note("Ctrl-C stops the stack");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
