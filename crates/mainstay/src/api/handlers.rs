//! What each endpoint does: read the request, ask the node, answer. No decision is made here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::Request;
use axum::response::Response;
use axum::{Json, http};
use model::cause::chain;
use model::{Actor, EntryId, SecretName, ServiceName, Span, UnitId};
use sys::tasks::blocking;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::bodies::{
    AcceptedBody, DownCause, ErrorBody, ErrorKind, EventBody, PlanBody, RunAcceptedBody, RunBody, RunStateBody,
    SecretBody, SecretValueBody, StatusBody,
};
use super::journal::{self, EventsQuery};
use super::logs::{self, LogsQuery, Selection};
use super::request::{Asked, Named, read_json, read_secret_json};
use super::server::Shared;
use super::stream;
use crate::node::call::{Answer, Ask, Call};

/// What an endpoint answers.
type Reply<T> = Result<Json<T>, ErrorBody>;

/// How long the node may take to answer one call. No answer waits for what runs: applying, restarting and running are
/// accepted, and watched through status and events.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The same for calls that wait until the project's programs and folders were looked through, and copied where they
/// are to be, for this call and for those before it. The node goes on meanwhile.
pub(crate) const FILES_TIME_MAX: Duration = Duration::from_secs(600);

/// Sends one call to the node and waits for its answer.
pub(crate) async fn ask<T>(
    calls: &mpsc::Sender<Call>,
    actor: Actor,
    what: impl FnOnce(Answer<T>) -> Ask,
) -> Result<T, ErrorBody> {
    ask_within(ANSWER_TIME_MAX, calls, actor, what).await
}

async fn ask_within<T>(
    limit: Duration,
    calls: &mpsc::Sender<Call>,
    actor: Actor,
    what: impl FnOnce(Answer<T>) -> Ask,
) -> Result<T, ErrorBody> {
    let answered = call(calls, actor, what)?;
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ending()),
        Err(_) => {
            Err(ErrorBody::new(ErrorKind::Internal, format!("the node did not answer within {} s", limit.as_secs()))
                .with_hint("the call may still be carried out: look at `mainstay events`"))
        }
    }
}

/// Sends one call to the node; the answer is still to come.
fn call<T>(
    calls: &mpsc::Sender<Call>,
    actor: Actor,
    what: impl FnOnce(Answer<T>) -> Ask,
) -> Result<oneshot::Receiver<Result<T, ErrorBody>>, ErrorBody> {
    let (answer, answered) = oneshot::channel();
    calls.try_send(Call { actor, what: what(answer) }).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => {
            ErrorBody::new(ErrorKind::Busy, "too many calls wait for the node").with_hint("try again in a moment")
        }
        mpsc::error::TrySendError::Closed(_) => ending(),
    })?;
    Ok(answered)
}

fn ending() -> ErrorBody {
    ErrorBody::new(ErrorKind::Ending, "the node is ending").with_hint("try again in a moment")
}

pub(crate) async fn status(State(shared): State<Shared>, Extension(actor): Extension<Actor>) -> Reply<StatusBody> {
    ask(&shared.calls, actor, Ask::Status).await.map(Json)
}

pub(crate) async fn plan(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    request: Request<Body>,
) -> Reply<PlanBody> {
    let file = read_json(request).await?;
    ask_within(FILES_TIME_MAX, &shared.calls, actor, |answer| Ask::Plan(file, answer)).await.map(Json)
}

pub(crate) async fn apply(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    request: Request<Body>,
) -> Reply<AcceptedBody> {
    let file = read_json(request).await?;
    ask_within(FILES_TIME_MAX, &shared.calls, actor, |answer| Ask::Apply(file, answer)).await.map(Json)
}

/// Why everything is to stop.
#[derive(serde::Deserialize)]
pub(crate) struct DownQuery {
    because: Option<DownCause>,
}

pub(crate) async fn down(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<DownQuery>,
) -> Reply<AcceptedBody> {
    ask(&shared.calls, actor, |answer| Ask::Down(query.because, answer)).await.map(Json)
}

/// How long a restart may take.
#[derive(serde::Deserialize)]
pub(crate) struct RestartQuery {
    within: Option<Span>,
}

pub(crate) async fn restart(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(service): Named<ServiceName>,
    Asked(query): Asked<RestartQuery>,
) -> Reply<AcceptedBody> {
    ask(&shared.calls, actor, |answer| Ask::Restart(service, query.within, answer)).await.map(Json)
}

pub(crate) async fn run(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(service): Named<ServiceName>,
    request: Request<Body>,
) -> Reply<RunAcceptedBody> {
    let RunBody { words } = read_json(request).await?;
    if words.first().is_none_or(|program| program.is_empty()) {
        return Err(ErrorBody::new(ErrorKind::Invalid, "a run needs a command: `words` is empty"));
    }
    ask_within(FILES_TIME_MAX, &shared.calls, actor, |answer| Ask::Run(service, words, answer)).await.map(Json)
}

pub(crate) async fn run_state(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(unit): Named<UnitId>,
) -> Reply<RunStateBody> {
    ask(&shared.calls, actor, |answer| Ask::RunState(unit, answer)).await.map(Json)
}

