//! Work done in a mount namespace of its own, where one file stands in the place of another.
//!
//! Start reading at [`with_file_over`]. Invariant: no other thread and no other process sees the change.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Why the work was not begun.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No thread could be had.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The kernel gives no mount namespace; containers without CAP_SYS_ADMIN are refused one.
    #[error("the kernel gives no mount namespace (CAP_SYS_ADMIN is needed)")]
    Namespace(#[source] io::Error),
    /// The mounts could not be kept from the rest of the machine.
    #[error("cannot make the mounts private")]
    Private(#[source] io::Error),
    /// The file could not be put in place.
    #[error("cannot mount over {}", over.display())]
    Bind {
        /// The file that was to be covered.
        over: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The work panicked.
    #[error("the work ended by a panic")]
    Panicked,
}

/// Runs the work on a thread of its own, for which, and for whose children, `file` stands in the place of
/// `over`. Returns when the work is done. Needs root.
pub fn with_file_over<R: Send>(file: &Path, over: &Path, work: impl FnOnce() -> R + Send) -> Result<R, MountError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("private mounts".to_owned());
        let started = thread.spawn_scoped(scope, || {
            cover(file, over)?;
            Ok(work())
        });
        started.map_err(MountError::Thread)?.join().unwrap_or(Err(MountError::Panicked))
    })
}

fn cover(file: &Path, over: &Path) -> Result<(), MountError> {
    leave_mount_namespace().map_err(MountError::Namespace)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| MountError::Private(error.into()))?;
    mount_bind(file, over).map_err(|error| MountError::Bind { over: over.to_owned(), source: error.into() })
}

#[expect(unsafe_code, reason = "unshare(2) has no safe form")]
fn leave_mount_namespace() -> io::Result<()> {
    // SAFETY: what makes unsharing unsafe is a descriptor table that ceases to be shared (CLONE_FILES). A mount
    // namespace, and the working directory and umask that it implies (CLONE_FS), concern this thread alone.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_work_sees_the_other_file() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: a mount namespace needs root");
            return;
        }
        let base = std::env::temp_dir().join(format!("mainstay-mounts-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let (one, other) = (base.join("one"), base.join("other"));
        std::fs::write(&one, "one").unwrap();
        std::fs::write(&other, "other").unwrap();
        let seen = with_file_over(&other, &one, || {
            let output = std::process::Command::new("cat").arg(&one).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        assert_eq!(seen.unwrap(), "other");
        assert_eq!(std::fs::read_to_string(&one).unwrap(), "one");
        std::fs::remove_dir_all(&base).unwrap();
    }
}
