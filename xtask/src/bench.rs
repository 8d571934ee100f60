//! Measures the release build with `examples/directory` and beside other supervisors, and writes `docs/benchmarks.md`.
//!
//! Start reading at [`run`]; [`mod@edge`] has a page of its own. What is printed is decided in [`report`], from values alone. A peer that is not installed
//! is listed as not measured, never left out.

pub(crate) mod edge;

mod report;

mod machine;
mod memory;
mod peers;
mod stack;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::repository;
use report::Report;

/// Whether a build from nothing is measured, which takes minutes, or the last figure kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColdBuild {
    /// The figure that the page has.
    Keep,
    /// Build in a target folder of its own.
    Measure,
}

/// A measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is missing: run `make build` first")]
    NotBuilt(PathBuf),
    #[error("`{command}` could not be started")]
    Start { command: String, source: io::Error },
    #[error("`{command}` ended with {status}\n{output}")]
    Command { command: String, status: std::process::ExitStatus, output: String },
    #[error("{} could not be used", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("no port is free")]
    Port(#[source] io::Error),
    #[error("{what} did not happen within {} s", within.as_secs())]
    Late { what: String, within: Duration },
    #[error("what {program} printed cannot be read:\n{text}")]
    Unreadable { program: &'static str, text: String },
    #[error("{0} is missing: tools/prepare bench-edge installs it")]
    Missing(&'static str),
    #[error("descriptors do not suffice")]
    Descriptors(#[source] io::Error),
    #[error("the load could not be kept to its core: at least two are needed")]
    Pin(#[source] io::Error),
    #[error("{} is not a certificate that clients can trust", path.display())]
    Certificate { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("TLS cannot be spoken")]
    Tls(#[source] rustls::Error),
    #[error("no connection from {from} to {to}")]
    Connect { from: Ipv4Addr, to: SocketAddrV4, source: io::Error },
    #[error("what `{what}` asks for is not answered with 200 when it is asked fast: {answer:?}")]
    NotAnswered { what: &'static str, answer: io::Result<u16> },
    #[error("`mainstay down` left processes behind: {0:?}")]
    LeftBehind(Vec<u32>),
}

/// Measures everything and writes the page.
pub(crate) fn run(cold_build: ColdBuild) -> Result<(), Error> {
    let root = repository::root();
    let page = root.join("docs/benchmarks.md");
    let binary = release_binary(&root, "mainstay")?;
    let scratch = Scratch::new()?;
    let machine = machine::describe();
    let stack = stack::measure(&binary, &root, scratch.path())?;
    let supervisors = peers::measure(&binary, scratch.path())?;
    let cold_build_seconds = match cold_build {
        ColdBuild::Measure => Some(build_from_nothing(&root, scratch.path())?),
        ColdBuild::Keep => fs::read_to_string(&page).ok().and_then(|text| report::cold_build_of(&text)),
    };
    let report = Report { machine, binary_bytes: size_of(&binary)?, cold_build_seconds, stack, supervisors };
    let text = report.to_string();
    println!("{text}");
    fs::write(&page, text).map_err(|source| Error::File { path: page, source })
}

/// A program as `make build` left it, wherever cargo builds.
fn release_binary(root: &Path, name: &str) -> Result<PathBuf, Error> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = target.join("release").join(name);
    path.canonicalize().map_err(|_| Error::NotBuilt(path))
}

fn size_of(path: &Path) -> Result<u64, Error> {
    let found = fs::metadata(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    Ok(found.len())
}

fn build_from_nothing(root: &Path, scratch: &Path) -> Result<f64, Error> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--release", "-p", "mainstay"]);
    build.current_dir(root).env("CARGO_TARGET_DIR", scratch.join("target"));
    timed(|| finish(&mut build)).map(|((), seconds)| seconds)
}

/// Runs a command to its end; its output is in the error when it fails.
fn finish(command: &mut Command) -> Result<(), Error> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|source| Error::Start { command: shown.clone(), source })?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = [output.stdout, output.stderr].concat();
            let output_text = String::from_utf8_lossy(&text).into_owned();
            Err(Error::Command { command: shown, status: output.status, output: output_text })
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, f64), Error> {
    let started = now();
    let value = work()?;
    Ok((value, started.elapsed().as_secs_f64()))
}

/// Looks every few milliseconds until `look` finds something.
fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, Error> {
    const POLL: Duration = Duration::from_millis(2);
    for _ in 0..within.as_millis() / POLL.as_millis() {
        if let Some(found) = look() {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
    Err(Error::Late { what: what.to_owned(), within })
}

/// A folder that goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("mainstay-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        // Services run as users of their own and have to come through.
        use std::os::unix::fs::PermissionsExt;
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, open).map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} was not removed: {error}", self.0.display());
        }
    }
}
