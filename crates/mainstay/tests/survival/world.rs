//! One stack in a folder of its own: its commands, its status, its processes, and the end of all of them.
//!
//! Start reading at [`World`]. Whatever a test does, also when it fails, nothing of its folder runs afterwards.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::processes::{self, Process};

/// How long a test waits for what is to come. Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// From one look at a condition to the next.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A stack of one test.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) state: PathBuf,
    /// The control socket, as the program names it.
    pub(crate) socket: PathBuf,
    /// As whom its commands run; as this process when absent.
    uid: Option<u32>,
    /// The program that its commands are run through, and that program's own words; none for the commands themselves.
    through: Vec<String>,
}

impl World {
    /// A stack of this process's user.
    pub(crate) fn new(name: &str, file: &str) -> Self {
        Self::of(name, file, None)
    }

    /// A stack of a given user, who owns its folder.
    pub(crate) fn of(name: &str, file: &str, uid: Option<u32>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mainstay-{name}-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let folder = folder.canonicalize().unwrap();
        let mut world =
            Self { state: folder.join(".mainstay"), socket: PathBuf::new(), folder, uid, through: Vec::new() };
        for part in ["bin", "home", "run"] {
            fs::create_dir(world.folder.join(part)).unwrap();
            chown(world.folder.join(part), uid, uid).unwrap();
        }
        chown(&world.folder, uid, uid).unwrap();
        // Copies, so that a build meanwhile changes nothing, and that every user can get at them.
        place(Path::new(env!("CARGO_BIN_EXE_mainstay")), &world.program());
        place(minimal(), &world.folder.join("bin/minimal"));
        world.write(file);
        world.socket = world.told_socket();
        world
    }

    /// Replaces the stack file.
    pub(crate) fn write(&self, file: &str) {
        fs::write(self.folder.join("mainstay.yaml"), file).unwrap();
    }

