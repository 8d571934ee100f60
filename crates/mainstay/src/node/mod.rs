//! The node: the control process that owns one state directory.
//!
//! Start reading at [`Node::run`]: one loop that owns everything and takes one thing at a time, an event of the
//! machine, a call of the API, or a time that has come. What takes long of a call is done beside it and comes back
//! ([`errands`]). [`consider`] turns a file into a plan, [`applied`]
//! is what an application leaves in the records, [`carry`] turns that into units for supervision, and
//! [`answer`] answers calls. The node decides nothing about units, releases or rollouts: `plan` does.

pub(crate) mod call;

mod agenda;
pub(crate) mod answer;
pub(crate) mod applied;
mod apply;
mod awaiting;
mod backlog;
pub(crate) mod carry;
mod causes;
mod certify;
pub(crate) mod consider;
pub(crate) mod down_request;
pub(crate) mod edge;
mod errands;
pub(crate) mod finds;
mod gathering;
pub(crate) mod jobs;
pub(crate) mod layout;
mod look;
pub(crate) mod machine_facts;
mod pending;
mod place;
mod secret_changes;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod status;
mod stop;
pub(crate) mod store;
pub(crate) mod surroundings;
mod troubles;
mod uid_registry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::{Actor, EntryId, Happening, ResourceName, SecretName, ServiceName, Timestamp, UnitId};
use plan::change::Subject;
use plan::objectives::{Derived, derive};
use supervise::supervisor::{Notice, State, Supervisor, UnitStatus};
use sys::listeners::HeldSockets;
use sys::machine::{Machine, Work};
use sys::process::child::ShimCommand;
use sys::tasks::Tasks;
use sys::{Event, System};
use tokio::sync::{mpsc, watch};

use self::server::{Server, Task};
use agenda::Agenda;
use answer::Reply;
use applied::Applied;
use backlog::Backlog;
use call::Call;
use down_request::Purpose;
use edge::Edge;
use edge::link::Heard;
use errands::Errands;
use finds::Finds;
use layout::Layout;
use machine_facts::MachineFacts;
use status::ReleaseView;
use store::{LOCK, Store, StoreError};
use surroundings::Surroundings;
use troubles::{About, Troubles};

use crate::{OWN_PROGRAM, SHIM_COMMAND};

/// How long a node that was just started waits for a file before it goes on with what was applied last.
const AWAIT_FILE: Duration = Duration::from_secs(10);
/// How often the node looks even when nothing happens.
const PERIOD: Duration = Duration::from_secs(10);

