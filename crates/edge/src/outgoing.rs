//! A request on its way to a replica. Start reading at [`Outgoing`].
//!
//! It holds what the replica has not taken, and, while that is little, also what it has, so that another replica can be
//! asked instead. Whoever is slow slows the other side down: memory never grows with a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::admission::Account;

/// Bytes that are kept although the replica took them, so that they can be sent again to another one.
pub(crate) const REPLAY_BYTES_MAX: usize = 64 << 10;
/// Bytes that wait for the replica; while there are more, nothing is read from the client. The last piece that was read may
/// go beyond it, by one buffer.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// What any request may hold of both, and memory that is kept for the next one.
const LEAST_BYTES: usize = 16 << 10;

/// What of a request has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// All of it has.
    Nothing,
    /// The client sends it.
    Coming,
    /// The client sends it once the service asks for it (`Expect: 100-continue`).
    HeldBack,
}

/// A request, framed for its replica.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Head and body, as far as they are kept.
    bytes: Vec<u8>,
    /// How many of them the replica took.
    taken: usize,
    rest: Rest,
    /// The beginning was given up, so that it cannot be sent again.
    forgot: bool,
    /// The replica takes no more of it; it may still answer.
    broken: bool,
    /// What it holds beyond the least.
    account: Account,
    /// Whether it may.
    holds_much: bool,
}

impl Outgoing {
    /// A request whose head is written.
    pub(crate) fn new(head: Vec<u8>, rest: Rest, account: Account) -> Self {
        Self { bytes: head, taken: 0, rest, forgot: false, broken: false, account, holds_much: false }
    }

