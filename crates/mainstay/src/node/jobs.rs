//! Runs of services: by their schedule and by hand. Start reading at [`Node::start_due_runs`].
//!
//! When a run is due is for `plan::schedule` to say. What it says is written down before the run starts, so
//! that a node that dies in between starts no occurrence twice.

use model::{Exit, ExitStatus, Happening, ServiceName, Timestamp, UnitId};
use plan::release::Command;
use supervise::record::FailureKind;
use supervise::supervisor::{Notice, State, UnitStatus};

use super::Node;
use super::applied::{self, RUNS_KEPT, Run, run_number};
use super::server::chain;

impl Node {
    /// Starts the runs whose time has come and notes those that were missed.
    pub(super) fn start_due_runs(&mut self) {
        let Some(current) = self.applied.current.clone() else { return };
        let now = self.now().wall;
        for (name, service) in &current.stack.services {
            let Some(schedule) = &service.schedule else { continue };
            if self.next_runs.get(name).is_some_and(|next| *next > now) && !self.clock_went_back(name, now) {
                continue;
            }
            let running = self.applied.going_on(name).next().is_some();
            let job = self.applied.job(name, now);
            match job.look(schedule, &current.stack.timezone, now, running) {
                Ok((due, after)) => {
                    match due.next {
                        Some(next) => drop(self.next_runs.insert(name.clone(), next)),
                        None => drop(self.next_runs.remove(name)),
                    }
                    if due.missed.total() > 0 {
                        self.note_missed(name, &due.missed, now);
                    }
                    let run = due.start.and_then(|_| self.new_run(name, after.last, None));
                    self.save_run(after, run);
                }
                Err(error) => self.look_trouble = Some(chain(&error)),
            }
        }
    }

    /// Whether the wall clock stands so far before what was considered that the schedule has to be read anew.
    fn clock_went_back(&self, name: &ServiceName, now: Timestamp) -> bool {
        self.applied.jobs.get(name).is_some_and(|job| now.after(plan::schedule::STEP_BACK_MAX) < job.considered)
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
        let run = Run { command, asked: self.now().wall, ended: None };
        Some((UnitId::Run(name.clone(), release, number), run))
    }

    /// Writes down where the schedule stands and the new run; only then does either count.
    fn save_run(&mut self, job: services::job::Record, run: Option<(UnitId, Run)>) -> bool {
        let old = self.runs_to_drop(&job.service);
        let row = run.as_ref().map(|(unit, run)| (unit, run));
        match applied::save_job(&self.store.records, &job, row, &old) {
            Ok(()) => {
                for unit in old {
                    self.applied.runs.remove(&unit);
                    self.forget(&unit);
                }
                self.applied.runs.extend(run);
                self.applied.jobs.insert(job.service.clone(), job);
                self.seen = None;
                true
            }
            Err(error) => {
                self.look_trouble = Some(chain(&error));
                false
            }
        }
    }

    /// The ended runs of a service beyond those that are kept, the oldest.
    fn runs_to_drop(&self, service: &ServiceName) -> Vec<UnitId> {
        let mut ended: Vec<&UnitId> = self
            .applied
            .runs
            .iter()
            .filter(|(unit, run)| unit.service() == Some(service) && run.ended.is_some())
            .map(|(unit, _)| unit)
            .collect();
        ended.sort_by_key(|unit| run_number(unit));
        let over = ended.len().saturating_sub(RUNS_KEPT);
        ended.into_iter().take(over).cloned().collect()
    }

    /// Removes the folder and the logs of a unit that is history.
    pub(super) fn forget(&mut self, unit: &UnitId) {
        // Something of it may still be on its way out; its folder then goes with a later one.
        if self.supervisor.forget(unit).is_ok() {
            let removed = sys::files::remove(&self.store.layout.log(unit));
            self.look_trouble = removed.err().map(|error| chain(&error)).or(self.look_trouble.take());
        }
    }

    /// Notes the runs that have ended.
    pub(super) fn end_runs(&mut self, units: &[UnitStatus]) {
        for unit in units {
            let Some(run) = self.applied.runs.get(&unit.unit).filter(|run| run.ended.is_none()) else { continue };
            let Some(exit) = exit_of(unit) else { continue };
            let Some(service) = unit.unit.service() else { continue };
            let ended = Run { ended: Some(exit), ..run.clone() };
            let job = self.applied.job(service, self.now().wall);
            match applied::save_job(&self.store.records, &job, Some((&unit.unit, &ended)), &[]) {
                Ok(()) => drop(self.applied.runs.insert(unit.unit.clone(), ended)),
                Err(error) => self.look_trouble = Some(chain(&error)),
            }
        }
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

    fn note_missed(&mut self, service: &ServiceName, missed: &plan::schedule::Missed, at: Timestamp) {
        let what = Happening::RunsMissed { service: service.clone(), count: missed.total() };
        let reason = match (missed.late, missed.overlapping) {
            (_, 0) => "no node was there when they were due".to_owned(),
            (0, _) => "the run before was still going".to_owned(),
            (late, overlapping) => {
                format!("{late} while no node was there, {overlapping} because the run before was still going")
            }
        };
        self.backlog.push_back(Notice { at, what, reason, evidence: Vec::new() });
    }
}

/// How a unit that runs once ended; `None` while it has not.
pub(super) fn exit_of(unit: &UnitStatus) -> Option<Exit> {
    match (unit.state, unit.last_failure.as_ref()) {
        (State::Succeeded, _) => Some(Exit { at: unit.since, status: ExitStatus::Code(0) }),
        (State::Failed, Some(failure)) => Some(match &failure.what {
            FailureKind::Exit(report) => report.exit.clone(),
            FailureKind::Probe { .. } | FailureKind::Task(_) | FailureKind::Spawn(_) => {
                Exit { at: failure.at, status: ExitStatus::NotStarted }
            }
        }),
        (State::Failed, None) => Some(Exit { at: unit.since, status: ExitStatus::Unknown }),
        _ => None,
    }
}
