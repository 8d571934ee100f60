//! What node and edge say to each other: JSON behind its length, over the edge's unix socket. Start reading at
//! [`ToEdge`].
//!
//! A node must understand the edge of an older release and the other way round: a field once written keeps its name and
//! meaning, and a new one is optional.

use std::collections::BTreeMap;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::evidence::{Arm, Counts};
use crate::settings::Settings;

/// The version of this protocol.
pub const VERSION: u32 = 1;
/// The longest message in bytes, without its length.
pub const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// What the node tells the edge.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "tell")]
pub enum ToEdge {
    /// Work by these settings from now on.
    Settings(Box<Settings>),
    /// Serve these certificates from now on.
    Certificates(Vec<Certificate>),
    /// Take no more connections, and end when those that are open are done or the time is up.
    Drain {
        /// Milliseconds until what is still open is closed.
        deadline_ms: u64,
    },
}

/// A certificate with its key.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Certificate {
    /// The hosts it is for; `*.example.com` stands for one label.
    pub hosts: Vec<String>,
    /// The chain, leaf first, each in DER and base64.
    pub chain: Vec<String>,
    /// The private key in PKCS #8 and base64.
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// What the edge tells the node.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "tell")]
pub enum ToNode {
    /// The first message on every connection.
    Hello {
        /// The edge's protocol version.
        version: u32,
        /// The settings it works by; 0 for none yet.
        settings: u64,
    },
    /// It works by these settings now.
    Applied {
        /// Their number.
        settings: u64,
    },
    /// It goes on as before: what it was told cannot be used.
    Refused {
        /// Why.
        why: String,
    },
    /// How the last second went.
    Evidence {
        /// The counts, as pairs: an arm is no text.
        arms: Vec<(Arm, Counts)>,
        /// Connections of clients that are open now.
        connections: u64,
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

/// The next message; `None` when the other side has ended.
pub async fn read<M: serde::de::DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<M>, MessageError> {
    let bytes = match from.read_u32().await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(MessageError::Io(error)),
    };
    if bytes > MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong { bytes });
    }
    let mut message = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    from.read_exact(&mut message).await?;
    serde_json::from_slice(&message).map(Some).map_err(MessageError::Unreadable)
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

/// Pairs, as [`ToNode::Evidence`] carries them.
pub(crate) fn pairs(arms: BTreeMap<Arm, Counts>) -> Vec<(Arm, Counts)> {
    arms.into_iter().collect()
}
