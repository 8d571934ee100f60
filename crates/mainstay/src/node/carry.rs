//! What is applied, as the units that are to run now. Start reading at [`wanted`].
//!
//! Asked again after everything that happens; which replicas a rollout wants next is for `plan::rollout` to
//! say, and this puts the answers of the parts side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::cause::chain;
use model::credential::{Holder, SecretPath};
use model::stack::Service;
use model::{ReleaseNumber, ReplicaNumber, ResourceName, ServiceName, UnitId};
use plan::rollout::{self, Stage as RolloutStage};
use resources::{Password, Passwords};
use services::process::{self, Carriage, LimitsBy, Values};
use services::release::Record as Release;
use services::user::Owner;
use supervise::control_group::Support;
use supervise::launch::{EnvironmentValue, LogPolicy, UserIds};
use supervise::supervisor::{UnitStatus, Wanted};
use sys::Now;
use vault::{SecretVersion, Vault};

use super::applied::{Applied, Current, run_number};
use super::layout::Layout;
use super::machine_facts::MachineFacts;
use super::server::{Server, Stage, Task, holders};

/// Everything that a look is made of.
pub(crate) struct Scene<'a> {
    pub(crate) machine: &'a MachineFacts,
    pub(crate) layout: &'a Layout,
    pub(crate) tag: &'a str,
    pub(crate) applied: &'a Applied,
    pub(crate) current: &'a Current,
    pub(crate) replicas: &'a BTreeMap<ServiceName, u32>,
    pub(crate) servers: &'a BTreeMap<ResourceName, Server>,
    pub(crate) unserved: &'a BTreeMap<ResourceName, String>,
    pub(crate) vault: &'a Vault,
    pub(crate) units: &'a [UnitStatus],
    pub(crate) now: Now,
}

/// What is to run now.
#[derive(Default)]
pub(crate) struct Look {
    /// The units.
    pub(crate) wanted: Vec<Wanted<Task>>,
    /// The replicas that each service's rollout asks for.
    pub(crate) rollouts: BTreeMap<ServiceName, BTreeSet<(ReleaseNumber, ReplicaNumber)>>,
    /// Where each change stands that is not done.
    pub(crate) changes: BTreeMap<ServiceName, String>,
    /// When to look again even if nothing happens, in steady time.
    pub(crate) wake_at: Option<Duration>,
}

/// Why a look is impossible. Nothing that runs is touched then.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub(crate) struct LookError {
    what: String,
    why: String,
}

fn blind(what: impl Into<String>, error: &dyn std::error::Error) -> LookError {
    LookError { what: what.into(), why: chain(error) }
}

/// What is to run now.
pub(crate) fn wanted(scene: &Scene<'_>) -> Result<Look, LookError> {
    let mut look = Look::default();
    // A resource whose software is gone may still run: it must not be stopped for that, nor may its services
    // be started without their connections.
    if let Some((name, why)) = scene.unserved.first_key_value() {
        return Err(LookError {
            what: format!("nothing is started or stopped while {name} has no server"),
            why: why.clone(),
        });
    }
    let passwords = passwords(scene)?;
    for (name, server) in scene.servers {
        look.wanted.push(resource(scene, name, server, &passwords[name]));
    }
    for (name, service) in &scene.current.stack.services {
        let values = |release: &Release| values(scene, name, release, &passwords);
        let Some(release) = scene.applied.wanted_release(name) else { continue };
        if service.schedule.is_none() {
            replicas(scene, name, service, release, &values, &mut look)?;
        }
        for (unit, run) in scene.applied.going_on(name) {
            let of = unit.release().and_then(|number| scene.applied.release(name, number));
            let (Some(release), Some(number)) = (of, run_number(unit)) else { continue };
            let values = values(release)?;
            let made = carriage(scene, name, service, release, &values, |it| it.run(number, run.command.as_ref()))?;
            look.wanted.push(made);
            hook(scene, name, service, release, &values, &mut look)?;
        }
    }
    Ok(look)
}

