//! Where everything of one environment lives: the state directory and the runtime directory.
//!
//! ```text
//! STATE/                 mode 0711: services pass through to what is theirs, and list nothing
//!   lock                 held by the one node of this directory
//!   runtime              a link to RUNTIME, so that it is found from other surroundings too
//!   node.log             what a detached node had to say
//!   state.redb           the applied file, releases, ports, user ids, schedules
//!   vault.redb           secrets, each encrypted with its own key
//!   journal/             who did what, when and why
//!   units/ID/            one folder per supervised unit: record, lock, socket and exit of its shim
//!   logs/ID/             the captured output of a unit, in rotated files
//!   artefacts/DIGEST/    copies of the programs that run
//!   resources/NAME/      a data service's data and configuration
//!   volumes/SERVICE/NAME folders of services that outlive their replicas
//! RUNTIME/               short path, gone after a restart of the machine
//!   control.sock         the control API
//!   NAME/                sockets of a data service
//! ```
//!
//! The vault's key file lives outside the state directory, so that a copy of the directory alone opens
//! nothing.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::{ResourceName, ServiceName, UnitId};

/// The folders and files of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
    runtime: PathBuf,
    key: PathBuf,
    /// The folder of all keys, when the key is in it.
    keys: Option<PathBuf>,
}

/// A folder of the layout could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// The operating system refused.
    #[error("cannot make the folder {}", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// In a folder that everyone may write to, somebody else was there first.
    #[error("{} belongs to uid {owner}, not to this user (uid {uid}): remove it, or set XDG_RUNTIME_DIR", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
}

/// What the process environment says about where things go; read by the binary's entry only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Whether this process is root.
    pub(crate) root: bool,
    /// This process's user id.
    pub(crate) uid: u32,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub(crate) state_home: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `PATH`, where programs and data services are looked for.
    pub(crate) search_path: Vec<PathBuf>,
}

/// Everyone may pass through, only the owner may list.
const PASSABLE: u32 = 0o711;
/// Only the owner may enter.
const PRIVATE: u32 = 0o700;
/// The link in the state directory that leads to the runtime directory.
const RUNTIME_LINK: &str = "runtime";

impl Layout {
    /// The layout of a state directory. `tag` is a short text that tells this directory from every other
    /// one of the machine; `key_file` overrides where the vault's key lives.
    pub(crate) fn new(state: &Path, tag: &str, around: &Surroundings, key_file: Option<&Path>) -> Self {
        let runtime = match (&around.runtime_dir, around.root) {
            (_, true) => PathBuf::from("/run/mainstay"),
            (Some(folder), false) => folder.join("mainstay"),
            (None, false) => PathBuf::from(format!("/tmp/mainstay-{}", around.uid)),
        };
        let keys = match (&around.state_home, &around.home, around.root) {
            (_, _, true) => PathBuf::from("/etc/mainstay/keys"),
            (Some(folder), _, false) => folder.join("mainstay"),
            (None, Some(home), false) => home.join(".local/state/mainstay"),
            (None, None, false) => runtime.join("keys"),
        };
        // Whoever made the state directory may have had other surroundings (cron, sudo); its sockets are there.
        let linked = std::fs::read_link(state.join(RUNTIME_LINK)).ok();
        Self {
            state: state.to_owned(),
            runtime: linked.unwrap_or_else(|| runtime.join(tag)),
            key: key_file.map_or_else(|| keys.join(format!("{tag}.key")), Path::to_owned),
            keys: key_file.is_none().then_some(keys),
        }
    }

    /// Makes the folders that every environment has.
    pub(crate) fn make(&self) -> Result<(), LayoutError> {
        for (path, mode) in [
            (self.state.clone(), PASSABLE),
            (self.units(), PRIVATE),
            (self.logs(), PRIVATE),
            (self.journal(), PRIVATE),
            (self.state.join("artefacts"), PASSABLE),
            (self.state.join("resources"), PASSABLE),
            (self.state.join("volumes"), PASSABLE),
            (self.runtime.clone(), PASSABLE),
        ] {
            make_folder(&path, mode)?;
        }
        self.key.parent().map_or(Ok(()), |folder| make_folder(folder, PRIVATE))?;
        self.link_runtime()
    }

    /// Notes in the state directory where the runtime directory is.
    fn link_runtime(&self) -> Result<(), LayoutError> {
        let path = self.state.join(RUNTIME_LINK);
        match std::os::unix::fs::symlink(&self.runtime, &path) {
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
        self.runtime.join("control.sock")
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

/// Makes a folder and its parents; an existing one of ours gets the mode it should have.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), LayoutError> {
    let source = |source| LayoutError::Make { path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(source)?;
    let (owner, uid) = (std::fs::symlink_metadata(path).map_err(source)?.uid(), rustix::process::getuid().as_raw());
    if owner != uid {
        return Err(LayoutError::Foreign { path: path.to_owned(), owner, uid });
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(source)
}
