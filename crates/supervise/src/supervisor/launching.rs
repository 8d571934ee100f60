//! Preparing and starting a unit.
//!
//! Start reading at [`Supervisor::launch`]. The order of its steps is what [`crate::record`] promises.

use model::{Happening, Port, Timestamp, UnitId};
use plan::backoff::{LOOP_WAIT, wait_max};
use plan::supervision::{Ended, Observed, Phase, Unit};
use sys::listeners::Taken;
use sys::{ShimStart, System, Ticket};

use super::Supervisor;
use super::entry::Entry;
use super::notice::evidence;
use super::wanted::{PortChoice, Wanted};
use crate::record::{EXIT_FILE, FailureKind, LastFailure, RECORD_FILE};

/// Why a unit that needs a port has none to be started on.
#[derive(Debug, thiserror::Error)]
enum PortRefusal {
    #[error(transparent)]
    Taken(Taken),
    #[error("no TCP port of the loopback interface is free")]
    NoneFree,
}

/// How a unit stood before its record was made to say that it is started.
struct Before {
    /// How many failures in a row there were, when it was not stopped on purpose since.
    failures: u32,
    observed: Observed,
    launched: Option<Timestamp>,
    restarts: u64,
}

impl Before {
    fn restore<Task>(self, entry: &mut Entry<Task>) {
        entry.standing.observed = self.observed;
        entry.launched = self.launched;
        entry.restarts = self.restarts;
    }
}

