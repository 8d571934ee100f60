//! The same ten children under Mainstay and under other supervisors: memory of whatever supervises and captures
//! their output, and how soon a killed child runs again.
//!
//! Every child is the same script, which notes its pid and then sleeps, so that all are watched alike. Each supervisor
//! keeps the output of each child in rotated files of its own, as it does by default.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::memory::{self, Memory};
use super::{Error, finish, timed, wait_for};

/// Children of each supervisor.
const CHILDREN: usize = 10;
/// How often a child is killed; the median counts.
const KILLS: usize = 5;
/// How long everything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a child has run before it is killed: longer than supervisors ask for before they call it started.
const SETTLED: Duration = Duration::from_secs(12);

/// What was measured of one supervisor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Supervisor {
    pub(super) name: String,
    /// Absent when it is not installed.
    pub(super) figures: Option<Figures>,
}

/// Figures of one supervisor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// How many processes supervise and capture output.
    pub(super) processes: usize,
    /// Their memory together.
    pub(super) memory: Memory,
    /// From the kill to the next start of the child, the median of several.
    pub(super) restart_seconds: f64,
}

/// Measures each supervisor that is installed.
pub(super) fn measure(binary: &Path, scratch: &Path) -> Result<Vec<Supervisor>, Error> {
    Ok(vec![
        Supervisor { name: "Mainstay".to_owned(), figures: Some(mainstay(binary, &folder(scratch, "mainstay")?)?) },
        Supervisor { name: "runit, with svlogd".to_owned(), figures: runit(&folder(scratch, "runit")?)? },
        Supervisor { name: "supervisor (Python)".to_owned(), figures: supervisord(&folder(scratch, "supervisord")?)? },
    ])
}

fn folder(scratch: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = scratch.join(name);
    fs::create_dir_all(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    Ok(path)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

/// The script that each child is; it adds a line to `starts` whenever it starts.
fn child_script(folder: &Path) -> Result<PathBuf, Error> {
    let (script, starts) = (folder.join("child"), folder.join("starts"));
    write(&starts, "", 0o666)?;
    let text = format!("#!/bin/sh\necho $$ >> {}\necho started\nexec sleep 100000\n", starts.display());
    write(&script, &text, 0o755)?;
    Ok(script)
}

/// The pids of the children, in the order of their starts.
fn starts(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("starts")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Waits for all children, reads the memory, kills some and waits for them.
fn watch(folder: &Path, supervising: impl Fn() -> Vec<u32>) -> Result<Figures, Error> {
    wait_for("the start of every child", PATIENCE, || (starts(folder).len() >= CHILDREN).then_some(()))?;
    std::thread::sleep(SETTLED);
    let pids = supervising();
    let memory = pids.iter().map(|&pid| memory::of_process(pid)).sum();
    let mut restarts = Vec::new();
    for victim in starts(folder).into_iter().take(KILLS) {
        let before = starts(folder).len();
        let mut kill = Command::new("kill");
        kill.arg("-9").arg(victim.to_string());
        let again = || (starts(folder).len() > before).then_some(());
        let restart = || finish(&mut kill).and_then(|()| wait_for("the next start of a killed child", PATIENCE, again));
        restarts.push(timed(restart)?.1);
    }
    restarts.sort_by(f64::total_cmp);
    Ok(Figures { processes: pids.len(), memory, restart_seconds: restarts[restarts.len() / 2] })
}

fn mainstay(binary: &Path, folder: &Path) -> Result<Figures, Error> {
    child_script(folder)?;
    let file = folder.join("mainstay.yaml");
    let text =
        format!("stack: children\nservices:\n  child:\n    run: ./child\n    replicas: {CHILDREN}\n    user: root\n");
    // Only root may ask for root; the children have to write where the others' do.
    let text = match is_root() {
        true => text,
        false => text.replace("    user: root\n", ""),
    };
    write(&file, &text, 0o644)?;
    let call = |words: &[&str]| {
        let mut command = Command::new(binary);
        command.arg("--file").arg(&file).arg("--state").arg(folder.join("state")).args(words);
        finish(&mut command)
    };
    call(&["up", "--detach", "--wait"])?;
    let figures = watch(folder, || memory::running(binary, folder).iter().map(|process| process.pid).collect());
    call(&["down"])?;
    figures
}

pub(super) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

fn runit(folder: &Path) -> Result<Option<Figures>, Error> {
    if !installed("runsvdir") {
        return Ok(None);
    }
    let script = child_script(folder)?;
    for number in 1..=CHILDREN {
        let service = folder.join(format!("services/child{number}"));
        write(&service.join("run"), &format!("#!/bin/sh\nexec {} 2>&1\n", script.display()), 0o755)?;
        write(&service.join("log/run"), "#!/bin/sh\nmkdir -p main\nexec svlogd -tt main\n", 0o755)?;
    }
    let services = folder.join("services");
    let mut root = start(Command::new("runsvdir").arg("-P").arg(&services))?;
    let figures = watch(folder, || {
        let named = |words: &[String]| ["runsvdir", "runsv", "svlogd"].iter().any(|name| words[0].ends_with(name));
        let all = memory::processes();
        all.iter().filter(|process| named(&process.arguments)).map(|process| process.pid).collect()
    });
    // On SIGHUP, runsvdir tells every runsv to stop its child and to end.
    finish(Command::new("kill").arg("-HUP").arg(root.id().to_string()))?;
    ended(&mut root, "runsvdir")?;
    figures.map(Some)
}

fn supervisord(folder: &Path) -> Result<Option<Figures>, Error> {
    if !installed("supervisord") {
        return Ok(None);
    }
    let script = child_script(folder)?;
    let at = folder.display();
    let config = format!(
        "[supervisord]\nnodaemon=true\nlogfile={at}/log\npidfile={at}/pid\nchildlogdir={at}\n\
         [program:child]\ncommand={}\nnumprocs={CHILDREN}\nprocess_name=%(process_num)02d\nautorestart=true\n",
        script.display(),
    );
    let file = folder.join("supervisord.conf");
    write(&file, &config, 0o644)?;
    let mut root = start(Command::new("supervisord").arg("-c").arg(&file))?;
    let pid = root.id();
    let figures = watch(folder, || vec![pid]);
    finish(Command::new("kill").arg(pid.to_string()))?;
    ended(&mut root, "supervisord")?;
    figures.map(Some)
}

fn installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn start(command: &mut Command) -> Result<Child, Error> {
    let shown = format!("{command:?}");
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start { command: shown, source })
}

fn ended(child: &mut Child, name: &str) -> Result<(), Error> {
    let what = format!("the end of {name}");
    wait_for(&what, PATIENCE, || child.try_wait().ok().flatten()).map(|_status| ())
}
