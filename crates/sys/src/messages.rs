//! Messages between the node and a process of ours over a unix socket: JSON behind its length.
//!
//! Start reading at [`Incoming::next`] and [`write()`]. Invariant: no message is longer than [`MESSAGE_BYTES_MAX`], in
//! either direction.

use std::io;

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
    bytes: Vec<u8>,
}

impl Incoming {
    /// The next message; `None` when the other side has ended. Nothing is lost when this is dropped before it is done.
    pub async fn next<M: serde::de::DeserializeOwned>(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<M>, MessageError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if from.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take<M: serde::de::DeserializeOwned>(&mut self) -> Result<Option<M>, MessageError> {
        let Some((length, rest)) = self.bytes.split_first_chunk() else { return Ok(None) };
        let bytes = u32::from_be_bytes(*length);
        if bytes > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong { bytes });
        }
        let Some(message) = rest.get(..usize::try_from(bytes).unwrap_or(usize::MAX)) else { return Ok(None) };
        let read = serde_json::from_slice(message).map_err(MessageError::Unreadable)?;
        let end = length.len() + message.len();
        // It may have held keys.
        self.bytes[..end].zeroize();
        self.bytes.drain(..end);
        Ok(Some(read))
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
    let text = Zeroizing::new(serde_json::to_vec(message).map_err(MessageError::Unreadable)?);
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if bytes > MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong { bytes });
    }
    Ok(Zeroizing::new([&bytes.to_be_bytes(), text.as_slice()].concat()))
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
            let (mut first, mut second) = wire.split_at(cut);
            let mut incoming = Incoming::default();
            let mut arrived = Vec::new();
            while let Some(message) = incoming.next::<String>(&mut first).await.unwrap() {
                arrived.push(message);
            }
            while let Some(message) = incoming.next::<String>(&mut second).await.unwrap() {
                arrived.push(message);
            }
            assert_eq!(arrived, messages, "cut at {cut}");
        }
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
