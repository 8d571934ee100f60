//! Carries out what [`core`](super::core) decides, on the operating system.
//!
//! Start reading at [`Host::run`]: one loop that waits, takes in what happened and carries out the answers.
//! Invariant: nothing here decides anything.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use model::cause::chain;
use model::{ExitStatus, Pid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process_group};
use sys::FolderIdentity;
use sys::files::is_full;
use sys::listeners::handover::{self, Keeper};
use sys::lock::Lock;
use sys::machine::SHIM_SOCKET;
use sys::process::reap::{CHILD_ENDED, Signals, collect};
use sys::process::unit::{GROUPS_FILE, OwnShim, home, kill_own_members, note_groups};

use super::clients::Clients;
use super::commands::Commands;
use super::core::{Client, Core, Effect, Input, Reach};
use super::exit_record;
use super::start::{self, Place, Running};
use crate::control_group::Group;
use crate::launch::Launch;
use crate::log::Stream;
use crate::log::writer::Writer;
use crate::protocol::{ExitReport, Report};

/// Bytes read of the child's output at a time.
const READ_BYTES: usize = 32 << 10;
/// Reads of each stream after the child's end. A pipe holds at most a mebibyte; whoever still writes
/// then is no process of the unit.
const LAST_READS_MAX: usize = 64;
/// How long the child may take when the operating system, not a node, asks the shim to stop.
const SYSTEM_STOP: Duration = Duration::from_secs(10);
/// Refused connections that the log tells of.
const REFUSALS_TOLD_MAX: u32 = 10;
/// Attempts to remove the control group, a moment apart.
const GROUP_REMOVALS_MAX: u32 = 50;

const TERMINATE: i32 = Signal::TERM.as_raw();
const INTERRUPT: i32 = Signal::INT.as_raw();
const QUIT: i32 = Signal::QUIT.as_raw();

/// The shim with all it holds of the operating system.
pub(super) struct Host {
    folder: PathBuf,
    home: Option<FolderIdentity>,
    launch: Launch,
    lock: Lock,
    signals: Signals,
    listener: UnixListener,
    /// Keeps what the child listens on, also when the child is gone.
    keeper: Option<Keeper>,
    core: Core,
    clients: Clients,
    commands: Commands,
    log: Option<Writer>,
    child: Option<Pid>,
    child_group: Option<Pid>,
    output: Option<File>,
    errors: Option<File>,
    killed: bool,
    armed: Option<Duration>,
    refusals: u32,
    ended: bool,
}

impl Host {
    pub(super) fn new(folder: PathBuf, launch: Launch, lock: Lock, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let signals = Signals::take()?;
        let listener = sys::local_socket::listen(&folder, SHIM_SOCKET)?;
        listener.set_nonblocking(true)?;
        let keeper = if sockets.is_empty() { None } else { Some(Keeper::new(&folder, sockets)?) };
        let home = home(&folder);
        let core = Core::new(launch.unit.clone(), launch.digest, home, sys::clock::now().wall);
        Ok(Self {
            folder,
            home,
            launch,
            lock,
            signals,
            listener,
            keeper,
            core,
            clients: Clients::default(),
            commands: Commands::default(),
            log: None,
            child: None,
            child_group: None,
            output: None,
            errors: None,
            killed: false,
            armed: None,
            refusals: 0,
            ended: false,
        })
    }

    /// Starts the child, stays until it and all it left behind are gone, and has told so.
    pub(super) fn run(mut self) {
        match self.start() {
            Ok(first) => self.step(first),
            Err(note) => self.step(Input::NotStarted { note }),
        }
        let mut buffer = vec![0_u8; READ_BYTES];
        while !self.ended {
            self.wait();
            self.read_output(&mut buffer);
            self.take_signals();
            self.serve_clients();
            self.keep_sockets();
            self.commands.read();
            if self.armed.is_some_and(|at| at <= sys::clock::now().steady) {
                self.step(Input::Timer);
            }
        }
        self.leave();
    }

    fn start(&mut self) -> Result<Input, String> {
        let log = Writer::open(self.launch.unit.clone(), self.launch.log.clone(), sys::clock::now())
            .map_err(|error| format!("cannot write its log in {}: {error}", self.launch.log.folder.display()))?;
        self.log = Some(log);
        let boot = sys::clock::boot().map_err(|error| chain(&error))?;
        let running = self.start_child()?;
        self.child = Some(running.pid);
        self.child_group = Some(running.pid);
        self.output = Some(running.output);
        self.errors = running.errors;
        // It has not been collected, so it has an identity even if it has already ended.
        let seen = sys::process::look(running.pid).map_err(|error| chain(&error))?;
        let seen = seen.ok_or("its identity cannot be read from /proc")?;
        Ok(Input::Started(model::ProcessIdentity { boot, pid: running.pid, started: seen.started }))
    }

