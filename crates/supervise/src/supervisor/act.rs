//! Carries one action out.
//!
//! Start reading at [`Supervisor::act`]. Nothing here decides whether an action is due.

use std::time::Duration;

use model::{ExitStatus, Happening, UnitId};
use plan::supervision::observed::ANSWER_SLACK;
use plan::supervision::{Action, GentleSignal, Link, Phase, ProbeKind, StopReason, Stopping};
use sys::{Delivery, ProbeFailure, Signal, System};

use super::entry::{Completing, Entry};
use super::notice::{evidence, evidence_of_probe};
use super::{RETRY, Supervisor};
use crate::protocol::{ExitReport, Request};
use crate::record::{EXIT_FILE, RECORD_FILE, Record, RecordError};

/// The first wait for a shim that does not listen yet; it doubles up to the next.
const SEEK_FIRST: Duration = Duration::from_millis(10);
/// See [`SEEK_FIRST`].
const SEEK_LAST: Duration = Duration::from_secs(1);
/// How long a shim whose identity was never written down is given to show itself before what there is of
/// it is swept away.
const SEEK_UNKNOWN: Duration = Duration::from_secs(2);
/// From one look at an ending shim, or sweep of what is left, to the next.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The deadline that a question without a policy has; only a defect asks one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

impl<S: System> Supervisor<S>
where
    S::Task: Clone,
{
    pub(super) fn act(&mut self, unit: &UnitId, action: Action) {
        match action {
            Action::Read => self.read(unit),
            Action::Save => self.save(unit),
            Action::Drop => self.drop_entry(unit),
            Action::Prepare => self.prepare(unit),
            Action::Abandon => self.enter(unit, Phase::Down),
            Action::Launch => self.launch(unit),
            Action::Connect => self.connect(unit),
            Action::Look => self.look(unit),
            Action::Ask(kind) => self.ask(unit, kind),
            Action::CountLost(kind) => self.count_lost(unit, kind),
            Action::CountReady => self.count_ready(unit),
            Action::Complete => self.complete(unit),
            Action::Stop(why) => self.stop(unit, why),
            Action::Kill => self.kill(unit),
            Action::LeaveShim => self.enter(unit, Phase::Remains),
            Action::Sweep => self.sweep(unit),
        }
    }

    pub(super) fn enter(&mut self, unit: &UnitId, phase: Phase) {
        let now = self.system.now().steady;
        if let Some(entry) = self.units.get_mut(unit) {
            entry.observed().enter(phase, now);
        }
    }

    fn read(&mut self, unit: &UnitId) {
        let (now, here) = (self.system.now(), self.here());
        let bytes = match self.system.read(&self.folders.of(unit).join(RECORD_FILE)) {
            Ok(bytes) => bytes,
            Err(error) => return self.refused(unit, error.to_string()),
        };
        let Some(entry) = self.units.get_mut(unit) else { return };
        let Some(bytes) = bytes else {
            // No record was ever written, so nothing was ever started.
            entry.observed().enter(Phase::Down, now.steady);
            return;
        };
        match Record::decode(&bytes) {
            Ok(record) => {
                let (stage, origin) = (record.stage, record.origin(&here));
                entry.recall(record, origin, now);
                entry.trouble = None;
                entry.found = true;
                self.find(unit, stage, origin);
            }
            Err(error @ RecordError::Newer(_)) => self.refused(unit, error.to_string()),
            Err(RecordError::Damaged(error)) => {
                entry.damaged = true;
                entry.found = true;
                entry.distrust_damage();
                entry.observed().enter(Phase::Seeking, now.steady);
                let seen = vec![evidence("error", &error.to_string())];
                let reason = "its record is damaged; what runs in its folder is sought without it";
                self.tell(Happening::UnitBlocked { unit: unit.clone() }, reason, seen);
            }
        }
    }

    pub(super) fn save(&mut self, unit: &UnitId) {
        let (now, here) = (self.system.now(), self.here());
        let path = self.folders.of(unit).join(RECORD_FILE);
        let Some(entry) = self.units.get_mut(unit) else { return };
        let written = match entry.record(&here, now) {
            Some(record) => self.system.write(&path, &record.encode()),
            None => Ok(()),
        };
        match written {
            Ok(()) => {
                entry.observed().unsaved = false;
                entry.observed().save_at = None;
                entry.trouble = None;
            }
            Err(error) => {
                entry.observed().unsaved = true;
                entry.observed().save_at = Some(now.steady.saturating_add(RETRY));
                self.trouble(unit, error.to_string());
            }
        }
    }

    fn drop_entry(&mut self, unit: &UnitId) {
        self.units.remove(unit);
        self.system.close_listeners(&self.folders.of(unit));
        self.tickets.retain(|_, owner| owner != unit);
        self.connections.retain(|_, owner| owner != unit);
    }

    fn connect(&mut self, unit: &UnitId) {
        let folder = self.folders.of(unit);
        let now = self.system.now().steady;
        let connection = self.system.connect(&folder);
        let Some(entry) = self.units.get_mut(unit) else { return };
        if let Some(old) = entry.connection.take() {
            self.connections.remove(&old);
        }
        if let Some(connection) = connection {
            entry.connection = Some(connection);
            entry.observed().link = Link::Opening(now);
            entry.observed().retry_at = None;
            self.connections.insert(connection, unit.clone());
            return;
        }
        entry.observed().link = Link::Closed;
        let sought = now.saturating_sub(entry.standing.observed.since);
        let may_come = match &entry.shim {
            Some(shim) => self.system.identify(shim.pid).map(|there| there.as_ref() == Some(shim)),
            None => Ok(sought < SEEK_UNKNOWN),
        };
        match may_come {
            Ok(true) => {
                let again = sought.clamp(SEEK_FIRST, SEEK_LAST);
                entry.observed().retry_at = Some(now.saturating_add(again));
            }
            Ok(false) => self.take_exit_record(unit),
            Err(error) => self.refused(unit, error.to_string()),
        }
    }

    /// The shim is gone: what it wrote down is how its child ended.
    pub(super) fn take_exit_record(&mut self, unit: &UnitId) {
        let report = match self.system.read(&self.folders.of(unit).join(EXIT_FILE)) {
            // A torn one, as a loss of power leaves it, tells nothing.
            Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice::<ExitReport>(&bytes).ok()),
            Err(error) => return self.refused(unit, error.to_string()),
        };
        match report {
            Some(report) => self.ended(unit, report),
            None => self.lost(unit),
        }
        self.enter(unit, Phase::Remains);
    }

    fn look(&mut self, unit: &UnitId) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        let gone = match &entry.shim {
            Some(shim) => self.system.identify(shim.pid).map(|there| there.as_ref() != Some(shim)),
            None => Ok(entry.connection.is_none()),
        };
        match gone {
            Ok(true) => entry.observed().enter(Phase::Remains, now),
            Ok(false) => entry.observed().retry_at = Some(now.saturating_add(LOOK_AGAIN)),
            Err(error) => self.refused(unit, error.to_string()),
        }
    }

    fn ask(&mut self, unit: &UnitId, kind: ProbeKind) {
        let now = self.system.now().steady;
        let folder = self.folders.of(unit);
        let ticket = self.ticket(unit);
        let Some(entry) = self.units.get_mut(unit) else { return };
        let question = entry.wanted.as_ref().and_then(|wanted| match kind {
            ProbeKind::Ready => wanted.ready.as_ref(),
            ProbeKind::Live => wanted.live.as_ref(),
        });
        let target = question.and_then(|question| question.target(entry.address().as_ref(), &folder));
        let timeout = entry.probe_policy(kind).map_or(PROBE_TIMEOUT, |policy| policy.timeout);
        entry.observed().asking(kind).lost_at = Some(now.saturating_add(timeout).saturating_add(ANSWER_SLACK));
        let awaited = match kind {
            ProbeKind::Ready => &mut entry.tickets.ready,
            ProbeKind::Live => &mut entry.tickets.live,
        };
        if let Some(old) = awaited.replace(ticket) {
            self.tickets.remove(&old);
        }
        match target {
            Some(target) => self.system.probe(ticket, target, timeout),
            None => {
                let what = "there is no address to ask, or no question behind the policy".to_owned();
                self.answered(unit, kind, Err(ProbeFailure { what, snippet: String::new() }));
            }
        }
    }

    fn count_lost(&mut self, unit: &UnitId, kind: ProbeKind) {
        let failure = ProbeFailure { what: "the probe was never answered".to_owned(), snippet: String::new() };
        self.answered(unit, kind, Err(failure));
    }

    fn complete(&mut self, unit: &UnitId) {
        let ticket = self.ticket(unit);
        // Broken off in the middle, it leaves the unit as neither this nor what was completed before asks.
        if let Some(entry) = self.units.get_mut(unit).filter(|entry| entry.standing.observed.completed.is_some()) {
            entry.observed().completed = None;
            self.save(unit);
        }
        let Some(entry) = self.units.get_mut(unit) else { return };
        let task = entry.wanted.as_ref().and_then(|wanted| wanted.complete.clone());
        let to = entry.standing.wanted.as_ref().and_then(|wanted| wanted.completed);
        entry.tickets.complete = Some(Completing { ticket, to, of_start: entry.standing.observed.started });
        entry.observed().completing = true;
        match task {
            Some(task) => self.system.begin(ticket, task),
            None => {
                self.tickets.remove(&ticket);
                self.task_ended(unit, ticket, Some("there is no task behind the unit's completion"));
            }
        }
    }

    fn stop(&mut self, unit: &UnitId, why: StopReason) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        let policy = entry.standing.observed.running.as_ref().map(|running| running.stop);
        let deadline = policy.map_or(Duration::ZERO, |policy| policy.deadline);
        entry.observed().stop = Some(Stopping { deadline: now.saturating_add(deadline), why });
        entry.observed().retry_at = None;
        // The record comes first, so that the next node knows it for a stop; but no stop waits for room on
        // the disk: what could not be written is written later.
        self.save(unit);
        self.ask_to_stop(unit);
        let failure = self.units.get(unit).filter(|_| why == StopReason::Unhealthy).and_then(Entry::liveness_failure);
        let seen = failure.map(evidence_of_probe).unwrap_or_default();
        let reason = match why {
            StopReason::Unwanted => "it is not wanted any more".to_owned(),
            StopReason::Replaced => "another version of it is wanted".to_owned(),
            StopReason::Unhealthy => match failure {
                Some(failure) => format!("its liveness probe failed: {}", failure.what),
                None => "its liveness probe failed".to_owned(),
            },
            StopReason::Asked => "a restart was asked for".to_owned(),
            StopReason::Unrecorded => "its record is damaged, so it is not known where it listens".to_owned(),
            StopReason::Begun => "an earlier node had begun to stop it".to_owned(),
        };
        self.tell(Happening::UnitStopping { unit: unit.clone() }, reason, seen);
    }

    /// Sends the request of a stop under way over the connection, if there is one; a new connection sends it
    /// again, since a deadline only comes nearer.
    pub(super) fn ask_to_stop(&mut self, unit: &UnitId) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get(unit) else { return };
        let (Some(connection), Some(stop)) = (entry.connection, &entry.standing.observed.stop) else { return };
        let gently = entry.standing.observed.running.as_ref().map(|running| running.stop.gently);
        let left = stop.deadline.saturating_sub(now).as_millis();
        let request = Request::Stop {
            signal: signal_number(gently.unwrap_or(GentleSignal::Terminate)),
            deadline_ms: u64::try_from(left).unwrap_or(u64::MAX),
        };
        self.send(connection, &request);
    }

    fn send(&mut self, connection: sys::ConnectionId, request: &Request) {
        // Numbers and text: nothing in a request can fail to be written as JSON.
        let bytes = serde_json::to_vec(request).unwrap_or_default();
        self.system.send(connection, &bytes);
    }

    fn kill(&mut self, unit: &UnitId) {
        let Some(entry) = self.units.get(unit) else { return };
        let reason = match entry.standing.observed.stop {
            Some(_) => "it did not end by its deadline, and its shim did not see to it",
            None => "its shim could not be reached",
        };
        self.tell(Happening::UnitKilled { unit: unit.clone() }, reason, Vec::new());
        let at = self.system.now().wall;
        let note = Some(reason.to_owned());
        let exit = model::Exit { at, status: ExitStatus::Unknown };
        self.ended(unit, ExitReport { exit, note, last_lines: Vec::new() });
        self.enter(unit, Phase::Remains);
    }

    /// Whatever is left of the unit goes, its shim first: it would only see its child killed. Where it cannot be looked for,
    /// something may be left.
    fn sweep(&mut self, unit: &UnitId) {
        let folder = self.folders.of(unit);
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        let shim = entry.shim.as_ref().map(|shim| self.system.signal(shim, Signal::Kill)).transpose();
        match shim.and_then(|shim| Ok((shim, self.system.sweep(&folder)?))) {
            Ok((None | Some(Delivery::Gone), 0)) => {}
            Ok(_) => {
                entry.observed().retry_at = Some(now.saturating_add(LOOK_AGAIN));
                return;
            }
            Err(error) => return self.refused(unit, error.to_string()),
        }
        if let Some(connection) = entry.connection.take() {
            self.connections.remove(&connection);
        }
        entry.shim = None;
        entry.child = None;
        entry.observed().link = Link::Closed;
        entry.observed().stop = None;
        entry.observed().unsaved = true;
        entry.observed().enter(Phase::Down, now);
    }
}

/// The number that every Linux gives this signal (signal(7)).
const fn signal_number(signal: GentleSignal) -> i32 {
    match signal {
        GentleSignal::Interrupt => 2,
        GentleSignal::Terminate => 15,
    }
}
