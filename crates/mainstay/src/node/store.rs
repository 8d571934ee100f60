//! What one environment has written down: records, journal and vault, held together under the lock of the
//! state directory. Start reading at [`Store::open`].
//!
//! The node holds one for its life; a command that needs secrets while no node runs opens one for itself.

use std::path::PathBuf;

use model::credential::SecretPath;
use model::event::Evidence;
use model::{Actor, EntryId, Happening, SecretName, Timestamp};
use sys::journal::{Draft, Journal, JournalError};
use sys::lock::{Lock, LockError};
use sys::records::{Records, RecordsError, Stored};
use vault::{Generation, KeyFile, KeyFileError, OpenError, ReadError, SecretValue, SecretVersion, Vault, WriteError};

use super::causes::Causes;
use super::layout::{Layout, LayoutError};

/// The name of the lock's file.
pub(crate) const LOCK: &str = "lock";

/// Everything that is written down of one environment.
pub(crate) struct Store {
    _lock: Lock,
    pub(crate) layout: Layout,
    pub(crate) records: Records,
    pub(crate) journal: Journal,
    pub(crate) causes: Causes,
    pub(crate) vault: Vault,
}

/// A state directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A folder cannot be had.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another node has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The records cannot be had.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The journal cannot be had.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The vault's key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The vault needs its key, and the key's file is gone.
    #[error(
        "the vault in {} needs the key in {}, and that file is gone: put it back, or name another place with --key-file",
        vault.display(), key.display()
    )]
    KeyGone {
        /// The folder of the vault.
        vault: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// The vault cannot be opened.
    #[error(transparent)]
    Vault(#[from] OpenError),
    /// The vault cannot be read.
    #[error(transparent)]
    VaultRead(#[from] ReadError),
}

/// A change of a secret failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The vault refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The vault cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be journaled. A value that was to be read is not given then; a change is made all the same.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The vault's generation could not be recorded.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// The newest generation of the vault that was seen: an older vault is a copy that somebody put back.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct SeenVault {
    generation: Generation,
}

impl Stored for SeenVault {
    const KIND: &'static str = "vault";
    const VERSION: u32 = 1;
}

impl Store {
    /// Opens the state directory, makes what is missing of it, and takes its lock.
    pub(crate) fn open(layout: Layout) -> Result<Self, StoreError> {
        layout.make_state()?;
        let lock = Lock::take(layout.state(), LOCK)?;
        layout.make()?;
        let records = Records::open(&layout.records())?;
        let journal = Journal::open(&layout.journal())?;
        let seen: Option<SeenVault> = records.get("")?;
        let vault = open_vault(&layout, seen.map(|seen| seen.generation))?;
        records.put("", &SeenVault { generation: vault.generation()? })?;
        Ok(Self { _lock: lock, layout, records, journal, causes: Causes::default(), vault })
    }

    /// Writes one entry of the journal, with the one that led to it where that is known.
    pub(crate) fn tell(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        what: Happening,
        reason: impl Into<String>,
        evidence: Vec<Evidence>,
    ) -> Result<EntryId, JournalError> {
        let (cause, told) = (self.causes.of(&what), what.clone());
        let draft = Draft { actor: actor.clone(), what, reason: reason.into(), evidence, cause };
        let id = self.journal.append(at, draft)?;
        self.causes.note(id, &told);
        Ok(id)
    }

    /// A secret's value for a person; the read is journaled before the value is given.
    pub(crate) fn read_secret(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        name: &SecretName,
        version: Option<u32>,
    ) -> Result<Option<SecretValue>, SecretError> {
        let found = self.vault.get(&SecretPath::Named(name.clone()), version.map(SecretVersion))?;
        let Some((version, value)) = found else { return Ok(None) };
        let what = Happening::SecretRead { secret: name.clone(), version: version.0, unit: None };
        self.tell(at, actor, what, "a person asked for its value", Vec::new())?;
        Ok(Some(value))
    }

    /// Gives several secrets a new version each, all or none.
    pub(crate) fn set_secrets(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        names: &[SecretName],
        values: Vec<SecretValue>,
        reason: &str,
    ) -> Result<Vec<EntryId>, SecretError> {
        let paths = names.iter().cloned().map(SecretPath::Named);
        let versions = self.vault.set_all(&paths.zip(values).collect::<Vec<_>>(), at)?;
        self.note_generation()?;
        let mut entries = Vec::with_capacity(names.len());
        for (name, version) in names.iter().zip(versions) {
            let what = Happening::SecretSet { secret: name.clone(), version: version.0 };
            entries.push(self.tell(at, actor, what, reason, Vec::new())?);
        }
        Ok(entries)
    }

    /// Removes a secret with all its versions; `None` when there is none.
    pub(crate) fn remove_secret(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        name: &SecretName,
    ) -> Result<Option<EntryId>, SecretError> {
        if !self.vault.remove(&SecretPath::Named(name.clone()))? {
            return Ok(None);
        }
        self.note_generation()?;
        let what = Happening::SecretRemoved { secret: name.clone() };
        Ok(Some(self.tell(at, actor, what, "a person removed it", Vec::new())?))
    }

    /// Makes a secret or a credential of random bytes unless it is there; tells whether it was made.
    pub(crate) fn ensure_generated(
        &mut self,
        at: Timestamp,
        path: &SecretPath,
        bytes: u32,
    ) -> Result<bool, SecretError> {
        let ensured = self.vault.ensure_generated(path, bytes, at)?;
        if ensured.made {
            self.note_generation()?;
            if let SecretPath::Named(secret) = path {
                let what = Happening::SecretSet { secret: secret.clone(), version: ensured.version.0 };
                self.tell(at, &Actor::Node, what, "the file asks for a generated value", Vec::new())?;
            }
        }
        Ok(ensured.made)
    }

    fn note_generation(&self) -> Result<(), SecretError> {
        Ok(self.records.put("", &SeenVault { generation: self.vault.generation()? })?)
    }
}

fn open_vault(layout: &Layout, seen: Option<Generation>) -> Result<Vault, StoreError> {
    let (folder, key) = (layout.state(), layout.key_file());
    match (Vault::exists(folder) || seen.is_some(), key.exists()) {
        (true, true) => Ok(Vault::open(folder, &KeyFile::load(key)?, seen)?),
        (true, false) => Err(StoreError::KeyGone { vault: folder.to_owned(), key: key.to_owned() }),
        (false, true) => Ok(Vault::create(folder, &KeyFile::load(key)?, &[])?),
        (false, false) => Ok(Vault::create(folder, &KeyFile::create(key)?, &[])?),
    }
}
