//! What must never happen in a simulated world. Each law is checked at every event that could break it,
//! against what the world knows to be true rather than against what the supervisor believes.
//!
//! Start reading here; the numbers are those of `docs/simulation.md`.
//!
//! 1. **One writer.** No shim is started in a folder while any process of an earlier start of that unit
//!    lives, and no child begins while another writes ([`Inner::check_start`], [`Inner::check_writers`]);
//!    nothing is prepared while something writes ([`Inner::check_prepare`]).
//! 2. **Only ours.** No signal reaches a process that is not ours, though pids are used again within
//!    seconds ([`Inner::check_signal`]).
//! 3. **Every stop ends.** When a shim was asked to stop, its child is gone by the deadline and a small
//!    allowance, whoever has died since ([`Inner::check_stop`]).
//! 4. **Requirements first.** When a unit is started, what it requires holds, or held a moment ago
//!    ([`Inner::check_start`]).
//! 5. **Nothing healthy is stopped.** A unit that is wanted as it runs, and neither hangs nor is asked to
//!    restart, is not stopped, killed or swept by a node: an adopted unit keeps its pid
//!    ([`Inner::check_stop_sent`], [`Inner::check_signal`]).
//! 6. **Once is once.** A unit that ran once and whose success is on the disk is never started again with
//!    the same digest; one that failed and is not to be retried neither ([`Inner::check_start`]). No success
//!    is recorded that never was ([`Inner::note_write`]).
//! 7. **Back-off.** A start after failures in a row comes no sooner than the back-off says
//!    ([`Inner::check_start`]).
//! 8. **The first restart is prompt.** After a first failure the unit is up again within
//!    [`PROMPT`], unless something stood in its way ([`Inner::check_prompt`]).
//! 9. **What is wanted runs, what is not is gone**, once faults have ended and a bounded time has passed;
//!    after `down` no process is left ([`Inner::unsettled`]).
//! 10. **No spinning.** A node is never woken without end at one moment ([`crate::drive`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use model::{Digest, ExitStatus, UnitId};
use plan::supervision::order::meets;
use plan::supervision::{Life, Requirement, Unit};
use supervise::record::{EXIT_FILE, RECORD_FILE, Record, Stage};
use sys::ConnectionId;

use crate::process::{Kind, Process};
use crate::shims::Shim;
use crate::world::{Due, Inner};

/// How much later than its deadline a stop may end: the shim's kill takes a moment, and messages do.
pub const STOP_ALLOWANCE: Duration = Duration::from_secs(3);
/// The longest that any sample unit may take to stop.
pub const STOP_LONGEST: Duration = Duration::from_secs(20);
/// How old a node's knowledge of what a requirement rests on may be.
pub const STALE: Duration = Duration::from_secs(10);
/// Within which a unit that failed once is started again.
pub const PROMPT: Duration = Duration::from_secs(20);
/// What ran for so long may be counted as stable by a node, which learns of its end later.
const LONG_RUN: Duration = Duration::from_secs(400);
/// From the end of a trouble until a node has got over it.
const CALM: Duration = Duration::from_secs(60);
/// Violations that are kept; one is enough to fail.
const VIOLATIONS_MAX: usize = 20;

/// What the laws remember.
#[derive(Debug, Default)]
pub struct Laws {
    /// Which laws were broken, when and how.
    pub violations: Vec<String>,
    /// Starts seen.
    pub starts: u64,
    /// When something was last done to the world that may delay what the node does.
    pub disturbed: Duration,
    units: BTreeMap<UnitId, Past>,
}

/// What happened to one unit so far.
#[derive(Debug, Default)]
struct Past {
    /// Until when it served, when it does not any more.
    served_until: Option<Duration>,
    succeeded: BTreeSet<Digest>,
    /// What has come to its end with code 0, recorded or not.
    ended_well: BTreeSet<Digest>,
    failed_for_good: BTreeSet<Digest>,
    digest: Option<Digest>,
    started: Duration,
    /// Failures in a row of which the node must know.
    row: u32,
    /// Ends of any kind that a node may count as failures.
    ends: u32,
    /// When one of its tasks last failed, which counts like a failed start.
    task_failed: Option<Duration>,
    last_failure: Duration,
    /// The start in which a node wrote down that it stops it.
    stop_recorded: Option<u64>,
    stop_sent: Option<u64>,
}

