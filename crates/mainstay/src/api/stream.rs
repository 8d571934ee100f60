//! Answers of many lines: read in a thread of their own, sent as the caller takes them.
//!
//! A caller that does not read stops the reading, never the node: between the two is a short channel.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use serde::Serialize;
use sys::tasks::Tasks;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::server::OWNER;

/// Lines that are read before the caller has taken the earlier ones.
const LINES_AHEAD_MAX: usize = 32;

/// The media type of one JSON value per line.
const MEDIA_TYPE: &str = "application/x-ndjson";

type Chunk = io::Result<Bytes>;

/// Where lines of an answer go.
pub(crate) struct Lines {
    sender: mpsc::Sender<Chunk>,
}

impl Lines {
    /// Sends one line, waiting for the caller to take earlier ones. An error says that nobody reads any more.
    pub(crate) fn push(&self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.sender.blocking_send(Ok(Bytes::from(bytes))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Whether somebody still reads.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// An answer whose lines `read` gives, in a thread that may block. An error of it breaks the answer off, so
/// that the caller does not take half of it for the whole.
pub(crate) fn answer(
    tasks: &Tasks,
    name: &str,
    place: OwnedSemaphorePermit,
    read: impl FnOnce(&Lines) -> io::Result<()> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    tasks.spawn_blocking(OWNER, name, move || {
        let lines = Lines { sender };
        if let Err(error) = read(&lines) {
            // Either nobody reads any more, or the one who does learns of it by this.
            drop(lines.sender.blocking_send(Err(error)));
        }
        Ok::<(), Infallible>(())
    });
    let body = Body::new(Received { receiver, _place: place });
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
}

/// The caller's end; the place is free again when it is dropped.
struct Received {
    receiver: mpsc::Receiver<Chunk>,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Received {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
