//! The faults that the simulated world knows, and how often each was inflicted.
//!
//! Start reading at [`Fault`].

use std::fmt;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL to a replica's child.
    KillReplica,
    /// SIGKILL to a data service's child.
    KillResource,
    /// SIGKILL to a shim.
    KillShim,
    /// SIGKILL to the node between two events.
    KillNode,
    /// SIGKILL to the node after a randomly chosen call to the machine.
    KillNodeAtCall,
    /// SIGKILL to the node and a shim at once.
    KillNodeAndShim,
    /// The machine goes down and comes up again.
    Reboot,
    /// Writes fail for a while: no space.
    DiskFull,
    /// Reads and writes fail for a while.
    DiskErrors,
    /// The wall clock jumps by up to an hour, either way.
    ClockStep,
    /// Readiness probes fail for a while, or are answered late.
    ProbesFail,
    /// A child hangs: it answers nothing until it is restarted.
    Hang,
    /// The next starts of a unit take long to be ready.
    SlowStart,
    /// The next starts of a unit end soon.
    CrashLoop,
    /// Children ignore the gentle signal for a while.
    IgnoreStop,
    /// Children leave processes in the background, some of which are hard to kill.
    LeakStrays,
    /// The next tasks fail.
    TaskFails,
    /// Connections to shims end.
    DropConnections,
    /// Shims cannot be reached for a while.
    Unreachable,
    /// Shims cannot be started for a while.
    SpawnFails,
    /// No port is free for a while, those that data services keep included.
    NoPorts,
    /// Another digest of a unit is wanted.
    ChangeDigest,
    /// A unit is wanted no more, or again.
    ChangeSet,
    /// Everything is stopped, and wanted again a while later.
    DownAndUp,
    /// A restart is asked for.
    RestartAsked,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 25] = [
        Fault::KillReplica,
        Fault::KillResource,
        Fault::KillShim,
        Fault::KillNode,
        Fault::KillNodeAtCall,
        Fault::KillNodeAndShim,
        Fault::Reboot,
        Fault::DiskFull,
        Fault::DiskErrors,
        Fault::ClockStep,
        Fault::ProbesFail,
        Fault::Hang,
        Fault::SlowStart,
        Fault::CrashLoop,
        Fault::IgnoreStop,
        Fault::LeakStrays,
        Fault::TaskFails,
        Fault::DropConnections,
        Fault::Unreachable,
        Fault::SpawnFails,
        Fault::NoPorts,
        Fault::ChangeDigest,
        Fault::ChangeSet,
        Fault::DownAndUp,
        Fault::RestartAsked,
    ];

    const fn index(self) -> usize {
        self as usize
    }
}

/// How often each fault was inflicted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Counts {
    /// One more of this kind.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault.index()] += 1;
    }

    /// These and those.
    pub fn merge(&mut self, other: &Counts) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// How often this kind.
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault.index()]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            writeln!(f, "{:>9}  {fault:?}", self.of(fault))?;
        }
        writeln!(f, "{:>9}  in all", self.total())
    }
}