impl Laws {
    /// After a reboot nothing of the old boot counts.
    pub fn rebooted(&mut self) {
        for past in self.units.values_mut() {
            past.row = 0;
            past.ends = 0;
            past.served_until = None;
            past.stop_recorded = None;
            past.stop_sent = None;
        }
    }
}

impl Inner {
    /// A law was broken.
    pub fn violated(&mut self, what: impl Into<String>) {
        if self.laws.violations.len() < VIOLATIONS_MAX {
            let line = format!("{:.3}s: {}", self.time.as_secs_f64(), what.into());
            self.laws.violations.push(line);
        }
    }

    fn past(&mut self, unit: &UnitId) -> &mut Past {
        self.laws.units.entry(unit.clone()).or_default()
    }

    /// Laws 1, 4, 6 and 7, when a shim is about to be started.
    pub(crate) fn check_start(&mut self, unit: &UnitId, digest: Digest) {
        self.laws.starts += 1;
        if let Some(process) = self.processes.of(unit).first() {
            let kind = process.kind;
            self.violated(format!("{unit} is started while a {kind:?} of an earlier start lives"));
        }
        let time = self.time;
        let restart = self.restart_asked.remove(unit);
        let Some(wanted) = self.wanted.get(unit).cloned() else {
            return self.violated(format!("{unit} is started though it is not wanted"));
        };
        if wanted.digest != digest {
            self.violated(format!("{unit} is started with a digest that is not wanted"));
        }
        if let Some(requirement) = wanted.requires.iter().find(|requirement| !self.held(requirement)) {
            self.violated(format!("{unit} is started though {requirement:?} does not hold"));
        }
        let past = self.past(unit);
        let (succeeded, failed) = (past.succeeded.contains(&digest), past.failed_for_good.contains(&digest));
        if restart || past.digest != Some(digest) {
            past.row = 0;
            past.ends = 0;
        }
        let (row, gap) = (past.row, time.saturating_sub(past.last_failure));
        past.digest = Some(digest);
        past.started = time;
        if restart {
            past.failed_for_good.remove(&digest);
        }
        if succeeded {
            self.violated(format!("{unit} ran once and succeeded, and is started again"));
        }
        if failed && !restart {
            self.violated(format!("{unit} failed and is not to be retried, and is started again"));
        }
        if row >= 2 {
            let least = Duration::from_secs(1).saturating_mul(1 << (row - 2).min(20)).min(Duration::from_secs(300));
            if gap < least {
                self.violated(format!("{unit} is started {gap:?} after failure {row} in a row, not after {least:?}"));
            }
        }
    }

    /// Law 1, when a child begins.
    pub(crate) fn check_writers(&mut self, unit: &UnitId, start: u64) {
        let other = |process: &Process| process.start != start;
        if self.processes.of(unit).iter().any(other) {
            self.violated(format!("two processes write the data of {unit}"));
        }
    }

    /// Law 1, when a unit is prepared.
    pub(crate) fn check_prepare(&mut self, unit: &UnitId) {
        if self.processes.writes(unit) {
            self.violated(format!("{unit} is prepared while it runs"));
        }
    }

    /// Laws 2 and 5, when a signal is about to reach a process.
    pub(crate) fn check_signal(&mut self, process: &Process) {
        match process.kind {
            Kind::Foreign => self.violated(format!("pid {} is not ours and was signalled", process.identity.pid)),
            Kind::Shim | Kind::Child => self.check_healthy(process.start, "killed"),
            Kind::Stray => {}
        }
    }

    /// Law 5, when a stop is asked for.
    pub(crate) fn check_stop_sent(&mut self, connection: ConnectionId) {
        let Some(start) = self.connections.get(&connection).map(|connection| connection.start) else { return };
        self.check_healthy(start, "stopped");
        if let Some(unit) = self.shims.get(&start).map(|shim| shim.unit.clone()) {
            self.past(&unit).stop_sent = Some(start);
        }
    }

    fn check_healthy(&mut self, start: u64, what: &str) {
        let Some(shim) = self.shims.get(&start) else { return };
        let unit = shim.unit.clone();
        let begun = self
            .laws
            .units
            .get(&unit)
            .is_some_and(|past| past.stop_recorded == Some(start) || past.stop_sent == Some(start));
        let shim = &self.shims[&start];
        let wanted = self.wanted.get(&unit).is_some_and(|wanted| wanted.digest == shim.digest);
        let excused = begun
            || shim.course.hung
            || shim.stop_asked
            || self.restart_asked.contains(&unit)
            || self.time < self.windows.unreachable + STALE;
        if wanted && shim.child.is_some() && !excused {
            self.violated(format!("{unit} is wanted as it runs, and was {what}"));
        }
    }

