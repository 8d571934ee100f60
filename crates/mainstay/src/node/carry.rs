//! What is applied, as the units that are to run now. Start reading at [`wanted`].
//!
//! Asked again after everything that happens; which replicas a rollout wants next is for `plan::rollout` to
//! say, and this puts the answers of the parts side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::credential::{Holder, SecretPath};
use model::stack::Service;
use model::{ReleaseNumber, ReplicaNumber, ResourceName, SecretName, ServiceName, UnitId};
use plan::change::Subject;
use plan::rollout::{self, Stage as RolloutStage};
use plan::traffic::{self, Reach, Withdrawals};
use resources::{Password, Passwords};
use services::process::{self, Carriage, HookApart, LimitsBy, Secrets, Values};
use services::release::Record as Release;
use services::user::Owner;
use supervise::control_group::Support;
use supervise::launch::{EnvironmentValue, LogPolicy, UserIds};
use supervise::supervisor::{State, UnitStatus, Wanted};
use sys::Now;
use vault::{ReadError, SecretVersion, Vault};

use super::applied::{Applied, Current, Run, run_number};
use super::edge;
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
    pub(crate) traffic: Traffic<'a>,
    pub(crate) now: Now,
}

/// Where requests go, as far as the edge has said, and what was to go before this look.
pub(crate) struct Traffic<'a> {
    pub(crate) reach: Reach,
    pub(crate) withdrawals: &'a Withdrawals,
}

/// What is to run now.
#[derive(Default)]
pub(crate) struct Look {
    /// The units.
    pub(crate) wanted: Vec<Wanted<Task>>,
    /// Units that go on as they were last wanted.
    pub(crate) held: BTreeSet<UnitId>,
    /// Of what they are, and why it cannot be told how that is to run.
    pub(crate) holds: BTreeMap<Subject, Unseen>,
    /// The replicas that are to go, and since when.
    pub(crate) withdrawals: Withdrawals,
    /// The replicas that each service's rollout asks for.
    pub(crate) rollouts: BTreeMap<ServiceName, BTreeSet<(ReleaseNumber, ReplicaNumber)>>,
    /// Where each change stands that is not done.
    pub(crate) changes: BTreeMap<ServiceName, String>,
    /// When to look again even if nothing happens, in steady time.
    pub(crate) wake_at: Option<Duration>,
}

impl Look {
    fn hold(&mut self, subject: Subject, units: impl IntoIterator<Item = UnitId>, why: Unseen) {
        self.held.extend(units);
        self.holds.entry(subject).or_insert(why);
    }
}

/// Why it cannot be told how something is to run, and what to do about it. It is then held, and everything else goes
/// on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unseen {
    /// A resource has no software here any more.
    #[error("{0}")]
    Unserved(String),
    /// What a service uses is held.
    #[error("it uses {0}, which is held")]
    Uses(ResourceName),
    /// A secret's version is gone.
    #[error(
        "version {version} of {secret} is not in the vault any more; \
         `mainstay secret set {secret}` gives it another one, with a new release"
    )]
    NoSecret {
        /// Which.
        secret: SecretName,
        /// Which version of it.
        version: SecretVersion,
    },
    /// A resource's password is gone.
    #[error("the password {0} is not in the vault any more; put the state directory back from a backup")]
    NoPassword(SecretPath),
    /// What is in the vault cannot be read.
    #[error("{path} cannot be read")]
    Vault {
        /// What was looked for.
        path: SecretPath,
        /// Why not.
        source: ReadError,
    },
    /// A password is none.
    #[error("the password {path} cannot be used")]
    Password {
        /// Which.
        path: SecretPath,
        /// Why not.
        source: resources::PasswordError,
    },
    /// There is nobody to run a service as.
    #[error(transparent)]
    User(#[from] services::user::UserError),
}

/// What is to run now.
pub(crate) fn wanted(scene: &Scene<'_>) -> Look {
    let mut look = Look::default();
    let passwords = resources(scene, &mut look);
    look.wanted.extend(scene.current.stack.edge.as_ref().map(|edge| edge::unit::wanted(scene, edge)));
    for (name, service) in &scene.current.stack.services {
        Carrier { scene, name, service, passwords: &passwords }.carry(&mut look);
    }
    hold_removed(scene, &mut look);
    look
}

