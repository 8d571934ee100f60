//! Where everything of one environment lives: the state directory and the runtime directory.
//!
//! ```text
//! STATE/                 mode 0711: services pass through to what is theirs, and list nothing
//!   lock                 held by the one node of this directory
//!   .gitignore           keeps all of this out of the project's history
//!   key                  a link to the vault's key, so that a moved project keeps it
//!   runtime              a link to RUNTIME, so that it is found from other surroundings too
//!   node.log             what a detached node had to say; node.log.1: what one before it had
//!   state.redb           the applied file, releases, ports, user ids, schedules; which directory this is; that it is
//!                        to stop
//!   vault.redb           secrets, each encrypted with its own key
//!   journal/             who did what, when and why
//!   units/ID/            one folder per supervised unit: record, lock, socket and exit of its shim
//!   logs/ID/             the captured output of a unit, in rotated files
//!   artefacts/DIGEST/    copies of the programs that run, and of the folders that the edge sends
//!   resources/NAME/      a data service's data and configuration
//!   resources/NAME.json  that it has had data: a resource whose folder is gone is not started empty
//!   authority.pem        the local authority's certificate, for clients that are to trust it
//!   volumes/SERVICE/NAME folders of services that outlive their replicas
//! RUNTIME/               short path, gone after a restart of the machine
//!   control.sock         the control API
//!   owner.json           whose it is, so that a copied state directory does not take it for its own
//!   NAME/                sockets of a data service
//!   edge/                the edge's sockets for the node
//! ```
//!
//! The vault's key file lives outside the state directory, so that a copy of the directory alone opens
//! nothing.

mod error;
mod folders;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::{ResourceName, ServiceName, UnitId};
use supervise::record::UnitFolders;
use sys::FileTrouble;

use self::folders::{make_folder, make_part, refuse_anothers};
use super::place::StatePlace;
use super::surroundings::Surroundings;

pub(crate) use self::error::{FolderOf, LayoutError};

/// The folders and files of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
    runtime: PathBuf,
    key: PathBuf,
    /// The folder of all keys, when the key is in it.
    keys: Option<PathBuf>,
}

/// Everyone may pass through, only the owner may list.
const PASSABLE: u32 = 0o711;
/// Only the owner may enter.
const PRIVATE: u32 = 0o700;
/// The link in the state directory that leads to the runtime directory.
const RUNTIME_LINK: &str = "runtime";
/// The link in the state directory that leads to the vault's key.
const KEY_LINK: &str = "key";
/// How deep below the state directory no link is followed: as far as the folders of a unit, a resource and a volume. What is in
/// a volume, or in a server's data, is theirs.
const OWN_LEVELS_BELOW: u32 = 2;
/// The control API's socket within the runtime directory.
const CONTROL_SOCKET: &str = "control.sock";
/// The local authority's certificate.
const AUTHORITY: &str = "authority.pem";
/// Everybody may read it.
const PUBLIC_FILE: u32 = 0o644;
/// Tells git to leave the state directory alone.
const GITIGNORE: &str = ".gitignore";
/// What a detached node has to say.
const NODE_LOG: &str = "node.log";
/// What the one before it had to say that said anything.
const EARLIER_NODE_LOG: &str = "node.log.1";
/// What a state directory holds first, whichever command makes it.
const FIRST_FILES: [&str; 3] = ["lock", NODE_LOG, EARLIER_NODE_LOG];
/// Runtime folders and keys of the same tag, of state directories that were at the same path one after the other.
const SAME_TAG_MAX: u32 = 100;

impl Layout {
    /// The layout of a state directory. `tag` is a short text that tells this directory from every other
    /// one of the machine; `key_file` overrides where the vault's key lives.
    pub(crate) fn new(
        state: &Path,
        tag: &str,
        around: &Surroundings,
        key_file: Option<&Path>,
    ) -> Result<Self, LayoutError> {
        let runtime = match (&around.runtime_dir, around.root) {
            (_, true) => PathBuf::from("/run/mainstay"),
            (Some(folder), false) => folder.join("mainstay"),
            (None, false) => PathBuf::from(format!("/tmp/mainstay-{}", around.uid)),
        };
        let keys = match (&around.state_home, &around.home, around.root) {
            (_, _, true) => Some(PathBuf::from("/etc/mainstay/keys")),
            (Some(folder), _, false) => Some(folder.join("mainstay")),
            (None, Some(home), false) => Some(home.join(".local/state/mainstay")),
            // What is left is gone after a restart of the machine, and with the key all that it opens.
            (None, None, false) => None,
        };
        // Whoever made the state directory may have had other surroundings (cron, sudo); its sockets are there. A
        // project that is moved keeps them, and its key, whose names come from where the project was.
        let linked = read_link(&state.join(RUNTIME_LINK))?.filter(|folder| is_own(folder, state));
        let of_tag = || same_tags(tag).map(|tag| runtime.join(tag)).find(|folder| !is_anothers(folder, state));
        let own_runtime = linked.or_else(of_tag);
        let linked_key = read_link(&state.join(KEY_LINK))?;
        let (key, keys) = match (key_file.map(Path::to_owned).or(linked_key), keys) {
            (Some(key), _) => (key, None),
            (None, Some(keys)) => (new_key(&keys, tag, state), Some(keys)),
            (None, None) => return Err(LayoutError::NoPlaceForKey),
        };
        let runtime = own_runtime.unwrap_or_else(|| runtime.join(tag));
        Ok(Self { state: state.to_owned(), runtime, key, keys })
    }

