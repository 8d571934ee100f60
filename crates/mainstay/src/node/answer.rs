//! How the node answers calls. Start reading at [`Node::answer`].
//!
//! Every mutating call is journaled with its actor before it is carried out; a journal that cannot be
//! written refuses it.

use model::credential::SecretPath;
use model::stack::{CommandLine, SecretSource};
use model::{
    Actor, ByteSize, EntryId, ExitStatus, Happening, ReleaseNumber, SecretName, ServiceName, Timestamp, UnitId,
};
use plan::release::{Command, Decision};
use services::release::Record as Release;
use services::user::{Owner, allocate};
use services::{artefact, volume};
use supervise::control_group;
use tokio::sync::oneshot;
use vault::SecretValue;

use super::applied::{self, Applied, Current, KnownResource, RELEASES_KEPT};
use super::call::{Ask, Call};
use super::consider::{Against, Considered, consider, credential_paths, number_of};
use super::jobs::exit_of;
use super::server::chain;
use super::status::{self, Memory, Sources, state_word};
use super::{Node, carry};
use crate::api::bodies::{
    AcceptedBody, ErrorBody, ErrorKind, FactBody, FileBody, NodeBody, PlanBody, RunAcceptedBody, RunStateBody,
    SecretBody, SecretImportBody, SecretValueBody, StatusBody, StepBody,
};

/// Random bytes of a generated password.
const PASSWORD_BYTES: u32 = 24;

type Reply<T> = Result<T, ErrorBody>;

fn internal(error: &dyn std::error::Error) -> ErrorBody {
    ErrorBody::new(ErrorKind::Internal, chain(error))
}

fn send<T>(answer: oneshot::Sender<Reply<T>>, reply: Reply<T>) {
    // The caller may have hung up; what was done stays done.
    drop(answer.send(reply));
}

impl Node {
    /// Answers one call.
    pub(super) fn answer(&mut self, call: Call) {
        let Call { actor, what } = call;
        match what {
            Ask::Status(answer) => send(answer, self.status()),
            Ask::Plan(file, answer) => send(answer, self.consider(&file).map(|found| plan_body(&found))),
            Ask::Apply(file, answer) => send(answer, self.apply(&actor, &file, "a file was applied")),
            Ask::Down(answer) => send(answer, self.down(&actor)),
            Ask::Restart(service, answer) => send(answer, self.restart(&actor, &service)),
            Ask::Run(service, words, answer) => send(answer, self.run_once(&actor, &service, words)),
            Ask::RunState(unit, answer) => send(answer, self.run_state(&unit)),
            Ask::Secrets(answer) => send(answer, self.secrets()),
            Ask::SecretGet(name, version, answer) => send(answer, self.secret(&actor, &name, version)),
            Ask::SecretSet(name, value, answer) => send(answer, self.set_secret(&actor, name, &value)),
            Ask::SecretImport(import, answer) => send(answer, self.import_secrets(&actor, &import)),
            Ask::SecretRemove(name, answer) => send(answer, self.remove_secret(&actor, &name)),
            Ask::Refused(call, reason, answer) => {
                send(answer, self.tell(&actor, Happening::Refused { call }, &reason));
            }
        }
    }

    fn tell(&mut self, actor: &Actor, what: Happening, reason: &str) -> Reply<EntryId> {
        let at = self.now().wall;
        self.store.tell(at, actor, what, reason, Vec::new()).map_err(|error| {
            internal(&error).with_hint("nothing is changed while the journal cannot be written; see `mainstay status`")
        })
    }

    fn while_running(&self) -> Reply<()> {
        match self.stopping {
            true => Err(ErrorBody::new(ErrorKind::Busy, "the stack is being stopped")),
            false => Ok(()),
        }
    }

