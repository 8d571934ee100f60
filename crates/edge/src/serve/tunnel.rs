//! Two connections that speak a protocol which the edge does not know. Start reading at [`carry`].
//!
//! No memory is held while both sides are silent, which is what most of them are most of the time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;

/// One of the two directions.
struct Way<'b> {
    /// What has arrived and is not passed on.
    buffer: &'b mut Buffer,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All that was passed on is on its way.
    Flushed,
    /// Some of it may be kept back.
    Written,
    /// No more will come.
    Ending,
    /// The other side knows.
    Ended,
}

/// Carries bytes both ways until both sides have ended, or one has broken off. Each buffer begins with what its side has
/// sent already.
pub(super) async fn carry<A, B>(one: (&mut A, &mut Buffer), other: (&mut B, &mut Buffer)) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let ((one, buffer), (other, back_buffer)) = (one, other);
    let mut there = Way { buffer, stage: Stage::Written };
    let mut back = Way { buffer: back_buffer, stage: Stage::Written };
    poll_fn(|context| {
        let there = there.poll(one, other, context)?;
        let back = back.poll(other, one, context)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

impl Way<'_> {
    /// Moves what there is. Ready when the direction has ended.
    fn poll<F, T>(&mut self, from: &mut F, to: &mut T, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(context, self.buffer.bytes()))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.buffer.consume(count),
                }
                self.stage = Stage::Written;
            }
            match self.stage {
                Stage::Ended => return Poll::Ready(Ok(())),
                Stage::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.stage = Stage::Ended;
                }
                Stage::Written | Stage::Flushed => match self.buffer.poll_fill(from, context) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0)) => self.stage = Stage::Ending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        if self.stage == Stage::Written {
                            ready!(Pin::new(&mut *to).poll_flush(context))?;
                            self.stage = Stage::Flushed;
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn each_side_ends_for_itself_and_nothing_is_lost() {
        const ASKED: &str = "more than goes into a pipe of sixteen bytes";
        let (mut client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        let (mut there, mut back) = (Buffer::default(), Buffer::default());
        let carrying = carry((&mut near, &mut there), (&mut far, &mut back));
        let asking = async {
            client.write_all(ASKED.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            heard
        };
        let answering = async {
            let mut asked = String::new();
            service.read_to_string(&mut asked).await.unwrap();
            // Its client has ended, and it answers all the same.
            service.write_all(asked.to_uppercase().as_bytes()).await.unwrap();
            service.shutdown().await.unwrap();
        };
        let (carried, heard, ()) = tokio::join!(carrying, asking, answering);
        assert_eq!((carried.is_ok(), heard), (true, ASKED.to_uppercase()));
    }

    #[tokio::test]
    async fn a_side_that_breaks_off_ends_both() {
        let (client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        drop(client);
        service.write_all(b"nobody is there").await.unwrap();
        let (mut there, mut back) = (Buffer::default(), Buffer::default());
        let outcome = carry((&mut near, &mut there), (&mut far, &mut back)).await;
        assert_eq!(outcome.map_err(|error| error.kind()), Err(io::ErrorKind::BrokenPipe));
    }
}
