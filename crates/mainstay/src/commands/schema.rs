//! `mainstay schema`: the JSON Schema of the stack file, for editors.

use std::process::ExitCode;

use super::failure::Failure;
use super::session::Session;

/// Prints the JSON Schema of the stack file
///
/// Editors complete and check the file with it. In most, one line at its top is enough:
/// # yaml-language-server: $schema=mainstay.schema.json
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Prints the schema.
pub(crate) fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    session.terminal.print_json(&config::schema())?;
    Ok(ExitCode::SUCCESS)
}
