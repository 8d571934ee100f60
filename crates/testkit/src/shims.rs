//! Simulated shims: each runs [`supervise::shim::core::Core`], the state machine of the real one, over a
//! simulated child.
//!
//! Start reading at [`Shim`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{Address, Digest, ExitStatus, ProcessIdentity, UnitId};
use plan::supervision::Life;
use supervise::launch::Launch;
use supervise::protocol::{Report, Request};
use supervise::record::EXIT_FILE;
use supervise::shim::core::{Client, Core, Effect, Input, Reach};
use sys::{ConnectionId, Event, ProbeFailure, ProbeOutcome, ProbeTarget};

use crate::invariants::{STOP_ALLOWANCE, STOP_LONGEST};
use crate::manner::Course;
use crate::process::Kind;
use crate::world::{Due, Inner, Task};

/// SIGKILL.
const KILLED: ExitStatus = ExitStatus::Signal(9);

/// One simulated shim.
#[derive(Debug)]
pub struct Shim {
    /// Its process.
    pub identity: ProcessIdentity,
    /// Its unit.
    pub unit: UnitId,
    /// The digest it was started with.
    pub digest: Digest,
    /// Its child while that lives.
    pub child: Option<ProcessIdentity>,
    /// How its child behaves.
    pub course: Course,
    /// Whether it runs to its end once.
    pub once: bool,
    /// The port its child listens on.
    pub port: Option<u16>,
    /// Whether its unit was completed since it started.
    pub completed: bool,
    /// Whether a stop has reached it.
    pub stop_asked: bool,
    core: Core,
    /// Whether its socket listens.
    socket: Socket,
    clients: BTreeMap<Client, ConnectionId>,
    timer: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Absent,
    Listens,
}

impl Shim {
    /// Whether its child answers at this time.
    pub fn answers(&self, time: Duration) -> bool {
        self.child.is_some() && !self.course.hung && self.course.ready_at <= time
    }
}

impl Inner {
    /// A shim starts; its child comes a moment later.
    pub(crate) fn shim_spawned(&mut self, unit: &UnitId, launch: &Launch) -> ProcessIdentity {
        self.starts += 1;
        let start = self.starts;
        let boot = self.boot_id();
        let identity = self.processes.add(&boot, Kind::Shim, Some(unit.clone()), start, 0);
        let port = match &launch.address {
            Some(Address::Tcp(address)) => Some(address.port()),
            _ => None,
        };
        let once = self.wanted.get(unit).is_some_and(|unit| matches!(unit.life, Life::Once { .. }));
        let idle = Course {
            ready_at: Duration::MAX,
            hung: false,
            ignores_stop: false,
            stop_takes: Duration::ZERO,
            ends: None,
        };
        let shim = Shim {
            identity: identity.clone(),
            unit: unit.clone(),
            digest: launch.digest,
            child: None,
            course: idle,
            once,
            port,
            completed: false,
            stop_asked: false,
            core: Core::new(unit.clone(), launch.digest, Some(self.home), self.clocks().wall),
            // Some listen before their child has started, some after.
            socket: if self.random.one_in(2) { Socket::Listens } else { Socket::Absent },
            clients: BTreeMap::new(),
            timer: None,
        };
        self.shims.insert(start, shim);
        let wait = self.random.span(Duration::from_millis(1), Duration::from_millis(40));
        self.after(wait, Due::ShimBegins { start });
        identity
    }

    pub(crate) fn shim_begins(&mut self, start: u64) {
        let Some(unit) = self.shims.get(&start).map(|shim| shim.unit.clone()) else { return };
        let time = self.time;
        let boot = self.boot_id();
        let mut manner = self.manners.remove(&unit).unwrap_or_default();
        let missing = manner.missing > 0;
        manner.missing = manner.missing.saturating_sub(1);
        let course = manner.next(time, &mut self.random);
        let leaks = manner.leaks;
        self.manners.insert(unit.clone(), manner);
        let input = match missing {
            true => {
                self.note_end(start, ExitStatus::NotStarted);
                Input::NotStarted { note: "no such file or directory".to_owned() }
            }
            false => {
                self.check_writers(&unit, start);
                let child = self.processes.add(&boot, Kind::Child, Some(unit.clone()), start, 0);
                if leaks {
                    let tough = u32::try_from(self.random.below(4)).unwrap_or(0);
                    self.processes.add(&boot, Kind::Stray, Some(unit.clone()), start, tough);
                }
                if let Some((at, code)) = course.ends {
                    let status = ExitStatus::Code(code);
                    self.at(at, Due::ChildEnds { start, child: child.clone(), status });
                }
                if let Some(shim) = self.shims.get_mut(&start) {
                    shim.child = Some(child.clone());
                    shim.course = course;
                }
                Input::Started(child)
            }
        };
        if let Some(shim) = self.shims.get_mut(&start) {
            shim.socket = Socket::Listens;
        }
        self.shim_step(start, input);
    }