    fn status(&self) -> Reply<StatusBody> {
        let (Some(current), Some(derived)) = (&self.applied.current, &self.derived) else {
            return Err(ErrorBody::new(ErrorKind::NotFound, "nothing has been applied yet")
                .with_hint("`mainstay up` applies the file"));
        };
        let units = self.supervisor.snapshot();
        let listing = sys::process::all();
        let memory = |whose: Memory<'_>| self.memory(&whose, &listing);
        Ok(status::body(Sources {
            stack: &current.stack,
            derived,
            units: &units,
            now: self.now(),
            releases: &self.release_views(&units),
            versions: &self.servers.iter().map(|(name, server)| (name.clone(), server.version())).collect(),
            node: NodeBody {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: self.pid,
                uptime_ms: u64::try_from(self.now().steady.saturating_sub(self.started).as_millis())
                    .unwrap_or(u64::MAX),
                memory: memory(Memory::Process(self.pid)),
                state: self.store.layout.state().display().to_string(),
                isolation: self.machine.isolation.to_string(),
            },
            problems: self.problems(),
            memory: &memory,
        }))
    }

    fn problems(&self) -> Vec<String> {
        let listing = self.supervisor.listing_trouble().map(ToString::to_string);
        let journal = self.journal_trouble.as_ref().map(|why| format!("the journal cannot be written: {why}"));
        let stopping = self.stopping.then(|| "the stack is being stopped".to_owned());
        [listing, journal, self.look_trouble.clone(), stopping].into_iter().flatten().collect()
    }

    fn memory(&self, whose: &Memory<'_>, listing: &[sys::process::Seen]) -> Option<ByteSize> {
        match whose {
            Memory::Process(pid) => {
                let own = listing.iter().find(|seen| seen.pid == *pid)?;
                Some(sys::process::usage(*pid, std::slice::from_ref(own)).memory)
            }
            Memory::Unit(unit, pid) => {
                let group = self.machine.limits.group(&self.tag, unit);
                let reading = group.as_ref().and_then(control_group::read);
                match reading {
                    Some(reading) => Some(reading.memory),
                    None => Some(sys::process::usage(*pid, listing).memory),
                }
            }
        }
    }

    fn consider(&mut self, file: &FileBody) -> Reply<Considered> {
        self.while_running()?;
        let mut free_port = || self.supervisor.free_port();
        consider(
            file,
            Against {
                machine: &self.machine,
                layout: &self.store.layout,
                applied: &self.applied,
                vault: &self.store.vault,
                free_port: &mut free_port,
            },
        )
    }

    /// Applies a file: everything that can fail comes first, then one change of the records.
    fn apply(&mut self, actor: &Actor, file: &FileBody, reason: &str) -> Reply<AcceptedBody> {
        let found = self.consider(file)?;
        if found.plan.is_refused() {
            let refusals: Vec<String> = found.plan.refusals.iter().map(ToString::to_string).collect();
            self.tell(actor, Happening::Refused { call: "apply".to_owned() }, &refusals.join("; "))?;
            let body = ErrorBody::new(ErrorKind::Refused, "this cannot be carried out, and nothing is changed");
            return Err(ErrorBody { problems: refusals, ..body });
        }
        let at = self.now().wall;
        self.make_secrets(&found, at)?;
        for program in &found.programs {
            artefact::keep(program, &self.store.layout.artefacts()).map_err(|error| internal(&error))?;
        }
        let mut next = self.next_applied(&found, at)?;
        self.make_folders(&found, &next)?;
        let dropped = drop_old_releases(&mut next);
        let steps = found.plan.steps.iter().filter(|step| step.action != plan::change::Action::Keep).count();
        let entry = self.tell(actor, Happening::Applied { steps }, reason)?;
        applied::save_applied(&self.store.records, &next, &dropped).map_err(|error| internal(&error))?;
        for (service, number) in made_releases(&found) {
            let what = Happening::ReleaseMade { service: service.clone(), release: number };
            self.tell(actor, what, &changes_text(&found, &service))?;
        }
        self.applied = next;
        self.servers.clear();
        self.seen = None;
        self.resume();
        self.clean_up(&dropped);
        Ok(AcceptedBody { entry })
    }

