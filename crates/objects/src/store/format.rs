//! What a store's folder holds, and which format it has.
//!
//! # Stored format 1
//!
//! - `format`: the number of the format in decimal, and a line feed. Written last when a folder is made, and first when
//!   it is migrated: a folder with it has an index, and one without it has no contents. Any other folder has lost
//!   something, and is refused before anything in it is changed.
//! - `lock`: locked by the process that has the store open.
//! - `index.redb`: the tables of the module [`tables`](super::tables).
//! - `data/XX/NNNNNNNNNNNNNNNN`: the contents, as the module [`blob`](super::blob) describes them; XX are the lowest
//!   eight bits of the number.
//! - `incoming/NNNNNNNNNNNNNNNN`: contents that are being written. It is emptied at every start.
//!
//! Start reading at [`look`].

use std::io;
use std::path::{Path, PathBuf};

use sys::FileError;

use super::blob::Blobs;

/// The name of the index's file.
pub(super) const INDEX_NAME: &str = "index.redb";
const FORMAT_NAME: &str = "format";

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// The folder is none that this program can use.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer program wrote it.
    #[error("{} has format {found}, and this program knows {FORMAT}: use a newer program", folder.display())]
    Newer {
        /// The store's folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its format file says nothing that any program wrote.
    #[error("{} does not say its format: restore it from a backup", folder.display())]
    Unreadable {
        /// The store's folder.
        folder: PathBuf,
    },
    /// Its index is gone.
    #[error("{} has no {INDEX_NAME}, or an empty one: restore the folder whole from a backup", folder.display())]
    NoIndex {
        /// The store's folder.
        folder: PathBuf,
    },
    /// It holds something else.
    #[error("{} is not empty, and no object store: name another folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// Its format file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder in it cannot be made or looked at.
    #[error("cannot make or read the folders of {}", folder.display())]
    Folder {
        /// The store's folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Whether a folder is a store, whatever state it is in.
pub fn is_store(folder: &Path) -> bool {
    folder.join(FORMAT_NAME).exists()
}

/// What a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A store.
    Made,
    /// To become one: empty, or a store whose making was cut off before it held anything.
    Unmade,
}

/// Looks whether a folder is a store, or may become one. The caller holds its lock.
pub(super) fn look(folder: &Path, lock_name: &str) -> Result<State, FormatError> {
    let Some(found) = sys::files::read(&folder.join(FORMAT_NAME))? else {
        return look_without_format(folder, lock_name);
    };
    let found = std::str::from_utf8(&found).ok().and_then(|text| text.trim_end().parse().ok());
    match found {
        Some(FORMAT) if has_index(folder)? => Ok(State::Made),
        Some(FORMAT) => Err(FormatError::NoIndex { folder: folder.to_owned() }),
        Some(found) if found > FORMAT => Err(FormatError::Newer { folder: folder.to_owned(), found }),
        _ => Err(FormatError::Unreadable { folder: folder.to_owned() }),
    }
}

fn look_without_format(folder: &Path, lock_name: &str) -> Result<State, FormatError> {
    let ours = [lock_name, "data", "incoming", INDEX_NAME];
    if sys::files::names(folder)?.iter().any(|name| !ours.contains(&name.as_str())) {
        return Err(FormatError::Foreign { folder: folder.to_owned() });
    }
    match Blobs::any(folder).map_err(in_folder(folder))? {
        false => Ok(State::Unmade),
        true => Err(FormatError::Unreadable { folder: folder.to_owned() }),
    }
}

/// An empty file would be taken for an index that is to be made.
fn has_index(folder: &Path) -> Result<bool, FormatError> {
    match std::fs::metadata(folder.join(INDEX_NAME)) {
        Ok(about) => Ok(about.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(in_folder(folder)(error)),
    }
}

/// Says that a folder is a store, once it has everything else.
pub(super) fn seal(folder: &Path) -> Result<(), FormatError> {
    Ok(sys::files::replace(&folder.join(FORMAT_NAME), format!("{FORMAT}\n").as_bytes())?)
}

/// Says whose trouble it is.
pub(super) fn in_folder(folder: &Path) -> impl FnOnce(io::Error) -> FormatError {
    let folder = folder.to_owned();
    move |source| FormatError::Folder { folder, source }
}
