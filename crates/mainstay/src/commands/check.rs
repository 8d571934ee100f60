//! `mainstay check`: all problems of the stack file at once, each at its place.

use std::process::ExitCode;

use config::SourceFile;

use super::failure::Failure;
use super::session::{Session, StackFile};
use crate::judged::{Judged, judge};
use crate::machine;
use crate::terminal::problem::{Finding, render, render_note, summary};
use crate::terminal::{Terminal, Tone};

/// Checks the stack file and shows every problem at its place
///
/// One environment is checked whole: the one of --env, else development. Of the others, the structure is.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Report<'f> {
    /// Whether the file can be used.
    accepted: bool,
    problems: &'f [Finding],
}

/// Checks and prints.
pub(crate) fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let name = session.shown_name(&session.file_path()?);
    let (judged, legible) = match session.file_if_text()? {
        Ok(file) => (judged(&file, session)?, shown_text(&file.text)),
        Err(not_text) => (Judged::refused(&not_text.problem), shown_text(&not_text.legible.text)),
    };
    let terminal = &session.terminal;
    match terminal.is_json() {
        true => {
            terminal.print_json(&Report { accepted: judged.accepted.is_some(), problems: &judged.findings })?;
        }
        false => terminal.print(&text(&judged, &name, &legible, terminal))?,
    }
    match judged.accepted {
        Some(_) => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

/// Judges the session's file.
pub(crate) fn judged(file: &StackFile, session: &Session) -> Result<Judged, Failure> {
    let machine = machine::capacity().map_err(|error| Failure::of(&error))?;
    let source = SourceFile::new(session.shown_name(&file.path), file.text.clone());
    Ok(judge(&source, session.environment(), machine))
}

/// Judges the file, tells its problems beside the data, and goes on only when it can be used.
pub(crate) fn accepted(file: &StackFile, session: &Session) -> Result<(), Failure> {
    let judged = judged(file, session)?;
    if !judged.findings.is_empty() {
        let blocks = render_note(&judged.findings, &shown_text(&file.text), &session.terminal);
        session.terminal.note(blocks.trim_end());
    }
    match judged.accepted {
        Some(_) => Ok(()),
        None => Err(Failure::new(refusal(&judged.findings))),
    }
}

fn text(judged: &Judged, name: &str, legible: &str, terminal: &Terminal) -> String {
    let blocks = render(&judged.findings, legible, terminal);
    let verdict = match (&judged.accepted, summary(&judged.findings)) {
        (Some((stack, _)), found) => {
            let found = found.map(|found| format!(", with {found}")).unwrap_or_default();
            terminal.paint(Tone::Good, &format!("{name} is good for {}{found}", stack.environment))
        }
        (None, _) => terminal.paint(Tone::Bad, &refusal(&judged.findings)),
    };
    format!("{blocks}{verdict}\n")
}

fn refusal(findings: &[Finding]) -> String {
    format!("the file cannot be used: {}", summary(findings).unwrap_or_else(|| "nothing is in it".to_owned()))
}

/// The file's text without what may be a secret's value.
fn shown_text(text: &str) -> String {
    config::shown(&SourceFile::new("", text))
}
