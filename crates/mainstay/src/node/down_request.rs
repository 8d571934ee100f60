//! That everything is to stop, as the records keep it: whoever starts the node next must not start it all again.
//!
//! A request is written down before it is carried out and taken back once nothing runs any more. A node that finds one
//! of this boot was started by a service manager after its predecessor was killed, and goes on with the stop; one that
//! was started for a file takes the request back by applying it. Start reading at [`DownRequest::duty`].

use std::time::Duration;

use model::BootId;
use sys::records::{Change, Records, RecordsError, Stored};

/// How long after a stop that one node began and another ended a service manager may still be about to start the first
/// one again. Longer than the time that it lets pass before it does.
const RESTART_TIME_MAX: Duration = Duration::from_secs(60);
/// There is one request at most.
const ONLY: &str = "";

/// What a node is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To go on with what was applied last, as a service manager wants it.
    GoOn,
    /// To be given a file by a person: what was asked for before does not matter any more once that is applied.
    Apply,
    /// To stop what a node that was killed left running.
    Stop,
}

/// What a node that starts has to do about a stop that was asked for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing.
    None,
    /// To stop everything.
    Stop,
    /// To stop everything, unless a file is applied.
    StopUnlessApplied,
}

/// A request to stop everything.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct DownRequest {
    boot: BootId,
    stage: Stage,
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// It is being carried out, or whoever did that was killed.
    Asked,
    /// A node that was started for it carried it out, at this time since the boot.
    DoneForAnother { at: Duration },
}

impl Stored for DownRequest {
    const KIND: &'static str = "down";
    const VERSION: u32 = 1;
}

impl DownRequest {
    /// What a node that starts now for this purpose has to do. Nothing runs after a boot, and what is started then was
    /// not meant.
    pub(super) fn duty(recorded: Option<&Self>, purpose: Purpose, boot: &BootId, now: Duration) -> Duty {
        let is_awaited = |request: &Self| match request.stage {
            Stage::Asked => true,
            Stage::DoneForAnother { at } => now.saturating_sub(at) < RESTART_TIME_MAX,
        };
        let stands = recorded.is_some_and(|request| request.boot == *boot && is_awaited(request));
        match purpose {
            Purpose::Stop => Duty::Stop,
            Purpose::GoOn if stands => Duty::Stop,
            Purpose::Apply if stands => Duty::StopUnlessApplied,
            Purpose::GoOn | Purpose::Apply => Duty::None,
        }
    }

    /// The one that is written down.
    pub(super) fn recorded(records: &mut Records) -> Result<Option<Self>, RecordsError> {
        records.get(ONLY)
    }

    /// Writes one down, before anything is stopped.
    pub(super) fn note(records: &mut Records, boot: &BootId) -> Result<(), RecordsError> {
        records.put(ONLY, &Self { boot: boot.clone(), stage: Stage::Asked })
    }

    /// Notes that another node's stop was carried out: a service manager may not have noticed yet that that node was
    /// killed.
    pub(super) fn note_done_for_another(
        records: &mut Records,
        boot: &BootId,
        now: Duration,
    ) -> Result<(), RecordsError> {
        records.put(ONLY, &Self { boot: boot.clone(), stage: Stage::DoneForAnother { at: now } })
    }

    /// Takes it back.
    pub(super) fn withdraw(records: &mut Records) -> Result<(), RecordsError> {
        let mut change = Change::default();
        Self::withdraw_with(&mut change);
        records.change(change)
    }

    /// Takes it back together with other changes.
    pub(super) fn withdraw_with(change: &mut Change) {
        change.remove::<Self>(ONLY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(stage: Stage) -> DownRequest {
        DownRequest { boot: BootId("this".to_owned()), stage }
    }

    #[track_caller]
    fn check(recorded: Option<&DownRequest>, boot: &str, now: u64, expected: [Duty; 3]) {
        let duty = |purpose| DownRequest::duty(recorded, purpose, &BootId(boot.to_owned()), Duration::from_secs(now));
        assert_eq!([Purpose::GoOn, Purpose::Apply, Purpose::Stop].map(duty), expected);
    }

    const ASKED: [Duty; 3] = [Duty::Stop, Duty::StopUnlessApplied, Duty::Stop];
    const NOT_ASKED: [Duty; 3] = [Duty::None, Duty::None, Duty::Stop];

    #[test]
    fn a_stop_that_was_cut_off_is_gone_on_with_unless_a_file_is_applied() {
        check(Some(&request(Stage::Asked)), "this", 9_000, ASKED);
        check(Some(&request(Stage::Asked)), "next", 10, NOT_ASKED);
        check(None, "this", 10, NOT_ASKED);
    }

    #[test]
    fn a_late_restart_of_the_node_that_was_killed_starts_nothing() {
        let done = request(Stage::DoneForAnother { at: Duration::from_secs(100) });
        check(Some(&done), "this", 102, ASKED);
        check(Some(&done), "this", 161, NOT_ASKED);
        check(Some(&done), "next", 102, NOT_ASKED);
    }
}
