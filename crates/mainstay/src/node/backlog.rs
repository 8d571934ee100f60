//! What happened and waits for the journal to take it. Start reading at [`Backlog::write`].
//!
//! Nothing is left out in silence: what there was no room for is counted, and the journal is told how much that was.

use std::collections::VecDeque;

use model::cause::chain;
use model::{Happening, Timestamp};
use supervise::supervisor::Notice;
use sys::journal::JournalError;

/// Notices that wait; when more come, the oldest go.
const WAITING_MAX: usize = 10_000;

/// What waits for the journal.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Notice>,
    /// How many went before the journal took them.
    lost: u64,
    trouble: Option<String>,
}

impl Backlog {
    /// Adds what happened.
    pub(super) fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.count_lost(1);
        }
        self.waiting.push_back(notice);
    }

    /// Counts notices that did not get here.
    pub(super) fn count_lost(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// Whether the journal has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }

    /// Why the journal takes nothing, if it does not.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Has the journal take what waits, in order, until it refuses.
    pub(super) fn write(&mut self, now: Timestamp, tell: impl FnMut(Notice) -> Result<(), JournalError>) {
        self.trouble = self.write_all(now, tell).err().map(|error| chain(&error));
    }

    fn write_all(
        &mut self,
        now: Timestamp,
        mut tell: impl FnMut(Notice) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        loop {
            if self.lost > 0 {
                tell(losses(now, self.lost))?;
                self.lost = 0;
            }
            let Some(notice) = self.waiting.front().cloned() else { return Ok(()) };
            match tell(notice.clone()) {
                // Nothing behind it would be taken either.
                Err(JournalError::TooLong { .. }) => match tell(shortened(notice)) {
                    Err(JournalError::TooLong { .. }) => self.count_lost(1),
                    told => told?,
                },
                told => told?,
            }
            self.waiting.pop_front();
        }
    }
}

fn losses(at: Timestamp, count: u64) -> Notice {
    let reason = "the journal could not be written while they happened, or they were longer than it keeps".to_owned();
    Notice { at, what: Happening::EntriesLost { count }, reason, evidence: Vec::new() }
}

fn shortened(notice: Notice) -> Notice {
    let reason = "its reason and evidence are longer than the journal keeps".to_owned();
    Notice { reason, evidence: Vec::new(), ..notice }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T17:04:05.678Z".parse().unwrap()
    }

    fn notice(reason: &str) -> Notice {
        Notice { at: now(), what: Happening::NodeStopped, reason: reason.to_owned(), evidence: Vec::new() }
    }

    fn full() -> JournalError {
        JournalError::Damaged { path: "journal".into(), line: 1 }
    }

    /// What a journal that keeps reasons of at most 60 bytes is told.
    fn written(backlog: &mut Backlog) -> Vec<(Happening, String)> {
        let mut told = Vec::new();
        backlog.write(now(), |notice| {
            if notice.reason.starts_with("long") {
                return Err(JournalError::TooLong { found: notice.reason.len() });
            }
            told.push((notice.what, notice.reason));
            Ok(())
        });
        told
    }

    #[test]
    fn what_there_was_no_room_for_is_told_once_the_journal_can_be_written() {
        let mut backlog = Backlog::default();
        for number in 0..WAITING_MAX + 3 {
            backlog.push(notice(&number.to_string()));
            backlog.write(now(), |_| Err(full()));
        }
        assert_eq!(
            backlog.trouble(),
            Some("the journal journal is damaged at line 1: move it away to go on with a new one")
        );
        let told = written(&mut backlog);
        assert_eq!(told.len(), WAITING_MAX + 1);
        assert_eq!(told[0].0, Happening::EntriesLost { count: 3 });
        assert_eq!(told[1].1, "3");
        assert_eq!((backlog.trouble(), backlog.is_empty()), (None, true));
        assert_eq!(written(&mut backlog), []);
    }

    #[test]
    fn what_is_too_long_is_told_shorter_and_keeps_nothing_waiting() {
        let mut backlog = Backlog::default();
        backlog.push(notice("long"));
        backlog.push(notice("next"));
        let told: Vec<String> = written(&mut backlog).into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(told, ["its reason and evidence are longer than the journal keeps", "next"]);
    }
}