    /// Makes the state directory alone: all that may be done without holding its lock.
    pub(crate) fn make_state(&self) -> Result<(), LayoutError> {
        self.refuse_somebody_elses()?;
        make_folder(&self.state, PASSABLE, FolderOf::State)?;
        self.refuse_links()
    }

    /// Whether there is a state directory, which is then this user's. Makes nothing.
    pub(crate) fn has_state(&self) -> Result<bool, LayoutError> {
        match refuse_anothers(&self.state, FolderOf::State) {
            Err(LayoutError::Unseen { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
            seen => seen.map(|()| true),
        }
    }

    /// Whether anything was ever kept in the state directory.
    pub(crate) fn holds_records(&self) -> bool {
        self.records().exists() || vault::Vault::exists(&self.state)
    }

    /// Refuses a folder with something in it, and nothing that we put there first.
    pub(crate) fn refuse_somebody_elses(&self) -> Result<(), LayoutError> {
        let holds = |name: &str| self.state.join(name).symlink_metadata().is_ok();
        let is_empty = std::fs::read_dir(&self.state).map_or(true, |mut names| names.next().is_none());
        match is_empty || FIRST_FILES.into_iter().any(holds) {
            true => Ok(()),
            false => Err(LayoutError::Occupied { path: self.state.clone() }),
        }
    }

    /// Refuses links in the state directory other than its own two: a project that is taken from elsewhere may bring them.
    fn refuse_links(&self) -> Result<(), LayoutError> {
        let own = [RUNTIME_LINK, KEY_LINK].map(|name| self.state.join(name));
        match sys::files::links(&self.state, OWN_LEVELS_BELOW)?.into_iter().find(|link| !own.contains(link)) {
            Some(path) => Err(LayoutError::Linked { path }),
            None => Ok(()),
        }
    }

    /// Refuses a state directory whose records are those of another one that is still there. Its caller holds the
    /// lock, and has touched nothing outside yet.
    pub(crate) fn refuse_copy(&self, recorded: Option<&StatePlace>) -> Result<(), LayoutError> {
        match recorded.and_then(|place| place.other_than(&self.state)) {
            Some(original) => Err(LayoutError::Copied { state: self.state.clone(), original }),
            None => Ok(()),
        }
    }

    /// Makes what every environment keeps. Its caller holds the lock of the state directory.
    pub(crate) fn make(&self) -> Result<(), LayoutError> {
        self.make_state()?;
        if let Some(keys) = &self.keys {
            make_folder(keys, PRIVATE, FolderOf::Keys)?;
        }
        for (path, mode) in [
            (self.units(), PRIVATE),
            (self.logs(), PRIVATE),
            (self.journal(), PRIVATE),
            (self.state.join("artefacts"), PASSABLE),
            (self.state.join("resources"), PASSABLE),
            (self.state.join("volumes"), PASSABLE),
        ] {
            make_part(&path, mode)?;
        }
        self.keep_out_of_git()?;
        self.link(KEY_LINK, &self.key)
    }

    /// Makes the folder of the sockets, which a node needs and nobody else. Its caller holds the lock of the state
    /// directory.
    pub(crate) fn make_runtime(&self) -> Result<(), LayoutError> {
        // Whoever owns the folder above the runtime directory can put another in its place.
        for folder in self.runtime.parent().into_iter().chain([&*self.runtime]) {
            make_folder(folder, PASSABLE, FolderOf::Sockets)?;
        }
        self.own_runtime()
    }

    /// The state directory usually lies in the project: secrets and data in it are not for its history. A full disk
    /// does not keep a node from starting for this: the next one with space does it.
    fn keep_out_of_git(&self) -> Result<(), LayoutError> {
        let path = self.state.join(GITIGNORE);
        if sys::files::read(&path)?.is_some() {
            return Ok(());
        }
        match sys::files::replace(&path, b"*\n") {
            Err(error) if error.trouble != FileTrouble::NoSpace => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts the local authority's certificate where people find it: it is no secret.
    pub(crate) fn publish_authority(&self, pem: &str) -> Result<(), LayoutError> {
        let path = self.authority();
        if sys::files::read(&path)?.as_deref() != Some(pem.as_bytes()) {
            sys::files::replace(&path, pem.as_bytes())?;
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(PUBLIC_FILE))
            .map_err(|source| LayoutError::Make { path, source })
    }

    /// Makes the runtime folder this state directory's, for all who look from either side.
    fn own_runtime(&self) -> Result<(), LayoutError> {
        if let Some(place) = StatePlace::of(&self.state) {
            place.own(&self.runtime)?;
        }
        let link = self.state.join(RUNTIME_LINK);
        if std::fs::read_link(&link).is_ok_and(|target| target != self.runtime) {
            sys::files::remove(&link)?;
        }
        self.link(RUNTIME_LINK, &self.runtime)
    }

    /// Removes all sockets but the control API's, also those of processes that were killed: to be called when nothing runs
    /// any more.
    pub(crate) fn clear_sockets(&self) -> Result<(), sys::FileError> {
        for name in sys::files::names(&self.runtime)?.into_iter().filter(|name| name != CONTROL_SOCKET) {
            sys::files::remove(&self.runtime.join(name))?;
        }
        for unit in sys::files::names(&self.units())? {
            for socket in sys::machine::SHIM_SOCKETS {
                sys::files::remove(&self.units().join(&unit).join(socket))?;
            }
        }
        Ok(())
    }

    /// Removes the runtime folder, when nothing is left in it. One that is not empty is the next node's.
    pub(crate) fn remove_runtime(&self) {
        drop(std::fs::remove_dir(&self.runtime));
    }

    /// Notes in the state directory where something outside it is, unless that is noted already.
    fn link(&self, name: &str, target: &Path) -> Result<(), LayoutError> {
        let path = self.state.join(name);
        match std::os::unix::fs::symlink(target, &path) {
            Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(LayoutError::Make { path, source })
            }
            _ => Ok(()),
        }
    }

    /// The text that tells this state directory from every other one of the machine.
    pub(crate) fn tag(&self) -> String {
        self.runtime.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn key_file(&self) -> &Path {
        &self.key
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.runtime.join(CONTROL_SOCKET)
    }

    pub(crate) fn node_log(&self) -> PathBuf {
        self.state.join(NODE_LOG)
    }

    pub(crate) fn earlier_node_log(&self) -> PathBuf {
        self.state.join(EARLIER_NODE_LOG)
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.state.join("state.redb")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    pub(crate) fn units(&self) -> PathBuf {
        self.state.join("units")
    }

    pub(crate) fn unit(&self, unit: &UnitId) -> PathBuf {
        UnitFolders::below(&self.state).of(unit)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn log(&self, unit: &UnitId) -> PathBuf {
        self.logs().join(unit.to_string())
    }

    pub(crate) fn artefacts(&self) -> PathBuf {
        self.state.join("artefacts")
    }

    pub(crate) fn resource(&self, name: &ResourceName) -> PathBuf {
        self.state.join("resources").join(name.as_str())
    }

    pub(crate) fn resource_sockets(&self, name: &ResourceName) -> PathBuf {
        self.runtime.join(name.as_str())
    }

    /// The folder of the edge's sockets. No service and no resource has this name.
    pub(crate) fn edge(&self) -> PathBuf {
        self.runtime.join("edge")
    }

    /// The local authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.state.join(AUTHORITY)
    }

    /// The folder of a service's volumes.
    pub(crate) fn volumes(&self, service: &ServiceName) -> PathBuf {
        self.state.join("volumes").join(service.as_str())
    }

    /// What no unit sees of this environment, for nodes that share their user id with their units: the state,
    /// the sockets and the keys. What is its own is shown to it all the same.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        vec![self.state.clone(), self.runtime.clone(), self.keys.clone().unwrap_or_else(|| self.key.clone())]
    }
}

/// Where a link leads; `None` when there is none.
fn read_link(path: &Path) -> Result<Option<PathBuf>, LayoutError> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LayoutError::Link { path: path.to_owned(), source }),
    }
}

/// The names that state directories with this tag may use, in the order in which they are tried.
fn same_tags(tag: &str) -> impl Iterator<Item = String> {
    (1..=SAME_TAG_MAX).map(move |number| match number {
        1 => tag.to_owned(),
        number => format!("{tag}-{number}"),
    })
}

/// Where the key of a vault is that no link names. Whose key is there already is not known: it may still be needed, so a new
/// vault does not share it.
fn new_key(keys: &Path, tag: &str, state: &Path) -> PathBuf {
    let has_vault = vault::Vault::exists(state);
    let mut of_tag = same_tags(tag).map(|tag| keys.join(format!("{tag}.key")));
    of_tag.find(|key| has_vault || !key.exists()).unwrap_or_else(|| keys.join(format!("{tag}.key")))
}

/// Whether a runtime folder says that it belongs to this state directory. A link alone is no proof: what its folder holds is
/// removed when the stack goes down.
fn is_own(runtime: &Path, state: &Path) -> bool {
    StatePlace::owner_of(runtime).is_some_and(|owner| !owner.is_anothers(state))
}

/// Whether a runtime folder belongs to another state directory.
fn is_anothers(runtime: &Path, state: &Path) -> bool {
    StatePlace::owner_of(runtime).is_some_and(|owner| owner.is_anothers(state))
}

#[cfg(test)]
mod tests;
