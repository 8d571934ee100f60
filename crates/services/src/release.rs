//! A release as a record: its content, its number and the digest that names it.
//!
//! Start reading at [`content`], which gathers what a release is made of, and [`Record`], which the node
//! stores. Invariant: a record holds the versions of secrets and never a value.

use std::collections::BTreeMap;
use std::path::Path;

use model::stack::{Service, Source};
use model::{Digest, ReleaseNumber, ResourceName, SecretName, ServiceName, Stack, Timestamp};
use plan::release::{Command, ConnectionIdentity, Content, Program, Site};
use sha2::{Digest as _, Sha256};

/// The version of [`Record`]'s stored form.
pub const RECORD_VERSION: u32 = 1;

/// A release, as the node stores it under its service and number. Never changed once written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// The service.
    pub service: ServiceName,
    /// The release's number.
    pub number: ReleaseNumber,
    /// When it was made.
    pub made: Timestamp,
    /// What it runs.
    pub content: Content,
}

/// A release of a folder, stored likewise.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SiteRecord {
    /// The service.
    pub service: ServiceName,
    /// The release's number.
    pub number: ReleaseNumber,
    /// When it was made.
    pub made: Timestamp,
    /// What the edge sends.
    pub site: Site,
}

/// What a release is made of beside the file.
#[derive(Debug, Clone, Copy)]
pub struct Materials<'a> {
    /// The folder of the file, in which commands run.
    pub folder: &'a Path,
    /// The program of `run`.
    pub program: &'a Program,
    /// The program of `release.run`; required when the service has one.
    pub hook: Option<&'a Program>,
    /// The newest version of each secret.
    pub secrets: &'a BTreeMap<SecretName, u32>,
    /// How the service reaches each resource.
    pub connections: &'a BTreeMap<ResourceName, ConnectionIdentity>,
}

/// Something that a release is made of is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The stack has no such service.
    #[error("there is no service {0}")]
    Service(ServiceName),
    /// The service is not one that is run by a command.
    #[error("{0} is not run by a command")]
    NotRun(ServiceName),
    /// A secret has no value.
    #[error("secret {secret}, which {service} is to receive, has no value: run `mainstay secret set {secret}`")]
    Secret {
        /// The secret.
        secret: SecretName,
        /// Who receives it.
        service: ServiceName,
    },
    /// It is not known how to reach a resource.
    #[error("{service} has no connection to {resource} yet")]
    Connection {
        /// The resource.
        resource: ResourceName,
        /// Who uses it.
        service: ServiceName,
    },
    /// The hook's program was not looked for.
    #[error("the program that {0} runs before a release was not looked for")]
    Hook(ServiceName),
}

/// The content that a release of `name` has now.
pub fn content(stack: &Stack, name: &ServiceName, materials: Materials) -> Result<Content, ContentError> {
    let service = stack.services.get(name).ok_or_else(|| ContentError::Service(name.clone()))?;
    let Source::Run(line) = &service.source else { return Err(ContentError::NotRun(name.clone())) };
    Ok(Content {
        command: Command { line: line.clone(), program: materials.program.clone() },
        folder: materials.folder.to_owned(),
        hook: hook(name, service, materials.hook)?,
        env: service.env.clone(),
        secrets: secrets(name, service, materials.secrets)?,
        connections: connections(name, service, materials.connections)?,
        listen: service.listen,
        user: service.user.clone(),
        volumes: service.volumes.clone(),
        limits: service.limits,
        health: service.health.clone(),
        timezone: stack.timezone.clone(),
    })
}

/// The digest of a content: equal exactly for equal contents.
pub fn digest(content: &Content) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"mainstay release 1\n");
    // Names, numbers and texts in maps with a fixed order: this always has a JSON form, and always the same.
    hasher.update(serde_json::to_vec(content).unwrap_or_default());
    Digest(hasher.finalize().into())
}

/// The digests of the copied programs that a release needs.
pub fn artefacts(content: &Content) -> impl Iterator<Item = Digest> {
    [Some(&content.command), content.hook.as_ref()].into_iter().flatten().filter_map(artefact)
}

/// The digest of the copied program that a command starts; `None` when it runs from where it is.
pub const fn artefact(command: &Command) -> Option<Digest> {
    match &command.program {
        Program::Frozen { digest, .. } => Some(*digest),
        Program::InPlace { .. } => None,
    }
}

fn hook(name: &ServiceName, service: &Service, program: Option<&Program>) -> Result<Option<Command>, ContentError> {
    match (&service.release_run, program) {
        (None, _) => Ok(None),
        (Some(line), Some(program)) => Ok(Some(Command { line: line.clone(), program: program.clone() })),
        (Some(_), None) => Err(ContentError::Hook(name.clone())),
    }
}

fn secrets(
    name: &ServiceName,
    service: &Service,
    versions: &BTreeMap<SecretName, u32>,
) -> Result<BTreeMap<SecretName, u32>, ContentError> {
    let versioned = service.secrets.iter().map(|secret| match versions.get(secret) {
        Some(version) => Ok((secret.clone(), *version)),
        None => Err(ContentError::Secret { secret: secret.clone(), service: name.clone() }),
    });
    versioned.collect()
}

fn connections(
    name: &ServiceName,
    service: &Service,
    known: &BTreeMap<ResourceName, ConnectionIdentity>,
) -> Result<BTreeMap<ResourceName, ConnectionIdentity>, ContentError> {
    let identified = service.uses.iter().map(|resource| match known.get(resource) {
        Some(identity) => Ok((resource.clone(), identity.clone())),
        None => Err(ContentError::Connection { resource: resource.clone(), service: name.clone() }),
    });
    identified.collect()
}

#[cfg(test)]
mod tests;
