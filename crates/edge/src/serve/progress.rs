//! Whether a connection's client takes what it is sent, and its end. Start reading at [`Watched`].

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::worker::Worker;

/// Bytes that are dropped at once.
const DROPPED_BYTES: usize = 4 << 10;

/// How far a client's connection is.
#[derive(Default)]
pub(super) struct Progress {
    /// Since when its client has taken nothing of what waits for it.
    stuck: Cell<Option<Duration>>,
    /// Since when nothing more is said, and the client's own end is waited for.
    ended: Cell<Option<Duration>>,
}

/// A stream that notes when its writes make no progress, and is shut down only once its client has ended too: whatever a client
/// sends to a closed socket would make the system discard what is on its way to it (RFC 9112, section 9.6).
pub(super) struct Watched<S> {
    stream: S,
    worker: Rc<Worker>,
    progress: Rc<Progress>,
}

impl Progress {
    /// How long nothing has been taken.
    pub(super) fn stuck_for(&self, now: Duration) -> Duration {
        self.stuck.get().map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// How long nothing more has been said; nothing while there may be more to say.
    pub(super) fn ended_for(&self, now: Duration) -> Option<Duration> {
        self.ended.get().map(|since| now.saturating_sub(since))
    }
}

impl<S> Watched<S> {
    /// Watches a stream.
    pub(super) fn new(stream: S, worker: Rc<Worker>, progress: Rc<Progress>) -> Self {
        Self { stream, worker, progress }
    }

    fn noted<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let stuck = polled.is_pending().then(|| self.progress.stuck.get().unwrap_or_else(|| self.worker.now()));
        self.progress.stuck.set(stuck);
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, room)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.noted(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.noted(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.ended.get().is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.noted(polled))?;
            self.progress.ended.set(Some(self.worker.now()));
        }
        loop {
            let mut room = [0; DROPPED_BYTES];
            let mut dropped = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut dropped))?;
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
