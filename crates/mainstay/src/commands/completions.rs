//! `mainstay completions`: what a shell needs to complete this command line.

use std::process::ExitCode;

use clap::CommandFactory;

use super::failure::Failure;
use super::session::Session;

/// Prints the completions of a shell
///
/// For bash: mainstay completions bash > /etc/bash_completion.d/mainstay
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::CommandLine::command(), "mainstay", &mut script);
    session.terminal.print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
