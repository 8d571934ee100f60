//! What runs: a data service's server as supervision needs to know it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::{Digest, Limits, Port, UnitId};
use plan::supervision::{Life, ProbePolicy, StopPolicy, Unit};
use sha2::Digest as _;
use supervise::launch::{EnvironmentValue, Launch, LogPolicy};
use supervise::supervisor::{PortChoice, Question};
use sys::listeners::Listening;

use crate::place::Place;

/// How often a data service is asked whether it serves.
pub const READY: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(1), timeout: Duration::from_secs(2), failures: 3 };

/// How often a data service is asked whether only a restart can help. A disk that stands still for a while is no reason.
pub const LIVE: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(5), timeout: Duration::from_secs(5), failures: 6 };

/// How long a data service may take to write down what it holds when it is stopped. After that it is killed, which loses
/// nothing that was acknowledged and costs a recovery at the next start.
pub const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How long completing may take. It is tried again by supervision.
pub(crate) const COMPLETE_TIMEOUT: Duration = Duration::from_secs(30);

/// A server as values; the binary adds the tasks that prepare and complete it.
#[derive(Debug, Clone)]
pub struct Operated {
    /// What is decided about.
    pub unit: Unit,
    /// How it is started.
    pub launch: Launch,
    /// On which port it listens.
    pub port: PortChoice,
    /// What it is asked to tell whether it serves.
    pub ready: Question,
    /// What it is asked to tell whether only a restart can help, where it knows.
    pub live: Option<Question>,
}

/// What differs between the kinds of servers.
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, EnvironmentValue>,
    /// Everything else that a running server cannot take over: a change of it restarts the server.
    pub(crate) settings: String,
    /// What `complete` does: a change of it runs that again.
    pub(crate) completion: Digest,
    pub(crate) stop: StopPolicy,
    pub(crate) ready: Question,
    pub(crate) live: Option<Question>,
}

pub(crate) fn operated(place: &Place, port: Option<Port>, log: LogPolicy, command: Command) -> Operated {
    let id = UnitId::Resource(place.resource.clone());
    let user = place.user.map(|user| (user.uid, user.gid));
    let parts = (&command.program, &command.arguments, &command.settings, port, user);
    let digest = digest_of(&parts);
    let unit = Unit {
        id: id.clone(),
        digest,
        requires: BTreeSet::new(),
        prepared: true,
        completed: Some(command.completion),
        ready: Some(READY),
        live: command.live.is_some().then_some(LIVE),
        stop: command.stop,
        life: Life::Lasting,
    };
    let launch = Launch {
        unit: id,
        digest,
        program: command.program,
        arguments: command.arguments,
        environment: command.environment,
        folder: place.folder.clone(),
        user: place.user,
        privileged_port: true,
        // A data service is sized by its own settings. A hard limit would kill it in the middle of a burst,
        // and what its file writes leave in the page cache would count against it.
        limits: Limits::default(),
        control_group: None,
        log,
        hidden: Vec::new(),
        shown: Vec::new(),
        address: None,
        listening: Listening::default(),
    };
    let port = port.map_or(PortChoice::Kept, PortChoice::Fixed);
    Operated { unit, launch, port, ready: command.ready, live: command.live }
}

/// A digest of values, by their JSON form.
pub(crate) fn digest_of(value: &impl serde::Serialize) -> Digest {
    // A value of strings and numbers always has a JSON form; were it not so, its digest would only be
    // that of nothing, and the server would not be restarted.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Digest(sha2::Sha256::digest(&bytes).into())
}
