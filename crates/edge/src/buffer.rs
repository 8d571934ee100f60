//! Bytes that have arrived and are not used yet. Start reading at [`Buffer`].
//!
//! A buffer starts small, because most heads are, and doubles while reads fill it, because large bodies want few calls.
//! None is held while nothing is there and a read waits: a thousand idle connections cost no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer starts with, in bytes.
pub(crate) const BYTES_MIN: usize = 4 << 10;
/// What it grows to, in bytes.
pub(crate) const BYTES_MAX: usize = 256 << 10;
/// Buffers of the least size that a thread keeps for later.
const SPARE_MAX: usize = 256;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes between two marks of a block of memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// All of it initialised; empty while nothing is held.
    block: Vec<u8>,
    from: usize,
    to: usize,
    /// The last read filled all the room there was.
    was_filled: bool,
}

impl Buffer {
    /// What has arrived and is not used.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block[self.from..self.to]
    }

    /// Whether nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Takes bytes off the beginning, or all of them where there are fewer.
    pub(crate) fn consume(&mut self, count: usize) {
        self.from = self.from.saturating_add(count).min(self.to);
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
        }
    }

    /// Reads once. 0 bytes mean that the other side will send no more. Whoever asks for more than [`BYTES_MAX`] without
    /// taking any is refused.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        if self.to == self.block.len() {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let mut room = ReadBuf::new(&mut self.block[self.to..]);
        let polled = Pin::new(reader).poll_read(context, &mut room);
        let (read, full) = (room.filled().len(), room.remaining() == 0);
        if polled.is_pending() {
            self.release();
        }
        ready!(polled)?;
        self.was_filled = full;
        self.to += read;
        Poll::Ready(Ok(read))
    }

    /// Gives the memory back, when nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            (self.from, self.to, self.was_filled) = (0, 0, false);
            SPARE.with_borrow_mut(|spare| {
                if block.len() == BYTES_MIN && spare.len() < SPARE_MAX {
                    spare.push(block);
                }
            });
        }
    }

    fn make_room(&mut self) {
        if self.block.is_empty() {
            self.block = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BYTES_MIN]);
        }
        let held = self.to - self.from;
        // What is left is moved to the front when it is little, so that no view ever needs two parts.
        if self.from > 0 && (self.to == self.block.len() || held * 4 <= self.block.len()) {
            self.block.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, held);
        }
        let grows = self.to == self.block.len() || (self.was_filled && self.is_empty());
        if grows && self.block.len() < BYTES_MAX {
            self.block.resize(self.block.len() * 2, 0);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        (self.from, self.to) = (0, 0);
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Reads as much as there is room for, from an endless source of counted bytes.
    struct Endless(u8);

    impl AsyncRead for Endless {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            while room.remaining() > 0 {
                room.put_slice(&[self.0]);
                self.0 = self.0.wrapping_add(1);
            }
            Poll::Ready(Ok(()))
        }
    }

    fn fill(buffer: &mut Buffer, source: &mut Endless) -> usize {
        match buffer.poll_fill(source, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(read)) => read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_doubles_while_reads_fill_it_and_no_further_than_its_bound() {
        let (mut buffer, mut source) = (Buffer::default(), Endless(0));
        let mut sizes = Vec::new();
        for _ in 0..9 {
            sizes.push(fill(&mut buffer, &mut source));
            buffer.consume(buffer.bytes().len());
        }
        assert_eq!(sizes, [4, 8, 16, 32, 64, 128, 256, 256, 256].map(|kib| kib << 10));
    }

    #[test]
    fn more_than_there_is_is_all_of_it() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, &mut Endless(0));
        buffer.consume(1);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }

    #[test]
    fn nothing_is_lost_or_moved_about_between_reads() {
        let (mut buffer, mut source) = (Buffer::default(), Endless(0));
        let mut next = 0_u8;
        for round in 0..2000_usize {
            if buffer.bytes().len() < BYTES_MAX {
                fill(&mut buffer, &mut source);
            }
            let take = (round * 37 % 5000).min(buffer.bytes().len());
            for byte in &buffer.bytes()[..take] {
                assert_eq!(*byte, next);
                next = next.wrapping_add(1);
            }
            buffer.consume(take);
        }
        assert!(buffer.block.len() <= BYTES_MAX);
    }
}
