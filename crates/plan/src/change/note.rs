//! How and why a step happens, as typed sentences. Nothing here decides what happens.

use std::fmt;

use model::stack::{Limits, Rollout, Service};
use model::{ReleaseNumber, ResourceName, ServiceName, TimeZoneName, UnitId};

use super::edge::EdgeNote;
use super::resource::ResourceNote;
use super::{Action, Condition, RunningService};
use crate::release::{Change, Command, Content, Decision, InPlace, Program};

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
    /// It is a folder of so many files.
    Files {
        /// How many.
        count: usize,
        /// Whether a path that no file has is answered with `index.html`.
        spa: bool,
    },
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
    /// What a resource is, and what happens to it.
    Resource(ResourceNote),
    /// A service is no longer wanted.
    ServiceStops {
        /// Its release.
        release: ReleaseNumber,
        /// How many replicas stop; none when it does not run anyway.
        replicas: u32,
    },
    /// What happens to the edge.
    Edge(EdgeNote),
    /// It is on its way down before it starts.
    StillStopping,
    /// These failed, and are tried again at once.
    TriedAgain(Vec<UnitId>),
    /// These are on their way up or out, as was applied before.
    StillUnderWay(Vec<UnitId>),
    /// What it is to run cannot be told for now.
    Undecided,
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
    let after = waits.then(|| Note::StartsAfter { uses: service.uses.clone(), needs: service.needs.clone() });
    let first = service.release_run.as_ref().map(|line| Note::RunsFirst(line.words().join(" ")));
    after.into_iter().chain(first).collect()
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
            Note::Files { count, spa } => {
                let files = if *count == 1 { "file" } else { "files" };
                write!(f, "{count} {files}{}", if *spa { "; index.html answers where there is none" } else { "" })
            }
            Note::Scheduled { cron, zone } => write!(f, "runs at {cron:?} ({zone})"),
            Note::OtherShape { from, to } => write!(f, "{from} → {to}"),
            Note::StartsAfter { uses, needs } => {
                let names = uses.iter().map(ResourceName::as_str).chain(needs.iter().map(ServiceName::as_str));
                write!(f, "starts when {} can be used", listed(&names.collect::<Vec<_>>()))
            }
            Note::RunsFirst(command) => write!(f, "runs `{command}` once for this release, before its replicas start"),
            Note::Strategy { strategy: Rollout::Rolling, .. } => {
                f.write_str("one replica at a time: a new one is ready before an old one stops")
            }
            Note::Strategy { strategy: Rollout::Recreate, port_fixed: false } => {
                f.write_str("all old replicas stop before the new ones start: it does not answer in between")
            }
            Note::Strategy { strategy: Rollout::Recreate, port_fixed: true } => f.write_str(
                "its port is fixed, so the old replica stops before the new one starts: it does not answer in between",
            ),
            Note::AsRoot => f.write_str("runs as root: it can read and change everything on this machine"),
            Note::Limited(limits) => write!(f, "at most {} per replica", limits_text(limits)),
            Note::InPlace(programs) => {
                let programs: Vec<String> = programs.iter().map(|(name, why)| format!("{name} ({why})")).collect();
                let programs = listed(&programs);
                write!(f, "not copied, so each restart uses it as it is then: {programs}")
            }
            Note::Resource(note) => note.fmt(f),
            Note::ServiceStops { release, replicas: 0 } => {
                write!(f, "release {release} goes; its logs and volumes stay")
            }
            Note::ServiceStops { release, replicas } => {
                write!(f, "release {release} stops ({}); its logs and volumes stay", Note::Replicas(*replicas))
            }
            Note::Edge(note) => note.fmt(f),
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

pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn limits_text(limits: &Limits) -> String {
    let cpu = limits.cpu.map(|it| format!("{it} {}", if it.as_millicores() == 1000 { "core" } else { "cores" }));
    let memory = limits.memory.map(|it| format!("{it} of memory"));
    let tasks = limits.tasks.map(|it| format!("{it} processes and threads"));
    listed(&[cpu, memory, tasks].into_iter().flatten().collect::<Vec<_>>())
}
