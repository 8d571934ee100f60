//! `mainstay restart`: a service's replicas, one after the other.

use std::process::ExitCode;
use std::time::Duration;

use model::{ServiceName, Span};

use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::{Missing, Waited, not_ready, until_settled};

/// Restarts the replicas of a service, one after the other
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service.
    service: ServiceName,
    /// How long to wait until everything is ready again.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    wait: Span,
}

/// Asks for the restart and waits until it is done.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let accepted = client.restart(&arguments.service).await?;
    if session.terminal.is_json() {
        session.terminal.print_json(&accepted)?;
    }
    match until_settled(&client, &session.terminal, Duration::from(arguments.wait)).await? {
        Waited::Settled(_) => {
            session.terminal.note(&format!("{} is restarted", arguments.service));
            Ok(ExitCode::SUCCESS)
        }
        Waited::NotYet(status) => Err(Failure {
            problems: not_ready(&status).iter().map(Missing::text).collect(),
            ..Failure::new(format!("{} is not ready again after {}", arguments.service, arguments.wait))
                .with_exit(Exit::NotReady)
                .with_hint("`mainstay status` shows how it goes on")
        }),
    }
}
