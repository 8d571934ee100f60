//! The folders of a service that outlive its replicas.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use supervise::launch::UserIds;

/// Only the service may enter.
const PRIVATE: u32 = 0o700;

/// A folder cannot be made as it is to be.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct VolumeError {
    /// What was being done, as a verb.
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Makes a volume's folder, or gives one that is there to the `user` who is to have it. Of what is in it
/// nothing changes. The folders above are made passable for everyone.
pub fn make(folder: &Path, user: Option<UserIds>) -> Result<(), VolumeError> {
    let failed = |doing| move |source| VolumeError { doing, path: folder.to_owned(), source };
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o711).create(parent).map_err(failed("make the folder above"))?;
    }
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make")(error)),
        _ => {}
    }
    let about = fs::symlink_metadata(folder).map_err(failed("look at"))?;
    if !about.is_dir() {
        return Err(failed("use")(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    if let Some(user) = user.filter(|user| about.uid() != user.uid) {
        chown(folder, Some(user.uid), Some(user.gid)).map_err(failed("change the owner of"))?;
    }
    fs::set_permissions(folder, Permissions::from_mode(PRIVATE)).map_err(failed("change the mode of"))
}