/// Holds the replicas of services that the file has no more, or as folders, for as long as the edge may send them requests.
fn hold_removed(scene: &Scene<'_>, look: &mut Look) {
    let is_removed = |unit: &&UnitId| match unit {
        UnitId::Replica(service, ..) => !scene.current.releases.contains_key(service),
        _ => false,
    };
    let leaving: Vec<UnitId> = serving(scene.units).filter(is_removed).cloned().collect();
    let kept = withdraw(scene, leaving, look);
    look.held.extend(kept);
}

/// The units that requests may be sent to, or may have been.
fn serving(units: &[UnitStatus]) -> impl Iterator<Item = &UnitId> {
    let runs = |unit: &&UnitStatus| matches!(unit.state, State::Ready | State::Unready | State::Finding);
    units.iter().filter(runs).map(|unit| &unit.unit)
}

/// Withdraws replicas that are to go; those of them that the edge may still send requests to.
fn withdraw(scene: &Scene<'_>, leaving: Vec<UnitId>, look: &mut Look) -> BTreeSet<UnitId> {
    let withdrawn = traffic::withdraw(leaving, scene.traffic.withdrawals, &scene.traffic.reach, scene.now.steady);
    look.wake_at = [look.wake_at, withdrawn.wake_at].into_iter().flatten().min();
    look.withdrawals.extend(withdrawn.since);
    withdrawn.kept
}

/// Adds the resources; the passwords of those that are not held.
fn resources(scene: &Scene<'_>, look: &mut Look) -> BTreeMap<ResourceName, Passwords> {
    let mut all = BTreeMap::new();
    for (name, holders) in holders(&scene.current.stack) {
        match (seen(scene, &name, holders), scene.servers.get(&name)) {
            (Ok(passwords), Some(server)) => {
                look.wanted.push(resource(scene, &name, server, &passwords));
                all.insert(name, passwords);
            }
            (Ok(_), None) => {}
            (Err(why), _) => {
                look.hold(Subject::Resource(name.clone()), [UnitId::Resource(name)], why);
            }
        }
    }
    all
}

/// The passwords of a resource that can be run.
fn seen(scene: &Scene<'_>, resource: &ResourceName, holders: Vec<Holder>) -> Result<Passwords, Unseen> {
    if let Some(why) = scene.unserved.get(resource) {
        return Err(Unseen::Unserved(why.clone()));
    }
    let operator = password(scene.vault, resource, Holder::Operator)?;
    let others = holders.into_iter().map(|holder| Ok((holder.clone(), password(scene.vault, resource, holder)?)));
    Ok(Passwords { operator, others: others.collect::<Result<_, Unseen>>()? })
}

fn password(vault: &Vault, resource: &ResourceName, holder: Holder) -> Result<Password, Unseen> {
    let path = SecretPath::Credential(resource.clone(), holder);
    match vault.get(&path, None) {
        Ok(Some((_, value))) => Password::new(value.into_exposed()).map_err(|source| Unseen::Password { path, source }),
        Ok(None) => Err(Unseen::NoPassword(path)),
        Err(source) => Err(Unseen::Vault { path, source }),
    }
}

/// Turns one service into units.
struct Carrier<'a> {
    scene: &'a Scene<'a>,
    name: &'a ServiceName,
    service: &'a Service,
    passwords: &'a BTreeMap<ResourceName, Passwords>,
}

/// What a release needs beside its own content.
struct Needed {
    values: Values,
    user: Option<UserIds>,
}