pub(crate) async fn secrets(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
) -> Reply<Vec<SecretBody>> {
    ask(&shared.calls, actor, Ask::Secrets).await.map(Json)
}

/// Which version of a secret.
#[derive(serde::Deserialize)]
pub(crate) struct VersionQuery {
    version: Option<u32>,
}

/// A value on its way out must not stay in any cache between here and the caller.
type Uncached<T> = ([(http::HeaderName, &'static str); 1], T);

pub(crate) async fn secret(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<SecretName>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Uncached<Json<SecretValueBody>>, ErrorBody> {
    let value = ask(&shared.calls, actor, |answer| Ask::SecretGet(name, query.version, answer)).await?;
    Ok(([(http::header::CACHE_CONTROL, "no-store")], Json(value)))
}

pub(crate) async fn set_secret(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<SecretName>,
    request: Request<Body>,
) -> Reply<AcceptedBody> {
    let value = read_secret_json(request).await?;
    ask(&shared.calls, actor, |answer| Ask::SecretSet(name, value, answer)).await.map(Json)
}

pub(crate) async fn remove_secret(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<SecretName>,
) -> Reply<AcceptedBody> {
    ask(&shared.calls, actor, |answer| Ask::SecretRemove(name, answer)).await.map(Json)
}

pub(crate) async fn import_secrets(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    request: Request<Body>,
) -> Reply<Vec<SecretName>> {
    let import = read_secret_json(request).await?;
    ask(&shared.calls, actor, |answer| Ask::SecretImport(import, answer)).await.map(Json)
}

pub(crate) async fn run_output(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Named(unit): Named<UnitId>,
) -> Result<Response, ErrorBody> {
    ask(&shared.calls, actor.clone(), |answer| Ask::RunHasEnded(unit.clone(), answer)).await?;
    let (place, tasks) = (place_to_follow(&shared)?, shared.tasks.clone());
    Ok(stream::answer(&tasks, "output", place, move |lines| {
        let goes_on = || lines.is_wanted() && !*shared.stop.borrow() && !has_ended(&shared, &actor, &unit);
        logs::read(&shared.logs, &Selection::of_unit(&unit), &mut |line| lines.push(&line), &goes_on)
    }))
}

/// Whether the node says of a run that it has ended, or knows it no more. Blocks.
fn has_ended(shared: &Shared, actor: &Actor, unit: &UnitId) -> bool {
    let ended = call(&shared.calls, actor.clone(), |answer| Ask::RunHasEnded(unit.clone(), answer))
        .and_then(|answered| answered.blocking_recv().map_err(|_| ending())?);
    match ended {
        Ok(ended) => ended,
        // A busy node says it another time.
        Err(error) => error.kind == ErrorKind::NotFound,
    }
}

pub(crate) async fn logs(State(shared): State<Shared>, Asked(query): Asked<LogsQuery>) -> Result<Response, ErrorBody> {
    let selection = Selection::new(&query, sys::clock::now().wall)?;
    let (place, tasks) = (place_to_follow(&shared)?, shared.tasks.clone());
    Ok(stream::answer(&tasks, "logs", place, move |lines| {
        let wanted = || lines.is_wanted() && !*shared.stop.borrow();
        logs::read(&shared.logs, &selection, &mut |line| lines.push(&line), &wanted)
    }))
}

pub(crate) async fn events(
    State(shared): State<Shared>,
    Asked(query): Asked<EventsQuery>,
) -> Result<Response, ErrorBody> {
    let (place, tasks) = (place_to_follow(&shared)?, shared.tasks.clone());
    Ok(stream::answer(&tasks, "events", place, move |lines| {
        let wanted = || lines.is_wanted() && !*shared.stop.borrow();
        let newest = || wanted().then(|| *shared.newest.borrow());
        journal::read(&shared.journal, query, &mut |event| lines.push(&event), &newest).map_err(std::io::Error::other)
    }))
}

pub(crate) async fn event(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<EventBody> {
    match blocking(move || journal::find(&shared.journal, EntryId(id))).await {
        Ok(Ok(Some(event))) => Ok(Json(event)),
        Ok(Ok(None)) => Err(ErrorBody::new(ErrorKind::NotFound, format!("the journal has no entry {id}"))
            .with_hint("`mainstay events` lists them")),
        Ok(Err(error)) => Err(ErrorBody::new(ErrorKind::Internal, chain(&error))),
        Err(broken) => Err(ErrorBody::new(ErrorKind::Internal, format!("the journal was not read: {broken}"))),
    }
}

fn place_to_follow(shared: &Shared) -> Result<OwnedSemaphorePermit, ErrorBody> {
    Arc::clone(&shared.followers).try_acquire_owned().map_err(|_| {
        ErrorBody::new(ErrorKind::Busy, "too many answers are being streamed already")
            .with_hint("end some `mainstay logs -f` or `mainstay events -f`")
    })
}

pub(crate) async fn openapi() -> Json<serde_json::Value> {
    Json(super::openapi::document())
}
