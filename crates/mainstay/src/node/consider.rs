//! From a file to a plan: what applying it here and now would do. Start reading at [`consider`].
//!
//! Looks at the file, at what was found of the programs and folders that it names, at the vault and at what is applied;
//! changes nothing, and reads no file of the project: what was not looked for yet is for the caller to look for
//! ([`Halt::Needs`]). It does ask who may enter the project's folder. Planning and applying share it, so nothing is checked in one and not in the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::SourceFile;
use model::cause::chain;
use model::credential::{Holder, SecretPath};
use model::stack::{SecretSource, Service, Source};
use model::{EnvironmentName, Port, ResourceName, SecretName, ServiceName, Stack, StackName, UnitId};
use plan::change::{
    Abilities, ChangePlan, Desired, Presence, Running, RunningResource, RunningService, Subject, conditions,
};
use plan::objectives::{Derived, derive};
use plan::release::{ConnectionIdentity, Content, Decision, Site, decide, decide_site};
use services::release::{Materials, content};
use services::user::UserError;
use vault::Vault;

use super::applied::Applied;
use super::carry::{programs_user, service_user};
use super::finds::{Copies, Finds, Halt};
use super::gathering::Gathering;
use super::layout::Layout;
use super::machine_facts::MachineFacts;
use super::server::{Server, holders};
use super::uid_registry::{self, UserIdError};
use crate::api::bodies::{ErrorBody, ErrorKind, FileBody};
use crate::judged::{Judged, judge};
use crate::terminal::problem::Finding;

/// The version that a secret or credential has when it is made.
const FIRST_VERSION: u32 = 1;

/// What a file comes to here.
pub(crate) struct Considered {
    /// The file's absolute path.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
    /// The stack.
    pub(crate) stack: Stack,
    /// What applying it does.
    pub(crate) plan: ChangePlan,
    /// What each service is to run.
    pub(crate) releases: BTreeMap<ServiceName, (Decision, Content)>,
    /// What the edge is to send of each service that is a folder.
    pub(crate) sites: BTreeMap<ServiceName, (Decision, Site)>,
    /// The programs and folders to be kept.
    pub(crate) copies: Copies,
    /// The port and the server of each resource.
    pub(crate) servers: BTreeMap<ResourceName, (Port, Server)>,
}

/// What a file is considered against.
pub(crate) struct Against<'a> {
    pub(crate) machine: &'a MachineFacts,
    pub(crate) layout: &'a Layout,
    pub(crate) applied: &'a Applied,
    pub(crate) vault: &'a Vault,
    pub(crate) programs: Programs,
    /// The units of which something is there, and how they stand.
    pub(crate) units: &'a BTreeMap<UnitId, Presence>,
    /// What the node holds.
    pub(crate) held: &'a BTreeSet<Subject>,
    /// Whether no node looks after them.
    pub(crate) unattended: bool,
    /// Gives a port on which nothing listens.
    pub(crate) free_port: &'a mut dyn FnMut() -> Option<Port>,
}

/// Which programs releases are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Those that the file leads to now.
    Current,
    /// Those that the services run already, for as long as the file's words for them are the same: what was
    /// built meanwhile is for a person to apply.
    AsReleased,
}

