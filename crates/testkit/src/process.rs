//! The simulated process table.
//!
//! Start reading at [`Processes`]. Pids come from a small range and are used again soon, so that whoever
//! trusts a pid alone is found out.

use std::collections::BTreeMap;

use model::{BootId, Pid, ProcessIdentity, UnitId};

/// Pids are handed out from here…
const PID_FIRST: u32 = 100;
/// …to here, over and over.
const PID_LAST: u32 = 163;

/// What a simulated process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A unit's shim.
    Shim,
    /// A shim's child: it writes the unit's data.
    Child,
    /// What a child left behind in the background: it writes the unit's data as well.
    Stray,
    /// A process that has nothing to do with us.
    Foreign,
}

/// One simulated process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its identity.
    pub identity: ProcessIdentity,
    /// What it is.
    pub kind: Kind,
    /// The unit it belongs to.
    pub unit: Option<UnitId>,
    /// The start of the unit that it belongs to.
    pub start: u64,
    /// How many more kills it takes until it is gone: one that hangs in the kernel takes several.
    pub tough: u32,
}

/// Every process of the simulated machine.
#[derive(Debug)]
pub struct Processes {
    table: BTreeMap<u32, Process>,
    next: u32,
    born: u64,
}

impl Default for Processes {
    fn default() -> Self {
        Self { table: BTreeMap::new(), next: PID_FIRST, born: 0 }
    }
}

impl Processes {
    /// A new process, on the next free pid.
    pub fn add(&mut self, boot: &BootId, kind: Kind, unit: Option<UnitId>, start: u64, tough: u32) -> ProcessIdentity {
        let mut pid = self.next;
        for _ in PID_FIRST..=PID_LAST {
            pid = self.next;
            self.next = if self.next >= PID_LAST { PID_FIRST } else { self.next + 1 };
            if !self.table.contains_key(&pid) {
                break;
            }
        }
        self.add_at(pid, boot, kind, unit, start, tough)
    }

    /// A process that has nothing to do with us takes the pid of one that had, if it is free.
    pub fn take_over(&mut self, pid: Pid, boot: &BootId) {
        if !self.table.contains_key(&pid.0) {
            self.add_at(pid.0, boot, Kind::Foreign, None, 0, 0);
        }
    }

    fn add_at(
        &mut self,
        pid: u32,
        boot: &BootId,
        kind: Kind,
        unit: Option<UnitId>,
        start: u64,
        tough: u32,
    ) -> ProcessIdentity {
        self.born += 1;
        let identity = ProcessIdentity { boot: boot.clone(), pid: Pid(pid), started: self.born };
        self.table.insert(pid, Process { identity: identity.clone(), kind, unit, start, tough });
        identity
    }

    /// The process with this pid.
    pub fn at(&self, pid: Pid) -> Option<&Process> {
        self.table.get(&pid.0)
    }

    /// The process with exactly this identity.
    pub fn get(&self, identity: &ProcessIdentity) -> Option<&Process> {
        self.table.get(&identity.pid.0).filter(|process| process.identity == *identity)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, identity: &ProcessIdentity) -> Option<&mut Process> {
        self.table.get_mut(&identity.pid.0).filter(|process| process.identity == *identity)
    }

    /// The process ends.
    pub fn remove(&mut self, identity: &ProcessIdentity) -> Option<Process> {
        self.get(identity)?;
        self.table.remove(&identity.pid.0)
    }

    /// The processes of a unit.
    pub fn of(&self, unit: &UnitId) -> Vec<Process> {
        self.table.values().filter(|process| process.unit.as_ref() == Some(unit)).cloned().collect()
    }

    /// Whether a unit has any process that writes its data.
    pub fn writes(&self, unit: &UnitId) -> bool {
        let writer = |process: &Process| matches!(process.kind, Kind::Child | Kind::Stray);
        self.table.values().any(|process| writer(process) && process.unit.as_ref() == Some(unit))
    }

    /// Every process that is ours.
    pub fn ours(&self) -> impl Iterator<Item = &Process> {
        self.table.values().filter(|process| process.kind != Kind::Foreign)
    }

    /// The machine goes down: everything is gone.
    pub fn clear(&mut self) {
        self.table.clear();
    }

    /// Every process becomes somebody else's.
    pub fn disown(&mut self) {
        for process in self.table.values_mut() {
            (process.kind, process.unit) = (Kind::Foreign, None);
        }
    }

    /// Foreign processes end, so that there are always free pids.
    pub fn thin_out(&mut self) {
        let foreign = |process: &Process| process.kind == Kind::Foreign;
        if self.table.values().filter(|process| foreign(process)).count() > 20 {
            self.table.retain(|_, process| !foreign(process));
        }
    }
}
