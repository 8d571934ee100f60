//! One unit in a folder of its own, and the node's side of its shim.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{BootId, ByteSize, Digest, Limits, Pid, ProcessIdentity};
use supervise::launch::{EnvironmentValue, Launch, LogPolicy};
use supervise::log::Line;
use supervise::log::reader::{Query, Reader};
use supervise::protocol::{ExitReport, Report, Request};
use supervise::shim::EXIT_FILE;
use sys::machine::SHIM_SOCKET;
use sys::process::Seen;
use sys::process::child::ShimCommand;
use sys::process::unit::Census;
use sys::system::{ShimStart, Signal};

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Unit {
    pub(crate) base: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) launch: Launch,
    pub(crate) boot: BootId,
    pub(crate) shim: Option<ProcessIdentity>,
}

impl Unit {
    /// A unit that will run a shell script.
    pub(crate) fn new(script: &str) -> Self {
        Self::at(&std::env::temp_dir(), script)
    }

    pub(crate) fn at(parent: &Path, script: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = parent.join(format!("mainstay-shim-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o755)).unwrap();
        let base = base.canonicalize().unwrap();
        let path = EnvironmentValue::from("/usr/bin:/bin".to_owned());
        let launch = Launch {
            unit: "api.3.1".parse().unwrap(),
            digest: Digest([7; 32]),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("PATH".to_owned(), path)]),
            folder: base.clone(),
            user: None,
            privileged_port: false,
            limits: Limits::default(),
            control_group: None,
            log: LogPolicy { folder: base.join("log"), file_max: ByteSize::mebibytes(1), files_max: 20 },
            hidden: Vec::new(),
            shown: Vec::new(),
            address: None,
            listening: Default::default(),
        };
        let folder = base.join("units/api.3.1");
        Self { folder, base, launch, boot: sys::clock::boot().unwrap(), shim: None }
    }

    pub(crate) fn start(&mut self) -> ProcessIdentity {
        let command = ShimCommand { program: std::env::current_exe().unwrap(), words: vec!["shim".into()] };
        let start = ShimStart {
            folder: self.folder.clone(),
            launch: serde_json::to_vec(&self.launch).unwrap(),
            listening: Default::default(),
        };
        let (shim, _) = command.start(&self.boot, &start, &[]).unwrap();
        self.shim = Some(shim.clone());
        shim
    }

    /// Connects, waiting for the shim to listen, and returns the connection after its first message.
    pub(crate) fn connect(&self) -> (Node, Report) {
        let stream = until("the shim listens", || sys::local_socket::connect(&self.folder, SHIM_SOCKET).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut node = Node { reader: BufReader::new(stream) };
        let hello = node.hear().expect("a shim greets");
        (node, hello)
    }

    /// Starts it and returns a connection and the child.
    pub(crate) fn up(&mut self) -> (Node, ProcessIdentity) {
        self.start();
        let (node, hello) = self.connect();
        match hello {
            Report::Hello { child: Some(child), exit: None, .. } => (node, child),
            other => panic!("{other:?}"),
        }
    }

    /// Starts it and waits for the exit record.
    pub(crate) fn run(&mut self) -> ExitReport {
        self.start();
        self.exit_record()
    }

    pub(crate) fn exit_record(&self) -> ExitReport {
        let bytes = until("the exit record is written", || std::fs::read(self.folder.join(EXIT_FILE)).ok());
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Sends a signal and collects what this process is the parent of, as a node does.
    pub(crate) fn kill(&self, process: &ProcessIdentity) {
        sys::process::signal(&self.boot, process, Signal::Kill).unwrap();
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut reader = Reader::new([(self.launch.unit.clone(), self.launch.log.folder.clone())], Query::default());
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    /// Waits until a line is exactly this.
    pub(crate) fn await_line(&self, text: &str) {
        until(text, || self.lines().iter().any(|line| line.line == text).then_some(()));
    }

    pub(crate) fn lives(&self, process: &ProcessIdentity) -> bool {
        sys::process::identify(&self.boot, process.pid).unwrap().as_ref() == Some(process)
    }

    pub(crate) fn members(&self) -> Vec<Seen> {
        Census::take().unwrap().members(&self.folder).unwrap()
    }

    /// Kills what is left, as a node does before a new start.
    pub(crate) fn sweep(&self) {
        until("nothing of the unit is left", || {
            (sys::process::unit::kill_members(&self.folder) == Ok(0)).then_some(())
        });
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.sweep();
        sys::process::unit::remove_groups(&self.folder);
        drop(std::fs::remove_dir_all(&self.base));
    }
}

/// The node's end of a connection.
pub(crate) struct Node {
    reader: BufReader<UnixStream>,
}

impl Node {
    /// The next message; `None` when the shim closed the connection.
    pub(crate) fn hear(&mut self) -> Option<Report> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn ask(&mut self, request: &Request) {
        let mut bytes = serde_json::to_vec(request).unwrap();
        bytes.push(b'\n');
        self.reader.get_mut().write_all(&bytes).unwrap();
    }

    pub(crate) fn stop(&mut self, deadline: Duration) {
        self.ask(&Request::Stop { signal: 15, deadline_ms: u64::try_from(deadline.as_millis()).unwrap() });
    }

    /// Asks for a command and returns its code and output.
    pub(crate) fn command(&mut self, words: &[&str], timeout_ms: u64) -> (Option<i32>, String) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.ask(&Request::Command { ticket: 1, words, timeout_ms });
        match self.hear() {
            Some(Report::CommandEnded { ticket: 1, code, output }) => (code, output),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn exited(&mut self) -> ExitReport {
        match self.hear() {
            Some(Report::Exited(report)) => report,
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for a condition, at most [`PATIENCE`].
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = sys::clock::now().steady + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(sys::clock::now().steady < end, "it never came about that {what}");
        // Not a guess at how long something takes: only how often the condition is looked at.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

pub(crate) fn pid_from(path: &Path) -> Pid {
    Pid(until("a pid is written", || std::fs::read_to_string(path).ok()?.trim().parse().ok()))
}
