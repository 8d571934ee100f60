//! How and why a step happens, as typed sentences. Nothing here decides what happens.

use std::fmt;
use std::path::PathBuf;

use model::stack::{Limits, Resource, Rollout, SecretSource, Service};
use model::{ReleaseNumber, ResourceName, SecretName, ServiceName, TimeZoneName, UnitId};

use super::{Action, Condition, Desired, RunningService};
use crate::release::{Change, Command, Content, Decision, InPlace, Program};
use crate::text::listed;

/// One thing to know about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The release that starts or goes on.
    Release(ReleaseNumber),
    /// A new release, and what is new in it.
    NewRelease {
        /// The one that runs.
        from: Option<ReleaseNumber>,
        /// The new one.
        to: ReleaseNumber,
        /// What is new.
        changes: Vec<Change>,
    },
    /// So many replicas stay up.
    Replicas(u32),
    /// It runs by a schedule.
    Scheduled {
        /// The cron expression.
        cron: String,
        /// In which zone.
        zone: TimeZoneName,
    },
    /// Other replicas or another schedule than before.
    OtherShape {
        /// Before.
        from: Box<Note>,
        /// Now.
        to: Box<Note>,
    },
    /// It starts when these are ready.
    StartsAfter {
        /// Resources.
        uses: Vec<ResourceName>,
        /// Services.
        needs: Vec<ServiceName>,
    },
    /// Each run of its schedule starts when these are ready.
    EachRunWaits {
        /// Resources.
        uses: Vec<ResourceName>,
        /// Services.
        needs: Vec<ServiceName>,
    },
    /// It is the first to receive a secret that is made.
    Generates {
        /// Which.
        secret: SecretName,
        /// So many random bytes.
        bytes: u32,
    },
    /// What runs once for this release, before its replicas start.
    RunsFirst(String),
    /// How the new release takes the old one's place.
    Strategy {
        /// How.
        strategy: Rollout,
        /// Whether it is so because the port is fixed, not because the file says so.
        port_fixed: bool,
    },
    /// It runs as root.
    AsRoot,
    /// What it may take.
    Limited(Limits),
    /// These of its programs, by the first words of their commands, are not copied, each for its reason.
    InPlace(Vec<(String, InPlace)>),
    /// What a resource is.
    Kind {
        /// PostgreSQL, Redis…
        name: &'static str,
        /// Its major version, when one is known.
        version: Option<u32>,
    },
    /// What memory it gets.
    SizedTo(String),
    /// A setting of a resource changes.
    Setting {
        /// Its name in the file.
        key: &'static str,
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// By this name the file has a resource of another kind.
    OtherKind,
    /// A resource restarts, so what uses it waits a moment.
    ResourceRestarts,
    /// A resource finds the data that it left.
    TakesDataBack {
        /// Where.
        folder: PathBuf,
    },
    /// A resource is no longer wanted and its data stays.
    DataStays {
        /// Where.
        folder: PathBuf,
        /// Whether it runs until then.
        stops: bool,
    },
    /// A service is no longer wanted.
    ServiceStops {
        /// Its release.
        release: ReleaseNumber,
        /// How many replicas stop; none when it does not run anyway.
        replicas: u32,
    },
    /// It is on its way down before it starts.
    StillStopping,
    /// These failed, and are tried again at once.
    TriedAgain(Vec<UnitId>),
    /// These are on their way up or out, as was applied before.
    StillUnderWay(Vec<UnitId>),
    /// What it is to run cannot be told for now.
    Undecided,
}

/// What a resource is and how it is sized.
pub(super) fn of_resource(resource: &Resource, version: Option<u32>) -> Vec<Note> {
    let (name, version, sized) = match resource {
        Resource::Postgres(it) => ("PostgreSQL", version.or(it.version), format!("tuned for {} of memory", it.memory)),
        Resource::Redis(it) => ("Redis", version, format!("at most {} of data, then {}", it.memory, full(it.evict))),
        Resource::RabbitMq(it) => ("RabbitMQ", version, format!("tuned for {} of memory", it.memory)),
        Resource::Objects(it) => {
            let buckets: Vec<&str> = it.buckets.iter().map(model::BucketName::as_str).collect();
            ("object store", version, format!("buckets {}", buckets.join(", ")))
        }
    };
    vec![Note::Kind { name, version }, Note::SizedTo(sized)]
}

fn full(eviction: model::stack::Eviction) -> String {
    match eviction.evicts() {
        true => format!("keys are evicted ({})", eviction.as_str()),
        false => "writes fail (noeviction)".to_owned(),
    }
}

