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

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::{ResourceName, ServiceName, UnitId};
use supervise::record::UnitFolders;
use sys::FileTrouble;

use super::place::StatePlace;
use super::surroundings::Surroundings;

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
    #[error("cannot make {}", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Whose a folder is cannot be seen.
    #[error("cannot see whose {} is", path.display())]
    Unseen {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the layout could not be written.
    #[error(transparent)]
    File(#[from] sys::FileError),
    /// A link is there and does not say where it leads. What it leads to must not be taken for missing.
    #[error("cannot read the link {}: see that it is a link, and that the folders above it may be entered", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A link is where a part of the state directory should be. What it leads to is not ours to change.
    #[error(
        "cannot use {}: a link has its name and is not followed: remove it, or put there what it leads to (a folder can be \
         mounted there)",
        path.display()
    )]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// The state directory was copied. What its records name is the original's: its processes, its sockets.
    #[error(
        "{} is a copy of {}, whose processes and sockets it names: remove the copy to begin anew there, or name another \
         directory with --state",
        state.display(), original.display()
    )]
    Copied {
        /// The copy.
        state: PathBuf,
        /// The original.
        original: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} is not empty and is no state directory: name an empty or a new folder with --state", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A folder is somebody else's: somebody was first where everyone may write to, or it is another user's stack.
    #[error("{} belongs to uid {owner}, not to this user (uid {uid}): {}", path.display(), of.advice())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        uid: u32,
        /// What it is for.
        of: FolderOf,
    },
}

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderOf {
    /// What a stack keeps.
    State,
    /// The keys of a user's vaults.
    Keys,
    /// What a node listens on while it runs.
    Sockets,
}

