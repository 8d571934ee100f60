//! What the supervisor tells the journal.
//!
//! Start reading at [`Notice`]. Invariant: no more than [`NOTICES_MAX`] wait; what is lost is counted.

use std::collections::VecDeque;

use model::event::Evidence;
use model::{Happening, Timestamp};
use plan::supervision::Ended;
use sys::ProbeFailure;

use crate::protocol::ExitReport;

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

/// What a probe that failed was answered.
pub(super) fn evidence_of_probe(failure: &ProbeFailure) -> Vec<Evidence> {
    let answer = (!failure.snippet.is_empty()).then(|| evidence("answer", &failure.snippet));
    std::iter::once(evidence("probe", &failure.what)).chain(answer).collect()
}

/// What was seen of a child's end. Its last lines are there to explain a failure; of any other end they stay in
/// the unit's log, which is bounded, and do not enter the journal, which keeps what it was told: a run may have
/// printed a password.
pub(super) fn evidence_of_end(report: &ExitReport, ended: Ended) -> Vec<Evidence> {
    let mut seen = vec![evidence("exit", &report.exit.status.to_string())];
    seen.extend(report.note.as_deref().map(|note| evidence("note", note)));
    if matches!(ended, Ended::Failed { .. }) && !report.last_lines.is_empty() {
        seen.push(evidence("last lines", &report.last_lines.join("\n")));
    }
    seen
}

#[cfg(test)]
mod tests {
    use model::{Exit, ExitStatus};

    use super::*;

    #[test]
    fn last_lines_are_told_of_failures_only() {
        let told = |code, ended| {
            let exit = Exit { at: "2026-11-20T17:00:00.000Z".parse().unwrap(), status: ExitStatus::Code(code) };
            let last_lines = vec!["the password is".to_owned(), "hunter2".to_owned()];
            let seen = evidence_of_end(&ExitReport { exit, note: None, last_lines }, ended);
            seen.into_iter().map(|evidence| (evidence.name, evidence.seen)).collect::<Vec<_>>()
        };
        let exit = |text: &str| ("exit".to_owned(), text.to_owned());
        assert_eq!(told(0, Ended::Succeeded), [exit("exited with code 0")]);
        assert_eq!(told(143, Ended::AsAsked), [exit("exited with code 143")]);
        let lines = ("last lines".to_owned(), "the password is\nhunter2".to_owned());
        assert_eq!(told(1, Ended::Failed { in_a_row: 1, loop_begins: false }), [exit("exited with code 1"), lines]);
    }
}
