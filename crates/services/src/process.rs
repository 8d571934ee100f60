//! The process driver: a release's replicas, its hook and its runs, as units for supervision.
//!
//! Start reading at [`Carriage`], whose three functions build them. What comes out is a value: nothing is
//! started here. A launch holds secrets, so it is made when it is handed to supervision and never stored.

mod environment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::stack::{Check, CommandLine, Listen};
use model::{
    ByteSize, Digest, EnvironmentName, Limits, ReplicaNumber, RunNumber, SecretName, ServiceName, StackName, UnitId,
    VariableName,
};
use plan::release::{Command, Program};
use plan::supervision::{GentleSignal, Life, ProbePolicy, Requirement, StopPolicy, Unit};
use supervise::control_group::Support;
use supervise::launch::{EnvironmentValue, Launch, LogPolicy, UserIds};
use supervise::supervisor::{PortChoice, Question, Wanted};
use sys::listeners::Listening;

use crate::artefact;
use crate::release::{self, Record};

/// How a replica's readiness is asked. Often, because a rollout waits for it.
pub const READY: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(1), timeout: Duration::from_secs(2), failures: 3 };

/// How a replica's liveness is asked. A failure restarts it, so it takes half a minute of silence.
pub const LIVE: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(10), timeout: Duration::from_secs(5), failures: 3 };

/// The size at which a log file is closed and the next begun.
pub const LOG_FILE_MAX: ByteSize = ByteSize::mebibytes(10);

/// How many closed log files of a unit are kept.
pub const LOG_FILES_MAX: u32 = 5;

/// One release of one service, with all that it takes to start it on this machine.
#[derive(Debug, Clone)]
pub struct Carriage<'a> {
    /// The stack.
    pub stack: &'a StackName,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The release.
    pub release: &'a Record,
    /// The services that must be ready before its replicas start.
    pub needs: &'a [ServiceName],
    /// What it is told.
    pub values: &'a Values,
    /// Where things are.
    pub place: &'a Place,
    /// As whom it runs; as the node's own user when absent.
    pub user: Option<UserIds>,
    /// How its hook is kept apart from its replicas; it runs as they do when absent.
    pub hook: Option<HookApart>,
    /// How its limits are had.
    pub limits: LimitsBy<'a>,
}

/// A hook knows the owner's password, and the replicas of its service must not learn it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookApart {
    /// As whom it runs.
    pub user: UserIds,
    /// What it is told is its home: what a replica puts into its own would be read and run by the hook's programs.
    pub home: PathBuf,
}

/// The values behind a release's names. Nothing here is ever printed or stored.
#[derive(Debug, Clone)]
pub struct Values {
    /// The variables with which the service reaches its resources.
    pub connections: BTreeMap<VariableName, EnvironmentValue>,
    /// The same for its hook, which owns what is in them.
    pub owner_connections: BTreeMap<VariableName, EnvironmentValue>,
    /// The secrets.
    pub secrets: Secrets,
}

/// The values of all secrets of a release, each in the release's version of it.
#[derive(Debug, Clone)]
pub struct Secrets(BTreeMap<SecretName, EnvironmentValue>);

impl Secrets {
    /// Those of a release, when `value` has every one of them.
    pub fn of<E>(
        release: &Record,
        mut value: impl FnMut(&SecretName, u32) -> Result<EnvironmentValue, E>,
    ) -> Result<Self, E> {
        let secrets = release.content.secrets.iter();
        let values = secrets.map(|(secret, version)| Ok((secret.clone(), value(secret, *version)?)));
        values.collect::<Result<_, E>>().map(Self)
    }
}

/// Where things of one service are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder of all copies of programs.
    pub artefacts: PathBuf,
    /// The folder of the service's volumes.
    pub volumes: PathBuf,
    /// The folder of all logs.
    pub logs: PathBuf,
    /// What the service is told is its home.
    pub home: PathBuf,
    /// The PATH it is told.
    pub search: String,
    /// What it must not see: empty where users keep services apart, or nothing does.
    pub hidden: Vec<PathBuf>,
    /// What it sees all the same, below what is hidden.
    pub shown: Vec<PathBuf>,
}

/// How limits are had.
#[derive(Debug, Clone, Copy)]
pub enum LimitsBy<'a> {
    /// By control groups, whose names begin with a text that tells this state directory from others. Where
    /// there are none, a launch with limits fails.
    Groups {
        /// Where groups can be made.
        support: &'a Support,
        /// The text.
        tag: &'a str,
    },
    /// Not at all: the environment is `advisory` and `plan` has said so.
    Without,
}