    fn start_child(&self) -> Result<Running, String> {
        let group =
            Group::make(self.launch.control_group.as_ref(), &self.launch.limits).map_err(|error| chain(&error))?;
        if let Some(group) = &group {
            let folders = group.folders();
            if folders.iter().any(|path| path.file_name() != self.folder.file_name()) {
                return Err("its control group does not bear its name".to_owned());
            }
            match note_groups(&self.folder, &folders) {
                // The other marks of a unit's processes remain.
                Err(error) if is_full(&error) => {}
                other => other.map_err(|error| format!("cannot note its control group: {error}"))?,
            }
        }
        let listeners = self.keeper.as_ref().map(Keeper::sockets).unwrap_or_default();
        let place = Place {
            folder: &self.folder,
            home: self.home,
            lock: &self.lock,
            group: group.as_ref(),
            listens: true,
            listeners,
        };
        start::child(&self.launch, &place).map_err(|error| chain(&error))
    }

    /// Takes in one thing that happened, and whatever carrying out the answers brings.
    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.armed = None;
            for effect in self.core.step(sys::clock::now(), input) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Vec<Input> {
        match effect {
            Effect::Signal(number) => self.signal_child(number),
            Effect::Kill(reach) => return vec![Input::Left(self.kill(reach))],
            Effect::Record(report) => {
                self.read_to_end();
                return vec![Input::Recorded(exit_record::write(&self.folder, &self.with_last_lines(report)))];
            }
            Effect::Tell(client, report) => {
                let report = self.fill_in(report);
                return self.tell(client, &report).into_iter().collect();
            }
            Effect::TellAll(report) => {
                let report = self.fill_in(report);
                return self.clients.all().into_iter().filter_map(|client| self.tell(client, &report)).collect();
            }
            Effect::Run { command, words } => {
                let group = self.launch.control_group.as_ref().map(Group::made);
                let place = Place {
                    folder: &self.folder,
                    home: self.home,
                    lock: &self.lock,
                    group: group.as_ref(),
                    listens: false,
                    listeners: &[],
                };
                return self.commands.start(command, &self.launch, &place, &words).into_iter().collect();
            }
            Effect::KillCommand(command) => self.commands.kill(command),
            Effect::Arm(at) => self.armed = Some(at),
            Effect::End => self.ended = true,
        }
        Vec::new()
    }

    fn tell(&mut self, client: Client, report: &Report) -> Option<Input> {
        (!self.clients.tell(client, report)).then_some(Input::Disconnected(client))
    }

    fn fill_in(&self, report: Report) -> Report {
        match report {
            Report::Exited(exit) => Report::Exited(self.with_last_lines(exit)),
            Report::Hello { version, unit, digest, home, child, started, exit } => {
                let exit = exit.map(|exit| self.with_last_lines(exit));
                Report::Hello { version, unit, digest, home, child, started, exit }
            }
            other @ Report::CommandEnded { .. } => other,
        }
    }

    fn with_last_lines(&self, mut report: ExitReport) -> ExitReport {
        report.last_lines = self.log.as_ref().map(Writer::last_lines).unwrap_or_default();
        report
    }

    fn signal_child(&mut self, number: i32) {
        // The kernel's process ids fit its own type.
        let raw = self.child.and_then(|pid| i32::try_from(pid.0).ok()).and_then(rustix::process::Pid::from_raw);
        match (raw, Signal::from_named_raw(number)) {
            (Some(pid), Some(signal)) => {
                // The child has not been collected, so its group is its own; a group of which only the
                // ended child is left cannot be signalled and need not be.
                let _sent = kill_process_group(pid, signal);
            }
            (_, None) => self.say(&format!("asked to send signal {number}, which does not exist; nothing was sent")),
            (None, _) => {}
        }
    }

    fn kill(&mut self, reach: Reach) -> usize {
        self.killed |= reach == Reach::Everything;
        let group = self.child_group;
        let own = OwnShim { pid: Pid(std::process::id()), home: self.home };
        let found = kill_own_members(&self.folder, own, |seen| match reach {
            Reach::Everything => true,
            Reach::Strays => Some(seen.group) != group,
        });
        // Where nobody can be looked for, somebody may be there.
        found.unwrap_or(1)
    }

