//! Whether a state directory holds the environment that is asked for. Start reading at [`refuse_another`].

use model::{EnvironmentName, StackName};

use super::failure::Failure;
use super::secret_access::unopened;
use super::session::Session;
use crate::api::client::ClientError;
use crate::node::consider::holds_another;
use crate::node::store;

/// Refuses `--env` where another environment is applied: what is then said or done would be that one's.
pub(crate) async fn refuse_another(session: &Session) -> Result<(), Failure> {
    let Some(asked) = session.environment() else { return Ok(()) };
    match applied(session).await? {
        Some((stack, environment)) if environment != *asked => {
            Err(holds_another(&stack, &environment, &format!("{asked} was asked for")).into())
        }
        _ => Ok(()),
    }
}

/// What is applied, by the node or, where none runs, by the records; `None` before anything was.
async fn applied(session: &Session) -> Result<Option<(StackName, EnvironmentName)>, Failure> {
    match session.client()?.status().await {
        Ok(status) => Ok(Some((status.stack, status.environment))),
        Err(ClientError::NoNode { .. }) => {
            let current = store::current(&session.layout()?).map_err(|error| unopened(&error))?;
            Ok(current.map(|current| (current.stack.name, current.stack.environment)))
        }
        // A node that was given nothing yet, or does not come to an answer: the command itself says so.
        Err(ClientError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
