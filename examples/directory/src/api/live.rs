//! A WebSocket that tells a browser what has just changed in its tenant. Nothing is read from it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::App;
use super::authentication::{Identified, Proof};
use super::places::{Most, Place, Places};
use super::problem::Problem;
use crate::cache::changes::Change;
use crate::cache::sessions;

/// How many may watch in one process, and how many of them may be one viewer's: a window of a browser has one.
const OPEN: Most = Most { in_all: 2000, of_one: 20 };
/// How long a session lasts however much it is used.
const SESSION_MAX: Duration = Duration::from_secs(sessions::LIFE_SECONDS as u64);
/// How often a browser is asked whether it is still there, and its session looked at.
const ROUND: Duration = Duration::from_secs(20);
/// How long nothing may be heard of it.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// How long sending may take before the browser counts as gone.
const SEND_MAX: Duration = Duration::from_secs(10);
/// The largest message that is read, in bytes; none is needed.
const MESSAGE_MAX: usize = 1024;

/// Begins to tell.
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    identified: Identified,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    if app.stopping.is_cancelled() {
        return Err(Problem::Stopping);
    }
    let place = app.watching.take(identified.viewer.account()).ok_or(Problem::Full)?;
    let (changes, open) = (app.watchers.watch(&identified.viewer.tenant), app.live.token());
    let tell = move |socket| Watch { app, socket, changes, proof: identified.proof, _open: open, _place: place }.tell();
    // The frame is bounded on its own: a message is measured when its last frame is here.
    Ok(upgrade.max_frame_size(MESSAGE_MAX).max_message_size(MESSAGE_MAX).on_upgrade(tell))
}

/// The places of those who watch.
pub(super) fn places() -> Places {
    Places::new(OPEN)
}

/// An open WebSocket.
struct Watch {
    app: Arc<App>,
    socket: WebSocket,
    changes: Receiver<Change>,
    /// It ends when this is worth nothing any more.
    proof: Proof,
    /// Counts this one for as long as it is open.
    _open: TaskTrackerToken,
    _place: Place,
}

/// Why a WebSocket ends.
enum End {
    /// The browser has gone.
    Gone,
    /// We close it, for this reason.
    Close(u16, &'static str),
}

impl Watch {
    async fn tell(mut self) {
        if let End::Close(code, reason) = self.until_end().await {
            let frame = CloseFrame { code, reason: reason.into() };
            // The browser may have gone meanwhile; then it is closed already.
            drop(timeout(SEND_MAX, self.socket.send(Message::Close(Some(frame)))).await);
        }
    }

    async fn until_end(&mut self) -> End {
        let stopping = self.app.stopping.clone();
        let mut round = interval(ROUND);
        let mut heard = Instant::now();
        let mut expired = pin!(sleep(left(&self.proof)));
        loop {
            let done = tokio::select! {
                () = stopping.cancelled() => return End::Close(close_code::AWAY, "this server stops"),
                () = expired.as_mut() => return End::Close(close_code::POLICY, "the session has ended"),
                change = self.changes.recv() => self.pass_on(change).await,
                received = self.socket.recv() => match received {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
                    Some(Ok(_)) => {
                        heard = Instant::now();
                        Ok(())
                    }
                },
                _ = round.tick() => match heard.elapsed() > SILENCE_MAX {
                    true => Err(End::Gone),
                    false => self.look().await,
                },
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn pass_on(&mut self, change: Result<Change, RecvError>) -> Result<(), End> {
        let change = match change {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Change::Unknown,
            Err(RecvError::Closed) => return Err(End::Close(close_code::AWAY, "nothing is told any more")),
        };
        let text = serde_json::to_string(&change).map_err(|_| End::Close(close_code::ERROR, "a mistake of ours"))?;
        self.send(Message::text(text)).await
    }

    /// Whether the browser and its session are still there. A look does not prolong the session.
    async fn look(&mut self) -> Result<(), End> {
        if let Proof::Session(token) = &self.proof
            && let Ok(false) = sessions::lives(&self.app.cache, token, Timestamp::now()).await
        {
            return Err(End::Close(close_code::POLICY, "the session has ended"));
        }
        self.send(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_MAX, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

/// How long what was shown is good at most.
fn left(proof: &Proof) -> Duration {
    match proof {
        Proof::Session(_) => SESSION_MAX,
        // Negative when it has just expired.
        Proof::Token { until } => until.duration_since(Timestamp::now()).try_into().unwrap_or_default(),
    }
}
