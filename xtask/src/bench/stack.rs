//! `examples/minimal` from nothing, again with its data there, and what the platform's processes take meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::memory::{self, Memory, Process};
use super::{Error, finish, release_binary, timed, wait_for};

/// How often a warm start is measured; the median counts.
const WARM_STARTS: usize = 5;
/// How long the stack is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
/// How long processes may take to be gone after `down` said so.
const GONE: Duration = Duration::from_secs(2);

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// `up --detach --wait` in an empty state directory: databases are created, migrations run.
    pub(super) cold_up_seconds: f64,
    /// The same with the data there, the median of several.
    pub(super) warm_up_seconds: f64,
    /// `down`, the median of several.
    pub(super) down_seconds: f64,
    /// Each process of the platform, while the stack idles.
    pub(super) processes: Vec<(String, Memory)>,
}

/// Measures with a copy of the example, so that its own folder stays as it is.
pub(super) fn measure(binary: &Path, root: &Path, scratch: &Path) -> Result<Figures, Error> {
    let project = copy_of_example(root, scratch)?;
    let (state, file) = (project.join(".mainstay"), project.join("mainstay.yaml"));
    let mainstay = |words: &[&str]| {
        let mut command = Command::new(binary);
        command.arg("--file").arg(&file).arg("--state").arg(&state).args(words);
        timed(|| finish(&mut command)).map(|((), seconds)| seconds)
    };
    let cold_up_seconds = mainstay(&["up", "--detach", "--wait"])?;
    std::thread::sleep(IDLE);
    let processes = platform(binary, &project);
    let mut downs = vec![mainstay(&["down"])?];
    nothing_left(binary, &project)?;
    let mut ups = Vec::new();
    for _ in 0..WARM_STARTS {
        ups.push(mainstay(&["up", "--detach", "--wait"])?);
        downs.push(mainstay(&["down"])?);
        nothing_left(binary, &project)?;
    }
    Ok(Figures { cold_up_seconds, warm_up_seconds: median(ups), down_seconds: median(downs), processes })
}

fn copy_of_example(root: &Path, scratch: &Path) -> Result<PathBuf, Error> {
    let project = scratch.join("minimal");
    let program = release_binary(root, "minimal")?;
    let copies = [
        (root.join("examples/minimal/mainstay.yaml"), project.join("mainstay.yaml")),
        (program, project.join("bin/minimal")),
    ];
    for (from, to) in copies {
        let folder = to.parent().unwrap_or(&project);
        fs::create_dir_all(folder)
            .and_then(|()| fs::copy(&from, &to))
            .map_err(|source| Error::File { path: to.clone(), source })?;
    }
    Ok(project)
}

/// Every process of the platform with its memory; the node first, shims by what they run.
fn platform(binary: &Path, project: &Path) -> Vec<(String, Memory)> {
    let mut all: Vec<(String, Memory)> = memory::running(binary, project)
        .iter()
        .map(|process| (name(process), memory::of_process(process.pid)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn name(process: &Process) -> String {
    // A shim is `mainstay shim FOLDER HOME`, and its folder has the unit's name.
    match process.arguments.as_slice() {
        [_, word, folder, ..] if word == "shim" => {
            let unit = Path::new(folder).file_name().map(|unit| unit.to_string_lossy().into_owned());
            format!("shim of {}", unit.unwrap_or_else(|| folder.clone()))
        }
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
