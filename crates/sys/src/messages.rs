//! Messages between the node and a process of ours over a unix socket: JSON behind its length.
//!
//! Start reading at [`Incoming::next`] and [`write()`]. Invariants: no message is longer than [`MESSAGE_BYTES_MAX`], in
//! either direction; what held a message is wiped, since it may have held keys.

use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::{Zeroize, Zeroizing};

/// The longest message in bytes, without its length.
pub const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// The other side said something that is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The connection broke.
    #[error("the connection to the other side broke")]
    Io(#[from] io::Error),
    /// It ends before its end.
    #[error("the other side ended in the middle of a message")]
    Torn,
    /// It is too long.
    #[error("a message of {bytes} bytes is longer than {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: u32,
    },
    /// It cannot be understood.
    #[error("a message cannot be understood")]
    Unreadable(#[source] serde_json::Error),
}

/// What has arrived of a side's messages.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Wiped,
}

impl Incoming {
    /// The next message; `None` when the other side has ended after a whole one. Nothing is lost when this is dropped
    /// before it is done.
    pub async fn next<M: serde::de::DeserializeOwned>(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<M>, MessageError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if from.read_buf(self.bytes.with_room(1)).await? == 0 {
                return if self.bytes.is_empty() { Ok(None) } else { Err(MessageError::Torn) };
            }
        }
    }

    fn take<M: serde::de::DeserializeOwned>(&mut self) -> Result<Option<M>, MessageError> {
        let Some((length, rest)) = self.bytes.0.split_first_chunk() else { return Ok(None) };
        let bytes = u32::from_be_bytes(*length);
        if bytes > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong { bytes });
        }
        let Some(message) = rest.get(..usize::try_from(bytes).unwrap_or(usize::MAX)) else { return Ok(None) };
        let read = serde_json::from_slice(message).map_err(MessageError::Unreadable)?;
        let end = length.len() + message.len();
        self.bytes.forget(end);
        Ok(Some(read))
    }
}

/// Bytes that are wiped wherever they were: when they are moved, forgotten or dropped.
#[derive(Default)]
struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// The bytes, with room for so many more: a vector that made it for itself would leave behind what it held.
    fn with_room(&mut self, more: usize) -> &mut Vec<u8> {
        /// Most messages fit in.
        const ROOM_FIRST: usize = 1 << 10;
        let needed = self.0.len().saturating_add(more);
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(ROOM_FIRST));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        &mut self.0
    }

    /// Forgets the first bytes.
    fn forget(&mut self, count: usize) {
        let left = self.0.len() - count;
        self.0.copy_within(count.., 0);
        self.0[left..].zeroize();
        self.0.truncate(left);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_room(bytes.len()).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Sends a message, however long the other side takes to read it.
pub async fn write<M: serde::Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &M) -> Result<(), MessageError> {
    to.write_all(&framed(message)?).await?;
    to.flush().await?;
    Ok(())
}

/// A message as it is sent.
pub fn framed<M: serde::Serialize>(message: &M) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    const LENGTH: usize = size_of::<u32>();
    let mut sent = Wiped::default();
    sent.with_room(LENGTH).extend_from_slice(&[0; LENGTH]);
    serde_json::to_writer(&mut sent, message).map_err(MessageError::Unreadable)?;
    let bytes = u32::try_from(sent.0.len() - LENGTH).unwrap_or(u32::MAX);
    if bytes > MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong { bytes });
    }
    sent.0[..LENGTH].copy_from_slice(&bytes.to_be_bytes());
    Ok(sent.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_however_they_are_cut() {
        let mut wire = Vec::new();
        let messages = ["first".to_owned(), "second".to_owned()];
        for message in &messages {
            write(&mut wire, message).await.unwrap();
        }
        for cut in 1..wire.len() {
            let (first, second) = wire.split_at(cut);
            let mut pieces = first.chain(second);
            let mut incoming = Incoming::default();
            let mut arrived = Vec::new();
            while let Some(message) = incoming.next::<String>(&mut pieces).await.unwrap() {
                arrived.push(message);
            }
            assert_eq!(arrived, messages, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn an_end_within_a_message_is_no_end_of_messages() {
        let mut wire = Vec::new();
        write(&mut wire, &"first").await.unwrap();
        for cut in 1..wire.len() {
            let torn = Incoming::default().next::<String>(&mut &wire[..cut]).await;
            assert!(matches!(torn, Err(MessageError::Torn)), "cut at {cut}: {torn:?}");
        }
    }

    #[test]
    fn what_was_forgotten_is_wiped() {
        const KEYS: &[u8] = b"keys";
        const NEXT: &[u8] = b"next one";
        let mut bytes = Wiped::default();
        bytes.with_room(KEYS.len() + NEXT.len()).extend([KEYS, NEXT].concat());
        bytes.forget(KEYS.len());
        assert_eq!(*bytes.0, NEXT);
        for byte in &bytes.0.spare_capacity_mut()[..KEYS.len()] {
            #[expect(unsafe_code, reason = "nothing else shows what is behind a vector's end")]
            // SAFETY: these bytes were written above.
            let byte = unsafe { byte.assume_init_read() };
            assert_eq!(byte, 0);
        }
    }

    #[test]
    fn bytes_are_moved_only_to_where_they_have_room() {
        let mut bytes = Wiped::default();
        for more in [1, 1000, 1024, 5000, 100_000] {
            let room = bytes.with_room(more);
            let place = room.as_ptr();
            room.extend(std::iter::repeat_n(7, more));
            assert_eq!(room.as_ptr(), place, "moved for {more} more");
        }
        assert_eq!(bytes.0.iter().filter(|byte| **byte == 7).count(), 107_025);
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_or_none_is_refused() {
        let too_long = (MESSAGE_BYTES_MAX + 1).to_be_bytes();
        let refused = Incoming::default().next::<String>(&mut &too_long[..]).await;
        assert!(matches!(refused, Err(MessageError::TooLong { .. })), "{refused:?}");
        let refused = Incoming::default().next::<String>(&mut &[0, 0, 0, 2, b'{', b'}'][..]).await;
        assert!(matches!(refused, Err(MessageError::Unreadable(_))), "{refused:?}");
    }
}
