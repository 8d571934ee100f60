//! Folds one event of the machine into what is observed.
//!
//! Start reading at [`Supervisor::hear`]. Invariant: an answer to a question of an earlier start, or over
//! a connection that was given up, changes nothing.

use std::time::Duration;

use model::{Digest, Exit, ExitStatus, Happening, ProcessIdentity, SIGKILL, UnitId};
use plan::supervision::{Ended, Life, Link, Phase, ProbeKind, ProbePolicy, StopReason, Stopping, Verdict};
use sys::{ConnectionId, Event, ProbeOutcome, System, Ticket};

use super::Supervisor;
use super::entry::stand_in;
use super::notice::{evidence_of_end, evidence_of_probe};
use crate::protocol::{ExitReport, Report, VERSION};
use crate::record::{FailureKind, LastFailure, Origin, Stage};

/// Lines of a child's output that are kept with its exit.
const LAST_LINES_MAX: usize = 20;
/// Longest of those lines, in bytes.
const LINE_BYTES_MAX: usize = 512;

/// The policy of a question that has none any more: what was wanted changed while it was asked.
const UNASKED: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(1), timeout: Duration::from_secs(1), failures: 1 };

impl<S: System> Supervisor<S>
where
    S::Task: Clone,
{
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Message { connection, bytes } => {
                let Some(unit) = self.connections.get(&connection).cloned() else { return };
                // A newer shim may tell what this node does not know; what it needs, it understands.
                if let Ok(report) = serde_json::from_slice::<Report>(&bytes) {
                    self.told(&unit, connection, report);
                }
            }
            Event::Closed { connection } => self.closed(connection),
            Event::Probed { ticket, outcome } => self.probed(ticket, outcome),
            Event::TaskEnded { ticket, outcome } => {
                if let Some(unit) = self.tickets.remove(&ticket) {
                    self.task_ended(&unit, ticket, outcome.err().as_deref());
                }
            }
        }
    }

    fn told(&mut self, unit: &UnitId, connection: ConnectionId, report: Report) {
        match report {
            Report::Hello { version, unit: named, digest, home, child, exit, .. } => {
                let of_this_folder = home.is_some() && home == self.here().home;
                let known = version <= VERSION && named == *unit && of_this_folder;
                match (known, exit, child) {
                    (false, ..) => self.disown(unit, connection),
                    (true, Some(report), _) => self.has_ended(unit, report),
                    (true, None, Some(child)) => self.greeted(unit, digest, child),
                    // Its child is not started yet; the shim greets again when it is.
                    (true, None, None) => {}
                }
            }
            Report::Exited(report) => {
                self.has_ended(unit, report);
                // This is told when no process of the unit is left: nobody is still given time to stop.
                if let Some(entry) = self.units.get_mut(unit) {
                    entry.observed().stop = None;
                }
            }
            // Command probes are asked and answered by the system.
            Report::CommandEnded { .. } => {}
        }
    }

    /// Whatever listens there is not the unit's shim, or speaks a protocol that this release does not:
    /// it is not talked to, and killed only if its identity is the recorded one.
    fn disown(&mut self, unit: &UnitId, connection: ConnectionId) {
        self.connections.remove(&connection);
        let Some(entry) = self.units.get_mut(unit) else { return };
        entry.connection = None;
        self.tell(
            Happening::UnitLost { unit: unit.clone() },
            "what listens in its folder is not its shim, or is of a newer release",
            Vec::new(),
        );
        self.lost(unit);
        self.enter(unit, Phase::Remains);
    }

    fn greeted(&mut self, unit: &UnitId, digest: Digest, child: ProcessIdentity) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        if !matches!(entry.standing.observed.phase, Phase::Seeking | Phase::Up) {
            return;
        }
        let running = entry.standing.observed.running.as_ref().filter(|running| running.digest == digest);
        if running.is_none() {
            // The record was damaged: what runs is wanted as it is, or only to be stopped.
            let wanted = entry.standing.wanted.clone().filter(|wanted| wanted.digest == digest);
            entry.observed().running = Some(wanted.unwrap_or_else(|| stand_in(unit, digest)));
            if entry.port.is_none() && entry.chooses_port() {
                entry.observed().stop_due = Some(StopReason::Unrecorded);
            }
        }
        let news = entry.found && entry.child.is_none();
        entry.child = Some(child);
        entry.trouble = None;
        entry.observed().link = Link::Open;
        entry.observed().enter(Phase::Up, now);
        if news {
            self.tell(
                Happening::UnitAdopted { unit: unit.clone() },
                "it ran before this node did, and goes on",
                Vec::new(),
            );
        }
        self.ask_to_stop(unit);
    }

    fn has_ended(&mut self, unit: &UnitId, report: ExitReport) {
        let Some(entry) = self.units.get_mut(unit) else { return };
        if matches!(entry.standing.observed.phase, Phase::Seeking | Phase::Up) {
            self.ended(unit, report);
            self.enter(unit, Phase::Ending);
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        let Some(unit) = self.connections.remove(&connection) else { return };
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(&unit) else { return };
        entry.connection = None;
        entry.observed().link = Link::Closed;
        match entry.standing.observed.phase {
            // It may be the connection that broke, or the shim that died: seeking tells.
            Phase::Up => entry.observed().enter(Phase::Seeking, now),
            Phase::Seeking | Phase::Ending => entry.observed().retry_at = None,
            Phase::Unread | Phase::Down | Phase::Preparing | Phase::Prepared | Phase::Remains => {}
        }
    }

    fn probed(&mut self, ticket: Ticket, outcome: ProbeOutcome) {
        let Some(unit) = self.tickets.remove(&ticket) else { return };
        let Some(entry) = self.units.get_mut(&unit) else { return };
        let kind = if entry.tickets.ready == Some(ticket) {
            entry.tickets.ready = None;
            ProbeKind::Ready
        } else if entry.tickets.live == Some(ticket) {
            entry.tickets.live = None;
            ProbeKind::Live
        } else {
            return;
        };
        // An answer may come when its child is gone; it says nothing about the next.
        if matches!(entry.standing.observed.phase, Phase::Up | Phase::Seeking) {
            self.answered(&unit, kind, outcome);
        }
    }

    pub(super) fn answered(&mut self, unit: &UnitId, kind: ProbeKind, outcome: ProbeOutcome) {
        let now = self.system.now();
        let Some(entry) = self.units.get_mut(unit) else { return };
        let policy = entry.probe_policy(kind).unwrap_or(UNASKED);
        let verdict = entry.observed().probed(kind, outcome.is_ok(), &policy, now.steady);
        let seen = outcome.as_ref().err().map(evidence_of_probe).unwrap_or_default();
        let readiness = kind == ProbeKind::Ready;
        // Why it is stopped stays what it failed of, whatever it answers meanwhile.
        if let Err(failure) = outcome
            && !(readiness && entry.found_dead())
        {
            entry.last_failure = Some(LastFailure { at: now.wall, what: FailureKind::Probe { readiness, failure } });
        }
        let unit = unit.clone();
        match verdict {
            Verdict::Same | Verdict::Dead => {}
            Verdict::Ready => self.tell(Happening::UnitReady { unit }, "it answers", seen),
            Verdict::Unready => {
                let reason = format!("{} readiness probes in a row failed", policy.failures.max(1));
                self.tell(Happening::UnitUnready { unit }, reason, seen);
            }
        }
    }

    /// It runs and has no readiness probe: that is all there is to know.
    pub(super) fn count_ready(&mut self, unit: &UnitId) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        entry.observed().probed(ProbeKind::Ready, true, &UNASKED, now);
        let running = entry.standing.observed.running.as_ref();
        if running.is_some_and(|running| running.life == Life::Lasting) {
            self.tell(Happening::UnitReady { unit: unit.clone() }, "it runs, and has no readiness probe", Vec::new());
        }
    }

    /// The child has ended, as this report says.
    pub(super) fn ended(&mut self, unit: &UnitId, mut report: ExitReport) {
        let now = self.system.now();
        report.last_lines.truncate(LAST_LINES_MAX);
        for line in &mut report.last_lines {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        }
        let Some(entry) = self.units.get_mut(unit) else { return };
        entry.child = None;
        // It may have ended long before this node learned of it; a clock that was set back makes the run look
        // shorter, never longer.
        let by_wall = entry.launched.map_or(Duration::MAX, |launched| report.exit.at.since(launched));
        let ran = by_wall.min(now.steady.saturating_sub(entry.standing.observed.started));
        let found_dead = entry.standing.observed.stop.is_some() && entry.found_dead();
        let ended = entry.observed().ended(report.exit.status, ran, now.steady);
        let mut seen = evidence_of_end(&report, ended);
        if found_dead {
            seen.extend(entry.liveness_failure().into_iter().flat_map(evidence_of_probe));
        }
        let reason = match (ended, report.exit.status) {
            (Ended::AsAsked, ExitStatus::Signal(SIGKILL)) => "it was killed after it had been asked to stop".to_owned(),
            (Ended::AsAsked, _) => "it stopped as asked".to_owned(),
            (Ended::Succeeded, _) => "it did what it was started for".to_owned(),
            (Ended::Failed { in_a_row: 0 | 1, .. }, status) => status.to_string(),
            (Ended::Failed { in_a_row, .. }, status) => format!("{status}; failed {in_a_row} times in a row"),
        };
        // What was stopped because its liveness probe failed, failed of that, not of being stopped.
        if matches!(ended, Ended::Failed { .. }) && !found_dead {
            entry.last_failure = Some(LastFailure { at: report.exit.at, what: FailureKind::Exit(report) });
        }
        self.tell(Happening::UnitExited { unit: unit.clone() }, reason, seen);
        self.tell_loop(unit, ended);
    }

    /// The child is gone and nobody kept its status.
    pub(super) fn lost(&mut self, unit: &UnitId) {
        let exit = Exit { at: self.system.now().wall, status: ExitStatus::Unknown };
        let note = Some("its shim is gone and left no exit record".to_owned());
        self.ended(unit, ExitReport { exit, note, last_lines: Vec::new() });
    }

    /// Goes where a record that was just read leads.
    pub(super) fn find(&mut self, unit: &UnitId, stage: Stage, origin: Origin) {
        match (stage, origin) {
            (Stage::Idle, _) | (Stage::Ended, Origin::OtherBoot | Origin::OtherFolder) => self.enter(unit, Phase::Down),
            (Stage::Ended, Origin::Here) => self.enter(unit, Phase::Remains),
            (Stage::Started | Stage::Stopping, Origin::Here) => self.enter(unit, Phase::Seeking),
            (Stage::Started | Stage::Stopping, Origin::OtherBoot) => {
                self.part(unit, stage, "the machine was started again; nothing of it is left");
            }
            (Stage::Started | Stage::Stopping, Origin::OtherFolder) => {
                self.part(unit, stage, "this folder is a copy; what ran belongs to the original, and is let be");
            }
        }
    }

    /// The unit ran in another boot or in the original of this folder: nothing of it is here, and nothing is
    /// signalled. What matters is whether a unit that runs once had come to its end.
    fn part(&mut self, unit: &UnitId, stage: Stage, why: &str) {
        let now = self.system.now().steady;
        let stop = (stage == Stage::Stopping).then_some(Stopping { deadline: now, why: StopReason::Begun });
        let Some(entry) = self.units.get_mut(unit) else { return };
        entry.observed().stop = stop;
        let once =
            entry.standing.observed.running.as_ref().is_some_and(|running| matches!(running.life, Life::Once { .. }));
        if once {
            self.take_exit_record(unit);
            let Some(entry) = self.units.get_mut(unit) else { return };
            entry.observed().stop = None;
            if entry.standing.observed.phase != Phase::Remains {
                return;
            }
        }
        if let Some(entry) = self.units.get_mut(unit) {
            entry.observed().stop = None;
        }
        let lost = Happening::UnitLost { unit: unit.clone() };
        self.tell(lost, why, Vec::new());
        self.enter(unit, Phase::Down);
    }
}
