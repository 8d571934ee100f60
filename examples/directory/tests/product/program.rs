//! Processes of the program.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stores::{Ground, POLL};
use crate::visitor::Visitor;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The key that tokens are signed with.
pub(crate) const JWT_KEY: &str = "a key that is only good for testing";

/// Runs a command of the program to its end, which must be a good one.
pub(crate) fn finish(command: &str, environment: &[(&str, &str)]) -> String {
    let output = run(command, environment);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command of the program to its end, with nothing but this in its environment.
pub(crate) fn run(command: &str, environment: &[(&str, &str)]) -> Output {
    program(command).envs(environment.iter().copied()).output().unwrap()
}

/// The same, with arguments and with something on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let (command, further) = arguments.split_first().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Less than a pipe holds, so nobody needs to read it yet.
    writer.write_all(input.as_bytes()).unwrap();
    drop(writer);
    program(command).args(further).envs(environment.iter().copied()).stdin(reader).output().unwrap()
}

fn program(command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_directory"));
    program.arg(command).env_clear().stdin(Stdio::null());
    program
}

/// A process that runs until it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(command: &str, ground: &Ground) -> Self {
        let mut child = program(command)
            .env("PORT", "0")
            .env("DB_URL", ground.db_url("api_service"))
            .env("CACHE_URL", ground.cache_url())
            .env("PHOTOS_FOLDER", ground.photos())
            .env("JWT_KEY", JWT_KEY)
            .env("DIRECTORY_DOMAIN", "directory.localhost")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (output, kept) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line))
        });
        Self { child, lines }
    }

    /// The first log line that fits, waited for.
    pub(crate) fn wait_for_line(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines.lock().unwrap();
            let found = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|line| fits(line));
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < deadline, "no such line among {lines:#?}");
            drop(lines);
            std::thread::sleep(POLL);
        }
    }

    /// The most memory that the process has had so far, in MiB.
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Asks the process to stop.
    pub(crate) fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the end, which must be a good one.
    pub(crate) fn wait_for_end(mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}

/// A process of the API.
pub(crate) struct Api {
    pub(crate) ground: Arc<Ground>,
    pub(crate) process: Running,
    pub(crate) port: u16,
}

impl Api {
    /// The only one on a ground of its own.
    pub(crate) fn start() -> Self {
        Self::on(Arc::new(Ground::new()))
    }

    /// Another one on the same ground.
    pub(crate) fn twin(&self) -> Self {
        Self::on(Arc::clone(&self.ground))
    }

    fn on(ground: Arc<Ground>) -> Self {
        let process = Running::start("serve", &ground);
        let line = process.wait_for_line(|line| line["message"] == "serving");
        let port = line["address"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Self { ground, process, port }
    }

    /// A worker on the same ground.
    pub(crate) fn worker(&self) -> Running {
        Running::start("work", &self.ground)
    }

    /// Somebody at a tenant's host who has not logged in.
    pub(crate) fn stranger(&self, tenant: &str) -> Visitor {
        Visitor::new(self.port, tenant)
    }

    /// Somebody who has logged in: `user`, `manager` or `admin` of a tenant.
    pub(crate) async fn visitor(&self, role: &str, tenant: &str) -> Visitor {
        self.stranger(tenant).logged_in(&format!("{role}@{tenant}.example")).await
    }
}
