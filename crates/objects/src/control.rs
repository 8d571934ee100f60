//! What node and object server say to each other over the server's unix socket, as [`sys::messages`] carries it. Start
//! reading at [`ToServer`].
//!
//! A node must understand the server of an older release and the other way round: a field once written keeps its name
//! and meaning, and a new one is optional.

use crate::settings::Settings;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// What the node tells the server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToServer {
    /// Work by these settings from now on.
    Settings(Box<Settings>),
}

/// What the server tells the node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToNode {
    /// The first message on every connection.
    Hello {
        /// The server's protocol version.
        version: u32,
        /// The settings it works by; 0 for none yet.
        settings: u64,
    },
    /// It works by these settings now.
    Applied {
        /// Their number.
        settings: u64,
    },
    /// It goes on as before, since it cannot work by these settings.
    Refused {
        /// Their number.
        settings: u64,
        /// Why not, for people.
        why: String,
    },
}
