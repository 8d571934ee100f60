//! One connection to a shim: lines both ways.
//!
//! Start reading at [`carry`]. Invariant: a message longer than allowed, or one that nobody reads, ends the connection.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::MESSAGE_BYTES_MAX;
use crate::system::{ConnectionId, Event};

/// Messages that wait to be written.
pub(super) const WAITING_MAX: usize = 64;

/// Carries messages until either side ends.
pub(super) async fn carry(
    connection: ConnectionId,
    stream: UnixStream,
    mut messages: mpsc::Receiver<Vec<u8>>,
    events: mpsc::Sender<Event>,
) {
    let (reading, mut writing) = stream.into_split();
    let incoming = async {
        let mut reading = BufReader::new(reading);
        while let Some(bytes) = line(&mut reading).await {
            if events.send(Event::Message { connection, bytes }).await.is_err() {
                return;
            }
        }
    };
    let outgoing = async {
        while let Some(bytes) = messages.recv().await {
            if writing.write_all(&bytes).await.is_err() {
                // What the shim said before it went is still to be read.
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = incoming => {}
        () = outgoing => {}
    }
}

/// The next line without its line feed; `None` at the end, which an error is too, or when it is too long or torn.
pub(super) async fn line<R: tokio::io::AsyncRead + Unpin>(reading: &mut BufReader<R>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let available = reading.fill_buf().await.ok()?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(available.len());
        if available.is_empty() || bytes.len() + taken >= MESSAGE_BYTES_MAX {
            return None;
        }
        bytes.extend_from_slice(&available[..taken]);
        reading.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Some(bytes);
        }
    }
}
