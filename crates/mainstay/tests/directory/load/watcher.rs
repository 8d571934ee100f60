//! A WebSocket that is held open, and what it was told.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Request;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::{Error, Message, handshake};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::client::{Caller, Client, PATIENCE};
use crate::world::{POLL, steady};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Somebody who watches a company, and opens their WebSocket again when it was lost.
pub(crate) struct Watcher {
    pub(crate) company: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    open: bool,
    /// The newest person of whom it was told.
    newest: u64,
    losses: Vec<Loss>,
}

/// A WebSocket that ended.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    pub(crate) at: Duration,
    pub(crate) why: String,
}

impl Watcher {
    pub(crate) fn new(company: usize) -> Self {
        Self { company, seen: Mutex::default() }
    }

    /// Watches for ever.
    pub(crate) async fn watch(self: Arc<Self>, client: Arc<Client>, caller: Caller) -> Result<(), Infallible> {
        loop {
            if let Ok(Ok(socket)) = timeout(PATIENCE, open(&client, &caller)).await {
                self.seen().open = true;
                let why = self.hear(socket).await;
                let mut seen = self.seen();
                seen.open = false;
                seen.losses.push(Loss { at: steady(), why });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Hears what is told until the end, and says why it came.
    async fn hear(&self, mut socket: Socket) -> String {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => self.told(&serde_json::from_str(&text).unwrap_or_default()),
                Some(Ok(Message::Close(frame))) => return format!("closed: {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => return "ended".to_owned(),
            }
        }
    }

    fn told(&self, change: &Value) {
        let mut seen = self.seen();
        seen.newest = seen.newest.max(change["person"].as_u64().unwrap_or_default());
    }

    /// Whether it is open, and was told of this person or one who was added later.
    pub(crate) fn has_heard_of(&self, person: u64) -> bool {
        let seen = self.seen();
        seen.open && seen.newest >= person
    }

    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.seen().losses.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(client: &Client, caller: &Caller) -> Result<Socket, Error> {
    let stream = client.secured(caller).await.map_err(std::io::Error::other)?;
    let request = Request::builder()
        .uri("wss://directory/api/live")
        .header("host", client.authority(caller))
        .header("cookie", &caller.cookie)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", handshake::client::generate_key());
    Ok(client_async(request.body(()).unwrap(), stream).await?.0)
}