impl Carriage<'_> {
    /// A replica of the release.
    pub fn replica<Task>(&self, number: ReplicaNumber) -> Wanted<Task> {
        let content = &self.release.content;
        let id = UnitId::Replica(self.release.service.clone(), self.release.number, number);
        let ready = match (&content.health.ready, content.listen.listens()) {
            (Some(check), _) => Some(question(check)),
            (None, true) => Some(Question::Connect),
            (None, false) => None,
        };
        let live = content.health.live.as_ref().map(question);
        let environment = self.environment(&self.values.connections, Some(number), &self.place.home);
        let unit = Unit {
            requires: self.requirements(),
            ready: ready.is_some().then_some(READY),
            live: live.is_some().then_some(LIVE),
            ..self.unit(id, Life::Lasting)
        };
        let port = match content.listen {
            Listen::None => PortChoice::Unused,
            Listen::Chosen => PortChoice::Chosen,
            Listen::Fixed(port) => PortChoice::Fixed(port),
        };
        let launch = self.launch(&unit, &content.command, environment);
        Wanted { unit, launch, port, ready, live, prepare: None, complete: None }
    }

    /// What runs once before the release's replicas start, if anything does. It stays wanted for as long
    /// as they are, because they require its success. A failure is tried again: a resource that was out of
    /// reach for a moment must not need a person.
    pub fn hook<Task>(&self) -> Option<Wanted<Task>> {
        let command = self.release.content.hook.as_ref()?;
        let mut unit = self.unit(self.hook_id(), Life::Once { retry: true });
        unit.requires = self.resources().collect();
        let (user, home) = match &self.hook {
            Some(apart) => (Some(apart.user), &apart.home),
            None => (self.user, &self.place.home),
        };
        let environment = self.environment(&self.values.owner_connections, None, home);
        let launch = Launch { user, ..self.launch(&unit, command, environment) };
        Some(bare(unit, launch))
    }

    /// A run of the release: of its own command by a schedule, or of another one by hand.
    pub fn run<Task>(&self, number: RunNumber, other: Option<&Command>) -> Wanted<Task> {
        let command = other.unwrap_or(&self.release.content.command);
        let id = UnitId::Run(self.release.service.clone(), self.release.number, number);
        let mut unit = self.unit(id, Life::Once { retry: false });
        unit.requires = self.requirements();
        let environment = self.environment(&self.values.connections, None, &self.place.home);
        let launch = self.launch(&unit, command, environment);
        bare(unit, launch)
    }

    /// The folders of the release's volumes, with the variable that tells each.
    pub fn volumes(&self) -> impl Iterator<Item = (VariableName, PathBuf)> {
        let volumes = self.release.content.volumes.iter();
        volumes.map(|volume| (volume.variable.clone(), self.place.volumes.join(volume.name.as_str())))
    }

    fn hook_id(&self) -> UnitId {
        UnitId::ReleaseRun(self.release.service.clone(), self.release.number)
    }

    fn resources(&self) -> impl Iterator<Item = Requirement> {
        self.release.content.connections.keys().cloned().map(Requirement::Resource)
    }

    fn requirements(&self) -> BTreeSet<Requirement> {
        let needs = self.needs.iter().cloned().map(Requirement::Service);
        let hook = self.release.content.hook.is_some().then(|| Requirement::Success(self.hook_id()));
        self.resources().chain(needs).chain(hook).collect()
    }

    fn unit(&self, id: UnitId, life: Life) -> Unit {
        let deadline = self.release.content.health.drain.duration();
        Unit {
            id,
            digest: self.digest(),
            requires: BTreeSet::new(),
            prepared: false,
            completed: None,
            ready: None,
            live: None,
            stop: StopPolicy { gently: GentleSignal::Terminate, deadline },
            life,
        }
    }

    fn digest(&self) -> Digest {
        release::digest(&self.release.content)
    }

    fn launch(&self, unit: &Unit, command: &Command, environment: BTreeMap<String, EnvironmentValue>) -> Launch {
        let (limits, control_group) = match self.limits {
            LimitsBy::Groups { support, tag } => (self.release.content.limits, support.group(tag, &unit.id)),
            LimitsBy::Without => (Limits::default(), None),
        };
        let folder = self.place.logs.join(unit.id.to_string());
        Launch {
            unit: unit.id.clone(),
            digest: unit.digest,
            program: self.program(&command.program),
            arguments: command.line.arguments().to_vec(),
            environment,
            folder: self.release.content.folder.clone(),
            user: self.user,
            privileged_port: false,
            limits,
            control_group,
            log: LogPolicy { folder, file_max: LOG_FILE_MAX, files_max: LOG_FILES_MAX },
            hidden: self.place.hidden.clone(),
            shown: self.place.shown.clone(),
            address: None,
            listening: Listening::default(),
        }
    }

    fn program(&self, program: &Program) -> PathBuf {
        match program {
            Program::Frozen { digest, name } => artefact::path_of(&self.place.artefacts, *digest, name),
            Program::InPlace { path, .. } => path.clone(),
        }
    }
}

fn bare<Task>(unit: Unit, launch: Launch) -> Wanted<Task> {
    Wanted { unit, launch, port: PortChoice::Unused, ready: None, live: None, prepare: None, complete: None }
}

fn question(check: &Check) -> Question {
    match check {
        Check::Http(path) => Question::Http(path.clone()),
        Check::Tcp => Question::Connect,
        Check::Command(line) => Question::Command(CommandLine::words(line).to_vec()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
