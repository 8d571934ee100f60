//! What node and edge say to each other over the edge's unix socket, as [`sys::messages`] carries it. Start reading at
//! [`ToEdge`].
//!
//! A node must understand the edge of an older release and the other way round: a field once written keeps its name and
//! meaning, and a new one is optional.

use crate::evidence::{Arm, Counts};
use crate::settings::Settings;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// What the node tells the edge.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEdge {
    /// Work by these settings from now on.
    Settings(Box<Settings>),
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
    },
    /// It works by these settings now.
    Applied {
        /// Their number.
        settings: u64,
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