/// The settings in which two resources of one kind differ.
pub(super) fn of_resource_change(old: &Resource, new: &Resource) -> Vec<Note> {
    let settings = |resource: &Resource| -> Vec<(&'static str, String)> {
        let port = resource.fixed_port().map_or("chosen by the node".to_owned(), |port| port.to_string());
        match resource {
            // A version is left out: a change of it is refused, and naming the one that runs is none.
            Resource::Postgres(it) => {
                vec![("memory", it.memory.to_string()), ("port", port), ("standbys", it.standbys.to_string())]
            }
            Resource::Redis(it) => vec![
                ("memory", it.memory.to_string()),
                ("evict", it.evict.as_str().to_owned()),
                ("port", port),
                ("standbys", it.standbys.to_string()),
            ],
            Resource::RabbitMq(it) => vec![("memory", it.memory.to_string()), ("port", port)],
            Resource::Objects(it) => {
                let buckets: Vec<&str> = it.buckets.iter().map(model::BucketName::as_str).collect();
                vec![("buckets", buckets.join(", ")), ("versions", it.versions.to_string())]
            }
        }
    };
    let pairs = settings(old).into_iter().zip(settings(new));
    pairs
        .filter(|((_, from), (_, to))| from != to)
        .map(|((key, from), (_, to))| Note::Setting { key, from, to })
        .collect()
}

/// How many replicas a service has, or when it runs.
pub(super) fn of_shape(service: &Service, count: u32, zone: &TimeZoneName) -> Note {
    match &service.schedule {
        Some(schedule) => Note::Scheduled { cron: schedule.cron.clone(), zone: zone.clone() },
        None => Note::Replicas(count),
    }
}

/// The same of a service that runs.
pub(super) fn shape_of(running: &RunningService, zone: &TimeZoneName) -> Box<Note> {
    Box::new(match &running.schedule {
        Some(cron) => Note::Scheduled { cron: cron.clone(), zone: zone.clone() },
        None => Note::Replicas(running.replicas),
    })
}

/// What its condition means for what is done to a subject.
pub(super) fn of_condition(action: Action, condition: Option<&Condition>) -> Option<Note> {
    match (action, condition) {
        (Action::Start, Some(Condition::Stopping)) => Some(Note::StillStopping),
        (Action::Retry, Some(Condition::Failing(units))) => Some(Note::TriedAgain(units.clone())),
        (Action::Keep, Some(Condition::UnderWay(units))) => Some(Note::StillUnderWay(units.clone())),
        _ => None,
    }
}

/// What comes before a service's start.
pub(super) fn of_start(service: &Service) -> Vec<Note> {
    let waits = !(service.uses.is_empty() && service.needs.is_empty());
    let (uses, needs) = (service.uses.clone(), service.needs.clone());
    let after = waits.then_some(match service.schedule {
        Some(_) => Note::EachRunWaits { uses, needs },
        None => Note::StartsAfter { uses, needs },
    });
    let first = service.release_run.as_ref().map(|line| Note::RunsFirst(line.words().join(" ")));
    after.into_iter().chain(first).collect()
}

/// The secrets that are made with this plan and that no service before this one receives.
pub(super) fn of_secrets(name: &ServiceName, service: &Service, desired: &Desired) -> Vec<Note> {
    let is_first = |secret: &SecretName| {
        desired
            .stack
            .services
            .iter()
            .find(|(_, it)| it.secrets.contains(secret))
            .is_some_and(|(first, _)| first == name)
    };
    let unmade = service.secrets.iter().filter(|secret| desired.unmade_secrets.contains(*secret) && is_first(secret));
    unmade
        .filter_map(|secret| Some((secret, desired.stack.secrets.get(secret)?)))
        .filter_map(|(secret, source)| match source {
            SecretSource::Generate { bytes } => Some(Note::Generates { secret: secret.clone(), bytes: *bytes }),
            SecretSource::Set => None,
        })
        .collect()
}

/// What of a release's content a person should see before it runs.
pub(super) fn of_content(content: &Content) -> Vec<Note> {
    let root = content.user.as_deref() == Some("root");
    let limits = content.limits != Limits::default();
    root.then_some(Note::AsRoot).into_iter().chain(limits.then_some(Note::Limited(content.limits))).collect()
}

/// Which programs of a release are not copied, where that is news: with the first release and with other programs.
pub(super) fn of_programs(decision: &Decision, content: &Content) -> Option<Note> {
    let Decision::Make { changes, .. } = decision else { return None };
    let is_news = changes.is_empty() || changes.iter().any(Change::is_of_other_program);
    let hook = content.hook.as_ref().filter(|hook| hook.program != content.command.program);
    let in_place: Vec<_> = [Some(&content.command), hook].into_iter().flatten().filter_map(in_place).collect();
    (is_news && !in_place.is_empty()).then_some(Note::InPlace(in_place))
}