impl Carrier<'_> {
    /// Adds what is to run of the service, its runs included.
    fn carry(&self, look: &mut Look) {
        let Some(release) = self.scene.applied.wanted_release(self.name) else { return };
        let lasts = self.service.schedule.is_none();
        let mut needed = BTreeMap::from([(release.number, self.needed(release))]);
        let replicas = match needed.get(&release.number) {
            _ if !lasts => BTreeSet::new(),
            Some(Ok(_)) => self.roll_out(release, look),
            // A change to what cannot be run is not begun, and one that is under way goes no further.
            Some(Err(_)) | None => self.recorded(),
        };
        let hooked = lasts.then_some(release.number);
        let running = self.runs().filter_map(|(unit, _)| unit.release());
        let replicas = self.with_kept(replicas, look);
        let numbers: BTreeSet<ReleaseNumber> =
            replicas.iter().map(|(of, _)| *of).chain(hooked).chain(running).collect();
        for number in numbers {
            let Some(release) = self.scene.applied.release(self.name, number) else { continue };
            let needed = needed.remove(&number).unwrap_or_else(|| self.needed(release));
            match needed {
                Ok(needed) => look.wanted.extend(self.units(release, &needed, &replicas)),
                Err(why) => look.hold(Subject::Service(self.name.clone()), self.ids(release, &replicas), why),
            }
        }
        // A job of which no run is going on: none can be begun.
        if let Some(Err(why)) = needed.remove(&release.number) {
            look.hold(Subject::Service(self.name.clone()), [], why);
        }
    }

    /// The replicas that are to exist now.
    fn roll_out(&self, release: &Release, look: &mut Look) -> BTreeSet<(ReleaseNumber, ReplicaNumber)> {
        let scene = self.scene;
        let wanted = rollout::Wanted {
            release: release.number,
            count: scene.replicas.get(self.name).copied().unwrap_or(0),
            strategy: rollout::strategy(self.service),
            hook: services::rollout::hook(release, scene.units),
        };
        let replicas = match services::rollout::observe(self.name, scene.units) {
            Some(observed) => {
                let step = rollout::decide(&wanted, &observed, scene.now.steady);
                look.wake_at = [look.wake_at, step.wake_at].into_iter().flatten().min();
                if step.stage != RolloutStage::Settled {
                    look.changes.insert(self.name.clone(), step.stage.to_string());
                }
                step.replicas
            }
            // It is being found out how they do: until then all stays as it is.
            None => self.recorded(),
        };
        look.rollouts.insert(self.name.clone(), replicas.clone());
        replicas
    }

    /// The replicas, and those that the rollout does not ask for any more and the edge may still send requests to.
    fn with_kept(
        &self,
        mut replicas: BTreeSet<(ReleaseNumber, ReplicaNumber)>,
        look: &mut Look,
    ) -> BTreeSet<(ReleaseNumber, ReplicaNumber)> {
        let leaves = |unit: &&UnitId| replica_key(unit, self.name).is_some_and(|key| !replicas.contains(&key));
        let leaving = serving(self.scene.units).filter(leaves).cloned().collect();
        let kept = withdraw(self.scene, leaving, look);
        replicas.extend(kept.iter().filter_map(|unit| replica_key(unit, self.name)));
        replicas
    }

    /// The replicas that the rollout last asked for.
    fn recorded(&self) -> BTreeSet<(ReleaseNumber, ReplicaNumber)> {
        self.scene.applied.rollouts.get(self.name).cloned().unwrap_or_default()
    }

    fn runs(&self) -> impl Iterator<Item = (&UnitId, &Run)> {
        self.scene.applied.going_on(self.name)
    }

    /// The hook, the replicas and the runs of a release.
    fn units(
        &self,
        release: &Release,
        needed: &Needed,
        replicas: &BTreeSet<(ReleaseNumber, ReplicaNumber)>,
    ) -> Vec<Wanted<Task>> {
        let place = service_place(self.scene.machine, self.scene.layout, self.name);
        let carriage = self.carriage(release, needed, &place);
        let mut units: Vec<Wanted<Task>> = carriage.hook().into_iter().collect();
        for (_, number) in replicas.iter().filter(|(of, _)| *of == release.number) {
            units.push(carriage.replica(*number));
        }
        for (unit, run) in self.runs().filter(|(unit, _)| unit.release() == Some(release.number)) {
            let Some(number) = run_number(unit) else { continue };
            units.push(carriage.run(number, run.command.as_ref()));
        }
        units
    }

    /// The units that [`Carrier::units`] makes, by name.
    fn ids(&self, release: &Release, replicas: &BTreeSet<(ReleaseNumber, ReplicaNumber)>) -> BTreeSet<UnitId> {
        let of_release = |number: ReleaseNumber| number == release.number;
        let hook = release.content.hook.is_some().then(|| UnitId::ReleaseRun(self.name.clone(), release.number));
        let replicas = replicas.iter().filter(|(of, _)| of_release(*of));
        let replicas = replicas.map(|(of, number)| UnitId::Replica(self.name.clone(), *of, *number));
        let runs = self.runs().map(|(unit, _)| unit.clone()).filter(|unit| unit.release().is_some_and(of_release));
        hook.into_iter().chain(replicas).chain(runs).collect()
    }

    fn carriage<'c>(&'c self, release: &'c Release, needed: &'c Needed, place: &'c process::Place) -> Carriage<'c> {
        let scene = self.scene;
        Carriage {
            stack: &scene.current.stack.name,
            environment: &scene.current.stack.environment,
            release,
            needs: &self.service.needs,
            values: &needed.values,
            place,
            user: needed.user,
            hook: hook_apart(scene, self.name, release.content.user.as_deref(), needed.user),
            limits: match (&scene.machine.limits, scene.current.stack.advisory) {
                (Support::Unavailable { .. }, true) => LimitsBy::Without,
                (support, _) => LimitsBy::Groups { support, tag: scene.tag },
            },
        }
    }

    fn needed(&self, release: &Release) -> Result<Needed, Unseen> {
        let user = service_user(self.scene.machine, self.scene.applied, self.name, release.content.user.as_deref())?;
        Ok(Needed { values: self.values(release)?, user })
    }

    /// The values behind the names of a release.
    fn values(&self, release: &Release) -> Result<Values, Unseen> {
        let (mut connections, mut owner_connections) = (BTreeMap::new(), BTreeMap::new());
        for resource in release.content.connections.keys() {
            // An older release may use what is no longer there; its replicas are on their way out.
            let known = (self.scene.servers.get(resource), self.scene.applied.resources.get(resource));
            let passwords = self.passwords.get(resource);
            let (Some(server), Some(known), Some(passwords)) = (known.0, known.1, passwords) else {
                match self.scene.current.stack.resources.contains_key(resource) {
                    true => return Err(Unseen::Uses(resource.clone())),
                    false => continue,
                }
            };
            let own = Holder::Service(self.name.clone());
            let variables = |holder| server.connection(known.port, holder, passwords);
            connections.extend(variables(&own).unwrap_or_default());
            let owner = variables(&Holder::Owner).or_else(|| variables(&own));
            owner_connections.extend(owner.unwrap_or_default());
        }
        let secrets = Secrets::of(release, |secret, version| self.secret(secret, SecretVersion(version)))?;
        Ok(Values { connections, owner_connections, secrets })
    }

    fn secret(&self, secret: &SecretName, version: SecretVersion) -> Result<EnvironmentValue, Unseen> {
        let path = SecretPath::Named(secret.clone());
        match self.scene.vault.get(&path, Some(version)) {
            Ok(Some((_, value))) => Ok(EnvironmentValue(value.into_exposed())),
            Ok(None) => Err(Unseen::NoSecret { secret: secret.clone(), version }),
            Err(source) => Err(Unseen::Vault { path, source }),
        }
    }
}

