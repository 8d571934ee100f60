//! `mainstay restart`: a service's replicas, one after the other.

use std::process::ExitCode;
use std::time::Duration;

use model::{ServiceName, Span};

use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::{Missing, Waited, at_rest, not_ready, until};
use crate::api::bodies::StatusBody;

/// Restarts the replicas of a service, one after the other
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service.
    service: ServiceName,
    /// How long to wait until everything is ready again; replicas whose turn has not come by then are left as they are.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    wait: Span,
}

/// Asks for the restart and waits until it is done.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let accepted = client.restart(&arguments.service, arguments.wait).await?;
    if session.terminal.is_json() {
        session.terminal.print_json(&accepted)?;
    }
    let is_ready = |status: &StatusBody| {
        status.services.iter().any(|service| service.name == arguments.service && at_rest(&service.state))
    };
    match until(&client, &session.terminal, Duration::from(arguments.wait), is_ready).await? {
        Waited::Settled(_) => {
            session.terminal.note(&format!("{} is restarted", arguments.service));
            Ok(ExitCode::SUCCESS)
        }
        Waited::NotYet(status) => Err(Failure {
            problems: not_ready(&status)
                .iter()
                .filter(|missing| missing.name == arguments.service.as_str())
                .map(Missing::text)
                .collect(),
            ..Failure::new(format!("{} is not ready again after {}", arguments.service, arguments.wait))
                .with_exit(Exit::NotReady)
                .with_hint("what was not restarted by then is left as it is: `mainstay events` says which")
        }),
    }
}
