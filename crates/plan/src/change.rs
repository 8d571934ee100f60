//! What applying a file does, before it is done: what `mainstay plan` prints and `mainstay up` carries out.
//!
//! Start reading at [`decide`]. Every service and resource, and the edge, wanted or running, is one [`Step`] with its
//! reasons; what cannot be honoured here is a [`Refusal`], and a plan with one is not carried out.
//! [`crate::lint`] checks each finished plan independently.

mod condition;
mod edge;
mod note;
mod print;
mod refusal;
mod resource;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use model::edge::Edge;
use model::stack::{Resource, Service};
use model::{
    EnvironmentName, Port, ReleaseNumber, ResourceName, SecretName, ServiceName, Stack, StackName, TimeZoneName,
};

use crate::objectives::{Contradiction, Derived, Fact, Promise, Reserved, Severity};
use crate::release::{Content, Decision, Site};
use crate::rollout;

pub use condition::{Condition, Presence, conditions};
pub use edge::EdgeNote;
pub use note::Note;
pub use refusal::{Refusal, Warning};
pub use resource::ResourceNote;

/// What is wanted, and what is known about carrying it out.
#[derive(Debug, Clone)]
pub struct Desired<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// The stack that was applied last.
    pub applied: Option<&'a Stack>,
    /// What follows from its objectives.
    pub derived: &'a Derived,
    /// For each service, what is to be released and with which content.
    pub releases: &'a BTreeMap<ServiceName, (Decision, Content)>,
    /// For each service that is a folder of files, the same.
    pub sites: &'a BTreeMap<ServiceName, (Decision, Site)>,
    /// The secrets of the stack that have no value and are not generated.
    pub unset_secrets: &'a BTreeSet<SecretName>,
    /// The secrets of the stack that are generated and have no value yet.
    pub unmade_secrets: &'a BTreeSet<SecretName>,
    /// What can be done here.
    pub abilities: &'a Abilities,
}

/// What can be done on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Why limits cannot be had, if they cannot.
    pub no_limits: Option<String>,
    /// Whether services can be given users, which takes a node that runs as root.
    pub users: bool,
    /// The ports that the edge cannot listen on, and why.
    pub barred_ports: BTreeMap<Port, String>,
    /// For each service that cannot run as the user it states, why not.
    pub missing_users: BTreeMap<ServiceName, String>,
    /// Why services and resources cannot be given user ids of their own, if they cannot.
    pub no_user_ids: Option<String>,
    /// For each resource whose software is missing, what to install.
    pub missing_software: BTreeMap<ResourceName, String>,
}

/// What runs, as the last applied file left it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The services.
    pub services: BTreeMap<ServiceName, RunningService>,
    /// The resources.
    pub resources: BTreeMap<ResourceName, RunningResource>,
    /// The edge.
    pub edge: Option<Edge>,
    /// How those of them stand that are to stay up and are not, or not as they were asked for.
    pub conditions: BTreeMap<Subject, Condition>,
    /// What of both is held.
    pub held: BTreeSet<Subject>,
    /// Whether no node looks after them.
    pub unattended: bool,
}

impl Running {
    fn is_gone(&self, subject: &Subject) -> bool {
        self.conditions.get(subject) == Some(&Condition::Gone)
    }

    /// Whether it is held, and is so still once this was done: nothing new of it is started then.
    pub(crate) fn stays_held(&self, subject: &Subject, action: Action) -> bool {
        matches!(action, Action::Keep | Action::Retry | Action::Change) && self.held.contains(subject)
    }

    /// What happens to a subject as it stands, for which something is planned as if it were up: there is nothing
    /// to replace or to change of what is down, and no reason to leave what failed waiting.
    fn as_it_stands(&self, subject: &Subject, planned: Action) -> Action {
        match (planned, self.conditions.get(subject)) {
            (Action::Keep | Action::Replace | Action::Change, Some(it))
                if it.is_down() && !self.stays_held(subject, planned) =>
            {
                Action::Start
            }
            (Action::Keep, Some(Condition::Failing(_))) => Action::Retry,
            _ => planned,
        }
    }
}

