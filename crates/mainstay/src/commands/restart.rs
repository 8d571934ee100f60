//! `mainstay restart`: a service's replicas, one after the other.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use model::{EntryId, Happening, ServiceName, Span};

use super::events;
use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::{Missing, Waited, not_ready, until};
use crate::api::bodies::{EventBody, StatusBody};
use crate::api::client::{Client, ClientError};
use crate::api::journal::EventsQuery;

/// Restarts the replicas of a service, one after the other
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service.
    service: ServiceName,
    /// How long to wait until everything is ready again; replicas whose turn has not come by then are left as they are.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    wait: Span,
}

const LEFT: &str = "what was not restarted by then is left as it is: `mainstay events` says which";

/// Asks for the restart and waits until it is done.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let accepted = client.restart(&arguments.service, arguments.wait).await?;
    if session.terminal.is_json() {
        session.terminal.print_json(&accepted)?;
    }
    let is_ready = |status: &StatusBody| {
        status.services.iter().any(|service| service.name == arguments.service && service.state == "ready")
    };
    let is_over = |status: &StatusBody| status.stopping || is_ready(status);
    match until(&client, &session.terminal, Duration::from(arguments.wait), is_over).await? {
        Waited::Settled(status) if status.stopping => {
            Err(Failure::new(format!("{} is not restarted: the stack is being stopped", arguments.service))
                .with_exit(Exit::NotReady))
        }
        Waited::Settled(_) if is_given_up(&client, accepted.entry, &arguments.service).await? => Err(Failure::new(
            format!("not every replica of {} was restarted within {}", arguments.service, arguments.wait),
        )
        .with_exit(Exit::NotReady)
        .with_hint(LEFT)),
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
                .with_hint(LEFT)
        }),
    }
}

/// Whether the journal says that the restart which it has as this entry did not come to every replica.
async fn is_given_up(client: &Client, entry: EntryId, of: &ServiceName) -> Result<bool, ClientError> {
    let mut given_up = false;
    let since = events::path(EventsQuery { after: entry.0, follow: false });
    client
        .lines(&since, |event: EventBody| match event.entry.what {
            Happening::RestartGivenUp { service } if service == *of => {
                given_up = true;
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .await?;
    Ok(given_up)
}