    fn wait(&self) {
        let now = sys::clock::now().steady;
        let timeout = self.armed.map(|at| at.saturating_sub(now));
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        });
        let mut watched = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        let awaited = self.keeper.iter().flat_map(Keeper::awaited);
        watched.extend(awaited.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let outputs = self.output.iter().chain(&self.errors).chain(self.commands.outputs());
        watched.extend(outputs.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)));
        watched.extend(self.clients.iter().map(|connection| {
            let flags = if connection.has_waiting() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(connection.stream.as_fd(), flags)
        }));
        // Whatever ended the wait, everything is looked at; nothing that is looked at waits.
        let _ready = poll(&mut watched, timeout.as_ref());
    }

    fn read_output(&mut self, buffer: &mut [u8]) -> bool {
        let now = sys::clock::now();
        let mut any = false;
        for (stream, place) in [(Stream::Out, &mut self.output), (Stream::Err, &mut self.errors)] {
            let Some(file) = place else { continue };
            match file.read(buffer) {
                Ok(0) => *place = None,
                Ok(count) => {
                    any = true;
                    if let Some(log) = &mut self.log {
                        log.feed(now, stream, &buffer[..count]);
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => *place = None,
            }
        }
        any
    }

    /// Reads the rest of the child's output, once nobody is left who could write more.
    fn read_to_end(&mut self) {
        let mut buffer = vec![0_u8; READ_BYTES];
        let mut reads = 0;
        while reads < LAST_READS_MAX && self.read_output(&mut buffer) {
            reads += 1;
        }
        if let Some(log) = &mut self.log {
            log.finish(sys::clock::now());
        }
    }

    fn take_signals(&mut self) {
        for number in self.signals.read() {
            match number {
                CHILD_ENDED => {}
                TERMINATE | INTERRUPT | QUIT => {
                    self.step(Input::StopAsked { signal: TERMINATE, deadline: SYSTEM_STOP });
                }
                other => self.say(&format!("the shim got signal {other} and passed it over")),
            }
        }
        // Several ends may come as one signal.
        while let Some((pid, status)) = collect() {
            if Some(pid) == self.child {
                self.child_ended(status);
            } else if let Some(input) = self.commands.ended(pid, status) {
                self.step(input);
            }
        }
    }

    fn child_ended(&mut self, status: ExitStatus) {
        const KILLED: ExitStatus = ExitStatus::Signal(Signal::KILL.as_raw());
        let group = self.launch.control_group.as_ref().map(Group::made);
        let kills = group.map_or(0, |group| group.memory_kills());
        let (status, note) = match kills {
            0 => (status, None),
            _ if status == KILLED && !self.killed => (ExitStatus::OutOfMemory, None),
            count => (status, Some(format!("the kernel ended {count} of its processes for passing the memory limit"))),
        };
        self.step(Input::Exited { status, note });
        self.child = None;
    }

    fn serve_clients(&mut self) {
        loop {
            match self.clients.accept(&self.listener) {
                Ok(Some(client)) => self.step(Input::Connected(client)),
                Ok(None) => break,
                Err(refusal) => self.refused(&refusal),
            }
        }
        for client in self.clients.all() {
            let heard = self.clients.serve(client);
            for request in heard.requests {
                self.step(Input::Asked(client, request));
            }
            if heard.closed {
                self.step(Input::Disconnected(client));
            }
        }
    }

    fn keep_sockets(&mut self) {
        if let Some(Err(refusal)) = self.keeper.as_mut().map(Keeper::serve) {
            self.refused(&refusal);
        }
    }

    fn refused(&mut self, refusal: &str) {
        self.refusals += 1;
        if self.refusals <= REFUSALS_TOLD_MAX {
            self.say(&format!("refused a connection: {refusal}"));
        }
    }

    fn say(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            log.say(sys::clock::now(), text);
        }
    }

    /// Removes what nobody needs any more; the lock goes last, with the process.
    /// What cannot be removed here is replaced by the unit's next start, or removed with its folder.
    fn leave(self) {
        drop(fs::remove_file(self.folder.join(SHIM_SOCKET)));
        if self.keeper.is_some() {
            drop(fs::remove_file(self.folder.join(handover::SOCKET_NAME)));
        }
        exit_record::release(&self.folder);
        if let Some(group) = self.launch.control_group.as_ref().map(Group::made) {
            for _ in 0..GROUP_REMOVALS_MAX {
                if group.remove() {
                    drop(fs::remove_file(self.folder.join(GROUPS_FILE)));
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        drop(self.lock);
    }
}