    pub(crate) fn shim_timer(&mut self, start: u64, at: Duration) {
        if self.shims.get(&start).is_some_and(|shim| shim.timer == Some(at)) {
            self.shim_step(start, Input::Timer);
        }
    }

    pub(crate) fn child_ends(&mut self, start: u64, child: &ProcessIdentity, status: ExitStatus) {
        if self.processes.get(child).is_none() {
            return;
        }
        self.note_end(start, status);
        self.processes.remove(child);
        self.freed(child);
        if let Some(shim) = self.shims.get_mut(&start) {
            shim.child = None;
        }
        self.shim_step(start, Input::Exited { status, note: None });
    }

    /// Its shim was killed: the kernel kills the child.
    pub(crate) fn orphaned(&mut self, child: &ProcessIdentity) {
        if self.processes.remove(child).is_some() {
            self.freed(child);
        }
    }

    /// SIGKILL to a shim.
    pub fn kill_shim(&mut self, start: u64) {
        self.note_loss(start);
        self.note_unknown(start);
        let Some(shim) = self.shims.remove(&start) else { return };
        self.processes.remove(&shim.identity);
        self.freed(&shim.identity);
        if let Some(child) = shim.child {
            self.after(Duration::from_millis(1), Due::Orphaned { child });
        }
        for connection in shim.clients.into_values() {
            self.tell_node(connection, |connection| Event::Closed { connection });
        }
    }

    /// SIGKILL to a shim's child.
    pub fn kill_child(&mut self, start: u64) {
        let Some(child) = self.shims.get(&start).and_then(|shim| shim.child.clone()) else { return };
        self.after(Duration::ZERO, Due::ChildEnds { start, child, status: KILLED });
    }

    /// Connections to a shim end, as if by accident.
    pub fn drop_connections(&mut self) {
        let open: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in open {
            self.tell_node(id, |connection| Event::Closed { connection });
            if let Some(connection) = self.connections.get(&id) {
                let (start, client) = (connection.start, connection.client);
                self.after(Duration::ZERO, Due::Hung { start, client });
            }
        }
    }

    pub(crate) fn shim_connected(&mut self, unit: &UnitId) -> Option<ConnectionId> {
        let unreachable = self.time < self.windows.unreachable;
        let start = self
            .shims
            .iter()
            .find(|(_, shim)| shim.unit == *unit && shim.socket == Socket::Listens)
            .map(|(start, _)| *start);
        let start = start.filter(|_| !unreachable)?;
        self.connections_made += 1;
        let (id, client) = (ConnectionId(self.connections_made), Client(self.connections_made));
        let now = self.time;
        let connection = crate::world::Connection { start, client, to_node: now, to_shim: now };
        self.connections.insert(id, connection);
        if let Some(shim) = self.shims.get_mut(&start) {
            shim.clients.insert(client, id);
        }
        self.shim_step(start, Input::Connected(client));
        Some(id)
    }

    pub(crate) fn shim_asked(&mut self, connection: ConnectionId, request: Request) {
        let Some(Connected { start, client }) = self.connected(connection) else { return };
        if let Request::Stop { deadline_ms, .. } = &request
            && let Some(shim) = self.shims.get_mut(&start)
            && !std::mem::replace(&mut shim.stop_asked, true)
        {
            let deadline = Duration::from_millis(*deadline_ms).min(STOP_LONGEST);
            self.after(deadline + STOP_ALLOWANCE, Due::StopChecked { start });
        }
        self.shim_step(start, Input::Asked(client, request));
    }

    fn connected(&self, connection: ConnectionId) -> Option<Connected> {
        let connection = self.connections.get(&connection)?;
        Some(Connected { start: connection.start, client: connection.client })
    }

    pub(crate) fn client_gone(&mut self, start: u64, client: Client) {
        if let Some(shim) = self.shims.get_mut(&start) {
            shim.clients.remove(&client);
        }
        self.shim_step(start, Input::Disconnected(client));
    }

