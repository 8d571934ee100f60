//! Serves the control API on a unix socket: judges each peer, bounds each connection, hands requests to the
//! router of [`super::endpoints`].
//!
//! Whoever may not use the API gets an answer that says so, and the refusal is journaled; both are bounded,
//! so that a service that asks in a loop neither fills the journal nor takes the operator's connections.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::{Actor, EntryId};
use sys::tasks::{Group, Tasks};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::bodies::{ErrorBody, ErrorKind};
use super::endpoints;
use super::handlers;
use super::peer::{self, Refused};
use crate::node::call::{Ask, Call};

/// Whose tasks these are.
pub(crate) const OWNER: &str = "the control API";

/// Connections served at once.
const CONNECTIONS_MAX: usize = 64;
/// Connections that are being told no at once; beyond them a peer is hung up on.
const TURNED_AWAY_MAX: usize = 8;
/// Refusals journaled within one minute; those beyond are answered all the same.
const REFUSALS_JOURNALED_PER_MINUTE: u32 = 30;
/// Answers that follow the logs or the journal at once, so that followers leave connections for others.
const FOLLOWERS_MAX: usize = 32;
/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a refused peer may take with its request before it is hung up on.
const TURN_AWAY_TIME_MAX: Duration = Duration::from_secs(2);
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long connections may go on after the server is told to end.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the server rests after the system had no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The way to the node.
    pub(crate) calls: mpsc::Sender<Call>,
    /// The node's tasks, among which are those of the API.
    pub(crate) tasks: Tasks,
    /// Places for answers that follow.
    pub(crate) followers: Arc<Semaphore>,
    /// The folder of the units' logs.
    pub(crate) logs: Arc<Path>,
    /// The folder of the journal.
    pub(crate) journal: Arc<Path>,
    /// The number of the journal's newest entry.
    pub(crate) newest: watch::Receiver<EntryId>,
    /// Whether answers that go on are to come to their end.
    pub(crate) stop: watch::Receiver<bool>,
}

/// What the server needs.
pub(crate) struct Settings {
    /// The way to the node.
    pub(crate) calls: mpsc::Sender<Call>,
    /// The node's tasks.
    pub(crate) tasks: Tasks,
    /// The folder of the units' logs.
    pub(crate) logs: PathBuf,
    /// The folder of the journal.
    pub(crate) journal: PathBuf,
    /// The number of the journal's newest entry.
    pub(crate) newest: watch::Receiver<EntryId>,
}

/// Binds the control socket. A socket that a dead node left is removed first: the caller holds the lock of
/// the state directory, so no living node listens there. Everyone may connect, since a refusal that the
/// kernel makes is one that nobody can journal.
pub(crate) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Serves until `stop` says so or its sender is gone, then lets open connections finish.
pub(crate) async fn serve(listener: UnixListener, settings: Settings, mut stop: watch::Receiver<bool>) {
    let mut server = Server::new(settings, stop.clone());
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = minute.tick() => server.journal_room = REFUSALS_JOURNALED_PER_MINUTE,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.receive(stream),
                // Out of descriptors: they come back as connections end.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    server.connections.finish(FINISH_TIME_MAX).await;
}

struct Server {
    shared: Shared,
    places: Arc<Semaphore>,
    doorstep: Arc<Semaphore>,
    journal_room: u32,
    connections: Group,
    stop: watch::Receiver<bool>,
}

/// Why a connection gets no service.
struct TurnedAway {
    answer: ErrorBody,
    /// Who is journaled as refused; absent when nothing is to be journaled.
    journal: Option<Actor>,
}

impl Server {
    fn new(settings: Settings, stop: watch::Receiver<bool>) -> Self {
        let shared = Shared {
            calls: settings.calls,
            tasks: settings.tasks.clone(),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            logs: Arc::from(settings.logs.as_path()),
            journal: Arc::from(settings.journal.as_path()),
            newest: settings.newest,
            stop: stop.clone(),
        };
        Self {
            shared,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            doorstep: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            journal_room: REFUSALS_JOURNALED_PER_MINUTE,
            connections: Group::new(settings.tasks, OWNER),
            stop,
        }
    }

    fn receive(&mut self, stream: UnixStream) {
        match self.admit(&stream) {
            Ok((actor, place)) => {
                let name = format!("connection of {actor}");
                let router = endpoints::router(self.shared.clone()).layer(Extension(actor));
                self.connections.spawn(name, converse(stream, router, place, self.stop.clone()));
            }
            Err(turned_away) => {
                let Ok(place) = Arc::clone(&self.doorstep).try_acquire_owned() else { return };
                let answer = turn_away(stream, turned_away, self.shared.calls.clone(), place);
                self.connections.spawn("refusal", answer);
            }
        }
    }

    fn admit(&mut self, stream: &UnixStream) -> Result<(Actor, OwnedSemaphorePermit), TurnedAway> {
        let actor = peer::admit(stream).map_err(|refused| self.refusal(&refused))?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| TurnedAway {
            answer: ErrorBody::new(ErrorKind::Busy, format!("{CONNECTIONS_MAX} connections are open already"))
                .with_hint("end some `mainstay logs -f` or `mainstay events -f`"),
            journal: None,
        })?;
        Ok((actor, place))
    }

    fn refusal(&mut self, refused: &Refused) -> TurnedAway {
        let journal = refused.actor.clone().filter(|_| self.journal_room > 0);
        self.journal_room = self.journal_room.saturating_sub(1);
        TurnedAway { answer: ErrorBody::new(ErrorKind::Refused, refused.refusal.to_string()), journal }
    }
}

async fn converse(
    stream: UnixStream,
    router: axum::Router,
    place: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Infallible> {
    let mut connection =
        std::pin::pin!(http1().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // How a connection ends is the peer's affair: there is nobody left to tell.
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        drop(connection.await);
    }
    drop(place);
    Ok(())
}

async fn turn_away(
    stream: UnixStream,
    turned_away: TurnedAway,
    calls: mpsc::Sender<Call>,
    place: OwnedSemaphorePermit,
) -> Result<(), Infallible> {
    let answer = service_fn(|request: Request<Incoming>| {
        let (calls, turned_away) = (&calls, &turned_away);
        async move {
            if let Some(actor) = turned_away.journal.clone() {
                journal(calls, actor, &request, &turned_away.answer).await;
            }
            let mut response: Response<Body> = turned_away.answer.clone().into_response();
            let close = axum::http::HeaderValue::from_static("close");
            response.headers_mut().insert(axum::http::header::CONNECTION, close);
            Ok::<_, Infallible>(response)
        }
    });
    let conversation = http1().serve_connection(TokioIo::new(stream), answer);
    drop(tokio::time::timeout(TURN_AWAY_TIME_MAX, conversation).await);
    drop(place);
    Ok(())
}

/// Longest part of a refused request that is journaled.
const CALL_BYTES_MAX: usize = 200;

async fn journal(calls: &mpsc::Sender<Call>, actor: Actor, request: &Request<Incoming>, answer: &ErrorBody) {
    let mut call = format!("{} {}", request.method(), request.uri().path());
    call.truncate(call.floor_char_boundary(CALL_BYTES_MAX));
    let reason = answer.message.clone();
    // The peer is refused whether or not this can be written down; a journal that cannot be written to is a
    // problem that `status` shows.
    drop(handlers::ask(calls, actor, |entry| Ask::Refused(call, reason, entry)).await);
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}