fn replicas(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    release: &Release,
    values: &dyn Fn(&Release) -> Result<Values, LookError>,
    look: &mut Look,
) -> Result<(), LookError> {
    let wanted = rollout::Wanted {
        release: release.number,
        count: scene.replicas.get(name).copied().unwrap_or(0),
        strategy: rollout::strategy(service),
        hook: services::rollout::hook(release, scene.units),
    };
    let before = scene.applied.rollouts.get(name).cloned().unwrap_or_default();
    let replicas = match services::rollout::observe(name, scene.units, scene.now) {
        Some(observed) => {
            let step = rollout::decide(&wanted, &observed, scene.now.steady);
            look.wake_at = [look.wake_at, step.wake_at].into_iter().flatten().min();
            if step.stage != RolloutStage::Settled {
                look.changes.insert(name.clone(), step.stage.to_string());
            }
            step.replicas
        }
        // It is being found out how they do: until then all stays as it is.
        None => before,
    };
    let releases: BTreeSet<ReleaseNumber> =
        replicas.iter().map(|(number, _)| *number).chain([release.number]).collect();
    for number in releases {
        let Some(release) = scene.applied.release(name, number) else { continue };
        let values = values(release)?;
        hook(scene, name, service, release, &values, look)?;
        for (_, replica) in replicas.iter().filter(|(of, _)| *of == number) {
            look.wanted.push(carriage(scene, name, service, release, &values, |it| it.replica(*replica))?);
        }
    }
    look.rollouts.insert(name.clone(), replicas);
    Ok(())
}

/// The hook of a release, which everything of the release requires.
fn hook(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    release: &Release,
    values: &Values,
    look: &mut Look,
) -> Result<(), LookError> {
    let id = UnitId::ReleaseRun(name.clone(), release.number);
    if look.wanted.iter().any(|wanted| wanted.unit.id == id) {
        return Ok(());
    }
    look.wanted.extend(carriage(scene, name, service, release, values, |it| it.hook())?);
    Ok(())
}