    fn shim_step(&mut self, start: u64, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.clocks();
            let Some(shim) = self.shims.get_mut(&start) else { return };
            shim.timer = None;
            for effect in shim.core.step(now, input) {
                inputs.extend(self.shim_effect(start, effect));
            }
        }
    }

    fn shim_effect(&mut self, start: u64, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Signal(_) => self.child_signalled(start),
            Effect::Kill(reach) => return Some(Input::Left(self.kill_unit(start, reach))),
            Effect::Record(report) => {
                let unit = self.shims.get(&start)?.unit.clone();
                let bytes = serde_json::to_vec(&report).unwrap_or_default();
                let written = self.write_file(&Inner::folder(&unit).join(EXIT_FILE), &bytes).is_ok();
                if written {
                    self.note_recorded(start, report.exit.status);
                }
                return Some(Input::Recorded(written));
            }
            Effect::Tell(client, report) => {
                let connection = self.shims.get(&start)?.clients.get(&client).copied();
                connection.into_iter().for_each(|connection| self.tell_report(connection, &report));
            }
            Effect::TellAll(report) => {
                let all: Vec<ConnectionId> = self.shims.get(&start)?.clients.values().copied().collect();
                all.into_iter().for_each(|connection| self.tell_report(connection, &report));
            }
            Effect::Run { command, .. } => {
                let output = "commands are not simulated".to_owned();
                return Some(Input::CommandEnded { command, code: None, output });
            }
            Effect::KillCommand(_) => {}
            Effect::Arm(steady) => {
                let at = self.time_at(steady);
                self.shims.get_mut(&start)?.timer = Some(at);
                self.at(at, Due::ShimTimer { start, at });
            }
            Effect::End => self.shim_ends(start),
        }
        None
    }

    fn child_signalled(&mut self, start: u64) {
        let deaf = self.time < self.windows.ignore_stop;
        let Some(shim) = self.shims.get(&start) else { return };
        let Some(child) = shim.child.clone() else { return };
        if !deaf && !shim.course.ignores_stop && !shim.course.hung {
            let status = if shim.once { ExitStatus::Signal(15) } else { ExitStatus::Code(0) };
            self.after(shim.course.stop_takes, Due::ChildEnds { start, child, status });
        }
    }

    /// Kills processes of the unit and says how many were there.
    fn kill_unit(&mut self, start: u64, reach: Reach) -> usize {
        let Some(unit) = self.shims.get(&start).map(|shim| shim.unit.clone()) else { return 0 };
        let mut found = 0;
        for process in self.processes.of(&unit) {
            match process.kind {
                Kind::Stray => {
                    found += 1;
                    self.kill_stray(&process.identity);
                }
                Kind::Child if reach == Reach::Everything => {
                    found += 1;
                    let child = process.identity;
                    self.after(Duration::from_millis(1), Due::ChildEnds { start, child, status: KILLED });
                }
                Kind::Child | Kind::Shim | Kind::Foreign => {}
            }
        }
        found
    }

    pub(crate) fn kill_stray(&mut self, identity: &ProcessIdentity) {
        let Some(process) = self.processes.get_mut(identity) else { return };
        match process.tough {
            0 => {
                self.processes.remove(identity);
                self.freed(identity);
            }
            _ => process.tough -= 1,
        }
    }

    fn shim_ends(&mut self, start: u64) {
        let Some(shim) = self.shims.remove(&start) else { return };
        self.processes.remove(&shim.identity);
        self.freed(&shim.identity);
        for connection in shim.clients.into_values() {
            self.tell_node(connection, |connection| Event::Closed { connection });
        }
    }

    fn tell_report(&mut self, connection: ConnectionId, report: &Report) {
        let bytes = serde_json::to_vec(report).unwrap_or_default();
        self.tell_node(connection, |connection| Event::Message { connection, bytes });
    }

    fn tell_node(&mut self, id: ConnectionId, event: impl FnOnce(ConnectionId) -> Event) {
        let wait = self.lag();
        let generation = self.node.generation;
        let time = self.time;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.to_node = connection.to_node.max(time + wait);
        let at = connection.to_node;
        self.at(at, Due::ToNode { generation, event: event(id) });
    }

    /// How long a message is under way.
    pub(crate) fn lag(&mut self) -> Duration {
        let most = if self.random.one_in(50) { 800 } else { 3 };
        self.random.span(Duration::ZERO, Duration::from_millis(most))
    }

    pub(crate) fn probe_answer(&mut self, target: &ProbeTarget) -> ProbeOutcome {
        let (port, readiness) = match target {
            ProbeTarget::Http { address: Address::Tcp(address), path } => (address.port(), path.as_str() != "/live"),
            ProbeTarget::Connect { address: Address::Tcp(address) } => (address.port(), true),
            _ => return Err(failure("such a probe is not simulated")),
        };
        let time = self.time;
        let Some(shim) = self.shims.values().find(|shim| shim.port == Some(port) && shim.child.is_some()) else {
            return Err(failure("connection refused"));
        };
        match readiness {
            _ if shim.course.hung => Err(failure("no answer within the timeout")),
            true if time < self.windows.probes_fail => Err(failure("status 503")),
            true if !shim.answers(time) => Err(failure("status 503")),
            _ => Ok(()),
        }
    }

    pub(crate) fn task_outcome(&mut self, task: &Task) -> sys::TaskOutcome {
        let (Task::Prepare(unit) | Task::Complete(unit)) = task;
        let manner = self.manners.entry(unit.clone()).or_default();
        if manner.task_failures > 0 {
            manner.task_failures -= 1;
            self.note_task_failed(unit);
            return Err("the task failed".to_owned());
        }
        if matches!(task, Task::Complete(_)) {
            let running = self.shims.values_mut().find(|shim| shim.unit == *unit && shim.child.is_some());
            match running {
                Some(shim) => shim.completed = true,
                None => return Err("connection refused".to_owned()),
            }
        }
        Ok(())
    }
}

struct Connected {
    start: u64,
    client: Client,
}

fn failure(what: &str) -> ProbeFailure {
    ProbeFailure { what: what.to_owned(), snippet: String::new() }
}