fn in_place(command: &Command) -> Option<(String, InPlace)> {
    match &command.program {
        Program::Frozen { .. } => None,
        Program::InPlace { why, .. } => Some((command.line.program().to_owned(), *why)),
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Release(number) => write!(f, "release {number}"),
            Note::NewRelease { from: Some(from), to, changes } => {
                write!(f, "release {from} → {to}: {}", listed(changes))
            }
            Note::NewRelease { from: None, to, .. } => write!(f, "release {to}"),
            Note::Replicas(1) => f.write_str("1 replica"),
            Note::Replicas(count) => write!(f, "{count} replicas"),
            Note::Scheduled { cron, zone } => write!(f, "runs at {cron:?} ({zone})"),
            Note::OtherShape { from, to } => write!(f, "{from} → {to}"),
            Note::StartsAfter { uses, needs } => write!(f, "starts once {} ready", are(uses, needs)),
            Note::EachRunWaits { uses, needs } => write!(f, "each run waits until {} ready", are(uses, needs)),
            Note::Generates { secret, bytes } => {
                write!(f, "secret {secret} is made for it: {bytes} random bytes, kept in the vault")
            }
            Note::RunsFirst(command) => write!(f, "runs `{command}` once for this release, before its replicas start"),
            Note::Strategy { strategy, port_fixed } => f.write_str(strategy_text(strategy, *port_fixed)),
            Note::AsRoot => f.write_str("runs as root: it can read and change everything on this machine"),
            Note::Limited(limits) => write!(f, "at most {} per replica", limits_text(limits)),
            Note::InPlace(programs) => {
                let programs: Vec<String> = programs.iter().map(|(name, why)| format!("{name} ({why})")).collect();
                let programs = listed(&programs);
                write!(f, "runs from where it lies, so a restart takes what lies there by then: {programs}")
            }
            Note::Kind { name, version: Some(version) } => write!(f, "{name} {version}"),
            Note::Kind { name, version: None } => f.write_str(name),
            Note::SizedTo(size) => f.write_str(size),
            Note::Setting { key, from, to } => write!(f, "{key} {from} → {to}"),
            Note::OtherKind => f.write_str("a resource of another kind has this name, see below"),
            Note::ResourceRestarts => f.write_str("it restarts: what uses it reconnects"),
            Note::TakesDataBack { folder } => write!(f, "with the data that is still in {}", folder.display()),
            Note::DataStays { folder, stops: true } => write!(f, "it stops; its data stays in {}", folder.display()),
            Note::DataStays { folder, stops: false } => write!(f, "its data stays in {}", folder.display()),
            Note::ServiceStops { release, replicas: 0 } => {
                write!(f, "release {release} goes; its logs and volumes stay")
            }
            Note::ServiceStops { release, replicas } => {
                write!(f, "release {release} stops ({}); its logs and volumes stay", Note::Replicas(*replicas))
            }
            Note::StillStopping => f.write_str("it is being stopped; it starts once that is done"),
            Note::TriedAgain(units) => write!(f, "waiting after a failure, and tried at once: {}", listed(units)),
            Note::StillUnderWay(units) => {
                write!(f, "still starting or being replaced: {}", listed(units))
            }
            Note::Undecided => {
                f.write_str("whether a new release takes its place is known once what is refused below is mended")
            }
        }
    }
}

/// `db is`, `db, api are`.
fn are(uses: &[ResourceName], needs: &[ServiceName]) -> String {
    let names: Vec<&str> = uses.iter().map(ResourceName::as_str).chain(needs.iter().map(ServiceName::as_str)).collect();
    format!("{} {}", listed(&names), if names.len() == 1 { "is" } else { "are" })
}

const fn strategy_text(strategy: &Rollout, port_fixed: bool) -> &'static str {
    match (strategy, port_fixed) {
        (Rollout::Rolling, _) => "one replica at a time: a new one is ready before an old one stops",
        (Rollout::Recreate, false) => "all old replicas stop before the new ones start: it does not answer in between",
        (Rollout::Recreate, true) => {
            "its port is fixed, so the old replica stops before the new one starts: it does not answer in between"
        }
    }
}

fn limits_text(limits: &Limits) -> String {
    let cpu = limits.cpu.map(|it| format!("{it} {}", if it.as_millicores() == 1000 { "core" } else { "cores" }));
    let memory = limits.memory.map(|it| format!("{it} of memory"));
    let tasks = limits.tasks.map(|it| format!("{it} processes and threads"));
    listed(&[cpu, memory, tasks].into_iter().flatten().collect::<Vec<_>>())
}