    /// Law 3.
    pub(crate) fn check_stop(&mut self, start: u64) {
        let Some(shim) = self.shims.get(&start).filter(|shim| shim.child.is_some()) else { return };
        let unit = shim.unit.clone();
        self.violated(format!("{unit} was to be gone by now and is not"));
    }

    /// A child came to its end by itself or was killed from outside.
    pub(crate) fn note_end(&mut self, start: u64, status: ExitStatus) {
        self.note_loss(start);
        let Some(shim) = self.shims.get(&start) else { return };
        let (unit, digest, stop_asked) = (shim.unit.clone(), shim.digest, shim.stop_asked);
        let no_retry = self.wanted.get(&unit).is_some_and(|wanted| wanted.life == (Life::Once { retry: false }));
        let once = shim.once;
        let (time, node_alive) = (self.time, self.node.alive);
        let past = self.past(&unit);
        let asked = stop_asked || past.stop_sent == Some(start) || past.stop_recorded == Some(start);
        let ran = time.saturating_sub(past.started);
        let certain = node_alive && ran < LONG_RUN;
        let first = past.ends == 0;
        past.ends += 1;
        if once && status.is_success() {
            past.ended_well.insert(digest);
        }
        if asked || (once && status.is_success()) {
            past.row = if certain { past.row } else { 0 };
            return;
        }
        past.row = if certain { past.row + 1 } else { 1 };
        past.last_failure = time;
        if no_retry {
            past.failed_for_good.insert(digest);
        }
        if first && certain && !once {
            self.after(PROMPT, Due::PromptChecked { unit, failed: time });
        }
    }

    /// Law 8, some time after a first failure.
    pub(crate) fn check_prompt(&mut self, unit: &UnitId, failed: Duration) {
        let Some(wanted) = self.wanted.get(unit) else { return };
        let windows = &self.windows;
        let open = [
            windows.disk_full,
            windows.disk_errors,
            windows.unreachable,
            windows.spawn_fails,
            windows.looks_fail,
            windows.no_ports,
            windows.ignore_stop,
            windows.probes_fail,
        ];
        let disturbed = self.laws.disturbed > failed || open.iter().any(|until| *until + CALM > failed);
        let held = wanted.requires.iter().all(|requirement| self.held(requirement));
        let tasks = self.manners.get(unit).is_some_and(|manner| manner.task_failures > 0 || manner.leaks);
        let Some(past) = self.laws.units.get(unit) else { return };
        let tasks = tasks || past.task_failed.is_some_and(|at| failed.saturating_sub(at) < LONG_RUN * 3);
        let undone = past.last_failure == failed && past.started < failed && past.digest == Some(wanted.digest);
        if undone && held && !disturbed && !tasks && self.node.alive {
            self.violated(format!("{unit} failed once and was not started again within {PROMPT:?}"));
        }
    }

    /// A start that served does not any more.
    pub(crate) fn note_loss(&mut self, start: u64) {
        let Some(shim) = self.shims.get(&start) else { return };
        if self.serves(shim) {
            let unit = shim.unit.clone();
            let time = self.time;
            self.past(&unit).served_until = Some(time);
        }
    }

    /// A start came to an end that nobody can report: its shim is killed, or the machine goes down.
    pub(crate) fn note_unknown(&mut self, start: u64) {
        let Some(shim) = self.shims.get(&start) else { return };
        let (unit, digest, stop_asked) = (shim.unit.clone(), shim.digest, shim.stop_asked);
        let no_retry = self.wanted.get(&unit).is_some_and(|wanted| wanted.life == (Life::Once { retry: false }));
        let time = self.time;
        let past = self.past(&unit);
        past.ends += 1;
        if time.saturating_sub(past.started) >= LONG_RUN {
            past.row = 0;
        }
        let asked = stop_asked || past.stop_sent == Some(start) || past.stop_recorded == Some(start);
        if no_retry && !asked {
            past.failed_for_good.insert(digest);
        }
    }

    /// A restart was accepted: failures so far do not count any more.
    pub(crate) fn note_restart(&mut self, unit: &UnitId) {
        self.restart_asked.insert(unit.clone());
        let past = self.past(unit);
        past.row = 0;
        past.failed_for_good.clear();
    }

    /// A task of a unit failed.
    pub(crate) fn note_task_failed(&mut self, unit: &UnitId) {
        let time = self.time;
        self.past(unit).task_failed = Some(time);
    }

