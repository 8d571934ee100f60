//! How a shim learns of ends and of signals to itself: as bytes on a descriptor, never as an interruption.
//!
//! Start reading at [`Signals::take`]. Invariant: no signal handler is installed anywhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use model::{ExitStatus, Pid};
use rustix::process::{WaitOptions, wait};

/// SIGCHLD's number.
pub const CHILD_ENDED: i32 = libc::SIGCHLD;

/// The signals that would otherwise end or wake this process, readable from a descriptor.
#[derive(Debug)]
pub struct Signals {
    descriptor: OwnedFd,
}

impl Signals {
    /// Takes SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP and the user signals away from their usual
    /// effect on this thread. To be called before any other thread starts. See [`plain`] for children.
    pub fn take() -> io::Result<Self> {
        const TAKEN: [i32; 7] =
            [CHILD_ENDED, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];
        #[expect(unsafe_code, reason = "signalfd has no safe interface among our dependencies")]
        // SAFETY: `set` is initialised by sigemptyset before any use and outlives the calls; signalfd
        // returns a new descriptor that nobody else owns, or -1, which is checked.
        let descriptor = unsafe {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for signal in TAKEN {
                libc::sigaddset(&raw mut set, signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let raw = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        Ok(Self { descriptor })
    }

    /// The numbers of the signals that came since the last call.
    pub fn read(&self) -> Vec<i32> {
        const RECORD: usize = size_of::<libc::signalfd_siginfo>();
        let mut buffer = [0_u8; RECORD * 8];
        let read = rustix::io::read(&self.descriptor, &mut buffer).unwrap_or(0);
        buffer[..read]
            .chunks_exact(RECORD)
            .filter_map(|record| record.first_chunk::<4>())
            // The kernel's numbers of signals are small.
            .filter_map(|number| i32::try_from(u32::from_ne_bytes(*number)).ok())
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Gives every signal its default effect again and blocks none, for a program about to be run: it would
/// inherit what is blocked and ignored here and in whatever started this process.
pub(super) fn plain() -> io::Result<()> {
    const LAST: i32 = 31;
    #[expect(unsafe_code, reason = "signal dispositions have no safe interface among our dependencies")]
    // SAFETY: `set` is initialised by sigemptyset before its use; no handler is installed, only removed.
    // SIGKILL and SIGSTOP cannot be changed, which is no error here.
    unsafe {
        for signal in 1..=LAST {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        match libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Collects one ended child, if there is one.
pub fn collect() -> Option<(Pid, ExitStatus)> {
    // It fails only where there is no child at all, and no child's number is negative.
    let (pid, status) = wait(WaitOptions::NOHANG).ok()??;
    let pid = Pid(u32::try_from(pid.as_raw_pid()).ok()?);
    let ended = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    };
    Some((pid, ended))
}