/// A node cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The state directory cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was applied cannot be read.
    #[error(transparent)]
    Records(#[from] sys::records::RecordsError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] sys::journal::JournalError),
    /// The machine's doors cannot be had.
    #[error(transparent)]
    Boot(#[from] sys::clock::BootError),
    /// What the machine has to give cannot be told.
    #[error(transparent)]
    Machine(#[from] crate::machine::MachineError),
    /// Its user ids are not to be had.
    #[error(transparent)]
    UserIds(#[from] uid_registry::UserIdError),
    /// The node's memory cannot be kept from other processes.
    #[error("cannot keep the node's memory from other processes")]
    Memory(#[source] std::io::Error),
}

/// Why a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to end while it waited for its state directory.
    BeforeItBegan,
    /// Everything was stopped, as was asked.
    Down,
    /// The node alone was asked to end; what runs goes on.
    LeftRunning,
}

/// The state directory of a running node is not where it was.
#[derive(Debug, thiserror::Error)]
#[error("{} was moved or removed: its node ends, and what it ran goes on without one", state.display())]
pub(crate) struct Displaced {
    state: PathBuf,
}

/// What the terminal asks of a node's loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on.
    Run,
    /// Stop everything, then end.
    Down,
    /// End, and leave everything running.
    Leave,
}

/// What a node's loop takes next.
enum Came {
    Wish(Wish),
    Event(Event),
    Edge(Heard),
    /// What an errand needed is done.
    Finds(Reply<Finds>),
    Call(Call),
    /// Something is due, and nothing else waits to be taken.
    Time,
}

/// A node.
pub(crate) struct Node {
    store: Store,
    tag: String,
    machine: MachineFacts,
    supervisor: Supervisor<Machine<Task>>,
    events: mpsc::Receiver<Event>,
    tasks: Tasks,
    errands: Errands,
    applied: Applied,
    derived: Option<Derived>,
    servers: BTreeMap<ResourceName, Server>,
    /// Resources of the stack that this machine has no server for any more, and why.
    unserved: BTreeMap<ResourceName, String>,
    /// The edge, and what it says.
    edge: Edge,
    heard: mpsc::Receiver<Heard>,
    agenda: Agenda,
    /// What the last look saw, so that an event that changes nothing costs nothing; absent when what is applied
    /// has changed since.
    seen: Option<Vec<(UnitId, State, bool)>>,
    /// The units last wanted, and those last held.
    told: (BTreeMap<UnitId, model::Digest>, BTreeSet<UnitId>),
    changes: BTreeMap<ServiceName, String>,
    troubles: Troubles,
    backlog: Backlog,
    stopping: bool,
    purpose: Purpose,
    /// Until when nothing is started of what was applied before: whoever starts a node brings a file, and what
    /// is not running any more is not to run again before that is applied.
    awaits_file_until: Option<Duration>,
    /// A stop that was asked for before is to be gone on with, unless a file is applied.
    stops_unless_applied: bool,
    started: Duration,
    pid: model::Pid,
}

impl Node {
    /// Opens the state directory, takes over what runs, and goes on with what was applied last, or with the stop that
    /// was asked for since.
    pub(crate) fn start(
        layout: Layout,
        tag: String,
        around: &Surroundings,
        purpose: Purpose,
    ) -> Result<Self, StartError> {
        sys::process::guard_memory().map_err(StartError::Memory)?;
        let mut store = Store::open(layout)?;
        store.layout.make_runtime().map_err(StoreError::Layout)?;
        let machine = MachineFacts::find(around)?;
        let applied = Applied::load(&mut store.records)?;
        let shim = ShimCommand { program: OWN_PROGRAM.into(), words: vec![SHIM_COMMAND.into()] };
        let held = HeldSockets::default();
        let of_work = held.clone();
        let work = move |task: Task| -> Work { Box::pin(task.carry_out(of_work.clone(), sys::clock::now().wall)) };
        let tasks = Tasks::default();
        let (system, events) = Machine::new(shim, tasks.clone(), held, work)?;
        let (now, pid) = (system.now(), model::Pid(std::process::id()));
        let supervisor = Supervisor::new(system, store.layout.state(), u64::from(pid.0));
        let (edge, heard) = Edge::link(&tasks, &store.layout.edge());
        let mut node = Self {
            store,
            tag,
            machine,
            supervisor,
            events,
            tasks,
            errands: Errands::default(),
            applied,
            derived: None,
            servers: BTreeMap::new(),
            unserved: BTreeMap::new(),
            edge,
            heard,
            agenda: Agenda::default(),
            seen: None,
            told: Default::default(),
            changes: BTreeMap::new(),
            troubles: Troubles::default(),
            backlog: Backlog::default(),
            stopping: false,
            purpose,
            awaits_file_until: Some(now.steady.saturating_add(AWAIT_FILE)),
            stops_unless_applied: false,
            started: now.steady,
            pid,
        };
        node.take_over(now.wall)?;
        node.clear_interrupted_copies();
        node.resume();
        node.heed_down_request()?;
        Ok(node)
    }

    /// Takes over what runs, ends what a removed state directory left, and journals both.
    fn take_over(&mut self, at: Timestamp) -> Result<(), StartError> {
        self.supervisor.adopt();
        // Their shims have not answered yet: these are the ones that were running when they were last recorded.
        let adopted = self.supervisor.snapshot().iter().filter(|unit| unit.shim.is_some()).count();
        if adopted == 0 {
            // What runs already is taken over whatever its ids: nobody else would see to it.
            self.claim_user_ids()?;
        }
        let what = Happening::NodeStarted { adopted };
        self.store.tell(at, &Actor::Node, what, String::new(), Vec::new())?;
        Ok(())
    }

    /// Brings what was applied last to mind again; nothing of what was applied before it stays.
    fn resume(&mut self) {
        self.agenda.upcoming.clear();
        self.told = Default::default();
        self.seen = None;
        let Some(current) = &self.applied.current else { return };
        let is_scheduled =
            |name: &ServiceName| current.stack.services.get(name).is_some_and(|it| it.schedule.is_some());
        self.agenda.held_from.retain(|name, _| is_scheduled(name));
        self.troubles.clear(&About::NewSecret);
        self.troubles.keep(|service| current.stack.services.contains_key(service));
        self.derived = Some(derive(&current.stack, self.machine.capacity));
        self.find_servers();
    }

    /// Runs until it is asked to end, or its state directory is taken away.
    pub(crate) async fn run(
        mut self,
        mut calls: mpsc::Receiver<Call>,
        mut wish: watch::Receiver<Wish>,
    ) -> Result<Ended, Displaced> {
        loop {
            self.turn();
            if self.stopping && self.supervisor.is_down() {
                self.note_down_done();
                self.say_goodbye("everything is stopped");
                // What cannot be removed is in nobody's way: each start makes its folders anew.
                drop(self.store.layout.clear_sockets());
                return Ok(Ended::Down);
            }
            let next = self.until_next();
            let came = tokio::select! {
                biased;
                asked = asked_for(&mut wish, self.stopping) => Came::Wish(asked),
                Some(event) = self.events.recv() => Came::Event(event),
                Some(heard) = self.heard.recv() => Came::Edge(heard),
                brought = self.errands.brought() => Came::Finds(brought),
                Some(call) = calls.recv() => Came::Call(call),
                () = tokio::time::sleep(next) => Came::Time,
            };
            self.check_place()?;
            match came {
                Came::Wish(Wish::Run) => {}
                Came::Wish(Wish::Down) => self.go_down("somebody asked for it"),
                Came::Wish(Wish::Leave) => {
                    self.say_goodbye("the node was asked to end; what runs goes on");
                    return Ok(Ended::LeftRunning);
                }
                Came::Event(event) => self.supervisor.handle(event),
                Came::Edge(heard) => self.hear_edge(heard),
                Came::Finds(brought) => tokio::task::block_in_place(|| self.go_on_with_errands(brought)),
                Came::Call(call) => tokio::task::block_in_place(|| self.answer(call)),
                Came::Time => {
                    self.supervisor.tick();
                    self.count_unasked();
                }
            }
        }
    }

    /// A node whose state directory was moved or removed would write into another one, and start what that one's node
    /// looks after.
    fn check_place(&self) -> Result<(), Displaced> {
        let state = self.store.layout.state();
        match self.store.lock.is_in_place(state, LOCK) {
            true => Ok(()),
            false => Err(Displaced { state: state.to_owned() }),
        }
    }

    /// Its tasks, whose failures `status` shows.
    pub(crate) fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// The number of the journal's newest entry, as it grows.
    pub(crate) fn newest_entry(&self) -> watch::Receiver<EntryId> {
        self.store.journal.newest()
    }

    /// After everything that happened: schedules, what is to run now, and the journal.
    fn turn(&mut self) {
        self.keep_time();
        self.give_up_awaiting_file();
        if !self.stopping && self.awaits_file_until.is_none() {
            self.go_on_with_pending();
            self.certify();
            // What is held is known before a run is begun.
            self.look();
            self.start_due_runs();
            self.look();
        }
        if self.stopping {
            self.go_on_stopping();
        }
        self.journal_notices();
    }

    /// What supervision has to do by now is done, however many calls wait to be answered.
    fn keep_time(&mut self) {
        if self.supervisor.wake_at().is_some_and(|at| at <= self.now().steady) {
            self.supervisor.tick();
        }
    }

    /// The secrets that a unit receives when it is started, as notices.
    fn secret_reads(&self, at: Timestamp, unit: &UnitId) -> Vec<Notice> {
        let release =
            unit.service().zip(unit.release()).and_then(|(service, number)| self.applied.release(service, number));
        let read = |(secret, version): (&SecretName, &u32)| Notice {
            at,
            what: Happening::SecretRead { secret: secret.clone(), version: *version, unit: Some(unit.clone()) },
            reason: "as an environment variable".to_owned(),
            evidence: Vec::new(),
        };
        release.into_iter().flat_map(|release| release.content.secrets.iter().map(read)).collect()
    }

    /// Takes in what the edge says. Where it may send requests decides what may stop.
    fn hear_edge(&mut self, heard: Heard) {
        if self.edge.hear(heard, self.now().steady) {
            self.seen = None;
        }
    }

    /// Takes the supervisor's notices and writes them, and those that the journal could not take before.
    fn journal_notices(&mut self) {
        let (notices, lost) = self.supervisor.take_notices();
        for notice in notices {
            let reads = match &notice.what {
                Happening::UnitStarted { unit } | Happening::UnitRestarted { unit, .. } => {
                    self.secret_reads(notice.at, unit)
                }
                _ => Vec::new(),
            };
            self.backlog.push(notice);
            reads.into_iter().for_each(|read| self.backlog.push(read));
        }
        self.backlog.count_lost(lost);
        if self.backlog.is_empty() {
            return;
        }
        let known: BTreeSet<UnitId> = self.supervisor.snapshot().into_iter().map(|unit| unit.unit).collect();
        self.store.causes.keep(|unit| known.contains(unit));
        let now = self.now().wall;
        self.backlog.write(now, |Notice { at, what, reason, evidence }| {
            self.store.tell(at, &Actor::Node, what, reason, evidence).map(drop)
        });
    }

    fn say_goodbye(&mut self, reason: &str) {
        self.journal_notices();
        let told = self.store.tell(self.now().wall, &Actor::Node, Happening::NodeStopped, reason, Vec::new());
        // There is nobody left to tell of a journal that cannot be written.
        drop(told);
    }

    fn until_next(&self) -> Duration {
        let now = self.now();
        let own = match self.awaits_file_until {
            // While a file is awaited nothing else is due, and while one is looked at not even that.
            Some(_) if self.errands.are_under_way() => PERIOD,
            Some(until) => until.saturating_sub(now.steady),
            None => self.agenda.due_in(now),
        };
        self.supervisor.wake_at().map_or(PERIOD, |at| at.saturating_sub(now.steady)).min(own).min(PERIOD)
    }

    fn now(&self) -> sys::Now {
        self.supervisor.system().now()
    }

    /// Why a service is held, when it is.
    fn hold_of(&self, service: &ServiceName) -> Option<&str> {
        self.troubles.of(&About::Hold(Subject::Service(service.clone())))
    }

    fn release_views(&self, units: &[UnitStatus]) -> BTreeMap<ServiceName, ReleaseView> {
        let Some(current) = &self.applied.current else { return BTreeMap::new() };
        let view = |name: &ServiceName| {
            let (release, site) = (self.applied.wanted_release(name), self.applied.wanted_site(name));
            let digest = release.map(|release| services::release::digest(&release.content));
            let digest = digest.or_else(|| site.map(|site| site.site.digest));
            ReleaseView {
                release: release.map(|release| release.number).or_else(|| site.map(|site| site.number)),
                digest: digest.map(|digest| digest.short()).unwrap_or_default(),
                again: release.and_then(|release| self.applied.same_before(release)),
                change: self.changes.get(name).cloned(),
                restarting: self.is_restarting(name),
                held: self.hold_of(name).is_some(),
                next_run: self.agenda.upcoming.get(name).and_then(|it| it.run_at),
                last_run: self.last_run(name, units),
                failed_run: self.failed_run(name),
            }
        };
        current.stack.services.keys().map(|name| (name.clone(), view(name))).collect()
    }
}

/// Waits until the terminal asks for something that is not under way already. A terminal that is gone asks the
/// node to end and to leave everything running.
async fn asked_for(wish: &mut watch::Receiver<Wish>, stopping: bool) -> Wish {
    let under_way = if stopping { Wish::Down } else { Wish::Run };
    match wish.wait_for(|wish| *wish != under_way && *wish != Wish::Run).await {
        Ok(wish) => *wish,
        Err(_) => Wish::Leave,
    }
}