    fn make_secrets(&mut self, found: &Considered, at: Timestamp) -> Reply<()> {
        let generated = found.stack.secrets.iter().filter_map(|(name, source)| match source {
            SecretSource::Generate { bytes } => Some((SecretPath::Named(name.clone()), *bytes)),
            SecretSource::Set => None,
        });
        let credentials = credential_paths(&found.stack).into_iter().map(|path| (path, PASSWORD_BYTES));
        for (path, bytes) in generated.chain(credentials) {
            self.store.ensure_generated(at, &path, bytes).map_err(|error| internal(&error))?;
        }
        Ok(())
    }

    /// What is applied once this is.
    fn next_applied(&self, found: &Considered, at: Timestamp) -> Reply<Applied> {
        let mut next = self.applied.clone();
        if self.machine.root {
            let services = found.stack.services.keys().cloned().map(Owner::Service);
            let owners = services.chain(found.stack.resources.keys().cloned().map(Owner::Resource));
            next.users = allocate(&next.users, owners, &self.machine.taken_uids()).map_err(|error| internal(&error))?;
        }
        next.resources.values_mut().for_each(|known| known.wanted = false);
        for (name, (port, server)) in &found.servers {
            let Some(resource) = found.stack.resources.get(name) else { continue };
            let known = KnownResource { resource: resource.clone(), port: *port, major: server.major(), wanted: true };
            next.resources.insert(name.clone(), known);
        }
        let mut releases = std::collections::BTreeMap::new();
        for (service, (decision, content)) in &found.releases {
            let number = number_of(decision);
            releases.insert(service.clone(), number);
            if matches!(decision, Decision::Make { .. }) {
                let release = Release { service: service.clone(), number, made: at, content: content.clone() };
                next.releases.entry(service.clone()).or_default().push(release);
            }
        }
        for (service, about) in &found.stack.services {
            if about.schedule.is_some() {
                next.jobs.insert(service.clone(), next.job(service, at));
            }
        }
        next.current = Some(Current {
            path: found.path.clone(),
            text: found.text.clone(),
            stack: found.stack.clone(),
            releases,
            at,
        });
        Ok(next)
    }

    /// The folders that services find when they start.
    fn make_folders(&self, found: &Considered, next: &Applied) -> Reply<()> {
        for (name, service) in &found.stack.services {
            let user = carry::service_user(&self.machine, next, name, service.user.as_deref())
                .map_err(|error| ErrorBody::new(ErrorKind::Refused, chain(&error)))?;
            let place = carry::service_place(&self.machine, &self.store.layout, &found.path, name);
            let volumes = service.volumes.iter().map(|it| place.volumes.join(it.name.as_str()));
            let home = self.machine.root.then(|| place.home.clone());
            for folder in volumes.chain(home) {
                volume::make(&folder, user).map_err(|error| internal(&error))?;
            }
        }
        Ok(())
    }

    /// Removes what releases that are no longer kept have left.
    fn clean_up(&mut self, dropped: &[Release]) {
        let units = self.supervisor.snapshot();
        for release in dropped {
            let of = |unit: &UnitId| {
                unit.service() == Some(&release.service)
                    && unit.release() == Some(release.number)
                    && !matches!(unit, UnitId::Run(..))
            };
            for unit in units.iter().map(|it| &it.unit).filter(|unit| of(unit)) {
                self.forget(unit);
            }
        }
        let needed = self.applied.releases.values().flatten().flat_map(|it| services::release::artefacts(&it.content));
        if let Err(error) = artefact::prune(&self.store.layout.artefacts(), &needed.collect()) {
            self.look_trouble = Some(chain(&error));
        }
    }

    fn down(&mut self, actor: &Actor) -> Reply<AcceptedBody> {
        let entry = self.tell(actor, Happening::DownRequested, "a person asked for it")?;
        self.stop_everything();
        Ok(AcceptedBody { entry })
    }

