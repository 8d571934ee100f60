//! Runs of services: by their schedule and by hand. Start reading at [`Node::start_due_runs`].
//!
//! When a run is due is for `plan::schedule` to say. What it says is written down before the run starts, so
//! that a node that dies in between starts no occurrence twice.

use std::collections::BTreeMap;
use std::time::Duration;

use model::cause::chain;
use model::stack::Schedule;
use model::{ByteSize, Exit, ExitStatus, Happening, ServiceName, TimeZoneName, Timestamp, UnitId};
use plan::release::Command;
use plan::schedule::{Missed, Watch};
use supervise::record::FailureKind;
use supervise::supervisor::{ForgetError, Notice, State, UnitStatus};
use sys::Now;

use super::applied::{self, Run, run_number};
use super::troubles::About;
use super::{Node, PERIOD};

/// How long a schedule that has no next occurrence is left alone.
const NEVER_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// What is next of a schedule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upcoming {
    /// When to look at it again.
    pub(super) look_at: Timestamp,
    /// When it runs; `None` when it never does.
    pub(super) run_at: Option<Timestamp>,
    /// A clock before this was set back so far that the schedule is looked at again at once.
    believed_from: Timestamp,
}

impl Upcoming {
    /// To be looked at again soon, since nothing came of this look.
    fn soon(now: Timestamp, run_at: Option<Timestamp>) -> Self {
        Self { look_at: now.after(PERIOD), run_at, believed_from: now }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.look_at <= now || now < self.believed_from
    }
}

impl Node {
    /// Starts the runs whose time has come and notes those that were missed.
    pub(super) fn start_due_runs(&mut self) {
        let Some(current) = &self.applied.current else { return };
        let now = self.now().wall;
        let scheduled = current.stack.services.iter().filter_map(|(name, it)| Some((name, it.schedule.as_ref()?)));
        let due = scheduled.filter(|(name, _)| self.is_due(name, now));
        let due: BTreeMap<ServiceName, Schedule> = due.map(|(name, it)| (name.clone(), it.clone())).collect();
        let zone = current.stack.timezone.clone();
        let mut due = due.into_iter();
        let unwritten = due.by_ref().find(|(name, schedule)| !self.start_due_run(name, schedule, &zone, now));
        // Nothing is dealt with that is not written down: it and those behind it are looked at again soon, and are then still
        // due.
        for (name, _) in unwritten.into_iter().chain(due) {
            self.agenda.upcoming.insert(name, Upcoming::soon(now, Some(now.after(PERIOD))));
        }
    }

    fn is_due(&self, name: &ServiceName, now: Timestamp) -> bool {
        self.agenda.upcoming.get(name).is_none_or(|upcoming| upcoming.is_due(now))
    }

    /// Starts the run of a service that is due, unless the service is held. False where it could not be written down.
    fn start_due_run(&mut self, name: &ServiceName, schedule: &Schedule, zone: &TimeZoneName, now: Timestamp) -> bool {
        if self.hold_of(name).is_some() {
            let steady = self.now().steady;
            self.agenda.held_from.entry(name.clone()).or_insert(steady);
            // Nothing is dealt with meanwhile: what is too late once it can be run again then counts as missed.
            self.agenda.upcoming.insert(name.clone(), Upcoming::soon(now, None));
            return true;
        }
        let running = self.applied.going_on(name).next().is_some();
        let (due, after) = match self.applied.job(name, now).look(schedule, zone, now, self.watch(name), running) {
            Ok(found) => found,
            Err(error) => {
                self.troubles.note(About::Runs(name.clone()), chain(&error));
                self.agenda.upcoming.insert(name.clone(), Upcoming::soon(now, None));
                return true;
            }
        };
        let run = due.start.and_then(|_| self.new_run(name, after.last, None));
        if !self.save_run(after, run) {
            return false;
        }
        self.agenda.held_from.remove(name);
        let look_at = due.next.unwrap_or_else(|| now.after(NEVER_AGAIN));
        let upcoming = Upcoming { look_at, run_at: due.next, believed_from: due.believed_from };
        self.agenda.upcoming.insert(name.clone(), upcoming);
        if due.missed.total() > 0 {
            self.note_missed(name, due.missed, now);
        }
        true
    }

    /// From when on the runs of a service could have been started.
    fn watch(&self, name: &ServiceName) -> Watch {
        let now = self.now();
        let held_from = self.agenda.held_from.get(name).map(|since| now.wall_of(*since));
        Watch { began: now.wall_of(self.started), held_from }
    }

    /// Begins a run by hand; its unit.
    pub(super) fn run_by_hand(&mut self, name: &ServiceName, command: Command) -> Option<UnitId> {
        let job = self.applied.job(name, self.now().wall).run_by_hand();
        let run = self.new_run(name, job.last, Some(command))?;
        let unit = run.0.clone();
        self.save_run(job, Some(run)).then_some(unit)
    }

    fn new_run(&self, name: &ServiceName, number: model::RunNumber, command: Option<Command>) -> Option<(UnitId, Run)> {
        let release = self.applied.wanted_release(name)?.number;
        let run = Run::begin(command, self.now().wall);
        Some((UnitId::Run(name.clone(), release, number), run))
    }

