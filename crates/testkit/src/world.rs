//! The simulated machine: clocks, files, processes, shims, connections, probes and tasks, in one
//! thread and from one seed.
//!
//! Start reading at [`World`]; what a supervisor sees of it is in [`crate::machine`], its shims are in
//! [`crate::shims`], and what must never happen in it is in [`crate::invariants`].

use std::cell::{Ref, RefCell, RefMut};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use model::{BootId, ExitStatus, ProcessIdentity, Timestamp, UnitId};
use plan::supervision::Unit;
use supervise::protocol::Request;
use supervise::shim::core::Client;
use sys::{ConnectionId, Event, FolderIdentity, Now, ProbeTarget, Ticket};

use crate::fault::{Counts, Fault};
use crate::invariants::Laws;
use crate::manner::Manner;
use crate::process::Processes;
use crate::random::Random;
use crate::shims::Shim;

/// The state directory of every simulated node.
pub const STATE: &str = "/state";
/// When every simulated world begins on its wall clock: 2026-11-20T17:00:00Z.
const BEGIN_MILLIS: i64 = 1_795_194_000_000;
/// How long the machine has been up when a world begins.
const UP_FOR: Duration = Duration::from_secs(100);

/// A simulated machine. Clones are the same machine.
#[derive(Debug, Clone)]
pub struct World(Rc<RefCell<Inner>>);

/// Work that a supervisor begins here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Prepares this unit.
    Prepare(UnitId),
    /// Completes this unit.
    Complete(UnitId),
}

/// Until when the machine misbehaves, on the world's own time.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// Writes fail for want of space.
    pub disk_full: Duration,
    /// Reads and writes fail.
    pub disk_errors: Duration,
    /// Readiness probes fail.
    pub probes_fail: Duration,
    /// No connection to a shim can be made.
    pub unreachable: Duration,
    /// No shim can be started.
    pub spawn_fails: Duration,
    /// No process can be looked at or for: the node has no descriptor left to do it with.
    pub looks_fail: Duration,
    /// No port is free: others listen on every one that nobody of ours does.
    pub no_ports: Duration,
    /// Children ignore the gentle signal.
    pub ignore_stop: Duration,
}

/// The node's process, as the machine sees it.
#[derive(Debug, Default)]
pub struct NodeSeat {
    /// Counts the nodes; calls and events of earlier ones go nowhere.
    pub generation: u64,
    /// Whether a node is alive.
    pub alive: bool,
    /// After so many more calls that change something it is killed.
    pub budget: Option<u64>,
    /// Whether the budget has run out.
    pub killed: bool,
    /// Calls so far that changed something, all nodes together.
    pub calls: u64,
}

/// One connection from a node to a shim.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) start: u64,
    pub(crate) client: Client,
    /// Nothing on this connection arrives before what was sent earlier.
    pub(crate) to_node: Duration,
    pub(crate) to_shim: Duration,
}

/// What is due at a later time.
#[derive(Debug)]
pub(crate) enum Due {
    ShimBegins { start: u64 },
    ShimTimer { start: u64, at: Duration },
    ChildEnds { start: u64, child: ProcessIdentity, status: ExitStatus },
    Orphaned { child: ProcessIdentity },
    Asked { connection: ConnectionId, request: Request },
    Hung { start: u64, client: Client },
    ToNode { generation: u64, event: Event },
    Probe { generation: u64, ticket: Ticket, target: ProbeTarget },
    TaskEnds { generation: u64, ticket: Ticket, task: Task },
    StopChecked { start: u64 },
    PromptChecked { unit: UnitId, failed: Duration },
    Reused { pid: model::Pid },
}

