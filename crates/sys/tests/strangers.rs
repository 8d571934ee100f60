//! Looks for a unit's processes as a plain user, while processes of other users say that they belong to it. Alone in its
//! binary: it gives up being root, and only root can be two users.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::Pid;
use rustix::process::Uid;
use sys::process::unit::{Census, home, kill_members};

/// Two users that need no accounts: the node's own, and a stranger.
const OWN: u32 = 54_321;
const STRANGER: u32 = 54_322;

/// A process of a user whose last words are those of a unit's shim, until it is dropped.
struct Claiming(Child);

impl Claiming {
    fn start(uid: u32, unit: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "read line", "shim"]).arg(unit).arg(home(unit).unwrap().to_string());
        Self(command.uid(uid).gid(uid).current_dir("/").stdin(Stdio::piped()).spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        // It reads to the end of its input.
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// A folder of units, which everybody may pass through.
struct Units(PathBuf);

impl Units {
    fn new() -> Self {
        let base = std::env::temp_dir().canonicalize().unwrap();
        let units = base.join(format!("mainstay-strangers-{}", std::process::id()));
        std::fs::create_dir_all(units.join("web.1.1")).unwrap();
        std::fs::set_permissions(&units, PermissionsExt::from_mode(0o755)).unwrap();
        Self(units)
    }

    fn unit(&self) -> PathBuf {
        self.0.join("web.1.1")
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        become_user(0);
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Changes this thread's user, which is the one that looks and signals; it may go back to root.
fn become_user(uid: u32) {
    let user = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(user, user, Uid::ROOT).unwrap();
}

fn pids(unit: &Path) -> Vec<Pid> {
    Census::take().unwrap().members(unit).unwrap().iter().map(|seen| seen.pid).collect()
}

#[test]
fn a_plain_user_believes_no_strangers_process() {
    if !sys::process::is_root() {
        return;
    }
    let units = Units::new();
    let unit = units.unit();
    let (own, stranger) = (Claiming::start(OWN, &unit), Claiming::start(STRANGER, &unit));
    let mut all = [own.pid(), stranger.pid()];
    all.sort();
    assert_eq!(pids(&unit), all, "root's node may have started either");

    become_user(OWN);
    assert_eq!(pids(&unit), [own.pid()]);
    assert_eq!(kill_members(&unit), Ok(1));
    drop(own);
    assert_eq!(kill_members(&unit), Ok(0), "a stranger's process is waited for without end");
}
