//! Where a resource lives, as whom it runs, and who may touch what there.
//!
//! ```text
//! FOLDER/                the node's; the resource's group may pass through
//!   resource.json        what was there once, so that its absence is noticed
//!   authority.key, .crt  signs the server's certificate; the node's alone
//!   config/              written whole before each start; the server reads it and cannot change it
//!   data/                the server's own
//! FOLDER.json            the same again, for when the whole folder is gone; the node's alone
//! SOCKETS/               the server's own: nobody else reaches its socket
//! ```

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use model::ResourceName;
use supervise::launch::UserIds;

/// Longest path of a socket on Linux, its closing NUL not counted (`sun_path`, unix(7)).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The most that is read of a server's own small files.
const SMALL_FILE_BYTES_MAX: u64 = 64 << 10;

/// Where one resource lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The resource.
    pub resource: ResourceName,
    /// Its folder in the state directory.
    pub folder: PathBuf,
    /// The folder of its sockets: a short path that may be gone after a restart of the machine.
    pub sockets: PathBuf,
    /// The user that it runs as, when the node is root; the node's own otherwise.
    pub user: Option<UserIds>,
}

/// A folder or file of a resource could not be had as it must be.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] sys::FileError),
    /// The path of a socket is longer than the kernel allows.
    #[error(
        "the socket path {} has {found} bytes, and the kernel allows {SOCKET_PATH_BYTES_MAX}: use a shorter runtime folder",
        path.display()
    )]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The resource's user cannot reach its folder.
    #[error(
        "user id {uid}, as which {resource} runs, cannot reach {}: it may not enter {} (chmod o+x, or use another state \
         directory)",
        folder.display(), blocked.display()
    )]
    Blocked {
        /// The resource.
        resource: ResourceName,
        /// Its user.
        uid: u32,
        /// What it was to reach.
        folder: PathBuf,
        /// The folder that it cannot enter.
        blocked: PathBuf,
    },
    /// A folder belongs to somebody who is neither the node nor the resource.
    #[error("{} belongs to user {owner}, and was expected to belong to {expected}: see who made it", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
}

impl Place {
    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of the server's configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The file that says what was once in the folder, outside of it.
    pub(crate) fn record_beside(&self) -> PathBuf {
        self.folder.with_file_name(format!("{}.json", self.resource))
    }

    /// Makes the folders that belong to the node and the one for sockets, with the right owners and modes.
    pub(crate) fn make(&self) -> Result<(), PlaceError> {
        self.make_folder(&self.folder, Access::Group)?;
        self.make_folder(&self.config(), Access::Group)?;
        self.remove_foreign_sockets()?;
        self.make_folder(&self.sockets, Access::Server)?;
        self.check_way(&self.config()).and_then(|()| self.check_way(&self.sockets))
    }

    /// Removes a folder of sockets that another user owns, where only this one can have put it: a state directory
    /// that is gone gave the resource another user. Nothing of the resource runs when this is called.
    fn remove_foreign_sockets(&self) -> Result<(), PlaceError> {
        let ours = |path: &Path| {
            let own = rustix::process::geteuid().as_raw();
            fs::symlink_metadata(path)
                .is_ok_and(|about| about.is_dir() && about.uid() == own && about.mode() & 0o022 == 0)
        };
        let foreign = matches!(self.check_owner(&self.sockets), Err(PlaceError::Foreign { .. }));
        match foreign && self.sockets.parent().is_some_and(ours) {
            true => Ok(sys::files::remove(&self.sockets)?),
            false => Ok(()),
        }
    }

    /// Refuses a folder that the resource's user cannot reach, before its server says so in its own words.
    fn check_way(&self, folder: &Path) -> Result<(), PlaceError> {
        let Some(UserIds { uid, gid }) = self.user else { return Ok(()) };
        match sys::process::child::blocked_at(folder, uid, gid) {
            None => Ok(()),
            Some(blocked) => {
                Err(PlaceError::Blocked { resource: self.resource.clone(), uid, folder: folder.to_owned(), blocked })
            }
        }
    }

    /// Makes a folder, or corrects the mode and owner of one that is there.
    pub(crate) fn make_folder(&self, path: &Path, access: Access) -> Result<(), PlaceError> {
        let refused = |doing| move |source| PlaceError::Refused { doing, path: path.to_owned(), source };
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.check_owner(path)?,
            Err(error) => return Err(refused("make the folder")(error)),
        }
        self.give(path, access, 0o100)
    }

    /// Replaces a file of the configuration whole.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], access: Access) -> Result<(), PlaceError> {
        sys::files::replace(path, bytes)?;
        self.give(path, access, 0)
    }

    /// Refuses a folder that a third user made: whoever made it could change what is in it.
    pub(crate) fn check_owner(&self, path: &Path) -> Result<(), PlaceError> {
        let refused = |source| PlaceError::Refused { doing: "look at", path: path.to_owned(), source };
        let about = fs::symlink_metadata(path).map_err(refused)?;
        let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
        let expected = self.user.map_or(own, |user| user.uid);
        match (owner == own || owner == expected) && about.is_dir() {
            true => Ok(()),
            false => Err(PlaceError::Foreign { path: path.to_owned(), owner, expected }),
        }
    }

    fn give(&self, path: &Path, access: Access, enter: u32) -> Result<(), PlaceError> {
        let refused = |doing| move |source| PlaceError::Refused { doing, path: path.to_owned(), source };
        let own = rustix::process::geteuid().as_raw();
        let (uid, gid, mode) = match (access, self.user) {
            (Access::Node, _) => (None, None, 0o600),
            (Access::Group, None) => (None, None, 0o600),
            (Access::Group, Some(user)) => (Some(own), Some(user.gid), 0o640),
            (Access::Server, None) => (None, None, 0o600),
            (Access::Server, Some(user)) => (Some(user.uid), Some(user.gid), 0o600),
        };
        // Whoever may read a folder of ours may enter it.
        let mode = mode | enter | if mode & 0o040 != 0 { enter >> 3 } else { 0 };
        if self.user.is_some() && access != Access::Node {
            chown(path, uid, gid).map_err(refused("change the owner of"))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(refused("change the mode of"))
    }

    /// The path of a socket, if the kernel can hold it.
    pub(crate) fn socket(&self, name: &str) -> Result<PathBuf, PlaceError> {
        let path = self.sockets.join(name);
        match path.as_os_str().len() {
            found if found > SOCKET_PATH_BYTES_MAX => Err(PlaceError::SocketPath { path, found }),
            _ => Ok(path),
        }
    }
}

/// The beginning of a small file in a folder that a server owns; `None` when there is none. A server that was
/// taken over must not be able to hold up or fill the node with a pipe, a link or a flood in its place.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
    let refused = |source| PlaceError::Refused { doing: "read", path: path.to_owned(), source };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = fs::File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(refused)?,
    };
    let mut bytes = Vec::new();
    file.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(refused)?;
    Ok(Some(bytes))
}

/// Who may use a file or folder of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The node alone.
    Node,
    /// The node; the server may read.
    Group,
    /// The server, as its owner.
    Server,
}
