//! Why a plan is not carried out, and what to do instead; and what is only warned of.

use std::fmt;

use model::stack::{Limits, Resource};
use model::{Port, ResourceName, SecretName, ServiceName};

use super::{Desired, Running, Subject};
use crate::objectives::Contradiction;

/// What cannot be honoured here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The file contradicts its own promises.
    Contradiction(Contradiction),
    /// The data of a PostgreSQL resource is of another major version.
    MajorVersion {
        /// Which resource.
        resource: ResourceName,
        /// The version of the data.
        data: u32,
        /// The version that the file asks for.
        wanted: u32,
    },
    /// A name stands for another kind of resource than before.
    KindChanged {
        /// Which resource.
        resource: ResourceName,
        /// What it was.
        from: &'static str,
        /// What it is to be.
        to: &'static str,
    },
    /// A resource's software is not installed.
    MissingSoftware {
        /// Which resource.
        resource: ResourceName,
        /// What is missing and how to install it.
        message: String,
    },
    /// A service receives a secret that has no value.
    SecretWithoutValue {
        /// Which secret.
        secret: SecretName,
        /// Who receives it.
        services: Vec<ServiceName>,
    },
    /// A service states a user and the node cannot give it one.
    UserNeedsRoot {
        /// Which service.
        service: ServiceName,
        /// Which user.
        user: String,
    },
    /// A service states a user that cannot be had.
    MissingUser {
        /// Which service.
        service: ServiceName,
        /// Why not, and what to do.
        message: String,
    },
    /// Services and resources cannot be given user ids of their own, for this reason.
    NoUserIds(String),
    /// Services state limits that cannot be had.
    NoLimits {
        /// Which services.
        services: Vec<ServiceName>,
        /// Why not.
        reason: String,
    },
    /// The edge cannot listen on a port.
    NoPort {
        /// Which.
        port: Port,
        /// Why not, and what to do.
        reason: String,
    },
}

/// What needs attention and refuses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The file contradicts its own promises, and the environment is `advisory`.
    Contradiction(Contradiction),
    /// Services run without the limits that the file states.
    NoLimits {
        /// Which services.
        services: Vec<ServiceName>,
        /// Why.
        reason: String,
    },
    /// What is kept has no node that looks after it.
    NoNode,
    /// It is held and stays so: nothing new of it is started.
    Held(Subject),
}

/// Everything that cannot be honoured, the objectives aside.
pub(super) fn find(desired: &Desired, running: &Running) -> (Vec<Refusal>, Vec<Warning>) {
    let mut refusals = changed_data(desired, running);
    refusals.extend(missing_software(desired, running));
    refusals.extend(unset_secrets(desired));
    refusals.extend(users(desired));
    let wanted = |port: &Port| desired.stack.edge.as_ref().is_some_and(|edge| edge.listen.has(*port));
    let barred = desired.abilities.barred_ports.iter().filter(|(port, _)| wanted(port));
    refusals.extend(barred.map(|(port, reason)| Refusal::NoPort { port: *port, reason: reason.clone() }));
    let mut warnings = Vec::new();
    if let Some((services, reason)) = limits(desired) {
        match desired.stack.advisory {
            true => warnings.push(Warning::NoLimits { services, reason }),
            false => refusals.push(Refusal::NoLimits { services, reason }),
        }
    }
    (refusals, warnings)
}

/// The resources that would be had with their software; one that is of another kind than before would not.
fn missing_software(desired: &Desired, running: &Running) -> Vec<Refusal> {
    let is_wanted = |name: &ResourceName| {
        let wanted = desired.stack.resources.get(name);
        let before = running.resources.get(name).map(|kept| kept.resource.kind());
        wanted.is_some_and(|wanted| before.is_none_or(|kind| kind == wanted.kind()))
    };
    let missing = desired.abilities.missing_software.iter().filter(|(name, _)| is_wanted(name));
    missing
        .map(|(name, message)| Refusal::MissingSoftware { resource: name.clone(), message: message.clone() })
        .collect()
}

