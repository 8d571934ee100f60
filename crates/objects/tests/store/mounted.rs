//! Small file systems, mounted where tests may.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, unmounted when this is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// In memory, of so many MiB; `None` where only root could mount it.
    pub(crate) fn in_memory(at: &Path, mib: u64) -> Option<Self> {
        Self::mount(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"].map(OsStr::new), at)
    }

    /// What an image holds.
    pub(crate) fn image(image: &Path, at: &Path) -> Option<Self> {
        Self::mount([OsStr::new("-o"), OsStr::new("loop"), image.as_os_str()], at)
    }

    /// A new ext4 of so many MiB in an image, of which only what was ever written takes space.
    pub(crate) fn new_image(image: &Path, at: &Path, mib: u64) -> Option<Self> {
        std::fs::File::create(image).unwrap().set_len(mib << 20).unwrap();
        let options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        let made = Command::new("mkfs.ext4").args(options).arg(image).output();
        made.is_ok_and(|made| made.status.success()).then(|| Self::image(image, at)).flatten()
    }

    fn mount<const N: usize>(what: [&OsStr; N], at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(what).arg(at).output().ok()?;
        mount.status.success().then(|| Self(at.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}
