//! What the tests of data services stand on: folders and ports of their own, servers that are started
//! as their launch says, and the end of both.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{Address, ByteSize, Holder, Port, Timestamp};
use resources::{Operated, Password, Passwords, Place};
use rustix::process::{Pid, Signal, kill_process};
use supervise::launch::{LogPolicy, UserIds};
use supervise::supervisor::Question;
use zeroize::Zeroizing;

/// A user that no list of users knows, as the node gives them out.
const NAMELESS: UserIds = UserIds { uid: 59_321, gid: 59_321 };
/// `nobody`, which every machine knows.
pub(crate) const NOBODY: u32 = 65_534;
/// How long a test waits for what is to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one look at a condition to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Waits for a condition.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = steady() + PATIENCE;
    while !condition() {
        assert!(steady() < deadline, "waited in vain");
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
}

fn steady() -> Duration {
    sys::clock::now().steady
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn now() -> Timestamp {
    "2026-11-20T17:00:00Z".parse().unwrap()
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A folder of one test.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
}

impl Ground {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mainstay-res-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).unwrap();
        Self { folder }
    }

    /// The place of a resource: as root with a nameless user of its own, else as oneself.
    pub(crate) fn place(&self, resource: &str) -> Place {
        Place {
            resource: resource.parse().unwrap(),
            folder: self.folder.join(resource),
            sockets: self.folder.join(format!("{resource}-run")),
            user: is_root().then_some(NAMELESS),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

pub(crate) fn passwords(services: &[&str]) -> Passwords {
    let password = |text: String| Password::new(Zeroizing::new(text)).unwrap();
    let mut others = BTreeMap::from([(Holder::Owner, password("owner-password-0123".to_owned()))]);
    others.extend(services.iter().map(|name| (service(name), password(format!("{name}-password-0123")))));
    Passwords { operator: password("operator-password-0123".to_owned()), others }
}

pub(crate) fn service(name: &str) -> Holder {
    Holder::Service(name.parse().unwrap())
}

pub(crate) fn log_policy(folder: &Path) -> LogPolicy {
    LogPolicy { folder: folder.to_owned(), file_max: ByteSize::mebibytes(1), files_max: 1 }
}

pub(crate) fn free_port() -> Port {
    Port::new(TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()).unwrap()
}

/// A server that runs as its launch says, but for the shim.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: Port,
    ready: Question,
    output: PathBuf,
}

impl Running {
    pub(crate) fn start(operated: Operated, port: Port) -> Self {
        let Operated { launch, ready, .. } = operated;
        let launch = launch.with_port(port);
        let output = launch.log.folder.join(format!("{}.output", launch.unit));
        let file = fs::File::options().create(true).append(true).open(&output).unwrap();
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value.0.as_str())))
            .current_dir(&launch.folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        if let Some(user) = launch.user {
            command.uid(user.uid).gid(user.gid);
        }
        Self { child: command.spawn().unwrap(), port, ready, output }
    }

    pub(crate) fn wait_ready(&mut self) {
        let deadline = steady() + PATIENCE;
        while !self.is_ready() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.output());
            }
            assert!(steady() < deadline, "not ready: {}", self.output());
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        let Question::Exchange { at, send, expect } = &self.ready else { panic!("not an exchange") };
        let mut answer = vec![0; expect.len()];
        let own = Address::Tcp(([127, 0, 0, 1], self.port.number()).into());
        let asked = match at.as_ref().unwrap_or(&own) {
            Address::Tcp(address) => TcpStream::connect(address).and_then(|mut stream| {
                stream.write_all(send)?;
                stream.read_exact(&mut answer)
            }),
            Address::Unix(path) => UnixStream::connect(path).and_then(|mut stream| {
                stream.write_all(send)?;
                stream.read_exact(&mut answer)
            }),
        };
        asked.is_ok() && answer == *expect
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            kill_process(Pid::from_child(&self.child), Signal::QUIT).unwrap();
            let deadline = steady() + Duration::from_secs(10);
            while self.child.try_wait().unwrap().is_none() && steady() < deadline {
                std::thread::park_timeout(BETWEEN_LOOKS);
            }
            drop(self.child.kill());
            self.child.wait().unwrap();
        }
    }
}

/// Runs one test of this program again as a user that is not root. Does nothing when this is that run, or when
/// this process is a plain user's anyway.
pub(crate) fn again_as_plain_user(test: &str) -> bool {
    if !is_root() {
        return false;
    }
    let ground = Ground::new();
    chown(&ground.folder, Some(NOBODY), Some(NOBODY)).unwrap();
    // Where it was built may be open to root alone.
    let program = ground.folder.join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("TMPDIR", &ground.folder)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("1 passed"), "{words}\n{errors}");
    true
}
