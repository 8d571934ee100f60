//! Commands that run beside the child: how each one ended, and the end of its output.
//!
//! Start reading at [`Commands::start`]. Invariant: of a command's output only the end is kept, where it
//! says why it failed, and all of it is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use model::cause::chain;
use model::{ExitStatus, Pid};
use rustix::process::{Signal, kill_process_group};

use crate::launch::Launch;
use crate::shim::core::{CommandId, Input};
use crate::shim::start::{self, Place};

/// Bytes kept of a command's output.
const OUTPUT_BYTES_MAX: usize = 512;

/// The commands that run.
#[derive(Debug, Default)]
pub(super) struct Commands {
    running: BTreeMap<CommandId, Command>,
}

#[derive(Debug)]
struct Command {
    pid: Pid,
    output: Option<File>,
    last: Vec<u8>,
}

impl Commands {
    /// Starts a command. One that cannot be started has ended, with the reason as its output.
    pub(super) fn start(
        &mut self,
        id: CommandId,
        launch: &Launch,
        place: &Place<'_>,
        words: &[String],
    ) -> Option<Input> {
        match start::command(launch, place, words) {
            Ok(running) => {
                let command = Command { pid: running.pid, output: Some(running.output), last: Vec::new() };
                self.running.insert(id, command);
                None
            }
            Err(error) => Some(Input::CommandEnded { command: id, code: None, output: chain(&error) }),
        }
    }

    /// Kills a command's process group. It has not been collected, so the group is still its own.
    pub(super) fn kill(&self, id: CommandId) {
        // The kernel's process ids fit its own type.
        let raw = self.running.get(&id).and_then(|command| i32::try_from(command.pid.0).ok());
        if let Some(pid) = raw.and_then(rustix::process::Pid::from_raw) {
            // A group that is empty but for the ended command cannot be signalled and need not be.
            let _sent = kill_process_group(pid, Signal::KILL);
        }
    }

    /// The outputs to watch.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &File> {
        self.running.values().filter_map(|command| command.output.as_ref())
    }

    /// Reads what the commands have written.
    pub(super) fn read(&mut self) {
        for command in self.running.values_mut() {
            command.read();
        }
    }

    /// What the end of a process means, if it was a command's.
    pub(super) fn ended(&mut self, pid: Pid, status: ExitStatus) -> Option<Input> {
        let id = self.running.iter().find(|(_, command)| command.pid == pid).map(|(id, _)| *id)?;
        let mut command = self.running.remove(&id)?;
        command.read();
        let code = match status {
            ExitStatus::Code(code) => Some(code),
            _ => None,
        };
        let output = String::from_utf8_lossy(&command.last);
        let surplus = output.len().saturating_sub(OUTPUT_BYTES_MAX);
        let output = output[output.ceil_char_boundary(surplus)..].to_owned();
        Some(Input::CommandEnded { command: id, code, output })
    }
}

impl Command {
    fn read(&mut self) {
        /// Reads in one turn, so that a command that never stops writing leaves the shim its time.
        const READS_MAX: usize = 16;
        let mut buffer = [0_u8; 4096];
        for _ in 0..READS_MAX {
            let Some(output) = &mut self.output else { return };
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    self.last.extend_from_slice(&buffer[..count]);
                    self.last.drain(..self.last.len().saturating_sub(OUTPUT_BYTES_MAX));
                }
                Err(_) => return,
            }
        }
    }
}
