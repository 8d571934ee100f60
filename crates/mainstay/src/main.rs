//! The Mainstay binary: command line, control API, and the wiring of all subsystems.
//!
//! Start reading at [`main`], then [`commands`] for what people type, [`node`] for what runs, and [`api`] for
//! what is between them.

mod api;
mod commands;
mod edge_process;
mod judged;
mod machine;
mod node;
mod objects_process;
mod terminal;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use commands::failure::Failure;
use commands::session::Session;
use commands::{Command, CommandLine};
use node::surroundings::Surroundings;
use terminal::{Screen, Terminal};

/// The hidden command that shims are started by: this word, then the unit's folder, then what marks it
/// as of its home, for those who look at the process table.
const SHIM_COMMAND: &str = "shim";
/// The hidden command that the edge is started by: this word, then where the node connects to, then the port of HTTPS.
const EDGE_COMMAND: &str = "edge";
/// The hidden command that object servers are started by: this word, then the store's folder, the folder of the socket
/// that the node connects to, and the port.
const OBJECTS_COMMAND: &str = "object-server";
/// The program that runs now, whatever became of its file.
const OWN_PROGRAM: &str = "/proc/self/exe";

fn main() -> ExitCode {
    // Before anything else: the platform's own processes stay small by never touching what the other
    // commands need.
    let mut words = env::args_os().skip(1);
    let first = words.next().unwrap_or_default();
    if first == SHIM_COMMAND {
        let folder = words.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
        return supervise::shim::run(&folder, inherited_listeners().as_deref());
    }
    if first == EDGE_COMMAND {
        return edge_process::run(words, inherited_listeners().as_deref());
    }
    if first == OBJECTS_COMMAND {
        return objects_process::run(words);
    }
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(line.globals.output, line.globals.color, screen());
    match carry_out(line, terminal.clone()) {
        Ok(code) => code,
        Err(failure) => failure.tell(&terminal),
    }
}

/// Help and version are asked for and end with 0; everything else that clap says is an error of usage.
fn usage(error: &clap::Error) -> ExitCode {
    // Where the words cannot be written, the exit code still tells.
    drop(error.print());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(commands::failure::Exit::Usage.code()))
}

fn carry_out(line: CommandLine, terminal: Terminal) -> Result<ExitCode, Failure> {
    let folder =
        env::current_dir().map_err(|error| Failure::doing("cannot tell which folder this is run in", &error))?;
    let mut runtime = match line.command {
        Command::Node(_) | Command::Up(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime
        .worker_threads(NODE_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::doing("cannot start", &error))?;
    let session = Session::new(line.globals, terminal, surroundings(), folder);
    let ended = runtime.block_on(line.command.run(&session));
    // What a node still copies is whole or not there at all: nothing is lost with it, and nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// The node waits far more than it works; a second thread keeps answers coming while one is busy.
const NODE_THREADS: usize = 2;

/// What this program takes from its environment, beside what clap does.
fn surroundings() -> Surroundings {
    let uid = rustix::process::geteuid().as_raw();
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let search_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    Surroundings {
        root: uid == 0,
        uid,
        runtime_dir: folder("XDG_RUNTIME_DIR").filter(|path| Path::is_dir(path)),
        state_home: folder("XDG_STATE_HOME"),
        home: folder("HOME"),
        search_path,
    }
}

/// The sockets that a shim and the edge inherit.
fn inherited_listeners() -> Option<String> {
    env::var_os(sys::listeners::VARIABLE)?.into_string().ok()
}

/// What the environment says of the terminal.
fn screen() -> Screen {
    let is_set = |variable: &str| env::var_os(variable).is_some_and(|value| !value.is_empty());
    match env::var_os("TERM").is_some_and(|kind| kind == "dumb") {
        true => Screen::Dumb,
        false if is_set("NO_COLOR") => Screen::WithoutColour,
        false => Screen::Usual,
    }
}
