//! Looks at processes while no file can be opened. Alone in its binary: the limit is the whole process's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use model::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sys::process::unit::{Census, HOME_VARIABLE, LOCK_FILE, UNIT_VARIABLE, home, kill_members, mark};
use sys::process::{identify, list, look, signal};
use sys::{FileError, Signal};

/// Descriptors that this process may have.
const DESCRIPTORS_MAX: u64 = 64;

/// How long a process that was started may take to bear its mark.
const MARK_TIME_MAX: Duration = Duration::from_secs(10);

/// A unit's folder and a process that bears its mark.
struct Marked {
    units: PathBuf,
    process: Child,
}

impl Marked {
    fn start() -> Self {
        let units = std::env::temp_dir().join(format!("mainstay-without-descriptors-{}", std::process::id()));
        let unit = units.join("web.1.1");
        std::fs::create_dir_all(&unit).unwrap();
        File::create(unit.join(LOCK_FILE)).unwrap();
        let mut command = Command::new("sleep");
        command.arg("600").current_dir("/");
        command.env(UNIT_VARIABLE, unit.canonicalize().unwrap()).env(HOME_VARIABLE, home(&unit).unwrap().to_string());
        let marked = Self { process: command.spawn().unwrap(), units };
        // Between its start and the moment in which its environment can be read it bears no mark yet.
        let begun = sys::clock::now().steady;
        while mark(marked.pid()).unwrap().is_none() {
            assert!(sys::clock::now().steady.saturating_sub(begun) < MARK_TIME_MAX, "it bears no mark");
            std::thread::yield_now();
        }
        marked
    }

    fn unit(&self) -> PathBuf {
        self.units.join("web.1.1")
    }

    fn pid(&self) -> Pid {
        Pid(self.process.id())
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.units).unwrap();
    }
}

/// All descriptors that are left.
fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[track_caller]
fn assert_failed<T: std::fmt::Debug>(look: Result<T, FileError>) {
    let error = look.unwrap_err().to_string();
    assert!(error.contains("Too many open files"), "{error}");
}

#[test]
fn a_look_without_a_descriptor_finds_nobody_gone() {
    let marked = Marked::start();
    let (unit, pid) = (marked.unit(), marked.pid());
    let boot = sys::clock::boot().unwrap();
    let identity = identify(&boot, pid).unwrap().unwrap();
    let census = Census::take().unwrap();
    let held = sys::lock::Lock::take(&marked.units, "node").unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS_MAX), ..getrlimit(Resource::Nofile) }).unwrap();

    let taken = all_descriptors();
    assert_failed(look(pid));
    assert_failed(identify(&boot, pid));
    assert_failed(signal(&boot, &identity, Signal::Kill));
    assert_failed(list());
    assert_failed(mark(pid));
    assert_failed(Census::take());
    assert_failed(census.members(&unit));
    assert_failed(census.orphans(&marked.units));
    assert_failed(kill_members(&unit));
    assert_failed(sys::lock::holder(&marked.units, "node"));
    drop(taken);

    assert_eq!(look(pid).unwrap().map(|seen| seen.zombie), Some(false), "it was signalled");
    let members = census.members(&unit).unwrap();
    assert_eq!(members.iter().map(|seen| seen.pid).collect::<Vec<_>>(), [pid]);
    assert_eq!(sys::lock::holder(&marked.units, "node"), Ok(Some(Pid(std::process::id()))));
    assert_eq!(census.members(Path::new("/nowhere/web.1.1")), Ok(Vec::new()));
    drop(held);
}
