//! What the supervisor is told to keep running.
//!
//! Start reading at [`Wanted`], which `services` and `resources` make. Nothing here is carried out.

use model::{Address, Port, UrlPath};
use plan::supervision::Unit;
use sys::ProbeTarget;

use crate::launch::Launch;

/// One unit that is to run, with all that is needed to start, ask, prepare and complete it.
#[derive(Debug, Clone)]
pub struct Wanted<Task> {
    /// What is decided about.
    pub unit: Unit,
    /// How it is started; its digest is the unit's.
    pub launch: Launch,
    /// On which port it listens.
    pub port: PortChoice,
    /// The question behind the unit's readiness policy.
    pub ready: Option<Question>,
    /// The question behind the unit's liveness policy.
    pub live: Option<Question>,
    /// The task behind [`Unit::prepared`].
    pub prepare: Option<Task>,
    /// The task behind [`Unit::completed`].
    pub complete: Option<Task>,
}

/// Who chooses a unit's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// Nobody: it listens on none, or its launch already says where.
    Unused,
    /// This port; the start waits while another process listens there.
    Fixed(Port),
    /// The supervisor, anew at each start.
    Chosen,
    /// The supervisor at the first start; the same one ever after.
    Kept,
}

/// What a unit is asked by a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// An HTTP GET of this path on the unit's own address.
    Http(UrlPath),
    /// A connection to the unit's own address.
    Connect,
    /// Bytes sent, and those that the answer must start with.
    Exchange {
        /// Where; the unit's own address when absent.
        at: Option<Address>,
        /// What is sent.
        send: Vec<u8>,
        /// What the answer must start with.
        expect: Vec<u8>,
    },
    /// A command run by the unit's shim that exits with 0.
    Command(Vec<String>),
}

impl Question {
    /// The probe of a unit that listens at `address` and whose folder is `folder`. `None` when the question
    /// needs an address and there is none.
    pub(super) fn target(&self, address: Option<&Address>, folder: &std::path::Path) -> Option<ProbeTarget> {
        let own = || address.cloned();
        Some(match self {
            Question::Http(path) => ProbeTarget::Http { address: own()?, path: path.clone() },
            Question::Connect => ProbeTarget::Connect { address: own()? },
            Question::Exchange { at, send, expect } => {
                ProbeTarget::Exchange { address: at.clone().or_else(own)?, send: send.clone(), expect: expect.clone() }
            }
            Question::Command(words) => ProbeTarget::Command { folder: folder.to_owned(), words: words.clone() },
        })
    }
}