pub(crate) struct Queued {
    at: Duration,
    order: u64,
    due: Due,
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.at, self.due)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Everything that a world is made of.
#[derive(Debug)]
pub struct Inner {
    /// Time since the world began.
    pub time: Duration,
    /// When the current boot began, on the same scale less [`UP_FOR`].
    booted: Duration,
    /// Which boot it is.
    boot: u32,
    /// How far the wall clock is off, in milliseconds.
    pub wall_off: i64,
    /// Where all chance comes from.
    pub random: Random,
    pub(crate) queue: BinaryHeap<Reverse<Queued>>,
    queued: u64,
    /// Which folder of units the node finds.
    pub home: FolderIdentity,
    /// The files.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The windows of misbehaviour.
    pub windows: Windows,
    /// The processes.
    pub processes: Processes,
    /// The shims that run, by start.
    pub shims: BTreeMap<u64, Shim>,
    /// Starts so far.
    pub starts: u64,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) connections_made: u64,
    pub(crate) ports_given: u16,
    /// How the children of each unit behave.
    pub manners: BTreeMap<UnitId, Manner>,
    /// The node's process.
    pub node: NodeSeat,
    /// What is wanted at the moment.
    pub wanted: BTreeMap<UnitId, Unit>,
    /// Units of which a restart was asked for since their last start.
    pub restart_asked: BTreeSet<UnitId>,
    /// What must not happen, and whether it did.
    pub laws: Laws,
    /// The faults so far.
    pub counts: Counts,
}

impl World {
    /// A machine with nothing on it.
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            time: UP_FOR,
            booted: Duration::ZERO,
            boot: 1,
            wall_off: 0,
            random: Random::new(seed),
            queue: BinaryHeap::new(),
            queued: 0,
            home: FolderIdentity { device: 1, inode: 1 },
            files: BTreeMap::new(),
            windows: Windows::default(),
            processes: Processes::default(),
            shims: BTreeMap::new(),
            starts: 0,
            connections: BTreeMap::new(),
            connections_made: 0,
            ports_given: 0,
            manners: BTreeMap::new(),
            node: NodeSeat::default(),
            wanted: BTreeMap::new(),
            restart_asked: BTreeSet::new(),
            laws: Laws::default(),
            counts: Counts::default(),
        })))
    }

    /// To look at.
    pub fn look(&self) -> Ref<'_, Inner> {
        self.0.borrow()
    }

    /// To change.
    pub fn change(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }
}

impl Inner {
    /// Both clocks, as every process of this boot sees them.
    pub fn clocks(&self) -> Now {
        let millis = i64::try_from(self.time.as_millis()).unwrap_or(i64::MAX);
        Now {
            wall: Timestamp::from_millis(BEGIN_MILLIS.saturating_add(millis).saturating_add(self.wall_off)),
            steady: self.time.saturating_sub(self.booted),
        }
    }

    /// The world's time at a steady time of this boot.
    pub fn time_at(&self, steady: Duration) -> Duration {
        steady.saturating_add(self.booted)
    }

    /// The current boot.
    pub fn boot_id(&self) -> BootId {
        BootId(format!("boot-{}", self.boot))
    }

    /// Puts off something.
    pub(crate) fn after(&mut self, wait: Duration, due: Due) {
        self.at(self.time.saturating_add(wait), due);
    }

    pub(crate) fn at(&mut self, at: Duration, due: Due) {
        self.queued += 1;
        self.queue.push(Reverse(Queued { at, order: self.queued, due }));
    }

