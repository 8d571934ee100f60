//! What node and edge say to each other: JSON behind its length, over the edge's unix socket. Start reading at
//! [`ToEdge`].
//!
//! A node must understand the edge of an older release and the other way round: a field once written keeps its name and
//! meaning, and a new one is optional.

use std::io;

use model::Span;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroize;

pub use crate::admission::TurnedAway;
use crate::certificates::Certificates;
use crate::evidence::{Arm, Counts};
use crate::settings::Settings;

/// The version of this protocol.
pub const VERSION: u32 = 1;
/// The longest message in bytes, without its length.
pub const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// What the node tells the edge.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEdge {
    /// Work by these settings from now on.
    Settings(Box<Settings>),
    /// Answer with these certificates from now on.
    Certificates(Box<Certificates>),
    /// Accept no more connections, finish what is under way, and end.
    Drain {
        /// When what is not finished is broken off.
        within: Span,
    },
}

/// What the edge tells the node.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToNode {
    /// The first message on every connection.
    Hello {
        /// The edge's protocol version.
        version: u32,
        /// The settings it works by; 0 for none yet.
        settings: u64,
        /// The certificates it works by; 0 for none yet.
        #[serde(default)]
        certificates: u64,
    },
    /// It works by these settings now.
    Applied {
        /// Their number.
        settings: u64,
    },
    /// It answers with these certificates now.
    CertificatesApplied {
        /// Their number.
        certificates: u64,
    },
    /// It cannot work by these certificates, and goes on with those of before.
    CertificatesRefused {
        /// Their number.
        certificates: u64,
        /// What is wrong with them.
        why: String,
    },
    /// How the last second went.
    Evidence {
        /// The counts, as pairs: an arm is no text.
        arms: Vec<(Arm, Counts)>,
        /// Connections of clients that are open now.
        connections: u64,
        /// Connections that came to nothing since it began.
        #[serde(default)]
        turned_away: TurnedAway,
        /// Requests that broke the edge's own code since it began.
        panics: u64,
    },
}

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

/// Sends a message.
pub async fn write<M: serde::Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &M) -> Result<(), MessageError> {
    let text = serde_json::to_vec(message).map_err(MessageError::Unreadable)?;
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if bytes > MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong { bytes });
    }
    to.write_u32(bytes).await?;
    to.write_all(&text).await?;
    to.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_however_they_are_cut() {
        let mut wire = Vec::new();
        let messages =
            [ToNode::Applied { settings: 1 }, ToNode::Hello { version: VERSION, settings: 2, certificates: 3 }];
        for message in &messages {
            write(&mut wire, message).await.unwrap();
        }
        for cut in 1..wire.len() {
            let (mut first, mut second) = wire.split_at(cut);
            let mut incoming = Incoming::default();
            let mut arrived = Vec::new();
            while let Some(message) = incoming.next::<ToNode>(&mut first).await.unwrap() {
                arrived.push(message);
            }
            while let Some(message) = incoming.next::<ToNode>(&mut second).await.unwrap() {
                arrived.push(message);
            }
            assert_eq!(arrived, messages, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_or_none_is_refused() {
        let too_long = (MESSAGE_BYTES_MAX + 1).to_be_bytes();
        let refused = Incoming::default().next::<ToNode>(&mut &too_long[..]).await;
        assert!(matches!(refused, Err(MessageError::TooLong { .. })), "{refused:?}");
        let refused = Incoming::default().next::<ToNode>(&mut &[0, 0, 0, 2, b'{', b'}'][..]).await;
        assert!(matches!(refused, Err(MessageError::Unreadable(_))), "{refused:?}");
    }
}