/// Considers a file. Fails when the file does not pass `check` or something it names is not there; a plan
/// that is refused is no failure of this. Halts when something it names was not looked for yet.
pub(crate) fn consider(file: &FileBody, against: &mut Against<'_>, finds: &Finds) -> Result<Considered, Halt> {
    let path = PathBuf::from(&file.path);
    if !path.is_absolute() {
        let message = format!("the file's path {} is not absolute", path.display());
        let hint = "commands run in the file's folder: say where it is from /";
        return Err(ErrorBody::new(ErrorKind::Invalid, message).with_hint(hint).into());
    }
    let (stack, derived) = accepted(file, against.machine)?;
    same_instance(&stack, against.applied)?;
    let project = path.parent().unwrap_or(Path::new("/"));
    let versions = secret_versions(against.vault)?;
    let mut abilities = abilities(&stack, against)?;
    let mut servers = BTreeMap::new();
    for (name, resource) in &stack.resources {
        let port = port_of(name, resource, against.applied, against.free_port)?;
        let place = place(name, against.layout, None);
        match Server::new(place, resource, port, &against.machine.software, against.machine.capacity.cpu) {
            Ok(server) => drop(servers.insert(name.clone(), (port, server))),
            Err(message) => drop(abilities.missing_software.insert(name.clone(), message)),
        }
    }
    let (unset_secrets, unmade_secrets) = secrets_without_value(&stack, &versions);
    let mut gathering = Gathering::new(finds, against.machine.search(project));
    abilities.barred_ports = barred_ports(&stack, against, &mut gathering);
    let releases = match unset_secrets.is_empty() {
        true => releases(&stack, against, &versions, &servers, &mut gathering),
        // Without their values there is nothing to release; the plan says which are missing.
        false => BTreeMap::new(),
    };
    let sites = sites(&stack, against, &mut gathering);
    let copies = gathering.finish()?;
    let desired = Desired {
        stack: &stack,
        applied: against.applied.current.as_ref().map(|current| &current.stack),
        derived: &derived,
        releases: &releases,
        sites: &sites,
        unset_secrets: &unset_secrets,
        unmade_secrets: &unmade_secrets,
        abilities: &abilities,
    };
    let running = running(against);
    let plan = plan::change::decide(&desired, &running);
    let flaws = plan::lint::lint(&plan, &stack, &running);
    if !plan.is_refused() && !flaws.is_empty() {
        let problems = flaws.iter().map(ToString::to_string).collect();
        let body = ErrorBody::new(ErrorKind::Internal, "the plan contradicts itself, and is not carried out");
        return Err(ErrorBody { problems, ..body }.into());
    }
    Ok(Considered { path, text: file.text.clone(), stack, plan, releases, sites, copies, servers })
}

/// The stack of a file that passes `check`, and what follows from its objectives.
fn accepted(file: &FileBody, machine: &MachineFacts) -> Result<(Stack, Derived), ErrorBody> {
    let source = SourceFile::new(file.path.clone(), file.text.clone());
    let Judged { accepted, findings } = judge(&source, file.environment.as_ref(), machine.capacity);
    accepted.ok_or_else(|| ErrorBody {
        kind: ErrorKind::Invalid,
        message: format!("{} does not pass the check", file.path),
        hint: Some("`mainstay check` shows each problem at its place".to_owned()),
        problems: findings.iter().map(Finding::line).collect(),
    })
}

/// What can be done on this machine for a stack, the software of its resources aside.
fn abilities(stack: &Stack, against: &Against<'_>) -> Result<Abilities, ErrorBody> {
    let Against { machine, applied, layout, .. } = against;
    let mut abilities = machine.abilities();
    if !machine.root {
        return Ok(abilities);
    }
    for (name, service) in &stack.services {
        if let Err(error @ UserError::Unknown(_)) = service_user(machine, applied, name, service.user.as_deref()) {
            abilities.missing_users.insert(name.clone(), chain(&error));
        }
    }
    let (folder, owners) = (Path::new(uid_registry::FOLDER), uid_registry::owners(stack));
    match uid_registry::foresee(folder, layout.state(), &applied.users, owners, &machine.taken_uids()) {
        Ok(()) => {}
        Err(error @ (UserIdError::Exhausted(_) | UserIdError::Shared { .. })) => {
            abilities.no_user_ids = Some(chain(&error));
        }
        Err(error) => return Err(ErrorBody::new(ErrorKind::Internal, chain(&error))),
    }
    Ok(abilities)
}

/// One state directory holds one environment of one stack.
fn same_instance(stack: &Stack, applied: &Applied) -> Result<(), ErrorBody> {
    let Some(current) = &applied.current else { return Ok(()) };
    let (old, new) = (&current.stack, stack);
    if old.name == new.name && old.environment == new.environment {
        return Ok(());
    }
    let described = format!("the file describes {} ({})", new.name, new.environment);
    Err(holds_another(&old.name, &old.environment, &described))
}

/// The refusal of what is meant for another stack or environment than the one that is applied.
pub(crate) fn holds_another(stack: &StackName, environment: &EnvironmentName, meant: &str) -> ErrorBody {
    let message = format!("this state directory holds {stack} ({environment}), and {meant}");
    ErrorBody::new(ErrorKind::Refused, message)
        .with_hint("give each stack and environment a state directory of its own with --state")
}