/// A service that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningService {
    /// The release that is wanted of it.
    pub release: ReleaseNumber,
    /// How many replicas are.
    pub replicas: u32,
    /// The cron expression it runs by.
    pub schedule: Option<String>,
    /// The resources it uses.
    pub uses: Vec<ResourceName>,
    /// The services it needs.
    pub needs: Vec<ServiceName>,
}

/// A resource that runs, or whose data was kept when it was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningResource {
    /// As what it was asked for.
    pub resource: Resource,
    /// The major version of the data, where there is one.
    pub version: Option<u32>,
    /// Where its data is.
    pub folder: PathBuf,
    /// Whether it runs; otherwise only its data is there.
    pub runs: bool,
}

/// What applying a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePlan {
    /// Of which stack.
    pub stack: StackName,
    /// In which environment.
    pub environment: EnvironmentName,
    /// What is done, in an order in which it can be done.
    pub steps: Vec<Step>,
    /// Whether the file says anything else than the one that was applied last, perhaps something that no step
    /// is about: what starts after what, how the next release takes its place.
    pub differs: bool,
    /// What follows from the objectives.
    pub facts: Vec<Fact>,
    /// Where the promises stand.
    pub promises: Vec<Promise>,
    /// What the stack may take of the machine.
    pub reserved: Reserved,
    /// What needs attention and refuses nothing.
    pub warnings: Vec<Warning>,
    /// Why the plan is not carried out; empty when it is.
    pub refusals: Vec<Refusal>,
}

/// What happens to one service or resource, or to the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// To which.
    pub subject: Subject,
    /// What.
    pub action: Action,
    /// How and why, the most important first.
    pub notes: Vec<Note>,
}

/// What a step is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A resource.
    Resource(ResourceName),
    /// A service.
    Service(ServiceName),
    /// The edge.
    Edge,
}

/// What happens to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It does not run yet and is started.
    Create,
    /// It does not run any more, or not for long, and is started as the file says now.
    Start,
    /// Some of it failed and waits for its next try, which is made at once.
    Retry,
    /// A new release takes the place of the running one.
    Replace,
    /// It goes on with other settings.
    Change,
    /// It is stopped and no longer wanted.
    Remove,
    /// Nothing: it runs as it is wanted.
    Keep,
}

impl ChangePlan {
    /// Whether carrying the plan out makes any difference.
    pub fn changes_anything(&self) -> bool {
        self.differs || self.does_anything()
    }

    /// Whether anything is started, stopped or changed at once when the plan is carried out.
    pub fn does_anything(&self) -> bool {
        self.steps.iter().any(|step| step.action != Action::Keep)
    }

    /// Whether something that is kept is still on its way to what was applied.
    pub fn is_under_way(&self) -> bool {
        self.steps.iter().any(|step| step.notes.iter().any(|note| matches!(note, Note::StillUnderWay(_))))
    }

    /// Whether the plan is refused.
    pub fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }
}

