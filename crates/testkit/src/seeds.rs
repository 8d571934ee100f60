//! One simulated run: a stack comes up, chance faults are inflicted for an hour, they end, everything
//! settles, and the stack goes down.
//!
//! Start reading at [`run`]. The same seed gives the same run, event for event.

use std::time::Duration;

use model::{ReleaseNumber, ReplicaNumber, RunNumber, UnitId};
use supervise::supervisor::State;

use crate::drive::Drive;
use crate::fault::{Counts, Fault};
use crate::manner::Manner;
use crate::random::Random;
use crate::sample::{self, Part};
use crate::world::{Inner, Windows};

/// The simulated time during which faults are inflicted.
pub const FAULTY: Duration = Duration::from_secs(3600);
/// At least so many faults are inflicted in each run.
pub const FAULTS_MIN: u64 = 5;
/// At most so many.
pub const FAULTS_MAX: u64 = 20;
/// Within which everything is as wanted after the last fault: the longest back-off, its jitter, and one
/// start after another.
pub const SETTLES: Duration = Duration::from_secs(900);
/// Within which a stack is down.
pub const GOES_DOWN: Duration = Duration::from_secs(180);
/// The longest a node stays away.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was broken; empty when all is well.
    pub violations: Vec<String>,
    /// The faults inflicted.
    pub counts: Counts,
    /// Simulated time.
    pub time: Duration,
    /// Events and wake-ups that nodes took in.
    pub turns: u64,
    /// Shims started.
    pub starts: u64,
    /// What happened, line by line; empty unless asked for.
    pub trace: Vec<String>,
}

/// The run of this seed.
pub fn run(seed: u64, traced: bool) -> Outcome {
    let mut run = Run::new(seed);
    run.drive.trace = traced.then(Vec::new);
    run.go();
    let trace = run.drive.trace.take().unwrap_or_default();
    let world = run.drive.world.look();
    Outcome {
        trace,
        violations: world.laws.violations.clone(),
        counts: world.counts.clone(),
        time: world.time,
        turns: run.drive.turns,
        starts: world.laws.starts,
    }
}