/// Which replica of a service a unit is, if it is one.
fn replica_key(unit: &UnitId, service: &ServiceName) -> Option<(ReleaseNumber, ReplicaNumber)> {
    match unit {
        UnitId::Replica(of, release, number) if of == service => Some((*release, *number)),
        _ => None,
    }
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

/// How the hook of a service is kept apart from its replicas: where the service has a user of its own. An account that
/// the file states is shared with whatever runs as it, and root is held by nothing.
fn hook_apart(scene: &Scene<'_>, name: &ServiceName, stated: Option<&str>, user: Option<UserIds>) -> Option<HookApart> {
    let group = scene.applied.users.get(&Owner::Hook(name.clone())).copied()?;
    let user = user.filter(|_| stated.is_none())?;
    Some(HookApart { user: services::user::of_hook(user, group), home: hook_home(scene.layout, name) })
}

/// What the hook of a service with a user of its own is told is its home.
pub(crate) fn hook_home(layout: &Layout, name: &ServiceName) -> PathBuf {
    layout.volumes(name).join(services::volume::HOOK_HOME)
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
    let task = |stage| Some(Task::Server { stage, server: Box::new(server.clone()), passwords: passwords.clone() });
    Wanted {
        unit: operated.unit,
        launch: operated.launch,
        port: operated.port,
        ready: Some(operated.ready),
        live: operated.live,
        prepare: task(Stage::Prepare),
        complete: task(Stage::Complete),
    }
}
