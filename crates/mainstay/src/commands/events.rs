//! `mainstay events`: the journal, a line per entry. Works without a node too.

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::EventBody;
use crate::api::client::{ClientError, query};
use crate::api::journal::{self, EventsQuery, ReadError};
use crate::terminal::{Terminal, Tone, printable};
use model::{EntryId, Happening};

/// Shows the journal: every action and refusal, with who and why
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Goes on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only entries after this one.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: u64,
}

/// Prints the entries as they come.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let query = EventsQuery { after: arguments.after, follow: arguments.follow };
    let mut failed = None;
    let asked = session
        .client()?
        .lines(&path(query), |event: EventBody| match print(&event, &session.terminal) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
        .await;
    match asked {
        Err(ClientError::NoNode { .. }) => read_files(query, session)?,
        other => other?,
    }
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

pub(crate) fn path(events: EventsQuery) -> String {
    let mut parts = vec![("after", events.after.to_string())];
    if events.follow {
        parts.push(("follow", "true".to_owned()));
    }
    format!("/v1/events{}", query(&parts))
}

/// Reads the files where they are. Without a node there is nothing to wait for.
fn read_files(query: EventsQuery, session: &Session) -> Result<(), Failure> {
    let layout = session.layout()?;
    let once = EventsQuery { follow: false, ..query };
    let newest = || Some(EntryId(0));
    match journal::read(&layout.journal(), once, &mut |event| print(&event, &session.terminal), &newest) {
        Err(ReadError::Passing(error)) => Err(error.into()),
        Err(error) => Err(Failure::of(&error)),
        Ok(()) if query.follow => Err(Failure::new("no node runs for this stack, so nothing will follow")
            .with_exit(super::failure::Exit::NoNode)
            .with_hint("start it with `mainstay up`")),
        Ok(()) => Ok(()),
    }
}

fn print(event: &EventBody, terminal: &Terminal) -> io::Result<()> {
    match terminal.is_json() {
        true => terminal.print_json_line(event),
        false => terminal.print(&text(event, terminal)),
    }
}

/// An entry as a line: number, time, who, what, why.
fn text(event: &EventBody, terminal: &Terminal) -> String {
    let entry = &event.entry;
    let what = terminal.paint(tone(&entry.what), &printable(&event.text));
    let reason = match entry.reason.is_empty() {
        true => String::new(),
        false => format!(": {}", printable(&entry.reason)),
    };
    let number = terminal.paint(Tone::Strong, &format!("{:<5}", entry.id));
    let at = terminal.paint(Tone::Quiet, &entry.at.to_string());
    format!("{number} {at} {:<8} {what}{reason}", entry.actor.to_string())
}

/// How much an entry needs attention.
pub(crate) fn tone(what: &Happening) -> Tone {
    match what {
        Happening::CrashLoop { .. }
        | Happening::ResourceFailed { .. }
        | Happening::Refused { .. }
        | Happening::EntriesLost { .. } => Tone::Bad,
        Happening::UnitUnready { .. }
        | Happening::UnitExited { .. }
        | Happening::UnitKilled { .. }
        | Happening::UnitLost { .. }
        | Happening::UnitBlocked { .. }
        | Happening::RunsMissed { .. } => Tone::Caution,
        Happening::UnitReady { .. } => Tone::Good,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Actor, Entry};

    #[test]
    fn an_entry_is_a_line() {
        let entry = Entry {
            id: EntryId(12),
            at: "2026-11-20T17:04:05.678Z".parse().unwrap(),
            actor: Actor::Local { uid: 0 },
            what: Happening::DownRequested,
            reason: "asked for by\u{7} a person".to_owned(),
            evidence: Vec::new(),
            cause: None,
        };
        assert_eq!(
            text(&entry.into(), &Terminal::plain()),
            "12    2026-11-20T17:04:05.678Z uid 0    the stack was asked to stop: asked for by\u{fffd} a person"
        );
    }
}