struct Run {
    drive: Drive,
    random: Random,
    parts: Vec<Part>,
    node_back: Option<Duration>,
    wanted_back: Option<(Duration, Vec<Part>)>,
    last_run: u32,
    /// Parts that were wanted once: their digests never come back, as a release's never do.
    gone: Vec<Part>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut ids = vec!["db", "api.1.release", "api.1.1", "api.1.2"];
        for (id, times) in [("cache", 2), ("worker.1.1", 2), ("api.1.3", 3), ("job.1.run.1", 2)] {
            if random.one_in(times) {
                ids.push(id);
            }
        }
        let parts = ids.iter().filter_map(|id| id.parse().ok()).map(Part::first).collect();
        Self {
            drive: Drive::new(seed),
            random,
            parts,
            node_back: None,
            wanted_back: None,
            last_run: 1,
            gone: Vec::new(),
        }
    }

    fn go(&mut self) {
        self.want();
        self.drive.start_node();
        let begin = self.drive.world.look().time;
        let faults = FAULTS_MIN + self.random.below(FAULTS_MAX - FAULTS_MIN + 1);
        let mut times: Vec<Duration> = (0..faults).map(|_| begin + self.random.span(Duration::ZERO, FAULTY)).collect();
        times.sort_unstable();
        for at in times {
            self.run_to(at);
            self.inflict();
            // A second fault on the heels of the first finds what a quiet world never shows.
            if self.random.one_in(4) {
                let soon = at + self.random.span(Duration::from_millis(1), Duration::from_secs(3));
                self.run_to(soon);
                self.inflict();
            }
        }
        self.run_to(begin + FAULTY);
        while self.drive.world.look().counts.total() < FAULTS_MIN {
            self.inflict();
            let soon = self.now() + Duration::from_secs(30);
            self.run_to(soon);
        }
        self.end_faults();
        self.settle("an hour of faults", SETTLES);
        self.go_down();
    }

    /// Runs to this time; a node that is to come back meanwhile does.
    fn run_to(&mut self, end: Duration) {
        loop {
            let now = self.now();
            let back = [self.node_back, self.wanted_back.as_ref().map(|(at, _)| *at)];
            let next = back.into_iter().flatten().min().filter(|at| *at <= end);
            let Some(at) = next else {
                self.drive.run_for(end.saturating_sub(now));
                break;
            };
            self.drive.run_for(at.saturating_sub(now));
            self.come_back();
        }
        self.notice_death();
    }

    fn come_back(&mut self) {
        let now = self.now();
        if self.node_back.is_some_and(|at| at <= now) {
            self.node_back = None;
            self.drive.note("--- a node begins");
            self.drive.start_node();
        }
        if let Some((_, parts)) = self.wanted_back.take_if(|(at, _)| *at <= now) {
            self.parts = parts;
            self.want();
        }
        self.notice_death();
    }

    /// A node that was killed by its budget comes back like any other.
    fn notice_death(&mut self) {
        if !self.drive.has_node() && self.node_back.is_none() {
            self.node_back = Some(self.now() + self.random.span(Duration::from_millis(5), AWAY_MAX));
        }
    }

    fn now(&self) -> Duration {
        self.drive.world.look().time
    }

    fn want(&mut self) {
        {
            let mut world = self.drive.world.change();
            for part in &self.parts {
                world.manners.entry(part.id.clone()).or_insert_with(|| sample::manner(&part.id));
            }
            world.laws.disturbed = world.time;
        }
        self.drive.want(sample::stack(&self.parts));
    }

    fn kill_node(&mut self) {
        self.drive.kill_node();
        let away = if self.random.one_in(2) { AWAY_MAX } else { Duration::from_secs(2) };
        self.node_back = Some(self.now() + self.random.span(Duration::from_millis(5), away));
    }

    fn inflict(&mut self) {
        let Some(fault) = self.random.pick(&Fault::ALL).copied() else { return };
        self.drive.note(&format!("--- {fault:?}"));
        if self.carry_out(fault) {
            self.drive.world.change().inflicted(fault);
        }
        self.notice_death();
    }

    /// Does it; whether there was anything to do it to.
    fn carry_out(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::KillReplica => self.kill_child(|id| matches!(id, UnitId::Replica(..))),
            Fault::KillResource => self.kill_child(|id| matches!(id, UnitId::Resource(_))),
            Fault::KillShim => self.kill_shim(),
            Fault::KillNode => {
                let there = self.drive.has_node();
                self.kill_node();
                there
            }
            Fault::KillNodeAtCall => {
                let calls = self.random.below(12);
                self.drive.world.change().node.budget = Some(calls);
                self.disturb_a_little();
                self.drive.has_node()
            }
            Fault::KillNodeAndShim => {
                self.kill_node();
                self.kill_shim()
            }
            Fault::Reboot => {
                self.drive.reboot();
                self.node_back = Some(self.now() + self.random.span(Duration::from_secs(1), AWAY_MAX));
                true
            }
            Fault::DiskFull
            | Fault::DiskErrors
            | Fault::ProbesFail
            | Fault::Unreachable
            | Fault::SpawnFails
            | Fault::NoPorts
            | Fault::IgnoreStop => self.open_window(fault),
            Fault::ClockStep => {
                let hour = 3_600_000;
                let step = i64::try_from(self.random.below(2 * hour)).unwrap_or(0) - 3_600_000;
                self.drive.world.change().wall_off += step;
                true
            }
            Fault::Hang => self.hang(),
            Fault::DropConnections => {
                self.drive.world.change().drop_connections();
                true
            }
            Fault::SlowStart | Fault::CrashLoop | Fault::LeakStrays | Fault::TaskFails => self.spoil(fault),
            Fault::ChangeDigest => self.change_digest(),
            Fault::ChangeSet => self.change_set(),
            Fault::DownAndUp => self.down_and_up(),
            Fault::RestartAsked => self.ask_restart(),
        }
    }

    /// What gives the node something to do, so that a budget of calls is used up at an interesting point.
    fn disturb_a_little(&mut self) {
        match self.random.below(4) {
            0 => self.kill_child(|_| true),
            1 => self.change_digest(),
            2 => self.ask_restart(),
            _ => self.down_and_up(),
        };
    }

    fn start_of(&mut self, fits: impl Fn(&UnitId) -> bool) -> Option<u64> {
        let world = self.drive.world.look();
        let starts: Vec<u64> =
            world.shims.iter().filter(|(_, shim)| fits(&shim.unit)).map(|(start, _)| *start).collect();
        drop(world);
        self.random.pick(&starts).copied()
    }

    fn kill_child(&mut self, fits: impl Fn(&UnitId) -> bool) -> bool {
        let start = self.start_of(fits);
        start.is_some_and(|start| {
            self.drive.world.change().kill_child(start);
            true
        })
    }

    fn kill_shim(&mut self) -> bool {
        let start = self.start_of(|_| true);
        start.is_some_and(|start| {
            self.drive.world.change().kill_shim(start);
            true
        })
    }

    fn hang(&mut self) -> bool {
        let start = self.start_of(|id| matches!(id, UnitId::Replica(service, ..) if service.as_str() == "api"));
        let mut world = self.drive.world.change();
        let Some(shim) = start.and_then(|start| world.shims.get_mut(&start)) else { return false };
        shim.course.hung = true;
        true
    }

    fn open_window(&mut self, fault: Fault) -> bool {
        let longest = match fault {
            // A shim that cannot be reached for a minute is taken for stuck, by design.
            Fault::Unreachable => Duration::from_secs(40),
            Fault::ProbesFail | Fault::DiskErrors => Duration::from_secs(90),
            _ => Duration::from_secs(400),
        };
        let mut world = self.drive.world.change();
        let until = world.time + self.random.span(Duration::from_millis(100), longest);
        let time = world.time;
        let window = match fault {
            Fault::DiskFull => &mut world.windows.disk_full,
            Fault::DiskErrors => &mut world.windows.disk_errors,
            Fault::ProbesFail => &mut world.windows.probes_fail,
            Fault::SpawnFails => &mut world.windows.spawn_fails,
            Fault::NoPorts => &mut world.windows.no_ports,
            Fault::IgnoreStop => &mut world.windows.ignore_stop,
            _ if world.windows.unreachable + Duration::from_secs(60) > time => return false,
            _ => &mut world.windows.unreachable,
        };
        *window = until;
        true
    }

    fn spoil(&mut self, fault: Fault) -> bool {
        let Some(part) = self.random.pick(&self.parts).cloned() else { return false };
        let count = u32::try_from(1 + self.random.below(7)).unwrap_or(1);
        let slow = self.random.span(Duration::from_secs(5), Duration::from_secs(60));
        let mut world = self.drive.world.change();
        let manner = world.manners.entry(part.id.clone()).or_insert_with(|| sample::manner(&part.id));
        match fault {
            Fault::SlowStart => manner.ready_after = slow,
            Fault::CrashLoop if count % 3 == 0 => manner.missing = count,
            Fault::CrashLoop => manner.crashes = count,
            Fault::LeakStrays => manner.leaks = true,
            _ => manner.task_failures = count,
        }
        drop(world);
        if fault == Fault::CrashLoop
            && let Some(start) = self.start_of(|id| *id == part.id)
        {
            self.drive.world.change().kill_child(start);
        }
        true
    }

    fn change_digest(&mut self) -> bool {
        let index = usize::try_from(self.random.below(self.parts.len() as u64)).unwrap_or(0);
        let only_completion = self.random.one_in(3);
        let Some(part) = self.parts.get_mut(index) else { return false };
        match only_completion {
            true => part.completion = part.completion.wrapping_add(1),
            false => part.version = part.version.wrapping_add(1),
        }
        self.want();
        true
    }

    fn add(&mut self, id: UnitId) {
        if self.parts.iter().all(|part| part.id != id) {
            let earlier = self.gone.iter().rev().find(|part| part.id == id).cloned();
            self.parts.push(earlier.unwrap_or(Part::first(id)));
        }
    }

    fn change_set(&mut self) -> bool {
        self.gone.retain(|gone| self.parts.iter().all(|part| part.id != gone.id));
        self.gone.extend(self.parts.iter().cloned());
        let (Ok(api), Ok(job)) = ("api".parse(), "job".parse()) else { return false };
        match self.random.below(4) {
            0 => {
                let replica = ReplicaNumber(1 + u32::try_from(self.random.below(4)).unwrap_or(0));
                self.add(UnitId::Replica(api, ReleaseNumber(1), replica));
            }
            1 => {
                self.last_run += 1;
                self.parts.retain(|part| !matches!(part.id, UnitId::Run(..)));
                self.add(UnitId::Run(job, ReleaseNumber(1), RunNumber(self.last_run)));
            }
            2 => self.parts.retain(|part| !matches!(part.id, UnitId::Replica(_, _, ReplicaNumber(2)))),
            _ => {
                self.parts.retain(|part| part.id.service() != Some(&api));
                let (Ok(run), Ok(one)) = ("api.2.release".parse(), "api.2.1".parse()) else { return false };
                self.add(run);
                self.add(one);
            }
        }
        self.want();
        true
    }

    fn down_and_up(&mut self) -> bool {
        if self.parts.is_empty() {
            return false;
        }
        let back = self.now() + self.random.span(Duration::from_millis(1), Duration::from_secs(60));
        self.wanted_back = Some((back, std::mem::take(&mut self.parts)));
        self.want();
        true
    }

    fn ask_restart(&mut self) -> bool {
        let Some(part) = self.random.pick(&self.parts).cloned() else { return false };
        self.drive.restart(&part.id)
    }

    /// From now on nothing goes wrong any more.
    fn end_faults(&mut self) {
        if let Some((_, parts)) = self.wanted_back.take() {
            self.parts = parts;
            self.want();
        }
        if !self.drive.has_node() {
            self.node_back = None;
            self.drive.start_node();
        }
        let mut world = self.drive.world.change();
        world.node.budget = None;
        world.windows = Windows::default();
        let tame = |(id, manner): (&UnitId, &mut Manner)| *manner = sample::manner(id);
        world.manners.iter_mut().for_each(tame);
    }

    fn settle(&mut self, after: &str, within: Duration) {
        let settled = self.drive.run_until(within, |drive| {
            drive.world.look().unsettled().is_empty()
                && drive
                    .snapshot()
                    .iter()
                    .all(|unit| matches!(unit.state, State::Ready | State::Succeeded | State::Failed))
        });
        if !settled {
            let mut lines = self.drive.world.look().unsettled();
            let odd = self.drive.snapshot();
            let odd = odd.iter().filter(|unit| !matches!(unit.state, State::Ready | State::Succeeded | State::Failed));
            lines.extend(odd.map(|unit| format!("{} is seen as {:?} ({:?})", unit.unit, unit.state, unit.waiting)));
            let line = format!("not settled {within:?} after {after}: {}", lines.join("; "));
            self.drive.world.change().violated(line);
        }
    }

    fn go_down(&mut self) {
        self.parts.clear();
        self.want();
        let down = self.drive.run_until(GOES_DOWN, |drive| drive.is_down());
        let left = self.drive.world.look().unsettled();
        let shims = self.drive.world.look().shims.len();
        if !down || !left.is_empty() || shims > 0 {
            let line = format!("not down within {GOES_DOWN:?} (known down: {down}): {}", left.join("; "));
            Inner::violated(&mut self.drive.world.change(), line);
        }
    }
}
