//! `mainstay explain`: one journal entry whole, and the chain of causes behind it.

use std::process::ExitCode;

use model::EntryId;

use super::events::tone;
use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::EventBody;
use crate::api::client::{Client, ClientError};
use crate::api::journal;
use crate::terminal::table::wrap;
use crate::terminal::{Terminal, Tone, printable};

/// Explains a journal entry: what, who, when, why, what was seen, what led to it
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The entry's number, as `mainstay events` shows it.
    id: u64,
}

/// How far back causes are followed.
const CAUSES_MAX: usize = 50;

/// Prints the entry and what led to it.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let mut chain = Vec::new();
    let mut next = Some(EntryId(arguments.id));
    while let Some(id) = next.filter(|_| chain.len() < CAUSES_MAX) {
        let event = find(id, &client, session).await?;
        // A cause is earlier than what it caused: anything else would lead in a circle.
        next = event.entry.cause.filter(|cause| *cause < id);
        chain.push(event);
    }
    match session.terminal.is_json() {
        true => session.terminal.print_json(&chain)?,
        false => session.terminal.print(&text(&chain, &session.terminal))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(id: EntryId, client: &Client, session: &Session) -> Result<EventBody, Failure> {
    match client.get(&format!("/v1/events/{id}")).await {
        Err(ClientError::NoNode { .. }) => {
            let found = journal::find(&session.layout()?.journal(), id).map_err(|error| Failure::of(&error))?;
            found.ok_or_else(|| {
                Failure::new(format!("the journal has no entry {id}")).with_hint("`mainstay events` lists them")
            })
        }
        other => Ok(other?),
    }
}

fn text(chain: &[EventBody], terminal: &Terminal) -> String {
    let [event, causes @ ..] = chain else { return String::new() };
    let entry = &event.entry;
    let mut text = format!(
        "{} {}\n",
        terminal.paint(Tone::Strong, &format!("entry {}:", entry.id)),
        terminal.paint(tone(&entry.what), &printable(&event.text))
    );
    let facts = [("who", entry.actor.to_string()), ("when", entry.at.to_string()), ("why", entry.reason.clone())];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&fact(name, value, terminal));
    }
    for evidence in &entry.evidence {
        text.push_str(&fact(&evidence.name, &evidence.seen, terminal));
    }
    if !causes.is_empty() {
        text.push_str(&format!("\n{}\n", terminal.paint(Tone::Strong, "led to by")));
    }
    for cause in causes {
        let entry = &cause.entry;
        let line = format!("{:>5} {} {}: {}", entry.id, entry.at, cause.text, entry.reason);
        text.push_str(&format!("{}\n", printable(line.trim_end_matches(": "))));
    }
    text
}

/// A name and what belongs to it, each line of several below the one before.
fn fact(name: &str, value: &str, terminal: &Terminal) -> String {
    const COLUMN: usize = 14;
    let label = format!("  {:<width$}", printable(name), width = COLUMN - 2);
    let room = terminal.width().saturating_sub(COLUMN).max(20);
    let lines: Vec<String> = value.lines().flat_map(|line| wrap(&printable(line), room)).collect();
    let below = format!("\n{}", " ".repeat(label.chars().count()));
    format!("{}{}\n", terminal.paint(Tone::Quiet, &label), lines.join(&below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn an_entry_and_its_causes() {
        let chain: Vec<EventBody> = serde_json::from_str(
            r#"[
              {"text":"web.1.1 was started again","entry":{"id":9,"at":"2026-11-20T17:00:02.000Z","actor":"node",
                "what":{"kind":"unit_restarted","unit":"web.1.1","attempt":0},"reason":"the first restart is immediate",
                "evidence":[{"name":"exit","seen":"ended by signal 9"},{"name":"last lines","seen":"listening\nGET /"}],"cause":8}},
              {"text":"web.1.1 ended by itself","entry":{"id":8,"at":"2026-11-20T17:00:01.000Z","actor":"node",
                "what":{"kind":"unit_exited","unit":"web.1.1"},"reason":"","evidence":[],"cause":null}}]"#,
        )
        .unwrap();
        expect![[r#"
            entry 9: web.1.1 was started again
              who         node
              when        2026-11-20T17:00:02.000Z
              why         the first restart is immediate
              exit        ended by signal 9
              last lines  listening
                          GET /

            led to by
                8 2026-11-20T17:00:01.000Z web.1.1 ended by itself
        "#]]
        .assert_eq(&text(&chain, &Terminal::plain()));
    }
}
