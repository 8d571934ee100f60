//! Making folders that are this user's, and refusing those that are not.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::{FolderOf, LayoutError};

/// Makes a folder and its parents; an existing one of ours gets the mode it should have.
pub(super) fn make_folder(path: &Path, mode: u32, of: FolderOf) -> Result<(), LayoutError> {
    let source = |source| LayoutError::Make { path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(source)?;
    refuse_anothers(path, of)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(source)
}

/// Makes a folder within the state directory, or gives one that is there the mode it should have. It must be there itself.
pub(super) fn make_part(path: &Path, mode: u32) -> Result<(), LayoutError> {
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
pub(super) fn refuse_anothers(path: &Path, of: FolderOf) -> Result<(), LayoutError> {
    let uid = rustix::process::getuid().as_raw();
    for about in [std::fs::symlink_metadata(path), std::fs::metadata(path)] {
        let owner = about.map_err(|source| LayoutError::Unseen { path: path.to_owned(), source })?.uid();
        if owner != uid {
            return Err(LayoutError::Foreign { path: path.to_owned(), owner, uid, of });
        }
    }
    Ok(())
}
