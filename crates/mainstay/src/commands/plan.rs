//! `mainstay plan`: what `up` would do, in words.

use std::process::ExitCode;

use super::check;
use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::PlanBody;
use crate::terminal::Terminal;

/// Shows what `up` would do, and what follows from the objectives
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Asks for the plan and prints it.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let file = session.file()?;
    check::accepted(&file, session)?;
    let plan = session.client()?.plan(&session.file_body(&file)?).await?;
    show(&plan, &session.terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a plan.
pub(crate) fn show(plan: &PlanBody, terminal: &Terminal) -> Result<(), Failure> {
    match terminal.is_json() {
        true => terminal.print_json(plan)?,
        false => terminal.print(&plan.text)?,
    }
    Ok(())
}
