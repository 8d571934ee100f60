//! What a store's folder holds, and which format it has.
//!
//! # Stored format 1
//!
//! - `format`: the number of the format in decimal, and a line feed. Written last when a folder is made, and first when
//!   it is migrated.
//! - `lock`: locked by the process that has the store open.
//! - `index.redb`: the tables of the module [`tables`](super::tables).
//! - `data/XX/NNNNNNNNNNNNNNNN`: the contents, as the module [`blob`](super::blob) describes them; XX are the lowest
//!   eight bits of the number.
//! - `incoming/NNNNNNNNNNNNNNNN`: contents that are being written. It is emptied at every start.
//!
//! Start reading at [`open`].

use std::io;
use std::path::{Path, PathBuf};

use sys::FileError;

use super::blob::Blobs;

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
    /// It holds something else.
    #[error("{} is not empty, and no object store: name another folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// Its format file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder in it cannot be made.
    #[error("cannot make the folders of {}", folder.display())]
    Folder {
        /// The store's folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Makes a folder a store, or checks that it is one. The caller holds its lock.
pub(super) fn open(folder: &Path, lock_name: &str) -> Result<(), FormatError> {
    let format = folder.join("format");
    let Some(found) = sys::files::read(&format)? else {
        return make(folder, lock_name, &format);
    };
    let found = std::str::from_utf8(&found).ok().and_then(|text| text.trim_end().parse().ok());
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(FormatError::Newer { folder: folder.to_owned(), found }),
        _ => Err(FormatError::Unreadable { folder: folder.to_owned() }),
    }
}

/// A folder whose making was cut off is made on.
fn make(folder: &Path, lock_name: &str, format: &Path) -> Result<(), FormatError> {
    let ours = [lock_name, "data", "incoming"];
    if sys::files::names(folder)?.iter().any(|name| !ours.contains(&name.as_str())) {
        return Err(FormatError::Foreign { folder: folder.to_owned() });
    }
    Blobs::create(folder).map_err(|source| FormatError::Folder { folder: folder.to_owned(), source })?;
    Ok(sys::files::replace(format, format!("{FORMAT}\n").as_bytes())?)
}