/// What it takes to get from what runs to what is wanted.
pub fn decide(desired: &Desired, running: &Running) -> ChangePlan {
    let stack = desired.stack;
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(stack.resources.iter().map(|(name, it)| resource_step(name, it, running)));
    steps.extend(in_start_order(stack).into_iter().map(|(name, it)| service_step(name, it, desired, running)));
    steps.extend(edge::step(stack.edge.as_ref(), running));
    steps.extend(removed_services(stack, running));
    steps.extend(removed_resources(stack, running));
    let (refused, warned): (Vec<&Contradiction>, Vec<&Contradiction>) =
        desired.derived.contradictions.iter().partition(|it| it.severity == Severity::Error);
    let (mut refusals, mut warnings) = refusal::find(desired, running);
    if running.unattended && steps.iter().any(|step| step.action == Action::Keep) {
        warnings.push(Warning::NoNode);
    }
    let stays_held = |step: &&Step| running.stays_held(&step.subject, step.action);
    warnings.extend(steps.iter().filter(stays_held).map(|step| Warning::Held(step.subject.clone())));
    refusals.extend(refused.into_iter().cloned().map(Refusal::Contradiction));
    warnings.extend(warned.into_iter().cloned().map(Warning::Contradiction));
    ChangePlan {
        stack: stack.name.clone(),
        environment: stack.environment.clone(),
        steps,
        differs: desired.applied.is_some_and(|applied| applied != stack),
        facts: desired.derived.facts.clone(),
        promises: desired.derived.promises.clone(),
        reserved: desired.derived.reserved.clone(),
        warnings,
        refusals,
    }
}

fn resource_step(name: &ResourceName, wanted: &Resource, running: &Running) -> Step {
    let subject = Subject::Resource(name.clone());
    let condition = running.conditions.get(&subject);
    let Some(kept) = running.resources.get(name) else {
        return Step { subject, action: Action::Create, notes: resource::describe(wanted, None) };
    };
    if kept.resource.kind() != wanted.kind() {
        let action = if kept.runs { running.as_it_stands(&subject, Action::Keep) } else { Action::Create };
        return Step { subject, action, notes: vec![Note::Resource(ResourceNote::OtherKind)] };
    }
    let described = resource::describe(wanted, kept.version);
    if !kept.runs {
        let folder = kept.folder.clone();
        let notes = described.into_iter().chain([Note::Resource(ResourceNote::TakesDataBack { folder })]).collect();
        return Step { subject, action: Action::Create, notes };
    }
    let differences = resource::of_change(&kept.resource, wanted);
    let planned = if differences.is_empty() { Action::Keep } else { Action::Change };
    let action = running.as_it_stands(&subject, planned);
    let effect = match action {
        Action::Change => resource::of_effect(&kept.resource, wanted),
        _ => Vec::new(),
    };
    let notes = described.into_iter().chain(differences).chain(effect).chain(note::of_condition(action, condition));
    Step { subject, action, notes: notes.collect() }
}

fn service_step(name: &ServiceName, wanted: &Service, desired: &Desired, running: &Running) -> Step {
    if let Some((decision, site)) = desired.sites.get(name) {
        return site_step(name, decision, site, &desired.stack.timezone, running);
    }
    let subject = Subject::Service(name.clone());
    let count = desired.derived.replicas.get(name).copied().unwrap_or(0);
    let release = desired.releases.get(name);
    let shape = note::of_shape(wanted, count, &desired.stack.timezone);
    let (kept, condition) = (running.services.get(name), running.conditions.get(&subject));
    let (planned, head) = match (kept, release.map(|(decision, _)| decision)) {
        (None, decision) => (Action::Create, decision.map(|it| Note::Release(it.number()))),
        (Some(_), Some(Decision::Make { number, changes })) => {
            let from = kept.map(|it| it.release);
            (Action::Replace, Some(Note::NewRelease { from, to: *number, changes: changes.clone() }))
        }
        (Some(kept), _) if differs_in_shape(kept, wanted, count) => (
            Action::Change,
            Some(Note::OtherShape { from: note::shape_of(kept, &desired.stack.timezone), to: Box::new(shape.clone()) }),
        ),
        (Some(kept), _) => (Action::Keep, Some(Note::Release(kept.release))),
    };
    let action = running.as_it_stands(&subject, planned);
    let mut notes: Vec<Note> = head.into_iter().collect();
    if planned != Action::Change {
        notes.push(shape);
    }
    if matches!(planned, Action::Create | Action::Replace) {
        notes.extend(note::of_start(wanted));
    }
    notes.extend(note::of_secrets(name, wanted, desired));
    if action == Action::Replace && count > 0 {
        notes.push(Note::Strategy {
            strategy: rollout::strategy(wanted),
            port_fixed: wanted.rollout != rollout::strategy(wanted),
        });
    }
    if kept.is_some() && release.is_none() {
        notes.push(Note::Undecided);
    }
    notes.extend(note::of_condition(action, condition));
    if action != Action::Keep {
        notes.extend(release.into_iter().flat_map(|(_, content)| note::of_content(content)));
        notes.extend(release.and_then(|(decision, content)| note::of_programs(decision, content)));
    }
    Step { subject, action, notes }
}

