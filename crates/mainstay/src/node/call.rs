//! What the control API asks of the node: one closed list, each with its answer's type.
//!
//! The node's loop owns everything; a caller sends a [`Call`] over a bounded channel and waits for the
//! answer. Reading logs and journal pages needs no owner and goes to the files directly.

use model::{Actor, EntryId, SecretName, ServiceName, Span, UnitId};
use tokio::sync::oneshot;

use crate::api::bodies::{
    AcceptedBody, DownCause, ErrorBody, FileBody, PlanBody, RunAcceptedBody, RunStateBody, SecretBody,
    SecretImportBody, SecretValueBody, StatusBody,
};

/// How many calls may wait for the node; more are answered with `busy`.
pub(crate) const CALLS_WAITING_MAX: usize = 64;

/// The answer to a call.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ErrorBody>>;

/// One call: who asks, and what.
pub(crate) struct Call {
    /// Who asks.
    pub(crate) actor: Actor,
    /// What.
    pub(crate) what: Ask,
}

/// What can be asked.
pub(crate) enum Ask {
    /// How the stack is.
    Status(Answer<StatusBody>),
    /// What applying a file would do.
    Plan(FileBody, Answer<PlanBody>),
    /// Applies a file.
    Apply(FileBody, Answer<AcceptedBody>),
    /// Stops everything, then the node; why, where no person wants it.
    Down(Option<DownCause>, Answer<AcceptedBody>),
    /// Restarts a service's replicas, one after the other, within a time.
    Restart(ServiceName, Option<Span>, Answer<AcceptedBody>),
    /// Runs a command once in the place of a service.
    Run(ServiceName, Vec<String>, Answer<RunAcceptedBody>),
    /// How a run stands, asked by somebody who waits for it.
    RunState(UnitId, Answer<RunStateBody>),
    /// Whether a run has ended, which nobody need wait for.
    RunHasEnded(UnitId, Answer<bool>),
    /// The secrets without their values.
    Secrets(Answer<Vec<SecretBody>>),
    /// A secret's value; the newest version when none is given.
    SecretGet(SecretName, Option<u32>, Answer<SecretValueBody>),
    /// A new version of a secret.
    SecretSet(SecretName, SecretValueBody, Answer<AcceptedBody>),
    /// Several secrets at once; answers with the names set.
    SecretImport(SecretImportBody, Answer<Vec<SecretName>>),
    /// Removes a secret and all its versions.
    SecretRemove(SecretName, Answer<AcceptedBody>),
    /// Journals that a call was refused before it reached the node.
    Refused(String, String, Answer<EntryId>),
}