    /// Whether its beginning is still there.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        !self.forgot
    }

    /// Makes it ready to be sent to another replica.
    pub(crate) fn rewind(&mut self) {
        (self.taken, self.broken) = (0, false);
    }

    /// The memory, for the next request.
    pub(crate) fn into_memory(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes.shrink_to(LEAST_BYTES);
        self.bytes
    }

    /// What has not arrived.
    pub(crate) fn rest(&self) -> Rest {
        self.rest
    }

    /// The service has asked for what is held back.
    pub(crate) fn ask_for_rest(&mut self) {
        if self.rest == Rest::HeldBack {
            self.rest = Rest::Coming;
        }
    }

    /// Whether all of it is with the replica.
    pub(crate) fn is_through(&self) -> bool {
        self.rest == Rest::Nothing && self.taken == self.bytes.len()
    }

    /// Whether some of it waits for the replica.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.broken && self.taken < self.bytes.len()
    }

    /// Whether the replica may get more than is here.
    pub(crate) fn goes_on(&self) -> bool {
        !self.broken && self.rest != Rest::Nothing
    }

    /// Whether the client owes the replica more than is here.
    pub(crate) fn is_to_come(&self) -> bool {
        !self.broken && self.rest == Rest::Coming
    }

    /// Where more of it may be appended; nowhere while too much waits.
    pub(crate) fn room(&mut self) -> Option<&mut Vec<u8>> {
        let waiting = self.bytes.len() - self.taken;
        let has_room = waiting < LEAST_BYTES || (waiting < UNSENT_BYTES_MAX && self.may_hold_much());
        has_room.then_some(&mut self.bytes)
    }

    /// Whether there is memory for more than the least.
    fn may_hold_much(&mut self) -> bool {
        self.holds_much = self.holds_much || self.account.resize(REPLAY_BYTES_MAX + UNSENT_BYTES_MAX);
        self.holds_much
    }

    /// More of it was appended; this is not.
    pub(crate) fn note_arrived(&mut self, rest: Rest) {
        self.rest = rest;
    }

    /// Sends some of what waits, and says how many bytes that were.
    pub(crate) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        replica: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<usize> {
        match ready!(Pin::new(replica).poll_write(context, &self.bytes[self.taken..])) {
            Ok(count @ 1..) => {
                self.note_taken(count);
                Poll::Ready(count)
            }
            // The service may have answered already and closed its ear: its answer is still to be read.
            Ok(0) | Err(_) => {
                self.broken = true;
                Poll::Ready(0)
            }
        }
    }

    fn note_taken(&mut self, count: usize) {
        self.taken += count;
        if self.taken > REPLAY_BYTES_MAX || (self.taken > LEAST_BYTES && !self.may_hold_much()) {
            self.bytes.drain(..self.taken);
            (self.taken, self.forgot) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::Waker;

    use super::*;
    use crate::admission::{GROWN_BYTES_PER_CLIENT_MAX, anybody};

    /// A replica that takes so many bytes at a time, and then none until it is asked again.
    struct Slow {
        at_a_time: usize,
        taken: Vec<u8>,
        pauses: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.pauses = !self.pauses;
            if self.pauses {
                return Poll::Pending;
            }
            let count = bytes.len().min(self.at_a_time);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Fails when what the replica took is only given up once nothing waits any more: it would be all of the body.
    #[test]
    fn a_client_that_is_faster_than_its_service_fills_no_memory() {
        const PIECE: usize = crate::buffer::BYTES_MAX;
        let body: Vec<u8> = (0..8 << 20_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut replica = Slow { at_a_time: 5_000, taken: Vec::new(), pauses: false };
        let mut outgoing = Outgoing::new(Vec::new(), Rest::Coming, Account::new(&anybody()));
        let (mut arrived, mut most) = (0, 0);
        while !outgoing.is_through() {
            while let Some(room) = outgoing.room().filter(|_| arrived < body.len()) {
                let end = body.len().min(arrived + PIECE);
                room.extend_from_slice(&body[arrived..end]);
                arrived = end;
                outgoing.note_arrived(if arrived == body.len() { Rest::Nothing } else { Rest::Coming });
            }
            most = most.max(outgoing.bytes.len());
            while outgoing.is_waiting()
                && outgoing.poll_send(&mut replica, &mut Context::from_waker(Waker::noop())).is_ready()
            {}
        }
        assert!(replica.taken == body);
        assert!(most < REPLAY_BYTES_MAX + UNSENT_BYTES_MAX + PIECE, "{most} bytes were held");
        assert!(!outgoing.can_be_sent_again());
        assert!(outgoing.into_memory().capacity() <= LEAST_BYTES);
    }

    /// Fails when a client that has used up its memory gets more, or gets no further.
    #[test]
    fn without_memory_a_request_goes_on_in_small_pieces() {
        let payer = anybody();
        let mut other = Account::new(&payer);
        assert!(other.resize(usize::try_from(GROWN_BYTES_PER_CLIENT_MAX).unwrap()));
        let mut replica = Slow { at_a_time: 5_000, taken: Vec::new(), pauses: false };
        let mut outgoing = Outgoing::new(Vec::new(), Rest::Coming, Account::new(&payer));
        let (mut arrived, mut most) = (0, 0);
        while replica.taken.len() < 1 << 20 {
            while let Some(room) = outgoing.room() {
                room.extend_from_slice(&[7; 1000]);
                arrived += 1000;
            }
            most = most.max(outgoing.bytes.len());
            let _pause = outgoing.poll_send(&mut replica, &mut Context::from_waker(Waker::noop()));
        }
        assert!(most <= 2 * LEAST_BYTES + 5_000 + 1000, "{most} bytes were held");
        assert!(arrived >= 1 << 20 && !outgoing.can_be_sent_again());
    }

    #[test]
    fn what_is_short_can_be_sent_again() {
        let short = vec![7; REPLAY_BYTES_MAX];
        let mut outgoing = Outgoing::new(short.clone(), Rest::Nothing, Account::new(&anybody()));
        for _ in 0..2 {
            let mut replica = Slow { at_a_time: 9_999, taken: Vec::new(), pauses: false };
            while outgoing.is_waiting() {
                let _pause = outgoing.poll_send(&mut replica, &mut Context::from_waker(Waker::noop()));
            }
            assert_eq!((replica.taken == short, outgoing.can_be_sent_again()), (true, true));
            outgoing.rewind();
        }
    }
}
