//! The units that simulated stacks are made of, from nothing but their ids.
//!
//! Start reading at [`stack`]. A resource called `db` is prepared and completed, other resources are
//! prepared; a release's hook runs once and is retried; replicas require every resource of their stack and
//! their release's hook; the replicas of `worker` have no probes and require `api`; runs are not retried.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::{ByteSize, Digest, Limits, UnitId, UrlPath};
use plan::supervision::{GentleSignal, Life, ProbePolicy, Requirement, StopPolicy, Unit};
use supervise::Wanted;
use supervise::launch::{Launch, LogPolicy};
use supervise::supervisor::{PortChoice, Question};

use crate::manner::Manner;
use crate::world::Task;

/// One unit of a sample stack: its id, and two numbers that stand for what it and its completion are made
/// of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Which unit.
    pub id: UnitId,
    /// Another number is another digest.
    pub version: u8,
    /// Another number is another completion.
    pub completion: u8,
}

impl Part {
    /// The first version of a unit.
    pub const fn first(id: UnitId) -> Self {
        Self { id, version: 1, completion: 1 }
    }
}

/// The stack of these parts.
pub fn stack(parts: &[Part]) -> Vec<Wanted<Task>> {
    parts.iter().map(|part| wanted(part, parts)).collect()
}

/// How the children of a unit behave unless something else is said.
pub fn manner(id: &UnitId) -> Manner {
    let ready = |millis| Manner { ready_after: Duration::from_millis(millis), ..Manner::default() };
    match id {
        UnitId::Resource(_) | UnitId::Edge => ready(1500),
        UnitId::Replica(..) => ready(400),
        UnitId::ReleaseRun(..) => Manner { ends_after: Some((Duration::from_secs(2), 0)), ..ready(0) },
        UnitId::Run(..) => Manner { ends_after: Some((Duration::from_secs(40), 0)), ..ready(0) },
    }
}

fn wanted(part: &Part, parts: &[Part]) -> Wanted<Task> {
    let id = &part.id;
    let unit = unit(part, parts);
    let listens = !is_once(id) && !is_worker(id);
    let path = |text: &str| text.parse::<UrlPath>().ok().map(Question::Http);
    Wanted {
        launch: launch(id, unit.digest),
        port: match id {
            UnitId::Resource(_) => PortChoice::Kept,
            _ if listens => PortChoice::Chosen,
            _ => PortChoice::Unused,
        },
        ready: match id {
            UnitId::Resource(_) => Some(Question::Connect),
            _ if listens => path("/ready"),
            _ => None,
        },
        live: unit.live.and_then(|_| path("/live")),
        prepare: unit.prepared.then(|| Task::Prepare(id.clone())),
        complete: unit.completed.map(|_| Task::Complete(id.clone())),
        unit,
    }
}

fn unit(part: &Part, parts: &[Part]) -> Unit {
    let id = &part.id;
    let resource = matches!(id, UnitId::Resource(_));
    let every =
        |secs, failures| ProbePolicy { every: Duration::from_secs(secs), timeout: Duration::from_secs(2), failures };
    Unit {
        id: id.clone(),
        digest: Digest([part.version; 32]),
        requires: requires(id, parts),
        prepared: resource,
        completed: is_database(id).then_some(Digest([part.completion; 32])),
        ready: (!is_once(id) && !is_worker(id)).then(|| every(15, 2)),
        live: matches!(id, UnitId::Replica(..)).then(|| every(20, 2)).filter(|_| !is_worker(id)),
        stop: StopPolicy {
            gently: if resource { GentleSignal::Interrupt } else { GentleSignal::Terminate },
            deadline: Duration::from_secs(if resource { 20 } else { 10 }),
        },
        life: match id {
            UnitId::Resource(_) | UnitId::Replica(..) | UnitId::Edge => Life::Lasting,
            UnitId::ReleaseRun(..) => Life::Once { retry: true },
            UnitId::Run(..) => Life::Once { retry: false },
        },
    }
}

fn requires(id: &UnitId, parts: &[Part]) -> BTreeSet<Requirement> {
    let mut requires = BTreeSet::new();
    for other in parts {
        match (id, &other.id) {
            (UnitId::Resource(_), _) => {}
            (UnitId::Replica(..), UnitId::Resource(name)) => {
                requires.insert(Requirement::Resource(name.clone()));
            }
            (_, UnitId::Resource(name)) if is_database(&other.id) => {
                requires.insert(Requirement::Resource(name.clone()));
            }
            (UnitId::Replica(service, release, _), UnitId::ReleaseRun(of, run)) if service == of && release == run => {
                requires.insert(Requirement::Success(other.id.clone()));
            }
            (UnitId::Replica(..), UnitId::Replica(service, ..)) if is_worker(id) && !is_worker(&other.id) => {
                requires.insert(Requirement::Service(service.clone()));
            }
            _ => {}
        }
    }
    requires
}

fn launch(id: &UnitId, digest: Digest) -> Launch {
    Launch {
        unit: id.clone(),
        digest,
        program: PathBuf::from("/simulated"),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        folder: PathBuf::from("/"),
        user: None,
        privileged_port: false,
        limits: Limits::default(),
        control_group: None,
        log: LogPolicy { folder: PathBuf::from("/log"), file_max: ByteSize::mebibytes(1), files_max: 1 },
        hidden: Vec::new(),
        shown: Vec::new(),
        address: None,
        listening: Default::default(),
    }
}

fn is_database(id: &UnitId) -> bool {
    matches!(id, UnitId::Resource(name) if name.as_str() == "db")
}

fn is_worker(id: &UnitId) -> bool {
    id.service().is_some_and(|service| service.as_str() == "worker")
}

const fn is_once(id: &UnitId) -> bool {
    matches!(id, UnitId::ReleaseRun(..) | UnitId::Run(..))
}
