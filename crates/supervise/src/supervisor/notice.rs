//! What the supervisor tells the journal.
//!
//! Start reading at [`Notice`]. Invariant: no more than [`NOTICES_MAX`] wait; what is lost is counted.

use std::collections::VecDeque;

use model::event::Evidence;
use model::{Happening, Timestamp};

/// Notices that wait to be taken; when more come, the oldest go and are counted.
pub const NOTICES_MAX: usize = 4096;
/// Longest text of one piece of evidence, in bytes.
const SEEN_BYTES_MAX: usize = 2048;

/// Something worth a line in the journal, as the node itself caused or saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
    /// Why, as a sentence for people.
    pub reason: String,
    /// What was seen.
    pub evidence: Vec<Evidence>,
}

/// Notices that wait to be taken, and how many were lost because nobody took them.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: VecDeque<Notice>,
    lost: u64,
}

impl Notices {
    pub(super) fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= NOTICES_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(notice);
    }

    pub(super) fn take(&mut self) -> (Vec<Notice>, u64) {
        (self.waiting.drain(..).collect(), std::mem::take(&mut self.lost))
    }
}

/// One piece of evidence, cut to a bounded length.
pub(super) fn evidence(name: &str, seen: &str) -> Evidence {
    let end = seen.floor_char_boundary(SEEN_BYTES_MAX);
    Evidence { name: name.to_owned(), seen: seen[..end].to_owned() }
}