/// Where a resource lives.
pub(crate) fn place(
    name: &ResourceName,
    layout: &Layout,
    user: Option<supervise::launch::UserIds>,
) -> resources::Place {
    resources::Place {
        resource: name.clone(),
        folder: layout.resource(name),
        sockets: layout.resource_sockets(name),
        user,
    }
}

fn port_of(
    name: &ResourceName,
    resource: &model::stack::Resource,
    applied: &Applied,
    free_port: &mut dyn FnMut() -> Option<Port>,
) -> Result<Port, ErrorBody> {
    let stated = resource.port();
    let kept = applied.resources.get(name).map(|known| known.port);
    stated.or(kept).or_else(free_port).ok_or_else(|| {
        ErrorBody::new(ErrorKind::Internal, format!("no port is free for {name}: every port of the range is taken"))
    })
}

/// The newest version of everything in the vault.
fn secret_versions(vault: &Vault) -> Result<BTreeMap<SecretPath, u32>, ErrorBody> {
    let listed = vault.list().map_err(|error| ErrorBody::new(ErrorKind::Internal, chain(&error)))?;
    Ok(listed.into_iter().filter_map(|it| Some((it.path, it.versions.last()?.version.0))).collect())
}

/// The ports that the edge is to listen on and cannot. Its own, if it is there, are not in its way.
fn barred_ports(stack: &Stack, against: &Against<'_>, gathering: &mut Gathering<'_>) -> BTreeMap<Port, String> {
    let current = against.applied.current.as_ref().and_then(|current| current.stack.edge.as_ref());
    let own = current.filter(|_| against.units.contains_key(&UnitId::Edge)).map(|edge| edge.listen);
    let wanted = stack.edge.iter().flat_map(|edge| edge.listen.all());
    let others = wanted.filter(|port| !own.is_some_and(|own| own.has(*port)));
    others.filter_map(|port| Some((port, gathering.barred(port)?))).collect()
}

/// The secrets that have no value: those that a person has to set, and those that are made.
fn secrets_without_value(
    stack: &Stack,
    versions: &BTreeMap<SecretPath, u32>,
) -> (BTreeSet<SecretName>, BTreeSet<SecretName>) {
    let names = stack.secrets.keys().cloned();
    let without = names.filter(|name| !versions.contains_key(&SecretPath::Named(name.clone())));
    without.partition(|name| matches!(stack.secrets[name], SecretSource::Set))
}

/// What each service is to run, of those of which everything was found.
fn releases(
    stack: &Stack,
    against: &Against<'_>,
    versions: &BTreeMap<SecretPath, u32>,
    servers: &BTreeMap<ResourceName, (Port, Server)>,
    gathering: &mut Gathering<'_>,
) -> BTreeMap<ServiceName, (Decision, Content)> {
    let version = |name: &SecretName| versions.get(&SecretPath::Named(name.clone())).copied().unwrap_or(FIRST_VERSION);
    let secrets: BTreeMap<SecretName, u32> = stack.secrets.keys().map(|name| (name.clone(), version(name))).collect();
    let mut found = BTreeMap::new();
    for (name, service) in &stack.services {
        let Source::Run(line) = &service.source else { continue };
        let released = match against.programs {
            Programs::Current => None,
            Programs::AsReleased => against.applied.wanted_release(name).map(|release| &release.content),
        };
        gathering.user = programs_user(against.machine, against.applied, name, service.user.as_deref());
        if against.programs == Programs::Current {
            gathering.look_at_project(name);
            gathering.look_for_probes(name, service);
        }
        let program = gathering.find(name, "run", line, released.map(|content| &content.command));
        let released_hook = released.and_then(|content| content.hook.as_ref());
        let hook = service.release_run.as_ref().map(|line| gathering.find(name, "release.run", line, released_hook));
        let (Some(program), false) = (program, matches!(hook, Some(None))) else { continue };
        let connections = connections(name, service, versions, servers);
        let materials = Materials {
            folder: &gathering.search.project,
            program: &program,
            hook: hook.as_ref().and_then(Option::as_ref),
            secrets: &secrets,
            connections: &connections,
        };
        match content(stack, name, materials) {
            Ok(content) => {
                let last = against.applied.newest_release(name).map(|release| (release.number, &release.content));
                found.insert(name.clone(), (decide(last, &content), content));
            }
            // A resource that cannot be had is in the plan's refusals already.
            Err(services::release::ContentError::Connection { .. }) => {}
            Err(error) => gathering.problems.push(error.to_string()),
        }
    }
    found
}