    /// Writes a program of the stack.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// From now on commands are run by these words, which they follow.
    pub(crate) fn run_through<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.through = words.into_iter().map(str::to_owned).collect();
    }

    fn program(&self) -> PathBuf {
        self.folder.join("bin/mainstay")
    }

    /// Only the program knows where its socket goes; without a node it says where it looked.
    fn told_socket(&self) -> PathBuf {
        let ran = self.run(&["status"]);
        let told = ran.err.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(path, _)| path);
        told.map(PathBuf::from).unwrap_or_else(|| panic!("no socket is named: {ran:?}"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.through.iter().map(OsString::from).chain([self.program().into()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command.env("PATH", SEARCH_PATH).env("HOME", self.folder.join("home"));
        command.env("XDG_RUNTIME_DIR", self.folder.join("run"));
        command.env("MAINSTAY_STATE", &self.state).env("MAINSTAY_KEY_FILE", self.folder.join("home/vault.key"));
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Starts a command; [`ended`] waits for it.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command that is to succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}\n{}\n{}", ran.err, ran.out, self.events());
        ran
    }

    /// Brings the stack up and waits until everything is ready.
    #[track_caller]
    pub(crate) fn up(&self) -> Value {
        self.done(&["up", "--wait", "100s"]);
        self.status().unwrap()
    }

    /// Stops the stack and holds it to leaving nothing behind.
    #[track_caller]
    pub(crate) fn down(&self) {
        self.done(&["down"]);
        self.is_down();
    }

    /// No process and no socket is left.
    #[track_caller]
    pub(crate) fn is_down(&self) {
        // What a killed node was preparing ends on its own, when it sees that nobody reads what it says.
        let helpers = |left: &[Process]| left.iter().all(|it| it.command.contains("postgres --single"));
        let (left, _) = self.wait_for("helpers to end", || {
            let left = self.processes();
            (left.is_empty() || !helpers(&left)).then_some(left)
        });
        assert!(left.is_empty(), "left running: {left:#?}\n{}", self.events());
        assert_eq!(self.run(&["status"]).code, Some(4));
        let sockets = self.sockets().into_iter().chain(sockets(&self.state));
        assert_eq!(sockets.collect::<Vec<_>>(), Vec::<PathBuf>::new());
    }

    /// The control socket and those of its data services.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        sockets(self.socket.parent().unwrap())
    }

    /// How the stack is; `None` where no node answers.
    pub(crate) fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.run(&["status", "--output", "json"]).out).ok()
    }

    /// The journal for people, for messages.
    pub(crate) fn events(&self) -> String {
        self.run(&["events"]).out
    }

    /// Which entry of the journal is the newest.
    pub(crate) fn newest_entry(&self) -> u64 {
        let files = fs::read_dir(self.state.join("journal")).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
        files.map(|path| lines(&path)).sum()
    }

    /// The journal's sentences after an entry.
    pub(crate) fn events_after(&self, entry: u64) -> Vec<String> {
        let ran = self.run(&["events", "--after", &entry.to_string(), "--output", "json"]);
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
        ran.out.lines().map(event).collect()
    }

    /// The live processes of this stack.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::of_folder(&self.folder)
    }

    /// The node, found by the number that it leaves in the lock file.
    pub(crate) fn node(&self) -> Option<Process> {
        let number = fs::read_to_string(self.state.join("lock")).ok()?;
        let process = processes::look(number.trim().parse().ok()?)?;
        let ours = process.command.starts_with(&*self.program().to_string_lossy());
        ours.then_some(process)
    }

    /// The shim of a unit.
    pub(crate) fn shim(&self, unit: &str) -> Process {
        processes::shims(&self.state).remove(unit).unwrap_or_else(|| panic!("{unit} has no shim"))
    }

    /// What the shim of a unit holds.
    pub(crate) fn child(&self, unit: &str) -> Process {
        processes::children(&self.state).remove(unit).unwrap_or_else(|| panic!("{unit} does not run"))
    }

    /// Waits for a condition and says how long that took.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, found: impl Fn() -> Option<T>) -> (T, Duration) {
        let begun = steady();
        loop {
            if let Some(found) = found() {
                return (found, steady().saturating_sub(begun));
            }
            let waited = steady().saturating_sub(begun);
            assert!(waited < PATIENCE, "waited in vain for {what}\n{}\n{:#?}", self.events(), self.status());
            std::thread::sleep(POLL);
        }
    }

    /// Waits until everything is ready and a unit has another process than before.
    #[track_caller]
    pub(crate) fn replaced(&self, unit: &str, old: &Process) -> (Value, Duration) {
        let state = &self.state;
        self.wait_for(&format!("{unit} to be replaced"), || {
            let status = self.status().filter(|status| status["settled"] == true)?;
            let new = processes::children(state).remove(unit)?;
            (new.pid != old.pid && pid_of(&status, unit) == Some(new.pid)).then_some(status)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The node first: it would start again what is killed.
        if let Some(node) = self.node() {
            processes::kill(&node);
        }
        let begun = steady();
        loop {
            let left = self.processes();
            if left.is_empty() || steady().saturating_sub(begun) > PATIENCE {
                break;
            }
            left.iter().for_each(processes::kill);
            std::thread::sleep(POLL);
        }
        // The test's own failure is what is to be seen, not that of its cleaning up.
        if let Some(runtime) = self.socket.parent().filter(|path| path.is_dir()) {
            drop(fs::remove_dir_all(runtime));
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Where PostgreSQL and Redis are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of examples/minimal.
fn minimal() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("minimal"))
}

/// The program of an example, built the way this test was.
pub(crate) fn built(example: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_mainstay")).parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--locked", "--package", example]);
    command.arg("--target-dir").arg(beside.parent().unwrap());
    if beside.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let ran = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    beside.join(example)
}

/// The same file under another name where that can be, else a copy of it.
pub(crate) fn place(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

fn lines(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap_or_default();
    u64::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap()
}

fn sockets(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(sockets(&entry.path())),
            kind if kind.is_socket() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Waits for a command that was begun.
#[track_caller]
pub(crate) fn ended(mut child: Child) -> Ran {
    let begun = steady();
    while child.try_wait().unwrap().is_none() {
        if steady().saturating_sub(begun) > PATIENCE {
            child.kill().unwrap();
            panic!("a command does not end: {:?}", Ran::from(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(POLL);
    }
    child.wait_with_output().unwrap().into()
}

/// All units of a status: replicas, runs and resources.
pub(crate) fn units(status: &Value) -> Vec<&Value> {
    let services = status["services"].as_array().unwrap();
    let replicas = services.iter().flat_map(|service| service["replicas"].as_array().unwrap());
    replicas.chain(status["resources"].as_array().unwrap()).collect()
}

/// A unit of a status by its id.
pub(crate) fn unit<'a>(status: &'a Value, id: &str) -> Option<&'a Value> {
    units(status).into_iter().find(|unit| unit["id"] == id || unit["name"] == id)
}

/// The process of a unit of a status.
pub(crate) fn pid_of(status: &Value, id: &str) -> Option<u32> {
    unit(status, id)?["pid"].as_u64()?.try_into().ok()
}

/// One line of what these tests show.
pub(crate) fn tell(what: impl Display, took: Duration) {
    println!("TIME {what}: {:.1} s", took.as_secs_f64());
}

/// The monotonic clock.
pub(crate) fn steady() -> Duration {
    sys::clock::now().steady
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