    /// A shim has written its exit record.
    pub(crate) fn note_recorded(&mut self, start: u64, status: ExitStatus) {
        let Some(shim) = self.shims.get(&start).filter(|shim| shim.once && status.is_success()) else { return };
        let (unit, digest) = (shim.unit.clone(), shim.digest);
        self.past(&unit).succeeded.insert(digest);
    }

    /// A file was written: what a node recorded holds from now on.
    pub(crate) fn note_write(&mut self, path: &Path, bytes: &[u8]) {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(unit) = path.parent().and_then(Inner::unit_of) else { return };
        match name {
            Some(RECORD_FILE) => {}
            Some(EXIT_FILE) => return,
            _ => return self.violated(format!("{} is no file of a unit", path.display())),
        }
        let record = match Record::decode(bytes) {
            Ok(record) => record,
            Err(error) => return self.violated(format!("{unit}: {error}")),
        };
        let start = self.shims.iter().find(|(_, shim)| shim.unit == unit).map(|(start, _)| *start);
        let past = self.past(&unit);
        let invented = record.succeeded.is_some_and(|digest| !past.ended_well.contains(&digest));
        past.succeeded.extend(record.succeeded);
        // A start of which nothing is known, not even whether it happened, is a failure for good.
        past.failed_for_good.extend(record.gave_up);
        if record.stage == Stage::Stopping {
            past.stop_recorded = start;
        }
        if invented {
            self.violated(format!("{unit} is recorded to have succeeded, and has not"));
        }
    }

    /// Whether a requirement holds, or held a moment ago.
    fn held(&self, requirement: &Requirement) -> bool {
        let recently = |unit: &UnitId| {
            let until = self.laws.units.get(unit).and_then(|past| past.served_until);
            until.is_some_and(|until| self.time.saturating_sub(until) <= STALE)
        };
        match requirement {
            Requirement::Success(unit) => {
                let digest = self.wanted.get(unit).map(|wanted| wanted.digest);
                let past = self.laws.units.get(unit);
                digest.zip(past).is_some_and(|(digest, past)| past.succeeded.contains(&digest))
            }
            Requirement::Resource(_) | Requirement::Service(_) => {
                self.shims.values().any(|shim| meets(&shim.unit, requirement) && self.serves(shim))
                    || self.laws.units.keys().any(|unit| meets(unit, requirement) && recently(unit))
            }
        }
    }

    /// Whether a shim's child does what it is there for.
    fn serves(&self, shim: &Shim) -> bool {
        let completed = self.wanted.get(&shim.unit).is_none_or(|unit| unit.completed.is_none()) || shim.completed;
        let ready = match self.wanted.get(&shim.unit).map(|unit| unit.ready) {
            Some(None) => shim.child.is_some(),
            _ => shim.child.is_some() && shim.course.ready_at <= self.time,
        };
        ready && completed
    }

    /// Law 9: what is not as wanted, in words; empty when all is.
    pub fn unsettled(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for process in self.processes.ours() {
            let wanted = process.unit.as_ref().is_some_and(|unit| self.wanted.contains_key(unit));
            if !wanted {
                lines.push(format!("{:?} of {:?} is left, which is not wanted", process.kind, process.unit));
            }
        }
        for (id, unit) in &self.wanted {
            if let Some(line) = self.unit_unsettled(id, unit) {
                lines.push(line);
            }
        }
        lines
    }

    fn unit_unsettled(&self, id: &UnitId, unit: &Unit) -> Option<String> {
        let past = self.laws.units.get(id);
        let came_to_end =
            |digests: fn(&Past) -> &BTreeSet<Digest>| past.is_some_and(|past| digests(past).contains(&unit.digest));
        match unit.life {
            Life::Once { .. } if came_to_end(|past| &past.succeeded) => None,
            Life::Once { retry: false } if came_to_end(|past| &past.failed_for_good) => None,
            Life::Once { .. } => Some(format!("{id} has not come to its end")),
            Life::Lasting => {
                let running: Vec<&Shim> = self.shims.values().filter(|shim| shim.unit == *id).collect();
                match running.as_slice() {
                    [shim] if shim.digest != unit.digest => Some(format!("{id} runs with another digest")),
                    [shim] if !self.serves(shim) || shim.course.hung => Some(format!("{id} does not serve")),
                    [_] => None,
                    [] => Some(format!("{id} does not run")),
                    _ => Some(format!("{id} runs several times")),
                }
            }
        }
    }
}