impl<S: System> Supervisor<S>
where
    S::Task: Clone,
{
    pub(super) fn prepare(&mut self, unit: &UnitId) {
        let now = self.system.now().steady;
        let ticket = self.ticket(unit);
        let Some(entry) = self.units.get_mut(unit) else { return };
        let Some(wanted) = &entry.wanted else { return };
        let task = wanted.prepare.clone();
        entry.standing.observed.prepared = Some(wanted.unit.digest);
        entry.tickets.prepare = Some(ticket);
        entry.observed().enter(Phase::Preparing, now);
        match task {
            Some(task) => self.system.begin(ticket, task),
            None => {
                self.tickets.remove(&ticket);
                self.task_ended(unit, ticket, Some("there is no task behind the unit's preparation"));
            }
        }
    }

    /// A task that prepares or completes the unit ended, perhaps with a failure.
    pub(super) fn task_ended(&mut self, unit: &UnitId, ticket: Ticket, failure: Option<&str>) {
        let now = self.system.now();
        let Some(entry) = self.units.get_mut(unit) else { return };
        if let Some(what) = failure {
            entry.last_failure = Some(LastFailure { at: now.wall, what: FailureKind::Task(what.to_owned()) });
        }
        let preparing = entry.tickets.prepare == Some(ticket);
        let completing = entry.tickets.complete.filter(|completing| completing.ticket == ticket);
        if preparing {
            entry.tickets.prepare = None;
            self.prepared(unit, failure);
        } else if let Some(completing) = completing {
            entry.tickets.complete = None;
            entry.observed().completing = false;
            let running = matches!(entry.standing.observed.phase, Phase::Up | Phase::Seeking);
            if running && completing.of_start == entry.standing.observed.started {
                entry.observed().completed(completing.to, failure.is_none(), now.steady);
            }
            self.tell_task(unit, "for what uses it", failure);
        }
    }

    fn prepared(&mut self, unit: &UnitId, failure: Option<&str>) {
        let now = self.system.now().steady;
        let Some(entry) = self.units.get_mut(unit) else { return };
        let wanted = entry.standing.wanted.clone();
        let mut ended = None;
        match (failure, wanted) {
            (None, _) => entry.observed().enter(Phase::Prepared, now),
            (Some(_), Some(wanted)) => ended = Some(entry.observed().start_failed(&wanted, now)),
            (Some(_), None) => entry.observed().enter(Phase::Down, now),
        }
        self.tell_task(unit, "for its start", failure);
        if let Some(ended) = ended {
            self.tell_loop(unit, ended);
        }
    }

    fn tell_task(&mut self, unit: &UnitId, purpose: &str, failure: Option<&str>) {
        let happening = |resource: &model::ResourceName| match failure {
            None => Happening::ResourcePrepared { resource: resource.clone() },
            Some(_) => Happening::ResourceFailed { resource: resource.clone() },
        };
        let happening = match (unit, failure) {
            (UnitId::Resource(resource), _) => happening(resource),
            (_, Some(_)) => Happening::UnitBlocked { unit: unit.clone() },
            (_, None) => return,
        };
        let reason = failure.map_or(purpose, |failure| failure.lines().next().unwrap_or(purpose));
        self.tell(happening, reason, failure.map(|failure| evidence("error", failure)).into_iter().collect());
    }

    /// Starts the unit's shim: exit record removed, intent written, shim spawned. A death between any two
    /// of these leaves what the next node understands.
    pub(super) fn launch(&mut self, unit: &UnitId) {
        let Some(wanted) = self.units.get(unit).and_then(|entry| entry.wanted.clone()) else { return };
        let folder = self.folders.of(unit);
        let port = match self.choose_port(unit, &wanted) {
            Ok(port) => port,
            Err(refusal) => return self.refused(unit, refusal.to_string()),
        };
        if let Err(error) = self.system.remove(&folder.join(EXIT_FILE)) {
            return self.refused(unit, error.to_string());
        }
        let Some(before) = self.write_intent(unit, &wanted.unit, port) else { return };
        let launch = match port {
            Some(port) => wanted.launch.with_port(port),
            None => wanted.launch,
        };
        let encoded = match serde_json::to_vec(&launch) {
            Ok(encoded) => encoded,
            Err(error) => return self.not_spawned(unit, before, &error.to_string()),
        };
        match self.system.spawn_shim(&ShimStart { folder, launch: encoded, listening: launch.listening }) {
            Ok(shim) => self.spawned(unit, shim, before.failures),
            Err(error) => self.not_spawned(unit, before, &error.to_string()),
        }
    }

    /// The port for a start. Whoever else listened on it would answer the unit's probes in its place.
    fn choose_port(&mut self, unit: &UnitId, wanted: &Wanted<S::Task>) -> Result<Option<Port>, PortRefusal> {
        let known = self.units.get(unit).and_then(|entry| entry.port);
        match (wanted.port, known) {
            (PortChoice::Unused, _) => Ok(None),
            (PortChoice::Fixed(port), _) | (PortChoice::Kept, Some(port)) => match self.system.port_taken(port) {
                None => Ok(Some(port)),
                Some(taken) => Err(PortRefusal::Taken(taken)),
            },
            (PortChoice::Kept, None) | (PortChoice::Chosen, _) => {
                self.system.free_port().map(Some).ok_or(PortRefusal::NoneFree)
            }
        }
    }

    /// Writes that the unit is about to be started. What is observed changes only when that succeeded; then
    /// it is told how the unit stood before.
    fn write_intent(&mut self, unit: &UnitId, wanted: &Unit, port: Option<Port>) -> Option<Before> {
        let (now, here) = (self.system.now(), self.here());
        let path = self.folders.of(unit).join(RECORD_FILE);
        let entry = self.units.get_mut(unit)?;
        let before = Before {
            failures: entry.standing.observed.failed_before(wanted.digest),
            observed: entry.standing.observed.clone(),
            launched: entry.launched,
            restarts: entry.restarts,
        };
        entry.begin(wanted, port, now);
        entry.restarts += u64::from(before.failures > 0);
        entry.observed().enter(Phase::Seeking, now.steady);
        let record = entry.record(&here, now)?;
        if let Err(error) = self.system.write(&path, &record.encode()) {
            if let Some(entry) = self.units.get_mut(unit) {
                before.restore(entry);
            }
            self.refused(unit, error.to_string());
            return None;
        }
        Some(before)
    }

    fn spawned(&mut self, unit: &UnitId, shim: model::ProcessIdentity, failed_before: u32) {
        let Some(entry) = self.units.get_mut(unit) else { return };
        entry.shim = Some(shim);
        entry.trouble = None;
        entry.observed().unsaved = true;
        let last_failure =
            entry.last_failure.as_ref().map(|failure| evidence("last failure", &failure.what.to_string()));
        let (what, reason, seen) = match failed_before {
            0 => {
                let reason = "it is wanted, and what it waits for is ready".to_owned();
                (Happening::UnitStarted { unit: unit.clone() }, reason, None)
            }
            attempt => {
                (Happening::UnitRestarted { unit: unit.clone(), attempt }, failed_so_often(attempt), last_failure)
            }
        };
        self.tell(what, reason, seen.into_iter().collect());
    }

    /// The machine could not start a shim. That says nothing about the unit: it stands as before, and the
    /// start is tried again.
    fn not_spawned(&mut self, unit: &UnitId, before: Before, error: &str) {
        let at = self.system.now().wall;
        let Some(entry) = self.units.get_mut(unit) else { return };
        before.restore(entry);
        entry.last_failure = Some(LastFailure { at, what: FailureKind::Spawn(error.to_owned()) });
        // Else a node that began now would take the unit for started.
        self.save(unit);
        self.refused(unit, error.to_owned());
    }

    pub(super) fn tell_loop(&mut self, unit: &UnitId, ended: Ended) {
        if let Ended::Failed { in_a_row, loop_begins: true } = ended {
            let reason = format!("it failed {in_a_row} times in a row; {}", how_it_goes_on(unit));
            self.tell(Happening::CrashLoop { unit: unit.clone() }, reason, Vec::new());
        }
    }
}

/// When a unit is tried that fails again and again.
fn how_it_goes_on(unit: &UnitId) -> String {
    match wait_max(unit) < LOOP_WAIT {
        true => format!("it is tried every {} s all the same", wait_max(unit).as_secs()),
        false => "from now on it is tried rarely".to_owned(),
    }
}

/// Why it is started again.
fn failed_so_often(in_a_row: u32) -> String {
    match in_a_row {
        1 => "it had failed".to_owned(),
        _ => format!("it had failed {in_a_row} times in a row"),
    }
}
