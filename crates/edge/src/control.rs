//! What node and edge say to each other over the edge's unix socket, as [`sys::messages`] carries it. Start reading at
//! [`ToEdge`].
//!
//! A node must understand the edge of an older release and the other way round: a field once written keeps its name and
//! meaning, and a new one is optional.

use model::Span;

pub use crate::admission::TurnedAway;
use crate::certificates::Certificates;
use crate::evidence::{Arm, Counts};
use crate::settings::Settings;

/// The name of that socket in the edge's folder.
pub const SOCKET_NAME: &str = "control.sock";
/// The version of this protocol.
pub const VERSION: u32 = 1;

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
        /// Messages like this one that no node took since it began.
        #[serde(default)]
        lost: u64,
    },
}
