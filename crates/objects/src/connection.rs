//! A connection's bytes: sent to those who take them, and its end, which lets the client read what it was told.
//!
//! Start reading at [`Patient`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::front::Turn;
use crate::patience::Waiting;

/// What the kernel may hold of an answer that its client has not taken. It takes twice this for itself too, and would let it
/// grow to megabytes; and a client that takes little at a time would seem to stand still.
const SEND_BYTES_MAX: usize = 64 << 10;
/// How much of a body that nobody wants is dropped at the end of a connection: a part of an upload, as clients send them.
const LINGER_BYTES_MAX: usize = 16 << 20;
/// How long its end waits for that.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// What is dropped at once.
const LINGER_BUFFER_BYTES: usize = 16 << 10;

/// What a connection's answers hold of memory beyond their end, until the last byte is with the kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unsent(Arc<Mutex<Vec<Turn>>>);

impl Unsent {
    /// Holds it until everything is sent that is to be sent now.
    pub(crate) fn hold(&self, turn: Turn) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(turn);
    }

    fn sent(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A stream whose client must take what is sent to it; see [`Waiting`].
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    waiting: Waiting,
    unsent: Unsent,
}

impl Patient<TcpStream> {
    pub(crate) fn of_client(stream: TcpStream, unsent: Unsent) -> Self {
        // Answers are written whole; waiting for more to send only delays them.
        drop(stream.set_nodelay(true));
        // Where it stays as it was, the kernel holds more.
        let _stays = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BYTES_MAX);
        Self::new(stream, unsent)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    fn new(stream: S, unsent: Unsent) -> Self {
        Self { stream, waiting: Waiting::new(), unsent }
    }

    /// Ends the connection in a way that lets the client read the answer: bytes that arrive for a closed socket would make
    /// the system discard it (RFC 9112, section 9.6).
    pub(crate) async fn linger(mut self) {
        let reading = async {
            self.stream.shutdown().await?;
            let (mut left, mut dropped) = (LINGER_BYTES_MAX, vec![0; LINGER_BUFFER_BYTES]);
            while left > 0 {
                match self.stream.read(&mut dropped).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            io::Result::Ok(())
        };
        // The connection is over either way.
        drop(timeout(LINGER_TIME_MAX, reading).await);
    }

    fn taken(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(count)) => self.waiting.moved(*count as u64),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.waiting.poll_out(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.taken(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for once everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unsent.sent();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::patience::{PATIENCE_MAX, RATE_MIN};

    const PIPE_BYTES: usize = 1 << 10;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (_client, server) = tokio::io::duplex(PIPE_BYTES);
        let mut server = Patient::new(server, Unsent::default());
        let begun = Instant::now();
        let error = server.write_all(&[0; 2 * PIPE_BYTES]).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, PATIENCE_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_enough_is_served_to_the_end() {
        let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
        let mut server = Patient::new(server, Unsent::default());
        let bytes = RATE_MIN as usize * 2 * PATIENCE_MAX.as_secs() as usize;
        let answer = vec![0; bytes];
        let taking = async {
            let mut buffer = [0; PIPE_BYTES];
            for _ in 0..bytes / PIPE_BYTES {
                tokio::time::advance(Duration::from_secs(PIPE_BYTES as u64) / RATE_MIN as u32).await;
                client.read_exact(&mut buffer).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(server.write_all(&answer), taking);
        sent.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_what_is_still_sent_and_for_no_more() {
        let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
        let sending = async {
            client.write_all(&[0; 64 * PIPE_BYTES]).await.unwrap();
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "the client hears that there is no more");
            client.write_all(&vec![0; LINGER_BYTES_MAX]).await.unwrap_err();
        };
        tokio::join!(Patient::new(server, Unsent::default()).linger(), sending);

        let (_client, server) = tokio::io::duplex(PIPE_BYTES);
        let begun = Instant::now();
        Patient::new(server, Unsent::default()).linger().await;
        assert_eq!(begun.elapsed(), LINGER_TIME_MAX);
    }
}
