//! Two connections that speak a protocol which the edge does not know. Start reading at [`carry`].
//!
//! No memory is held while both sides are silent, which is what most of them are most of the time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::Buffer;
use crate::deadline::{Deadline, Late};

/// One of the two sides.
pub(super) struct Side<'s, S> {
    pub(super) stream: &'s mut S,
    /// What it has said and the other side has not got.
    pub(super) said: &'s mut Buffer,
    /// Bytes that the other side got from it.
    pub(super) passed: &'s mut u64,
}

/// How long nothing may be said, and how long what was said may wait to be taken.
pub(super) struct Silence<'d> {
    pub(super) deadline: &'d Deadline,
    pub(super) most: Duration,
    pub(super) untaken: Duration,
}

/// One of the two directions.
struct Way<'b> {
    /// What has arrived and is not passed on.
    buffer: &'b mut Buffer,
    passed: &'b mut u64,
    stage: Stage,
    /// Since when none of what waits to be taken was.
    stuck: Option<Duration>,
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

/// Carries bytes both ways until both sides have ended, one has broken off, or neither has said anything for long.
pub(super) async fn carry<A, B>(one: Side<'_, A>, other: Side<'_, B>, silence: Silence<'_>) -> Result<(), Late>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut there = Way::new(one.said, one.passed);
    let mut back = Way::new(other.said, other.passed);
    let (one, other) = (one.stream, other.stream);
    let mut said = silence.deadline.now();
    let carrying = poll_fn(|context| {
        let now = silence.deadline.now();
        let before = *there.passed + *back.passed;
        let polled = both(there.poll(one, other, now, context), back.poll(other, one, now, context));
        if *there.passed + *back.passed > before {
            said = now;
        }
        let stuck = there.stuck.into_iter().chain(back.stuck).map(|since| since.saturating_add(silence.untaken)).min();
        let silent = said.saturating_add(silence.most);
        silence.deadline.set(stuck.map_or(silent, |stuck| stuck.min(silent)));
        polled
    });
    // Whichever side breaks off, the other is told by the end of its connection.
    silence.deadline.drive(carrying).await.map(drop)
}

/// Ready when both are, or one has failed.
fn both(one: Poll<io::Result<()>>, other: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match (one, other) {
        (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
        (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }
}

impl<'b> Way<'b> {
    fn new(buffer: &'b mut Buffer, passed: &'b mut u64) -> Self {
        Self { buffer, passed, stage: Stage::Written, stuck: None }
    }

    /// Moves what there is, and notes whether some of it waits to be taken. Ready when the direction has ended.
    fn poll<F, T>(&mut self, from: &mut F, to: &mut T, now: Duration, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        let before = *self.passed;
        let polled = self.poll_move(from, to, context);
        self.stuck = match self.buffer.is_empty() {
            true => None,
            false if *self.passed > before => Some(now),
            false => self.stuck.or(Some(now)),
        };
        if self.stuck.is_some() {
            self.buffer.shrink();
        }
        polled
    }

    fn poll_move<F, T>(&mut self, from: &mut F, to: &mut T, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(context, self.buffer.bytes()))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => {
                        self.buffer.consume(count);
                        *self.passed += count as u64;
                    }
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
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::deadline::Deadlines;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Carries between two streams, and says how it ended and how many bytes went there and back.
    async fn carried(
        near: &mut DuplexStream,
        far: &mut DuplexStream,
        deadlines: &Deadlines,
    ) -> (Result<(), Late>, u64, u64) {
        let (mut there, mut back) = (0, 0);
        let deadline = deadlines.register();
        let one = Side { stream: near, said: &mut Buffer::default(), passed: &mut there };
        let other = Side { stream: far, said: &mut Buffer::default(), passed: &mut back };
        let ended = carry(one, other, Silence { deadline: &deadline, most: MINUTE, untaken: MINUTE / 2 }).await;
        (ended, there, back)
    }

    #[tokio::test]
    async fn each_side_ends_for_itself_and_nothing_is_lost() {
        const ASKED: &str = "more than goes into a pipe of sixteen bytes";
        let (mut client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        let deadlines = Deadlines::default();
        let carrying = carried(&mut near, &mut far, &deadlines);
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
            service.write_all(b"!").await.unwrap();
            service.shutdown().await.unwrap();
        };
        let (carried, heard, ()) = tokio::join!(carrying, asking, answering);
        let bytes = ASKED.len() as u64;
        assert_eq!((carried, heard), ((Ok(()), bytes, bytes + 1), ASKED.to_uppercase() + "!"));
    }

    #[tokio::test]
    async fn a_side_that_breaks_off_ends_both() {
        let (client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        drop(client);
        service.write_all(b"nobody is there").await.unwrap();
        // The service goes on; without the other side there is nothing to wait for.
        assert_eq!(carried(&mut near, &mut far, &Deadlines::default()).await, (Ok(()), 0, 0));
    }

    /// Fails when bytes that nobody takes are held for as long as silence may last, or when bytes the other way put that off.
    #[tokio::test]
    async fn what_nobody_takes_ends_both_sooner() {
        let (mut client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        let deadlines = Deadlines::default();
        let mut carrying = std::pin::pin!(carried(&mut near, &mut far, &deadlines));
        let mut poll = |at: Duration| {
            deadlines.look(at);
            carrying.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        // More than the service's pipe holds.
        for piece in [&[1; 16], &[2; 16]] {
            client.write_all(piece).await.unwrap();
            assert_eq!(poll(Duration::ZERO), Poll::Pending);
        }
        service.write_all(b"a").await.unwrap();
        assert_eq!(poll(MINUTE / 2 - Duration::from_secs(1)), Poll::Pending);
        assert_eq!(poll(MINUTE / 2), Poll::Ready((Err(Late), 16, 1)));
    }

    #[tokio::test]
    async fn silence_ends_both_and_a_byte_either_way_puts_the_end_off() {
        let (mut client, mut near) = duplex(16);
        let (mut far, mut service) = duplex(16);
        let deadlines = Deadlines::default();
        let mut carrying = std::pin::pin!(carried(&mut near, &mut far, &deadlines));
        let mut poll = |at: Duration| {
            deadlines.look(at);
            carrying.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        assert_eq!(poll(Duration::ZERO), Poll::Pending);
        service.write_all(b"a").await.unwrap();
        assert_eq!(poll(MINUTE / 2), Poll::Pending);
        client.write_all(b"bc").await.unwrap();
        assert_eq!(poll(MINUTE), Poll::Pending);
        assert_eq!(poll(MINUTE * 2 - Duration::from_secs(1)), Poll::Pending);
        assert_eq!(poll(MINUTE * 2), Poll::Ready((Err(Late), 2, 1)));
    }
}