impl FolderOf {
    /// What to do where it is another user's. What lasts is not ours to remove.
    fn advice(self) -> &'static str {
        match self {
            FolderOf::State => "run this as that user, or name another state directory with --state",
            FolderOf::Keys => "run this as that user, or name a key file elsewhere with --key-file",
            FolderOf::Sockets => "remove it, or set XDG_RUNTIME_DIR",
        }
    }
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
            (_, _, true) => PathBuf::from("/etc/mainstay/keys"),
            (Some(folder), _, false) => folder.join("mainstay"),
            (None, Some(home), false) => home.join(".local/state/mainstay"),
            (None, None, false) => runtime.join("keys"),
        };
        // Whoever made the state directory may have had other surroundings (cron, sudo); its sockets are there. A
        // project that is moved keeps them, and its key, whose names come from where the project was.
        let linked = read_link(&state.join(RUNTIME_LINK))?.filter(|folder| is_own(folder, state));
        let of_tag = || same_tags(tag).map(|tag| runtime.join(tag)).find(|folder| !is_anothers(folder, state));
        let own_runtime = linked.or_else(of_tag);
        let linked_key = read_link(&state.join(KEY_LINK))?;
        let own_key = key_file.is_none() && linked_key.is_none();
        let key = key_file.map(Path::to_owned).or(linked_key);
        // Whose key is there already is not known: it may still be needed, so a new vault does not share it.
        let has_vault = vault::Vault::exists(state);
        let new_key =
            || same_tags(tag).map(|tag| keys.join(format!("{tag}.key"))).find(|key| has_vault || !key.exists());
        let first_key = || keys.join(format!("{tag}.key"));
        Ok(Self {
            state: state.to_owned(),
            key: key.or_else(new_key).unwrap_or_else(first_key),
            runtime: own_runtime.unwrap_or_else(|| runtime.join(tag)),
            keys: own_key.then_some(keys),
        })
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
            if let Some(above) = self.runtime.parent().filter(|above| keys.starts_with(above)) {
                make_folder(above, PASSABLE, FolderOf::Sockets)?;
            }
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

    /// Removes all of the runtime folder but the control socket: to be called when nothing runs any more.
    pub(crate) fn clear_sockets(&self) -> Result<(), sys::FileError> {
        for name in sys::files::names(&self.runtime)?.into_iter().filter(|name| name != CONTROL_SOCKET) {
            sys::files::remove(&self.runtime.join(name))?;
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

/// Whether a runtime folder says that it belongs to this state directory. A link alone is no proof: what its folder holds is
/// removed when the stack goes down.
fn is_own(runtime: &Path, state: &Path) -> bool {
    StatePlace::owner_of(runtime).is_some_and(|owner| !owner.is_anothers(state))
}

/// Whether a runtime folder belongs to another state directory.
fn is_anothers(runtime: &Path, state: &Path) -> bool {
    StatePlace::owner_of(runtime).is_some_and(|owner| owner.is_anothers(state))
}

/// Makes a folder and its parents; an existing one of ours gets the mode it should have.
fn make_folder(path: &Path, mode: u32, of: FolderOf) -> Result<(), LayoutError> {
    let source = |source| LayoutError::Make { path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(source)?;
    refuse_anothers(path, of)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(source)
}

/// Makes a folder within the state directory, or gives one that is there the mode it should have. It must be there itself.
fn make_part(path: &Path, mode: u32) -> Result<(), LayoutError> {
    let source = |source| LayoutError::Make { path: path.to_owned(), source };
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(source(error)),
        _ => {}
    }
    refuse_anothers(path, FolderOf::State)?;
    let folder = sys::files::open_folder_itself(path).map_err(source)?;
    folder.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(source)
}

/// Refuses a folder that is another user's, and a link of another's to one.
fn refuse_anothers(path: &Path, of: FolderOf) -> Result<(), LayoutError> {
    let uid = rustix::process::getuid().as_raw();
    for about in [std::fs::symlink_metadata(path), std::fs::metadata(path)] {
        let owner = about.map_err(|source| LayoutError::Unseen { path: path.to_owned(), source })?.uid();
        if owner != uid {
            return Err(LayoutError::Foreign { path: path.to_owned(), owner, uid, of });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mainstay-layout-{name}-{}", std::process::id()));
            sys::files::remove(&path).unwrap();
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn layout(&self, state: &str, key: Option<&Path>) -> Layout {
            self.found(state, key).unwrap()
        }

        fn found(&self, state: &str, key: Option<&Path>) -> Result<Layout, LayoutError> {
            let around = Surroundings {
                uid: rustix::process::getuid().as_raw(),
                runtime_dir: Some(self.0.join("run")),
                state_home: Some(self.0.join("home")),
                ..Surroundings::default()
            };
            Layout::new(&self.0.join(state), state, &around, key)
        }

        /// Makes a state directory as its first node does, which takes its lock before all else.
        fn made(&self, state: &str, key: Option<&Path>) -> Layout {
            let layout = self.layout(state, key);
            layout.make_state().unwrap();
            std::fs::write(self.0.join(state).join("lock"), "").unwrap();
            layout.make().unwrap();
            layout.make_runtime().unwrap();
            layout
        }

        fn mode(&self, name: &str) -> u32 {
            std::fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o777
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            sys::files::remove(&self.0).unwrap();
        }
    }

    #[test]
    fn the_folder_of_a_stated_key_file_is_left_as_it_is() {
        let ground = Ground::new("key");
        std::fs::create_dir(ground.0.join("etc")).unwrap();
        std::fs::set_permissions(ground.0.join("etc"), std::fs::Permissions::from_mode(0o755)).unwrap();
        ground.made("a", Some(&ground.0.join("etc/my.key")));
        assert_eq!(ground.mode("etc"), 0o755);
        ground.made("c", None);
        assert_eq!(
            (ground.mode("home/mainstay"), ground.mode("run/mainstay"), ground.mode("c")),
            (0o700, 0o711, 0o711)
        );
    }

    #[test]
    fn a_state_directory_stays_out_of_the_projects_history_as_its_owner_says() {
        let ground = Ground::new("git");
        let layout = ground.made("a", None);
        let path = ground.0.join("a/.gitignore");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "*\n");
        std::fs::write(&path, "!journal\n").unwrap();
        layout.make().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "!journal\n");
    }

    /// A small file system of its own; `None` where only root could make one.
    struct Mounted(PathBuf);

    impl Mounted {
        fn new(at: &Path) -> Option<Self> {
            std::fs::create_dir(at).unwrap();
            let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
            mount.ok().filter(|output| output.status.success()).map(|_| Self(at.to_owned()))
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
        }
    }

    #[test]
    fn a_full_disk_leaves_the_directory_without_what_keeps_it_out_of_the_projects_history() {
        let ground = Ground::new("full");
        let state = ground.0.join("a");
        let Some(_mounted) = Mounted::new(&state) else {
            println!("not run: a file system cannot be mounted here");
            return;
        };
        let layout = ground.made("a", None);
        let (ignored, filler) = (state.join(GITIGNORE), state.join("filler"));
        std::fs::remove_file(&ignored).unwrap();
        assert!(std::fs::write(&filler, vec![0; 2 << 20]).is_err());
        layout.make().unwrap();
        assert!(!ignored.exists());
        std::fs::remove_file(&filler).unwrap();
        layout.make().unwrap();
        assert!(ignored.exists());
    }

    #[test]
    fn a_link_to_a_folder_that_is_not_this_directorys_does_not_make_it_the_one_of_its_sockets() {
        let ground = Ground::new("claimed");
        let layout = ground.made("a", None);
        let (link, photos) = (ground.0.join("a").join(RUNTIME_LINK), ground.0.join("photos"));
        std::fs::create_dir(&photos).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&photos, &link).unwrap();
        let again = ground.layout("a", None);
        assert_eq!(again.control_socket(), layout.control_socket());
        again.make_runtime().unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), ground.0.join("run/mainstay/a"));
        assert_eq!(std::fs::read_dir(&photos).unwrap().count(), 0);
    }

    #[test]
    fn what_is_kept_is_made_without_the_sockets_folder() {
        let ground = Ground::new("kept");
        let layout = ground.layout("a", None);
        layout.make().unwrap();
        assert!(ground.0.join("a/journal").exists());
        assert!(!ground.0.join("run").exists() && !ground.0.join("a/runtime").is_symlink());
    }

    #[test]
    fn nobody_is_told_to_remove_another_users_state() {
        let ground = Ground::new("foreign");
        let (layout, state) = (ground.layout("a", None), ground.0.join("a"));
        layout.make_state().unwrap();
        if std::os::unix::fs::chown(&state, Some(65_534), None).is_err() {
            // Only root can give a folder away.
            return;
        }
        let told = layout.make_state().unwrap_err().to_string();
        assert_eq!(
            told,
            format!(
                "{} belongs to uid 65534, not to this user (uid 0): run this as that user, or name another state directory \
                 with --state",
                state.display()
            )
        );
    }

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let ground = Ground::new("occupied");
        std::fs::create_dir(ground.0.join("a")).unwrap();
        std::fs::write(ground.0.join("a/thesis.tex"), "").unwrap();
        std::fs::set_permissions(ground.0.join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(ground.layout("a", None).make(), Err(LayoutError::Occupied { .. })));
        assert_eq!(ground.mode("a"), 0o755);
    }

    #[test]
    fn a_link_that_cannot_be_read_is_not_taken_for_none() {
        let ground = Ground::new("link");
        ground.made("a", None);
        for name in [RUNTIME_LINK, KEY_LINK] {
            let link = ground.0.join("a").join(name);
            let target = std::fs::read_link(&link).unwrap();
            std::fs::remove_file(&link).unwrap();
            std::fs::write(&link, "").unwrap();
            let error = ground.found("a", None).unwrap_err();
            assert!(matches!(&error, LayoutError::Link { path, .. } if *path == link), "{error}");
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(target, &link).unwrap();
        }
        assert!(ground.found("a", None).is_ok());
    }

    #[test]
    fn a_moved_state_directory_keeps_its_key() {
        let ground = Ground::new("moved");
        ground.made("a", None);
        std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
        let moved = ground.layout("b", None);
        moved.make().unwrap();
        assert_eq!(moved.key_file(), ground.0.join("home/mainstay/a.key"));
    }

    #[test]
    fn a_copy_is_refused_by_its_records_and_uses_no_socket_of_the_original() {
        let ground = Ground::new("copy");
        ground.made("a", None);
        let recorded = StatePlace::of(&ground.0.join("a")).unwrap();
        std::fs::create_dir(ground.0.join("b")).unwrap();
        std::os::unix::fs::symlink(ground.0.join("run/mainstay/a"), ground.0.join("b/runtime")).unwrap();
        let copy = ground.layout("b", None);
        assert_eq!(copy.control_socket(), ground.0.join("run/mainstay/b/control.sock"));
        let error = copy.refuse_copy(Some(&recorded)).unwrap_err().to_string();
        let (b, a) = (ground.0.join("b"), ground.0.join("a"));
        assert!(error.starts_with(&format!("{} is a copy of {}, ", b.display(), a.display())), "{error}");
        ground.layout("a", None).refuse_copy(Some(&recorded)).unwrap();
    }

    #[test]
    fn a_copy_where_the_original_was_uses_no_socket_of_it() {
        let ground = Ground::new("replaced");
        let original = ground.made("a", None);
        std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
        std::fs::create_dir(ground.0.join("a")).unwrap();
        std::os::unix::fs::symlink(ground.0.join("run/mainstay/a"), ground.0.join("a/runtime")).unwrap();
        let copy = ground.layout("a", None);
        assert_eq!(copy.control_socket(), ground.0.join("run/mainstay/a-2/control.sock"));
        assert_eq!(ground.layout("b", None).control_socket(), original.control_socket());
    }

    #[test]
    fn a_directory_that_was_moved_keeps_its_sockets_and_shares_nothing_with_its_successor() {
        let ground = Ground::new("move");
        let first = ground.made("a", None);
        std::fs::write(first.key_file(), "").unwrap();
        let recorded = StatePlace::of(&ground.0.join("a")).unwrap();
        std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
        let moved = ground.layout("b", None);
        assert_eq!(moved.control_socket(), ground.0.join("run/mainstay/a/control.sock"));
        moved.refuse_copy(Some(&recorded)).unwrap();
        moved.make_runtime().unwrap();
        let next = ground.layout("a", None);
        assert_eq!(next.control_socket(), ground.0.join("run/mainstay/a-2/control.sock"));
        assert_eq!(next.key_file(), ground.0.join("home/mainstay/a-2.key"));
        next.make().unwrap();
        next.make_runtime().unwrap();
        next.refuse_copy(None).unwrap();
        assert_eq!(ground.layout("b", None).control_socket(), moved.control_socket());
        assert_eq!(ground.layout("a", None).control_socket(), next.control_socket());
    }
}