fn changed_data(desired: &Desired, running: &Running) -> Vec<Refusal> {
    let both = desired.stack.resources.iter().filter_map(|(name, it)| Some((name, it, running.resources.get(name)?)));
    both.filter_map(|(name, wanted, running)| {
        let resource = name.clone();
        if wanted.kind() != running.resource.kind() {
            return Some(Refusal::KindChanged { resource, from: running.resource.kind(), to: wanted.kind() });
        }
        match (wanted, running.version) {
            (Resource::Postgres(it), Some(data)) => {
                let wanted = it.version.filter(|wanted| *wanted != data)?;
                Some(Refusal::MajorVersion { resource, data, wanted })
            }
            _ => None,
        }
    })
    .collect()
}

fn unset_secrets(desired: &Desired) -> Vec<Refusal> {
    let services_with = |secret: &SecretName| -> Vec<ServiceName> {
        let services = desired.stack.services.iter().filter(|(_, it)| it.secrets.contains(secret));
        services.map(|(name, _)| name.clone()).collect()
    };
    let unset = desired.unset_secrets.iter().map(|secret| (secret.clone(), services_with(secret)));
    unset
        .filter(|(_, services)| !services.is_empty())
        .map(|(secret, services)| Refusal::SecretWithoutValue { secret, services })
        .collect()
}

fn users(desired: &Desired) -> Vec<Refusal> {
    let abilities = desired.abilities;
    if abilities.users {
        let missing = abilities.missing_users.iter();
        let missing = missing.map(|(name, why)| Refusal::MissingUser { service: name.clone(), message: why.clone() });
        return missing.chain(abilities.no_user_ids.clone().map(Refusal::NoUserIds)).collect();
    }
    let stated = desired.stack.services.iter().filter_map(|(name, it)| Some((name, it.user.as_ref()?)));
    stated.map(|(name, user)| Refusal::UserNeedsRoot { service: name.clone(), user: user.clone() }).collect()
}

fn limits(desired: &Desired) -> Option<(Vec<ServiceName>, String)> {
    let reason = desired.abilities.no_limits.clone()?;
    let limited = desired.stack.services.iter().filter(|(_, it)| it.limits != Limits::default());
    let services: Vec<ServiceName> = limited.map(|(name, _)| name.clone()).collect();
    (!services.is_empty()).then_some((services, reason))
}

fn names(services: &[ServiceName]) -> String {
    services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Contradiction(it) => write!(f, "{} ({}): {}", it.what, it.path, it.hint()),
            Refusal::MajorVersion { resource, data, wanted } => write!(
                f,
                "the data of {resource} is PostgreSQL {data}'s, and moving it to {wanted} is not supported yet: \
                 say `version: {data}`, or make a new resource and move the data with pg_dump"
            ),
            Refusal::KindChanged { resource, from, to } => write!(
                f,
                "{resource} is a {from} resource with data, and a {to} resource is another one: give that another name"
            ),
            Refusal::MissingSoftware { resource, message } => write!(f, "{resource} cannot run here: {message}"),
            Refusal::SecretWithoutValue { secret, services } => write!(
                f,
                "secret {secret}, which {} is to receive, has no value: run `mainstay secret set {secret}`",
                names(services)
            ),
            Refusal::UserNeedsRoot { service, user } => write!(
                f,
                "{service} is to run as {user}, which takes a node that runs as root: start it as root, or say \
                 `user: null` in this environment"
            ),
            Refusal::NoPort { port, reason } => write!(f, "the edge cannot listen on port {port}: {reason}"),
            Refusal::MissingUser { service, message } => write!(f, "{service} cannot run here: {message}"),
            Refusal::NoUserIds(why) => f.write_str(why),
            Refusal::NoLimits { services, reason } => write!(
                f,
                "the limits of {} cannot be had: {reason}. Say `advisory: true` in this environment to go without",
                names(services)
            ),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Contradiction(it) => write!(f, "{} ({}): {}", it.what, it.path, it.hint()),
            Warning::NoLimits { services, reason } => {
                write!(f, "{} runs without its limits: {reason}", names(services))
            }
            Warning::NoNode => f.write_str(
                "no node runs: until `mainstay up` starts one, nothing that ends is started again and no job runs",
            ),
            Warning::Held(subject) => write!(
                f,
                "{} is held: what runs of it goes on as it was last told, and nothing new of it is started; `mainstay \
                 status` says why",
                subject.name()
            ),
        }
    }
}
