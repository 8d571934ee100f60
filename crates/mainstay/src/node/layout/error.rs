//! Why a folder of the layout cannot be had.

use std::path::PathBuf;

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
    /// There is no folder for the vault's key that outlives the machine's next start.
    #[error(
        "there is no place for the vault's key: set HOME or XDG_STATE_HOME to a folder that stays, or name a file with \
         --key-file"
    )]
    NoPlaceForKey,
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
