//! Which state directory this is: recognised where it was moved to, and told from its copies.
//!
//! A [`StatePlace`] is kept twice. In the records it says which directory these are of: whoever finds it in another
//! one, while the first is still there, has a copy. In the runtime folder, as [`OWNER`], it says whose sockets are
//! in it: a link in a copied state directory leads there too.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sys::records::Stored;
use sys::{FileError, FileTrouble, FolderIdentity};

/// The file in a runtime folder that names the state directory. No resource is called so: names have no dots.
const OWNER: &str = "owner.json";

/// A state directory as it was last opened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StatePlace {
    identity: FolderIdentity,
    /// Its path's bytes, which need not be UTF-8.
    path: Vec<u8>,
}

impl Stored for StatePlace {
    const KIND: &'static str = "place";
    const VERSION: u32 = 1;
}

impl StatePlace {
    /// The state directory at this path now; `None` when there is none.
    pub(crate) fn of(state: &Path) -> Option<Self> {
        Some(Self { identity: FolderIdentity::of(state)?, path: state.as_os_str().as_bytes().to_vec() })
    }

    /// The directory that this names, if it is still there and is another than the one at `state`. One that was
    /// moved, removed, or is on a device that was numbered anew is not there any more.
    pub(crate) fn other_than(&self, state: &Path) -> Option<PathBuf> {
        let named = PathBuf::from(std::ffi::OsStr::from_bytes(&self.path));
        let is_there = FolderIdentity::of(&named) == Some(self.identity);
        (is_there && FolderIdentity::of(state) != Some(self.identity)).then_some(named)
    }

    /// Whether the directory at `state` is another than the one that this names, wherever that is now: one that was
    /// moved while it ran still uses what is its own. Before there is one at `state`, that is another's whose
    /// directory is still where this says.
    pub(crate) fn is_anothers(&self, state: &Path) -> bool {
        match FolderIdentity::of(state) {
            Some(identity) => identity != self.identity,
            None => self.other_than(state).is_some(),
        }
    }

    /// Whose a runtime folder is. One that says nothing readable is nobody's.
    pub(crate) fn owner_of(runtime: &Path) -> Option<Self> {
        serde_json::from_slice(&sys::files::read(&runtime.join(OWNER)).ok()??).ok()
    }

    /// Makes a runtime folder this one's.
    pub(crate) fn own(&self, runtime: &Path) -> Result<(), FileError> {
        if Self::owner_of(runtime).as_ref() == Some(self) {
            return Ok(());
        }
        let path = runtime.join(OWNER);
        let bytes = serde_json::to_vec(self).map_err(|error| FileError {
            doing: "write",
            path: path.clone(),
            trouble: FileTrouble::Other(error.to_string()),
        })?;
        sys::files::replace(&path, &bytes)
    }
}