    /// When the next thing is due.
    pub fn next_at(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse(queued)| queued.at)
    }

    /// Does the next thing that is due. What it tells the node is returned.
    pub fn step(&mut self) -> Option<Event> {
        let Reverse(Queued { at, due, .. }) = self.queue.pop()?;
        self.time = self.time.max(at);
        match due {
            Due::ShimBegins { start } => self.shim_begins(start),
            Due::ShimTimer { start, at } => self.shim_timer(start, at),
            Due::ChildEnds { start, child, status } => self.child_ends(start, &child, status),
            Due::Orphaned { child } => self.orphaned(&child),
            Due::Asked { connection, request } => self.shim_asked(connection, request),
            Due::Hung { start, client } => self.client_gone(start, client),
            Due::ToNode { generation, event } => {
                if let Event::Closed { connection } = &event {
                    self.connections.remove(connection);
                }
                return (generation == self.node.generation).then_some(event);
            }
            Due::Probe { generation, ticket, target } => {
                let outcome = self.probe_answer(&target);
                return (generation == self.node.generation).then_some(Event::Probed { ticket, outcome });
            }
            Due::TaskEnds { generation, ticket, task } => {
                let ours = generation == self.node.generation;
                return ours.then(|| Event::TaskEnded { ticket, outcome: self.task_outcome(&task) });
            }
            Due::StopChecked { start } => self.check_stop(start),
            Due::PromptChecked { unit, failed } => self.check_prompt(&unit, failed),
            Due::Reused { pid } => {
                let boot = self.boot_id();
                self.processes.take_over(pid, &boot);
                self.processes.thin_out();
            }
        }
        None
    }

    /// Counts a fault.
    pub fn inflicted(&mut self, fault: Fault) {
        self.counts.add(fault);
        self.laws.disturbed = self.time;
    }

    /// A node begins; earlier ones are gone.
    pub fn node_begins(&mut self) -> u64 {
        self.node.generation += 1;
        self.node.alive = true;
        self.node.killed = false;
        self.laws.disturbed = self.time;
        self.node.generation
    }

    /// The node is gone, and with it its tasks and its ends of all connections.
    pub fn node_ends(&mut self) {
        self.node.generation += 1;
        self.node.alive = false;
        self.node.budget = None;
        self.node.killed = false;
        self.restart_asked.clear();
        let open = std::mem::take(&mut self.connections);
        for connection in open.into_values() {
            let wait = self.random.span(Duration::ZERO, Duration::from_millis(5));
            self.after(wait, Due::Hung { start: connection.start, client: connection.client });
        }
    }

    /// The machine goes down and comes up again: nothing but the files is left.
    pub fn reboot(&mut self) {
        self.lose_sight();
        self.processes.clear();
        self.boot += 1;
        self.booted = self.time;
    }

    /// What a node finds from now on is a copy of the state directory: the processes of the original go on, and are
    /// none of ours.
    pub fn copied(&mut self) {
        self.lose_sight();
        self.processes.disown();
        self.home.inode += 1;
    }

    /// Nothing that ran so far is the next node's.
    fn lose_sight(&mut self) {
        let starts: Vec<u64> = self.shims.keys().copied().collect();
        starts.into_iter().for_each(|start| self.note_unknown(start));
        self.node_ends();
        self.queue.clear();
        self.shims.clear();
        self.laws.rebooted();
    }

    /// Writes a file, as far as the disk lets it.
    pub(crate) fn write_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), sys::FileTrouble> {
        if self.time < self.windows.disk_full {
            return Err(sys::FileTrouble::NoSpace);
        }
        if self.time < self.windows.disk_errors {
            return Err(sys::FileTrouble::Other("input/output error".to_owned()));
        }
        self.note_write(path, bytes);
        self.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    /// The folder of a unit.
    pub fn folder(unit: &UnitId) -> PathBuf {
        Self::units().join(unit.to_string())
    }

    /// The folder of all units.
    pub fn units() -> PathBuf {
        Path::new(STATE).join("units")
    }

    /// The unit of a folder.
    pub fn unit_of(folder: &Path) -> Option<UnitId> {
        folder.file_name()?.to_str()?.parse().ok()
    }

    /// A pid that was ours is soon somebody else's.
    pub(crate) fn freed(&mut self, identity: &ProcessIdentity) {
        if self.random.one_in(2) {
            let wait = self.random.span(Duration::from_millis(1), Duration::from_millis(2000));
            self.after(wait, Due::Reused { pid: identity.pid });
        }
    }
}