    /// Writes down where the schedule stands and the new run; only then does either count.
    fn save_run(&mut self, job: services::job::Record, run: Option<(UnitId, Run)>) -> bool {
        let about = About::Runs(job.service.clone());
        match applied::save_job(&mut self.store.records, &job, run.as_ref()) {
            Ok(()) => {
                self.applied.runs.extend(run);
                self.applied.jobs.insert(job.service.clone(), job);
                self.seen = None;
                self.troubles.clear(&about);
                true
            }
            Err(error) => {
                self.troubles.note(about, chain(&error));
                false
            }
        }
    }

    /// Removes the folder and the logs of a unit that is history.
    pub(super) fn forget(&mut self, unit: &UnitId) {
        let removed = match self.supervisor.forget(unit) {
            Ok(()) => sys::files::remove(&self.store.layout.log(unit)),
            // Something of it is still on its way out: its folder goes when a file is applied next.
            Err(ForgetError::InUse(_)) => Ok(()),
            Err(ForgetError::File(error)) => Err(error),
        };
        if let Err(error) = removed {
            self.troubles.note(About::Remains, chain(&error));
        }
    }

    /// Notes the runs that have ended. False where one could not be written down: it and those behind it are to be tried again.
    pub(super) fn end_runs(&mut self, units: &[UnitStatus]) -> bool {
        let goes_on = |unit: &&UnitStatus| self.applied.runs.get(&unit.unit).is_some_and(|run| run.ended.is_none());
        let now = self.now();
        let ends = |unit: &UnitStatus| Some((unit.unit.clone(), exit_of(unit, now)?));
        let ended: Vec<(UnitId, Exit)> = units.iter().filter(goes_on).filter_map(ends).collect();
        ended.into_iter().all(|(unit, exit)| self.end_run(&unit, exit))
    }

    /// Writes down that a run ended; only then does it count, and what it leaves no room for goes.
    pub(super) fn end_run(&mut self, unit: &UnitId, exit: Exit) -> bool {
        let Some((service, run)) = unit.service().zip(self.applied.runs.get(unit)) else { return false };
        let output = supervise::log::size(&self.store.layout.log(unit)).unwrap_or_else(|error| {
            self.troubles.note(About::Remains, format!("cannot tell how much {unit} wrote: {}", chain(&error)));
            ByteSize::default()
        });
        let ended = run.end(exit, output);
        let dropped = self.applied.runs_to_drop(unit, &ended);
        let about = About::Runs(service.clone());
        if let Err(error) = applied::save_ended(&mut self.store.records, unit, &ended, &dropped) {
            self.troubles.note(about, chain(&error));
            return false;
        }
        self.troubles.clear(&about);
        self.applied.runs.insert(unit.clone(), ended);
        for unit in dropped {
            self.applied.runs.remove(&unit);
            self.forget(&unit);
        }
        true
    }

    /// The last run that the schedule of a service began, if it failed.
    pub(super) fn failed_run(&self, service: &ServiceName) -> Option<String> {
        let runs = self.applied.runs.iter().filter(|(unit, run)| unit.service() == Some(service) && !run.by_hand);
        let (unit, run) = runs.filter(|(_, run)| run.ended.is_some()).max_by_key(|(unit, _)| run_number(unit))?;
        let exit = run.ended.as_ref().filter(|exit| !exit.status.is_success())?;
        Some(format!("{unit} {} at {}", exit.status, exit.at))
    }

    /// How the last run of a service ended, for people.
    pub(super) fn last_run(&self, service: &ServiceName, units: &[UnitStatus]) -> Option<String> {
        let runs = self.applied.runs.iter().filter(|(unit, _)| unit.service() == Some(service));
        let (unit, run) = runs.max_by_key(|(unit, _)| run_number(unit))?;
        Some(match &run.ended {
            Some(exit) => format!("{unit} {} at {}", exit.status, exit.at),
            None => {
                let state = units
                    .iter()
                    .find(|it| it.unit == *unit)
                    .map_or("waiting", |it| super::status::state_word(it.state));
                format!("{unit} {state} since {}", run.asked)
            }
        })
    }

    fn note_missed(&mut self, service: &ServiceName, missed: Missed, at: Timestamp) {
        let what = Happening::RunsMissed { service: service.clone(), count: missed.total() };
        self.backlog.push(Notice { at, what, reason: missed.to_string(), evidence: Vec::new() });
    }
}

/// How a unit that runs once ended; `None` while it has not.
pub(super) fn exit_of(unit: &UnitStatus, now: Now) -> Option<Exit> {
    match (unit.state, unit.last_failure.as_ref()) {
        (State::Succeeded, _) => Some(Exit { at: now.wall_of(unit.since), status: ExitStatus::Code(0) }),
        (State::Failed, Some(failure)) => Some(match &failure.what {
            FailureKind::Exit(report) => report.exit.clone(),
            FailureKind::Probe { .. } | FailureKind::Task(_) | FailureKind::Spawn(_) => {
                Exit { at: failure.at, status: ExitStatus::NotStarted }
            }
        }),
        (State::Failed, None) => Some(Exit { at: now.wall_of(unit.since), status: ExitStatus::Unknown }),
        _ => None,
    }
}
