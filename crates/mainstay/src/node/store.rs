//! What one environment has written down: records, journal and vault, held together under the lock of the
//! state directory. Start reading at [`Store::open`]; secrets are changed through [`super::secret_changes`].
//!
//! The node holds one for its life; a command that needs secrets while no node runs opens one for itself.

use std::path::PathBuf;
use std::sync::Arc;

use model::event::Evidence;
use model::{Actor, EntryId, Happening, Timestamp};
use sys::journal::{Draft, Journal, JournalError};
use sys::lock::{Lock, LockError};
use sys::records::{Records, RecordsError, Stored};
use vault::{Generation, KeyFile, KeyFileError, OpenError, ReadError, Vault};

use super::applied::Current;
use super::causes::Causes;
use super::layout::{Layout, LayoutError};
use super::place::StatePlace;
use super::secret_changes::SecretError;

/// The name of the lock's file.
pub(crate) const LOCK: &str = "lock";

/// Everything that is written down of one environment.
pub(crate) struct Store {
    /// Shared with what goes on writing into the directory when the node has ended.
    pub(super) lock: Arc<Lock>,
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
    /// A change of secrets that was cut off cannot be brought to its end.
    #[error(transparent)]
    SecretChange(#[from] SecretError),
}

/// The newest generation of the vault that was seen: an older vault is a copy that somebody put back.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct SeenVault {
    pub(super) generation: Generation,
}

impl Stored for SeenVault {
    const KIND: &'static str = "vault";
    const VERSION: u32 = 1;
}

impl Store {
    /// Opens the state directory, makes what is missing of what is kept in it, and takes its lock.
    pub(crate) fn open(layout: Layout) -> Result<Self, StoreError> {
        layout.make_state()?;
        let lock = Arc::new(Lock::take(layout.state(), LOCK)?);
        let mut records = Records::open(&layout.records())?;
        let recorded: Option<StatePlace> = records.get("")?;
        layout.refuse_copy(recorded.as_ref())?;
        layout.make()?;
        let journal = Journal::open(&layout.journal())?;
        let seen: Option<SeenVault> = records.get("")?;
        let vault = open_vault(&layout, seen.map(|seen| seen.generation))?;
        records.put("", &SeenVault { generation: vault.generation()? })?;
        let place = StatePlace::of(layout.state());
        if let Some(place) = place.filter(|place| recorded.as_ref() != Some(place)) {
            records.put("", &place)?;
        }
        let mut store = Self { lock, layout, records, journal, causes: Causes::default(), vault };
        store.finish_secret_change(sys::clock::now().wall)?;
        Ok(store)
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
}

/// What was applied last, by the records of a state directory; `None` where nothing was. Only looks: whoever has the
/// directory keeps it, and nothing in it is made or changed.
pub(crate) fn current(layout: &Layout) -> Result<Option<Current>, StoreError> {
    match layout.has_state()? {
        true => Ok(Current::look(&layout.records())?),
        false => Ok(None),
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