    fn restart(&mut self, actor: &Actor, service: &ServiceName) -> Reply<AcceptedBody> {
        self.while_running()?;
        self.known(service)?;
        let what = Happening::RestartRequested { service: service.clone() };
        let entry = self.tell(actor, what, "a person asked for it")?;
        let replicas = self.applied.rollouts.get(service).cloned().unwrap_or_default();
        self.restarts.insert(service.clone(), replicas);
        Ok(AcceptedBody { entry })
    }

    fn known(&self, service: &ServiceName) -> Reply<&model::stack::Service> {
        let services = self.applied.current.as_ref().map(|current| &current.stack.services);
        services.and_then(|services| services.get(service)).ok_or_else(|| {
            let names: Vec<String> = services.into_iter().flatten().map(|(name, _)| name.to_string()).collect();
            ErrorBody::new(ErrorKind::NotFound, format!("there is no service {service}"))
                .with_hint(format!("the services are {}", names.join(", ")))
        })
    }

    fn run_once(&mut self, actor: &Actor, service: &ServiceName, words: Vec<String>) -> Reply<RunAcceptedBody> {
        self.while_running()?;
        self.known(service)?;
        let line = CommandLine::new(words)
            .ok_or_else(|| ErrorBody::new(ErrorKind::Invalid, "a command has at least one word"))?;
        let project = self.applied.current.as_ref().and_then(|current| current.path.parent().map(ToOwned::to_owned));
        let search = self.machine.search(&project.unwrap_or_default());
        let program = artefact::find(line.program(), &search)
            .map_err(|error| ErrorBody::new(ErrorKind::Invalid, chain(&error)))?;
        artefact::keep(&program, &self.store.layout.artefacts()).map_err(|error| internal(&error))?;
        self.tell(actor, Happening::RunRequested { service: service.clone() }, &line.words().join(" "))?;
        let command = Command { line, program: program.program };
        let unit = self.run_by_hand(service, command).ok_or_else(|| {
            ErrorBody::new(ErrorKind::Internal, self.look_trouble.clone().unwrap_or_else(|| "it has no release".into()))
        })?;
        Ok(RunAcceptedBody { unit })
    }

    fn run_state(&self, unit: &UnitId) -> Reply<RunStateBody> {
        let run = self.applied.runs.get(unit);
        let run = run.ok_or_else(|| ErrorBody::new(ErrorKind::NotFound, format!("there is no run {unit}")))?;
        let found = self.supervisor.snapshot().into_iter().find(|it| it.unit == *unit);
        let exit = run.ended.clone().or_else(|| found.as_ref().and_then(exit_of));
        let code = match exit.as_ref().map(|exit| exit.status) {
            Some(ExitStatus::Code(code)) => Some(code),
            _ => None,
        };
        let text = match (&exit, &found) {
            (Some(exit), Some(unit)) if exit.status == ExitStatus::NotStarted => {
                let why = unit.last_failure.as_ref().map(|failure| failure.what.to_string());
                why.unwrap_or_else(|| exit.status.to_string())
            }
            (Some(exit), _) => exit.status.to_string(),
            (None, Some(unit)) => state_word(unit.state).to_owned(),
            (None, None) => "waiting".to_owned(),
        };
        Ok(RunStateBody { unit: unit.clone(), ended: exit.is_some(), code, text })
    }

    fn secrets(&self) -> Reply<Vec<SecretBody>> {
        secret_bodies(&self.store, self.applied.current.as_ref())
    }

    fn secret(&mut self, actor: &Actor, name: &SecretName, version: Option<u32>) -> Reply<SecretValueBody> {
        let at = self.now().wall;
        read_secret(&mut self.store, at, actor, name, version)
    }

    fn set_secret(&mut self, actor: &Actor, name: SecretName, value: &SecretValueBody) -> Reply<AcceptedBody> {
        let at = self.now().wall;
        let entry = set_secret(&mut self.store, at, actor, name.clone(), value)?;
        self.release_anew(&[name]);
        Ok(AcceptedBody { entry })
    }

