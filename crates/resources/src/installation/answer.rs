//! What a program answers when it is asked which one it is. Start reading at [`Asked::start`] and [`Asked::answer`].
//!
//! Invariant: whatever the program does, it is asked for no longer than [`ANSWER_TIMEOUT`], at most
//! [`ANSWER_BYTES_MAX`] bytes of it are kept, and nothing of its process group goes on.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use model::{ByteSize, Span};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long programs may take to answer. They take milliseconds; more is a program that waits for something.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer. Servers print one line.
const ANSWER_BYTES_MAX: usize = 4096;
/// How long the end of a killed program is waited for. Only one that is held up inside the kernel takes longer.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What a program is asked.
const QUESTION: &str = "--version";

/// A program did not say which one it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// It cannot be started.
    #[error("it cannot be run")]
    Start(#[source] io::Error),
    /// It cannot be listened to.
    #[error("its answer to `{QUESTION}` cannot be read")]
    Read(#[source] io::Error),
    /// It did not end in time.
    #[error(
        "`{QUESTION}` did not end within {} and was killed; run it by hand to see what it waits for, then mend or remove \
         the program",
        Span::from(ANSWER_TIMEOUT)
    )]
    Late,
    /// It does not stop printing.
    #[error(
        "`{QUESTION}` printed more than {} and was killed; a server prints one line: mend or remove the program",
        ByteSize::bytes(ANSWER_BYTES_MAX as u64)
    )]
    Long,
    /// It says itself that it failed.
    #[error("`{QUESTION}` ended with {0}")]
    Failed(ExitStatus),
}

/// A program that was asked and has not been listened to.
#[derive(Debug)]
pub(super) struct Asked {
    /// The leader of its process group. It is collected last: until then no other group can have its number.
    leader: Child,
    /// Readable once the leader has ended.
    ended: OwnedFd,
    /// What it prints; `None` once nobody can print any more.
    output: Option<ChildStdout>,
    text: Vec<u8>,
}

impl Asked {
    /// Asks a program.
    pub(super) fn start(program: &Path) -> Result<Self, AnswerError> {
        let mut command = Command::new(program);
        command.arg(QUESTION).env_clear().process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        sys::process::child::end_with_parent(&mut command);
        let mut leader = command.spawn().map_err(AnswerError::Start)?;
        match listen(&mut leader) {
            Ok((ended, output)) => Ok(Self { leader, ended, output, text: Vec::new() }),
            Err(error) => {
                kill_group_of(&leader);
                // It is gone either way, and the first error says why.
                drop(leader.wait());
                Err(AnswerError::Read(error))
            }
        }
    }

    /// Its answer, if it ends well by `deadline`, in steady time.
    pub(super) fn answer(mut self, deadline: Duration) -> Result<String, AnswerError> {
        let heard = self.hear(deadline);
        let ended = self.end();
        heard?;
        match ended? {
            status if status.success() => Ok(String::from_utf8_lossy(&self.text).into_owned()),
            status => Err(AnswerError::Failed(status)),
        }
    }

    /// Reads until the program has ended. Whoever it leaves behind with its output is not waited for.
    fn hear(&mut self, deadline: Duration) -> Result<(), AnswerError> {
        loop {
            let ended = self.wait(deadline)?;
            self.read()?;
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits until the program prints or ends; tells whether it has ended.
    fn wait(&self, deadline: Duration) -> Result<bool, AnswerError> {
        let left = deadline.saturating_sub(sys::clock::now().steady);
        let left = Timespec::try_from(left).map_err(|_| AnswerError::Late)?;
        let mut watched = vec![PollFd::new(&self.ended, PollFlags::IN)];
        watched.extend(self.output.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        match poll(&mut watched, Some(&left)) {
            Ok(0) => Err(AnswerError::Late),
            Ok(_) => Ok(watched.first().is_some_and(|ended| !ended.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(AnswerError::Read(error.into())),
        }
    }

    /// Reads what is printed so far.
    fn read(&mut self) -> Result<(), AnswerError> {
        let mut buffer = [0_u8; ANSWER_BYTES_MAX];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) if self.text.len() + count > ANSWER_BYTES_MAX => return Err(AnswerError::Long),
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(AnswerError::Read(error)),
            }
        }
        Ok(())
    }

    /// Ends what is left of the group and collects its leader. A leader that the kernel holds up is left to end later.
    fn end(&mut self) -> Result<ExitStatus, AnswerError> {
        kill_group_of(&self.leader);
        self.output = None;
        let deadline = sys::clock::now().steady.saturating_add(END_TIMEOUT);
        while !self.wait(deadline)? {}
        self.leader.wait().map_err(AnswerError::Read)
    }
}

/// What tells that a program has ended, and its output, reading which never waits.
fn listen(leader: &mut Child) -> io::Result<(OwnedFd, Option<ChildStdout>)> {
    let ended = pidfd_open(Pid::from_child(leader), PidfdFlags::empty())?;
    let output = leader.stdout.take();
    output.as_ref().map(|output| ioctl_fionbio(output, true)).transpose()?;
    Ok((ended, output))
}

/// Kills the process group of a leader that is not collected yet.
fn kill_group_of(leader: &Child) {
    // It fails only where nothing of the group is left.
    let _sent = kill_process_group(Pid::from_child(leader), Signal::KILL);
}