/// What the edge is to send of each service that is a folder, of those that were found.
fn sites(
    stack: &Stack,
    against: &Against<'_>,
    gathering: &mut Gathering<'_>,
) -> BTreeMap<ServiceName, (Decision, Site)> {
    let mut found = BTreeMap::new();
    for (name, service) in &stack.services {
        let Source::Static { folder, spa } = &service.source else { continue };
        let released = released_site(name, folder, against).map(|site| (site.digest, site.files));
        let Some((digest, files)) = released.or_else(|| gathering.find_folder(name, folder)) else { continue };
        let site = Site { digest, files, spa: *spa };
        let last = against.applied.newest_site(name).map(|site| (site.number, &site.site));
        found.insert(name.clone(), (decide_site(last, &site), site));
    }
    found
}

/// The files that the edge sends already, where those are to stay while the file's words for them do.
fn released_site<'a>(name: &ServiceName, folder: &Path, against: &'a Against<'_>) -> Option<&'a Site> {
    let applied = match against.programs {
        Programs::Current => return None,
        Programs::AsReleased => against.applied,
    };
    let before = applied.current.as_ref()?.stack.services.get(name)?;
    let is_same = matches!(&before.source, Source::Static { folder: before, .. } if before == folder);
    applied.wanted_site(name).filter(|_| is_same).map(|site| &site.site)
}

/// How a service reaches its resources: who it is, where, and by which version of its password.
fn connections(
    name: &ServiceName,
    service: &Service,
    versions: &BTreeMap<SecretPath, u32>,
    servers: &BTreeMap<ResourceName, (Port, Server)>,
) -> BTreeMap<ResourceName, ConnectionIdentity> {
    let identify = |resource: &ResourceName| {
        let (port, server) = servers.get(resource)?;
        let holder = Holder::Service(name.clone());
        let path = SecretPath::Credential(resource.clone(), holder);
        let version = versions.get(&path).copied().unwrap_or(FIRST_VERSION);
        let beside = server.told_beside().map_or(String::new(), |beside| format!(", {beside}"));
        Some((resource.clone(), ConnectionIdentity(format!("{path} v{version} at port {port}{beside}"))))
    };
    service.uses.iter().filter_map(identify).collect()
}

/// What runs, as the last application left it.
fn running(against: &Against<'_>) -> Running {
    let (applied, capacity) = (against.applied, against.machine.capacity);
    let services = applied.current.iter().flat_map(|current| {
        let derived = derive(&current.stack, capacity);
        current.stack.services.iter().filter_map(move |(name, service)| {
            Some((
                name.clone(),
                RunningService {
                    release: *current.releases.get(name).or_else(|| current.sites.get(name))?,
                    replicas: derived.replicas.get(name).copied().unwrap_or(0),
                    schedule: service.schedule.as_ref().map(|schedule| schedule.cron.clone()),
                    uses: service.uses.clone(),
                    needs: service.needs.clone(),
                },
            ))
        })
    });
    let resources = applied.resources.iter().map(|(name, known)| {
        let running = RunningResource {
            resource: known.resource.clone(),
            version: matches!(known.resource, model::stack::Resource::Postgres(_)).then_some(known.major),
            folder: against.layout.resource(name),
            runs: known.wanted,
        };
        (name.clone(), running)
    });
    let (services, resources) = (services.collect(), resources.collect());
    let edge = applied.current.as_ref().and_then(|current| current.stack.edge.clone());
    let conditions = conditions(&services, &resources, edge.as_ref(), against.units);
    Running { services, resources, edge, conditions, held: against.held.clone(), unattended: against.unattended }
}

/// The passwords of a resource's logins, made where they are missing.
pub(crate) fn credential_paths(stack: &Stack) -> Vec<SecretPath> {
    let mut paths = Vec::new();
    for (resource, holders) in holders(stack) {
        paths.push(SecretPath::Credential(resource.clone(), Holder::Operator));
        paths.extend(holders.into_iter().map(|holder| SecretPath::Credential(resource.clone(), holder)));
    }
    paths
}
