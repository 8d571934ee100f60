//! `mainstay init`: a first stack file from what a folder holds.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use config::PassedOver;

use super::failure::Failure;
use super::listing;
use super::session::{FILE_NAME, Session};
use crate::terminal::{human, printable};

/// Writes a first stack file from what the current folder holds
///
/// It looks for programs and data services (package.json, Cargo.toml, Dockerfile, compose.yaml, index.html
/// and more), here and one folder down, and writes mainstay.yaml with comments. A file that is there is never
/// replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Most files that are told of as found and not used; the file that is written names more.
const NOT_USED_SHOWN_MAX: usize = 10;

/// Looks and writes.
pub(crate) fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let folder = session.folder();
    let first = config::init(&listing::of_project(folder)?);
    let path = folder.join(FILE_NAME);
    let file = File::create_new(&path);
    let written = file.and_then(|mut file| file.write_all(first.text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("there is a {FILE_NAME} in {} already", folder.display()))
            .with_hint("change it and look at it with `mainstay check`; `mainstay init` replaces nothing"),
        _ => Failure::doing(format!("cannot write {}", path.display()), &error),
    })?;
    let found = match (first.found.is_empty(), first.passed_over.is_empty()) {
        (true, true) => "nothing was recognised, so it holds an example".to_owned(),
        (true, false) => "nothing was found that can be started as it is, so it holds an example".to_owned(),
        (false, _) => format!("found {}", human::list(&first.found)),
    };
    session.terminal.note(&format!("wrote {FILE_NAME}: {}", printable(&found)));
    for PassedOver { file, why, remedy } in first.passed_over.iter().take(NOT_USED_SHOWN_MAX) {
        session.terminal.note(&printable(&format!("not used: `{file}`: {why} ({remedy})")));
    }
    session.terminal.note("next: read it, then `mainstay check` and `mainstay up`");
    Ok(ExitCode::SUCCESS)
}