/// Of a folder nothing runs: it is changed by telling the edge.
fn site_step(name: &ServiceName, decision: &Decision, site: &Site, zone: &TimeZoneName, running: &Running) -> Step {
    let subject = Subject::Service(name.clone());
    let files = Note::Files { count: site.files, spa: site.spa };
    let (planned, notes) = match (running.services.get(name), decision) {
        (None, decision) => (Action::Create, vec![Note::Release(decision.number()), files]),
        (Some(kept), _) if kept.replicas > 0 || kept.schedule.is_some() => {
            (Action::Change, vec![Note::OtherShape { from: note::shape_of(kept, zone), to: Box::new(files) }])
        }
        (Some(kept), Decision::Make { number, changes }) => {
            let head = Note::NewRelease { from: Some(kept.release), to: *number, changes: changes.clone() };
            (Action::Replace, vec![head, files])
        }
        (Some(kept), Decision::Keep(_)) => (Action::Keep, vec![Note::Release(kept.release), files]),
    };
    let action = running.as_it_stands(&subject, planned);
    Step { subject, action, notes }
}

fn differs_in_shape(running: &RunningService, wanted: &Service, count: u32) -> bool {
    running.replicas != count || running.schedule.as_ref() != wanted.schedule.as_ref().map(|it| &it.cron)
}

/// The services of a stack, each after those it needs. Services that need each other in a circle, which
/// `config` refuses, come last in the order of their names.
fn in_start_order(stack: &Stack) -> Vec<(&ServiceName, &Service)> {
    let mut ordered: Vec<(&ServiceName, &Service)> = Vec::new();
    let mut left: Vec<(&ServiceName, &Service)> = stack.services.iter().collect();
    while !left.is_empty() {
        let waits = |service: &Service| service.needs.iter().any(|need| left.iter().any(|(name, _)| *name == need));
        let (later, now): (Vec<_>, Vec<_>) = left.iter().copied().partition(|(_, service)| waits(service));
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}

/// Services that run and are no longer wanted, each before those it needs.
fn removed_services(stack: &Stack, running: &Running) -> Vec<Step> {
    let mut left: Vec<(&ServiceName, &RunningService)> =
        running.services.iter().filter(|(name, _)| !stack.services.contains_key(*name)).collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let needed = |name: &ServiceName| left.iter().any(|(_, other)| other.needs.contains(name));
        let (later, now): (Vec<_>, Vec<_>) = left.iter().copied().partition(|(name, _)| needed(name));
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        left = later;
    }
    let remove = |(name, it): (&ServiceName, &RunningService)| {
        let subject = Subject::Service(name.clone());
        let replicas = if running.is_gone(&subject) { 0 } else { it.replicas };
        let notes = vec![Note::ServiceStops { release: it.release, replicas }];
        Step { subject, action: Action::Remove, notes }
    };
    ordered.into_iter().map(remove).collect()
}

fn removed_resources(stack: &Stack, running: &Running) -> Vec<Step> {
    let unwanted = running.resources.iter().filter(|(name, it)| it.runs && !stack.resources.contains_key(*name));
    unwanted
        .map(|(name, it)| {
            let subject = Subject::Resource(name.clone());
            let notes = vec![Note::Resource(ResourceNote::DataStays {
                folder: it.folder.clone(),
                stops: !running.is_gone(&subject),
            })];
            Step { subject, action: Action::Remove, notes }
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
