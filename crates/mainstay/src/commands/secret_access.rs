//! The way to the secrets: through the node where one runs, else through the state directory itself, whose
//! lock is then held here. Either way each change and each read of a value is journaled.

use model::{Actor, SecretName};

use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::{SecretBody, SecretImportBody, SecretValueBody};
use crate::api::client::Client;
use crate::node::applied::Applied;
use crate::node::secrets;
use crate::node::store::{Store, StoreError};

/// One of the two ways.
pub(crate) enum Access {
    /// A node runs.
    Node(Client),
    /// None does.
    Files(Box<Files>),
}

/// The state directory, opened by this process.
pub(crate) struct Files {
    store: Store,
    applied: Applied,
    actor: Actor,
}

impl Access {
    /// The way that is open now.
    pub(crate) async fn open(session: &Session) -> Result<Self, Failure> {
        let client = session.client()?;
        if client.is_served().await? {
            return Ok(Access::Node(client));
        }
        Ok(Access::Files(Box::new(Files::open(session)?)))
    }

    /// The way to what is there: none before anything was kept. To look makes nothing, neither a state directory nor
    /// a key.
    pub(crate) async fn of_what_is_there(session: &Session) -> Result<Option<Self>, Failure> {
        match session.client()?.is_served().await? || session.layout()?.holds_records() {
            true => Self::open(session).await.map(Some),
            false => Ok(None),
        }
    }

    /// The secrets without their values.
    pub(crate) async fn list(&mut self) -> Result<Vec<SecretBody>, Failure> {
        match self {
            Access::Node(client) => Ok(client.secrets().await?),
            Access::Files(files) => files.list(),
        }
    }

    /// A secret's value.
    pub(crate) async fn get(&mut self, name: &SecretName, version: Option<u32>) -> Result<SecretValueBody, Failure> {
        match self {
            Access::Node(client) => Ok(client.secret(name, version).await?),
            Access::Files(files) => files.get(name, version),
        }
    }

    /// A new version of a secret.
    pub(crate) async fn set(&mut self, name: &SecretName, value: &SecretValueBody) -> Result<(), Failure> {
        match self {
            Access::Node(client) => Ok(client.set_secret(name, value).await.map(drop)?),
            Access::Files(files) => files.set(name, value),
        }
    }

    /// Sets the secrets of a `.env` file.
    pub(crate) async fn import(&mut self, import: &SecretImportBody) -> Result<Vec<SecretName>, Failure> {
        match self {
            Access::Node(client) => Ok(client.import_secrets(import).await?),
            Access::Files(files) => files.import(import),
        }
    }

    /// Removes a secret.
    pub(crate) async fn remove(&mut self, name: &SecretName) -> Result<(), Failure> {
        match self {
            Access::Node(client) => Ok(client.remove_secret(name).await.map(drop)?),
            Access::Files(files) => files.remove(name),
        }
    }
}

impl Files {
    fn open(session: &Session) -> Result<Self, Failure> {
        let mut store = Store::open(session.layout()?).map_err(|error| unopened(&error))?;
        let applied = Applied::load(&mut store.records).map_err(|error| Failure::of(&error))?;
        Ok(Self { store, applied, actor: Actor::Local { uid: session.around.uid } })
    }

    fn list(&self) -> Result<Vec<SecretBody>, Failure> {
        Ok(secrets::secret_bodies(&self.store, self.applied.current.as_ref())?)
    }

    fn get(&mut self, name: &SecretName, version: Option<u32>) -> Result<SecretValueBody, Failure> {
        Ok(secrets::read_secret(&mut self.store, sys::clock::now().wall, &self.actor, name, version)?)
    }

    fn set(&mut self, name: &SecretName, value: &SecretValueBody) -> Result<(), Failure> {
        let now = sys::clock::now().wall;
        secrets::set_secret(&mut self.store, now, &self.actor, name.clone(), value)?;
        Ok(())
    }

    fn import(&mut self, import: &SecretImportBody) -> Result<Vec<SecretName>, Failure> {
        Ok(secrets::import_secrets(&mut self.store, sys::clock::now().wall, &self.actor, import)?)
    }

    fn remove(&mut self, name: &SecretName) -> Result<(), Failure> {
        secrets::remove_secret(&mut self.store, &self.applied, sys::clock::now().wall, &self.actor, name)?;
        Ok(())
    }
}

/// Why a state directory cannot be used by a command now.
fn unopened(error: &StoreError) -> Failure {
    let failure = Failure::of(error);
    match error {
        StoreError::Lock(_) => failure.with_hint("another command or a node that is starting has it: try again"),
        _ => failure,
    }
}
