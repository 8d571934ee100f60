//! Whether a state directory holds the environment that is asked for. Start reading at [`refuse_another`].

use config::RuleId;
use model::{EnvironmentName, StackName};

use super::check;
use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::ErrorKind;
use crate::api::client::ClientError;
use crate::node::consider::holds_another;
use crate::node::store;
use crate::terminal::problem::Finding;

/// Refuses `--env` where another environment is applied: what is then said or done would be that one's.
pub(crate) async fn refuse_another(session: &Session) -> Result<(), Failure> {
    let Some(asked) = session.environment() else { return Ok(()) };
    match applied(session).await? {
        Some((stack, environment)) if environment != *asked => {
            let failure = Failure::from(holds_another(&stack, &environment, &format!("{asked} was asked for")));
            Err(match undescribed(session) {
                Some(hint) => Failure { hints: vec![hint], ..failure },
                None => failure,
            })
        }
        _ => Ok(()),
    }
}

/// What to say where the file does not describe the environment that is asked for: it can have no state directory either.
fn undescribed(session: &Session) -> Option<String> {
    let judged = check::judged(&session.file().ok()?, session).ok()?;
    let unknown = |finding: &Finding| finding.rule == RuleId::UnknownEnvironment.as_str();
    judged.findings.into_iter().find(unknown).map(|finding| finding.line())
}

/// What is applied, as the node says, or the records where none runs or it has no time to say; `None` before anything was.
async fn applied(session: &Session) -> Result<Option<(StackName, EnvironmentName)>, Failure> {
    match session.client()?.status().await {
        Ok(status) => Ok(Some((status.stack, status.environment))),
        Err(ClientError::Refused(said)) if said.kind == ErrorKind::NotFound => Ok(None),
        Err(error) if leaves_it_to_the_records(&error) => {
            let current = store::current(&session.layout()?).map_err(|error| Failure::of(&error))?;
            Ok(current.map(|current| (current.stack.name, current.stack.environment)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether there is no node, also because it has just ended, or one that is about to end or has too much to do.
fn leaves_it_to_the_records(error: &ClientError) -> bool {
    match error {
        ClientError::NoNode { .. } | ClientError::BrokenOff(_) => true,
        ClientError::Refused(said) => matches!(said.kind, ErrorKind::Busy | ErrorKind::Ending),
        _ => false,
    }
}
