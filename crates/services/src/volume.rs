//! The folders of a service that outlive its replicas.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use supervise::launch::UserIds;

/// The name, beside the volumes of a service, of the folder that it is told is its home when it has a user
/// of its own. No volume is called so: their names begin with a letter or a digit.
pub const HOME: &str = ".home";

/// The same for the service's release hook.
pub const HOOK_HOME: &str = ".hook";

/// Its owner, root, and its group may enter: the hook by its group, the replicas as nobody.
const GROUP: u32 = 0o770;
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
    make_owned(folder, user, PRIVATE)
}

/// Makes the home of a service's release hook: root's, open to the hook's group. The replicas have the hook's user
/// and not its group, so it must not be that user's.
pub fn make_hook_home(folder: &Path, group: u32) -> Result<(), VolumeError> {
    make_owned(folder, Some(UserIds { uid: 0, gid: group }), GROUP)
}

fn make_owned(folder: &Path, owner: Option<UserIds>, mode: u32) -> Result<(), VolumeError> {
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
    if let Some(owner) = owner.filter(|owner| (about.uid(), about.gid()) != (owner.uid, owner.gid)) {
        chown(folder, Some(owner.uid), Some(owner.gid)).map_err(failed("change the owner of"))?;
    }
    fs::set_permissions(folder, Permissions::from_mode(mode)).map_err(failed("change the mode of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_private_and_keeps_what_is_in_it() {
        let root = std::env::temp_dir().join(format!("mainstay-volume-{}", std::process::id()));
        let folder = root.join("api/files");
        make(&folder, None).unwrap();
        fs::write(folder.join("photo"), "bytes").unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make(&folder, None).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(folder.join("photo")).unwrap(), "bytes");
        let error = make(&folder.join("photo"), None).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use {}", folder.join("photo").display()));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn root_gives_a_volume_to_its_user() {
        let root = std::env::temp_dir().join(format!("mainstay-volume-owned-{}", std::process::id()));
        let user = UserIds { uid: 60_706, gid: 60_706 };
        let made = make(&root.join("api/files"), Some(user));
        let node_is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        if node_is_root {
            made.unwrap();
            let about = fs::metadata(root.join("api/files")).unwrap();
            assert_eq!((about.uid(), about.gid()), (60_706, 60_706));
            assert_eq!(fs::metadata(root.join("api")).unwrap().mode() & 0o777, 0o711);
        } else {
            assert_eq!(made.unwrap_err().doing, "change the owner of");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