    fn import_secrets(&mut self, actor: &Actor, import: &SecretImportBody) -> Reply<Vec<SecretName>> {
        let at = self.now().wall;
        let names = import_secrets(&mut self.store, at, actor, import)?;
        self.release_anew(&names);
        Ok(names)
    }

    fn remove_secret(&mut self, actor: &Actor, name: &SecretName) -> Reply<AcceptedBody> {
        let users = users_of(self.applied.current.as_ref(), name);
        if !users.is_empty() {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let message = format!("{name} is received by {}", users.join(", "));
            self.tell(actor, Happening::Refused { call: "secret remove".to_owned() }, &message)?;
            return Err(ErrorBody::new(ErrorKind::Refused, message)
                .with_hint("take it out of the file and apply that, then remove it"));
        }
        let at = self.now().wall;
        Ok(AcceptedBody { entry: remove_secret(&mut self.store, at, actor, name)? })
    }

    /// Makes new releases of the services that receive a secret that has changed.
    fn release_anew(&mut self, names: &[SecretName]) {
        let Some(current) = &self.applied.current else { return };
        if names.iter().all(|name| users_of(Some(current), name).is_empty()) || self.stopping {
            return;
        }
        let file = FileBody {
            path: current.path.display().to_string(),
            text: current.text.clone(),
            environment: Some(current.stack.environment.clone()),
        };
        let reason = "a secret has a new version, which makes new releases of the services that receive it";
        if let Err(error) = self.apply(&Actor::Node, &file, reason) {
            self.look_trouble = Some(format!("a secret has a new version, and {}", error.message));
        }
    }
}

/// The secrets without their values, with the services that receive each.
pub(crate) fn secret_bodies(store: &super::store::Store, current: Option<&Current>) -> Reply<Vec<SecretBody>> {
    let listed = store.vault.list().map_err(|error| internal(&error))?;
    let body = |secret: vault::ListedSecret| {
        let SecretPath::Named(name) = secret.path else { return None };
        let newest = secret.versions.last()?;
        Some(SecretBody {
            version: newest.version.0,
            versions: u32::try_from(secret.versions.len()).unwrap_or(u32::MAX),
            set_at: newest.created,
            used_by: users_of(current, &name),
            name,
        })
    };
    Ok(listed.into_iter().filter_map(body).collect())
}

/// A secret's value for a person.
pub(crate) fn read_secret(
    store: &mut super::store::Store,
    at: Timestamp,
    actor: &Actor,
    name: &SecretName,
    version: Option<u32>,
) -> Reply<SecretValueBody> {
    match store.read_secret(at, actor, name, version).map_err(|error| internal(&error))? {
        Some(value) => Ok(SecretValueBody { value: value.expose().to_owned() }),
        None => Err(no_secret(name, version)),
    }
}

/// Gives a secret a new version.
pub(crate) fn set_secret(
    store: &mut super::store::Store,
    at: Timestamp,
    actor: &Actor,
    name: SecretName,
    value: &SecretValueBody,
) -> Reply<EntryId> {
    let invalid = |error: vault::SecretValueError| ErrorBody::new(ErrorKind::Invalid, error.to_string());
    let value = SecretValue::new(value.value.clone()).map_err(invalid)?;
    let entries =
        store.set_secrets(at, actor, &[name], vec![value], "a person set it").map_err(|error| internal(&error))?;
    entries.first().copied().ok_or_else(|| ErrorBody::new(ErrorKind::Internal, "the change was not journaled"))
}

/// Sets the secrets of a `.env` text, all or none.
pub(crate) fn import_secrets(
    store: &mut super::store::Store,
    at: Timestamp,
    actor: &Actor,
    import: &SecretImportBody,
) -> Reply<Vec<SecretName>> {
    let parsed = vault::dotenv::parse(&import.text).map_err(|problems| ErrorBody {
        kind: ErrorKind::Invalid,
        message: "nothing was imported: not every line is NAME=VALUE".to_owned(),
        hint: None,
        problems: problems.iter().map(ToString::to_string).collect(),
    })?;
    let (names, values): (Vec<SecretName>, Vec<SecretValue>) = parsed.into_iter().unzip();
    store.set_secrets(at, actor, &names, values, "a person imported it").map_err(|error| internal(&error))?;
    Ok(names)
}

