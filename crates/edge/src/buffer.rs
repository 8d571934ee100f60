//! Bytes that have arrived and are not used yet. Start reading at [`Buffer`].
//!
//! A buffer starts small, because most heads are, and doubles while reads fill it, because large bodies want few calls. It does
//! so while what it holds is taken at once and there is memory for it ([`Account`]); what waits to be taken is held in no more
//! than it needs. None is held while nothing is there and a read waits: a thousand idle connections cost no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::admission::{Account, Admitted};

/// What a buffer starts with, in bytes.
pub(crate) const BYTES_MIN: usize = 4 << 10;
/// What it grows to, in bytes.
pub(crate) const BYTES_MAX: usize = 64 << 10;
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
    /// The last read filled all the room there was, and was taken at once.
    was_filled: bool,
    /// What it has beyond the least. Without one it grows only where it has to.
    account: Option<Account>,
}

impl Buffer {
    /// A buffer of a connection.
    pub(crate) fn of(payer: &Rc<Admitted>) -> Self {
        let mut buffer = Self::default();
        buffer.charge(payer);
        buffer
    }

    /// What it grows by is this connection's from now on.
    pub(crate) fn charge(&mut self, payer: &Rc<Admitted>) {
        self.account = Some(Account::new(payer));
    }

    /// It belongs to no connection of a client any more.
    pub(crate) fn discharge(&mut self) {
        self.account = None;
    }

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
            self.note_length();
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
        if self.block.len() < BYTES_MAX {
            let wanted = self.block.len() * 2;
            if self.to == self.block.len() {
                // More of what is in it is needed to make sense of that.
                self.block.resize(wanted, 0);
                self.note_length();
            } else if self.was_filled && self.is_empty() && self.has_memory_for(wanted) {
                self.block.resize(wanted, 0);
            }
        }
    }

    /// Holds what waits to be taken in no more than that needs: whoever takes it is slower than whoever sends it.
    pub(crate) fn shrink(&mut self) {
        self.was_filled = false;
        let held = self.to - self.from;
        let wanted = held.next_power_of_two().max(BYTES_MIN);
        if wanted < self.block.len() {
            let mut block = vec![0; wanted];
            block[..held].copy_from_slice(self.bytes());
            (self.block, self.from, self.to) = (block, 0, held);
            self.note_length();
        }
    }

    fn has_memory_for(&mut self, length: usize) -> bool {
        self.account.as_mut().is_some_and(|account| account.resize(length.saturating_sub(BYTES_MIN)))
    }

    fn note_length(&mut self) {
        if let Some(account) = &mut self.account {
            account.set(self.block.len().saturating_sub(BYTES_MIN));
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
    use crate::admission::{GROWN_BYTES_PER_CLIENT_MAX, anybody};

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
        let (mut buffer, mut source) = (Buffer::of(&anybody()), Endless(0));
        let mut sizes = Vec::new();
        for _ in 0..9 {
            sizes.push(fill(&mut buffer, &mut source));
            buffer.consume(buffer.bytes().len());
        }
        assert_eq!(sizes, [4, 8, 16, 32, 64, 64, 64, 64, 64].map(|kib| kib << 10));
    }

    #[test]
    fn it_grows_without_memory_only_for_what_cannot_be_taken_otherwise() {
        let payer = anybody();
        let mut all = Account::new(&payer);
        assert!(all.resize(usize::try_from(GROWN_BYTES_PER_CLIENT_MAX).unwrap()));
        let (mut buffer, mut source) = (Buffer::of(&payer), Endless(0));
        for _ in 0..3 {
            assert_eq!(fill(&mut buffer, &mut source), BYTES_MIN);
            buffer.consume(BYTES_MIN);
        }
        fill(&mut buffer, &mut source);
        assert_eq!((fill(&mut buffer, &mut source), buffer.bytes().len()), (BYTES_MIN, 2 * BYTES_MIN));
    }

    #[test]
    fn what_waits_to_be_taken_is_held_in_what_it_needs() {
        let (mut buffer, mut source) = (Buffer::of(&anybody()), Endless(0));
        while buffer.block.len() < BYTES_MAX {
            fill(&mut buffer, &mut source);
            buffer.consume(usize::MAX);
        }
        fill(&mut buffer, &mut source);
        buffer.consume(BYTES_MAX - 5000);
        let held = buffer.bytes().to_vec();
        buffer.shrink();
        assert_eq!((buffer.bytes(), buffer.block.len()), (held.as_slice(), 8192));
        buffer.consume(5000);
        fill(&mut buffer, &mut source);
        assert_eq!(buffer.block.len(), 8192, "it does not grow at once");
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
        let (mut buffer, mut source) = (Buffer::of(&anybody()), Endless(0));
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
