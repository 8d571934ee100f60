//! Secrets, asked for by people. Start reading at [`Node::set_secret`].
//!
//! The node's methods are thin: the functions below them serve a command as well that opens the state
//! directory itself while no node runs.

use model::credential::SecretPath;
use model::{Actor, EntryId, Happening, SecretName, ServiceName, Timestamp};
use vault::SecretValue;

use super::Node;
use super::answer::{Reply, internal};
use super::applied::{Applied, Current};
use super::consider::Programs;
use super::errands::Errand;
use super::finds::{Finds, Halt};
use super::store::Store;
use super::troubles::About;
use crate::api::bodies::{AcceptedBody, ErrorBody, ErrorKind, FileBody, SecretBody, SecretImportBody, SecretValueBody};

impl Node {
    pub(super) fn secrets(&self) -> Reply<Vec<SecretBody>> {
        secret_bodies(&self.store, self.applied.current.as_ref())
    }

    pub(super) fn secret(&mut self, actor: &Actor, name: &SecretName, version: Option<u32>) -> Reply<SecretValueBody> {
        let at = self.now().wall;
        read_secret(&mut self.store, at, actor, name, version)
    }

    pub(super) fn set_secret(
        &mut self,
        actor: &Actor,
        name: SecretName,
        value: &SecretValueBody,
    ) -> Reply<AcceptedBody> {
        let at = self.now().wall;
        let entry = set_secret(&mut self.store, at, actor, name.clone(), value)?;
        self.take_on(Errand::ReleaseAnew(vec![name]));
        Ok(AcceptedBody { entry })
    }

    pub(super) fn import_secrets(&mut self, actor: &Actor, import: &SecretImportBody) -> Reply<Vec<SecretName>> {
        let at = self.now().wall;
        let names = import_secrets(&mut self.store, at, actor, import)?;
        self.take_on(Errand::ReleaseAnew(names.clone()));
        Ok(names)
    }

    pub(super) fn remove_secret(&mut self, actor: &Actor, name: &SecretName) -> Reply<AcceptedBody> {
        let at = self.now().wall;
        Ok(AcceptedBody { entry: remove_secret(&mut self.store, &self.applied, at, actor, name)? })
    }

    /// Makes new releases of the services that receive a secret that has changed.
    pub(super) fn release_anew(&mut self, names: &[SecretName], finds: &Finds) -> Result<(), Halt> {
        let Some(current) = &self.applied.current else { return Ok(()) };
        if names.iter().all(|name| users_of(Some(current), name).is_empty()) {
            return Ok(());
        }
        // Nothing is released of what is being stopped, or is to be. What is applied next takes the new version.
        if self.stopping || self.stops_unless_applied {
            return Ok(());
        }
        let file = FileBody {
            path: current.path.display().to_string(),
            text: current.text.clone(),
            environment: Some(current.stack.environment.clone()),
        };
        let reason = "a secret has a new version, which makes new releases of the services that receive it";
        self.apply(&Actor::Node, &file, Programs::AsReleased, finds, reason).map(drop)
    }

    /// Notes what became of that: `status` tells of a secret that nothing receives yet.
    pub(super) fn note_released_anew(&mut self, released: Reply<()>) {
        if let Err(error) = released {
            let what = std::iter::once(error.message).chain(error.problems).collect::<Vec<_>>().join("; ");
            self.troubles.note(About::NewSecret, format!("a secret has a new version that no service has yet: {what}"));
        }
    }
}

/// The secrets without their values, with the services that receive each.
pub(crate) fn secret_bodies(store: &Store, current: Option<&Current>) -> Reply<Vec<SecretBody>> {
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
    store: &mut Store,
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
    store: &mut Store,
    at: Timestamp,
    actor: &Actor,
    name: SecretName,
    value: &SecretValueBody,
) -> Reply<EntryId> {
    let value = value.checked()?;
    let entries =
        store.set_secrets(at, actor, &[name], vec![value], "a person set it").map_err(|error| internal(&error))?;
    entries.first().copied().ok_or_else(|| ErrorBody::new(ErrorKind::Internal, "the change was not journaled"))
}

/// Sets the secrets of a `.env` text, all or none.
pub(crate) fn import_secrets(
    store: &mut Store,
    at: Timestamp,
    actor: &Actor,
    import: &SecretImportBody,
) -> Reply<Vec<SecretName>> {
    let (names, values): (Vec<SecretName>, Vec<SecretValue>) = import.checked()?.into_iter().unzip();
    store.set_secrets(at, actor, &names, values, "a person imported it").map_err(|error| internal(&error))?;
    Ok(names)
}

/// Removes a secret that nothing receives.
pub(crate) fn remove_secret(
    store: &mut Store,
    applied: &Applied,
    at: Timestamp,
    actor: &Actor,
    name: &SecretName,
) -> Reply<EntryId> {
    let receivers = applied.receivers(name);
    if !receivers.is_empty() {
        let receivers: Vec<String> = receivers.iter().map(ToString::to_string).collect();
        let message = format!("{name} is received by {}", receivers.join(", "));
        let what = Happening::Refused { call: "secret remove".to_owned() };
        store.tell(at, actor, what, &*message, Vec::new()).map_err(|error| internal(&error))?;
        return Err(ErrorBody::new(ErrorKind::Refused, message)
            .with_hint("take it out of the file, apply that and wait for its rollout, then remove it"));
    }
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
