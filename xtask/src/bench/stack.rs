//! `examples/directory` from nothing, again with its data there, and what the platform's processes take meanwhile.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::memory::{self, Memory, Process};
use super::{Error, finish, release_binary, timed, wait_for};

/// How often a warm start is measured; the median counts.
const WARM_STARTS: usize = 5;
/// How long a page may take to come.
const PAGE_MAX: Duration = Duration::from_secs(60);
/// How long the stack is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
/// How long processes may take to be gone after `down` said so.
const GONE: Duration = Duration::from_secs(2);
/// The ports that the example's file names.
const PORTS: &str = "https: 8443, http: 8080";
/// A company's host.
const HOST: &str = "acme.directory.localhost";

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// `up` in an empty state directory to the first good page: databases are created, migrated and seeded.
    pub(super) cold_up_seconds: f64,
    /// The same with the data there, the median of several.
    pub(super) warm_up_seconds: f64,
    /// `down`, the median of several.
    pub(super) down_seconds: f64,
    /// Each process of the platform, while the stack idles.
    pub(super) processes: Vec<(String, Memory)>,
}

/// A copy of the example, so that its own folder stays as it is.
struct Copy<'a> {
    binary: &'a Path,
    project: PathBuf,
    https: u16,
}

/// Measures with a copy of the example.
pub(super) fn measure(binary: &Path, root: &Path, scratch: &Path) -> Result<Figures, Error> {
    let copy = Copy::new(binary, root, scratch)?;
    let cold_up_seconds = copy.up_to_page()?;
    copy.run(&["up", "--wait"])?;
    std::thread::sleep(IDLE);
    let processes = platform(binary, &copy.project);
    let mut downs = vec![copy.down()?];
    let mut ups = Vec::new();
    for _ in 0..WARM_STARTS {
        ups.push(copy.up_to_page()?);
        copy.run(&["up", "--wait"])?;
        downs.push(copy.down()?);
    }
    Ok(Figures { cold_up_seconds, warm_up_seconds: median(ups), down_seconds: median(downs), processes })
}

impl<'a> Copy<'a> {
    fn new(binary: &'a Path, root: &Path, scratch: &Path) -> Result<Self, Error> {
        let (example, project) = (root.join("examples/directory"), scratch.join("directory"));
        let bin = project.join("bin");
        fs::create_dir_all(&bin).map_err(|source| Error::File { path: bin.clone(), source })?;
        let program = release_binary(root, "directory")?;
        finish(Command::new("cp").arg(program).arg(bin))?;
        finish(Command::new("cp").arg("-r").arg(example.join("frontend")).arg(&project))?;
        let (https, http) = (free_port()?, free_port()?);
        let file = example.join("mainstay.yaml");
        let text = fs::read_to_string(&file).map_err(|source| Error::File { path: file, source })?;
        let text = text.replace(PORTS, &format!("https: {https}, http: {http}"));
        let file = project.join("mainstay.yaml");
        fs::write(&file, text).map_err(|source| Error::File { path: file, source })?;
        Ok(Self { binary, project, https })
    }

    fn state(&self) -> PathBuf {
        self.project.join(".mainstay")
    }

    /// Runs a command of the program, and says how many seconds it took.
    fn run(&self, words: &[&str]) -> Result<f64, Error> {
        let mut command = Command::new(self.binary);
        command.arg("--file").arg(self.project.join("mainstay.yaml")).arg("--state").arg(self.state()).args(words);
        timed(|| finish(&mut command)).map(|((), seconds)| seconds)
    }

    /// From `up` to the first page whose company is known, in seconds.
    fn up_to_page(&self) -> Result<f64, Error> {
        let page = || {
            self.run(&["up", "--detach"])?;
            wait_for("the first page", PAGE_MAX, || (self.answers("/") && self.answers("/api/tenant")).then_some(()))
        };
        timed(page).map(|((), seconds)| seconds)
    }

    /// Whether a good answer comes, over TLS that is verified.
    fn answers(&self, path: &str) -> bool {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "--max-time", "2", "-o", "/dev/null", "--cacert"]).arg(self.state().join("authority.pem"));
        curl.args(["--resolve", &format!("{HOST}:{}:127.0.0.1", self.https)]);
        finish(curl.arg(format!("https://{HOST}:{}{path}", self.https))).is_ok()
    }

    /// Stops everything, in seconds.
    fn down(&self) -> Result<f64, Error> {
        let seconds = self.run(&["down"])?;
        nothing_left(self.binary, &self.project)?;
        Ok(seconds)
    }
}

fn free_port() -> Result<u16, Error> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok(listener.local_addr()?.port()));
    port.map_err(Error::Port)
}

/// Every process of the platform with its memory; the node first, then those that serve, then shims by what they run.
fn platform(binary: &Path, project: &Path) -> Vec<(String, Memory)> {
    let mut all: Vec<(String, Memory)> = memory::running(binary, project)
        .iter()
        .map(|process| (name(process), memory::of_process(process.pid)))
        .collect();
    all.sort_by_key(|(name, _)| (name.starts_with("shim"), name != "node", name.clone()));
    all
}

fn name(process: &Process) -> String {
    // A shim is `mainstay shim FOLDER HOME`, and its folder has the unit's name.
    match process.arguments.as_slice() {
        [_, word, folder, ..] if word == "shim" => {
            let unit = Path::new(folder).file_name().map(|unit| unit.to_string_lossy().into_owned());
            format!("shim of {}", unit.unwrap_or_else(|| folder.clone()))
        }
        [_, word, ..] if word == "edge" || word == "object-server" => word.replace('-', " "),
        _ => "node".to_owned(),
    }
}

fn nothing_left(binary: &Path, project: &Path) -> Result<(), Error> {
    let gone = || memory::running(binary, project).is_empty().then_some(());
    wait_for("the end of every process", GONE, gone)
        .map_err(|_| Error::LeftBehind(memory::running(binary, project).iter().map(|process| process.pid).collect()))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