/// Removes a secret.
pub(crate) fn remove_secret(
    store: &mut super::store::Store,
    at: Timestamp,
    actor: &Actor,
    name: &SecretName,
) -> Reply<EntryId> {
    store.remove_secret(at, actor, name).map_err(|error| internal(&error))?.ok_or_else(|| no_secret(name, None))
}

fn no_secret(name: &SecretName, version: Option<u32>) -> ErrorBody {
    let message = match version {
        Some(version) => format!("{name} has no version {version}"),
        None => format!("there is no secret {name}"),
    };
    ErrorBody::new(ErrorKind::NotFound, message).with_hint("`mainstay secret list` shows what there is")
}

fn users_of(current: Option<&Current>, name: &SecretName) -> Vec<ServiceName> {
    let services = current.iter().flat_map(|current| &current.stack.services);
    services.filter(|(_, service)| service.secrets.contains(name)).map(|(service, _)| service.clone()).collect()
}

/// A plan as the API gives it.
pub(crate) fn plan_body(found: &Considered) -> PlanBody {
    let plan = &found.plan;
    let step = |step: &plan::change::Step| StepBody {
        action: step.action.to_string(),
        subject: step.subject.to_string(),
        reasons: step.notes.iter().map(ToString::to_string).collect(),
    };
    let fact = |fact: &plan::objectives::Fact| FactBody {
        objective: fact.from.as_str().to_owned(),
        text: fact.to_string(),
        consumer: match fact.consumer() {
            plan::objectives::Consumer::ReplicaCount => Some("rollouts".to_owned()),
            plan::objectives::Consumer::NotCarriedOutYet(_) => None,
        },
    };
    PlanBody {
        environment: plan.environment.clone(),
        changes: plan.changes_anything(),
        text: plan.to_string(),
        steps: plan.steps.iter().map(step).collect(),
        facts: plan.facts.iter().map(fact).collect(),
        warnings: plan.warnings.iter().map(ToString::to_string).collect(),
    }
}

/// Takes out of the applied what is over [`RELEASES_KEPT`] releases of a service and wanted by nothing.
fn drop_old_releases(applied: &mut Applied) -> Vec<Release> {
    let mut dropped = Vec::new();
    let current = applied.current.as_ref().map(|current| current.releases.clone()).unwrap_or_default();
    for (service, releases) in &mut applied.releases {
        let running = applied.rollouts.get(service);
        let runs: Vec<ReleaseNumber> = applied
            .runs
            .iter()
            .filter(|(unit, run)| unit.service() == Some(service) && run.ended.is_none())
            .filter_map(|(unit, _)| unit.release())
            .collect();
        let needed = |number: ReleaseNumber| {
            current.get(service) == Some(&number)
                || running.is_some_and(|replicas| replicas.iter().any(|(of, _)| *of == number))
                || runs.contains(&number)
        };
        let over = releases.len().saturating_sub(RELEASES_KEPT);
        let old: Vec<ReleaseNumber> =
            releases.iter().take(over).map(|release| release.number).filter(|number| !needed(*number)).collect();
        dropped.extend(releases.extract_if(.., |release| old.contains(&release.number)));
    }
    dropped
}

fn made_releases(found: &Considered) -> Vec<(ServiceName, ReleaseNumber)> {
    let made = found.releases.iter().filter_map(|(service, (decision, _))| match decision {
        Decision::Make { number, .. } => Some((service.clone(), *number)),
        Decision::Keep(_) => None,
    });
    made.collect()
}

fn changes_text(found: &Considered, service: &ServiceName) -> String {
    match found.releases.get(service) {
        Some((Decision::Make { changes, .. }, _)) if !changes.is_empty() => {
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            format!("changed: {}", changes.join(", "))
        }
        _ => "the service's first release".to_owned(),
    }
}
