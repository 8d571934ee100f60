//! Unix sockets by folder and name, at any depth.
//!
//! A socket's address holds 107 bytes of path, and a unit's folder may be deeper. So both sides go through
//! an open descriptor of the folder (`/proc/self/fd/N/NAME`), which is always short.
//!
//! Start reading at [`connect`]. Invariant: no working directory is changed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A folder held open, and the short path of a name in it.
struct Short {
    // Held for as long as the path is used.
    _folder: File,
    path: PathBuf,
}

impl Short {
    fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
        Ok(Self { _folder: folder, path })
    }
}

/// Connects to the socket of this name in a folder.
pub fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let short = Short::new(folder, name)?;
    UnixStream::connect(&short.path)
}

/// Listens on a socket of this name in a folder, in place of whatever had the name. Only its owner may
/// connect. The caller holds a lock that keeps a second listener away.
pub fn listen(folder: &Path, name: &str) -> io::Result<UnixListener> {
    let short = Short::new(folder, name)?;
    match std::fs::remove_file(&short.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&short.path)?;
    std::fs::set_permissions(&short.path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_deeper_than_an_address_holds_works() {
        let base = std::env::temp_dir().join(format!("mainstay-socket-{}", std::process::id()));
        let deep = base.join("x".repeat(200));
        std::fs::create_dir_all(&deep).unwrap();
        assert!(connect(&deep, "s").is_err());
        let listener = listen(&deep, "s").unwrap();
        connect(&deep, "s").unwrap();
        listener.accept().unwrap();
        drop(listen(&deep, "s").unwrap());
        std::fs::remove_dir_all(&base).unwrap();
    }
}