fn carriage<T>(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    release: &Release,
    values: &Values,
    make: impl FnOnce(&Carriage<'_>) -> Result<T, process::CarryError>,
) -> Result<T, LookError> {
    let user = service_user(scene.machine, scene.applied, name, release.content.user.as_deref())
        .map_err(|error| blind(name.to_string(), &error))?;
    let carriage = Carriage {
        stack: &scene.current.stack.name,
        environment: &scene.current.stack.environment,
        release,
        needs: &service.needs,
        values,
        place: &service_place(scene.machine, scene.layout, name),
        user,
        limits: match (&scene.machine.limits, scene.current.stack.advisory) {
            (Support::Unavailable { .. }, true) => LimitsBy::Without,
            (support, _) => LimitsBy::Groups { support, tag: scene.tag },
        },
    };
    make(&carriage).map_err(|error| blind(name.to_string(), &error))
}

/// As whom a service runs.
pub(crate) fn service_user(
    machine: &MachineFacts,
    applied: &Applied,
    name: &ServiceName,
    stated: Option<&str>,
) -> Result<Option<UserIds>, services::user::UserError> {
    let own = applied.users.get(&Owner::Service(name.clone())).copied();
    services::user::resolve(stated, own, &machine.accounts, machine.root)
}

/// For whom a service's programs are looked for. What cannot be resolved is told where the service is started; before
/// a service has its own id, any id of those that services have stands for it.
pub(crate) fn programs_user(
    machine: &MachineFacts,
    applied: &Applied,
    name: &ServiceName,
    stated: Option<&str>,
) -> Option<UserIds> {
    match service_user(machine, applied, name, stated) {
        Ok(user) => user,
        Err(services::user::UserError::Unallocated) => {
            Some(UserIds { uid: services::user::UID_FIRST, gid: services::user::UID_FIRST })
        }
        Err(_) => None,
    }
}

/// As whom a resource runs.
pub(crate) fn resource_user(machine: &MachineFacts, applied: &Applied, name: &ResourceName) -> Option<UserIds> {
    let uid = applied.users.get(&Owner::Resource(name.clone())).copied()?;
    machine.root.then_some(UserIds { uid, gid: uid })
}

/// Where the things of a service are.
pub(crate) fn service_place(machine: &MachineFacts, layout: &Layout, name: &ServiceName) -> process::Place {
    let search: Vec<String> = machine.search_path.iter().map(|path| path.display().to_string()).collect();
    process::Place {
        artefacts: layout.artefacts(),
        volumes: layout.volumes(name),
        logs: layout.logs(),
        home: if machine.root { layout.volumes(name).join(services::volume::HOME) } else { machine.home.clone() },
        search: search.join(":"),
        hidden: if machine.isolation.hides() { layout.hidden() } else { Vec::new() },
        shown: vec![layout.artefacts(), layout.volumes(name)],
    }
}

fn resource(scene: &Scene<'_>, name: &ResourceName, server: &Server, passwords: &Passwords) -> Wanted<Task> {
    let unit = UnitId::Resource(name.clone());
    let log = LogPolicy {
        folder: scene.layout.log(&unit),
        file_max: process::LOG_FILE_MAX,
        files_max: process::LOG_FILES_MAX,
    };
    let mut operated = server.operated(passwords, log);
    if scene.machine.isolation.hides() {
        operated.launch.hidden = scene.layout.hidden();
        operated.launch.shown = vec![scene.layout.resource(name), scene.layout.resource_sockets(name)];
    }
    let task = |stage| Some(Task { stage, server: server.clone(), passwords: passwords.clone() });
    Wanted {
        unit: operated.unit,
        launch: operated.launch,
        port: operated.port,
        ready: Some(operated.ready),
        live: None,
        prepare: task(Stage::Prepare),
        complete: task(Stage::Complete),
    }
}

/// The passwords of every resource that runs.
fn passwords(scene: &Scene<'_>) -> Result<BTreeMap<ResourceName, Passwords>, LookError> {
    let mut all = BTreeMap::new();
    for (resource, holders) in holders(&scene.current.stack) {
        let operator = password(scene.vault, &resource, Holder::Operator)?;
        let mut others = BTreeMap::new();
        for holder in holders {
            others.insert(holder.clone(), password(scene.vault, &resource, holder)?);
        }
        all.insert(resource, Passwords { operator, others });
    }
    Ok(all)
}

fn password(vault: &Vault, resource: &ResourceName, holder: Holder) -> Result<Password, LookError> {
    let path = SecretPath::Credential(resource.clone(), holder);
    let what = || format!("the password {path}");
    match vault.get(&path, None) {
        Ok(Some((_, value))) => Password::new(value.into_exposed()).map_err(|error| blind(what(), &error)),
        Ok(None) => Err(LookError { what: what(), why: "it is not in the vault".to_owned() }),
        Err(error) => Err(blind(what(), &error)),
    }
}

/// The values behind the names of a release.
fn values(
    scene: &Scene<'_>,
    name: &ServiceName,
    release: &Release,
    passwords: &BTreeMap<ResourceName, Passwords>,
) -> Result<Values, LookError> {
    let mut values = Values::default();
    for resource in release.content.connections.keys() {
        // An older release may use what is no longer there; its replicas are on their way out.
        let known = (scene.servers.get(resource), passwords.get(resource), scene.applied.resources.get(resource));
        let (Some(server), Some(passwords), Some(known)) = known else { continue };
        let own = Holder::Service(name.clone());
        let variables = |holder| server.connection(known.port, holder, passwords);
        values.connections.extend(variables(&own).unwrap_or_default());
        let owner = variables(&Holder::Owner).or_else(|| variables(&own));
        values.owner_connections.extend(owner.unwrap_or_default());
    }
    for (secret, version) in &release.content.secrets {
        let path = SecretPath::Named(secret.clone());
        let found = scene.vault.get(&path, Some(SecretVersion(*version)));
        let found = found.map_err(|error| blind(format!("the secret {secret} of {name}"), &error))?;
        if let Some((_, value)) = found {
            values.secrets.insert(secret.clone(), EnvironmentValue(value.into_exposed()));
        }
    }
    Ok(values)
}
