//! Keeps units running: folds what the machine reports into what is observed, asks
//! [`plan::supervision::decide()`], and carries the answer out.
//!
//! Start reading at [`Supervisor`]. Its owner calls [`Supervisor::adopt`] once, then [`Supervisor::want`]
//! whenever what is wanted changes, [`Supervisor::handle`] for each event of the machine and
//! [`Supervisor::tick`] at [`Supervisor::wake_at`]; after each it takes the notices. Every call returns at
//! once. Dropping a supervisor stops nothing: the next one adopts what runs.
//!
//! Invariants. Nothing is decided here. A unit's record says that it is started before its shim is. No
//! signal goes to a process whose identity was not recorded. Nothing is started in a folder before a sweep
//! of it found nothing. No collection grows with time.

mod act;
mod entry;
mod hear;
mod launching;
mod notice;
mod status;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use model::event::Evidence;
use model::{Happening, UnitId};
use plan::supervision::{Circumstances, Decision, Observed, Phase, decide};
use sys::{ConnectionId, Event, FileError, System, Ticket};

use crate::record::{Here, UnitFolders};
use entry::{Entry, Trouble};
use notice::Notices;

pub use notice::{NOTICES_MAX, Notice};
pub use status::{State, UnitStatus};
pub use wanted::{PortChoice, Question, Wanted};

/// From one try to the next of what the machine refused.
pub const RETRY: Duration = Duration::from_secs(1);
/// Rounds of deciding and acting after one event. Each unit takes a handful; more is a defect, and the
/// rest waits for the next wake-up instead of turning forever.
const ROUNDS_MAX: usize = 1000;

/// The owner of everything that is known about supervised units.
#[derive(Debug)]
pub struct Supervisor<S: System> {
    system: S,
    folders: UnitFolders,
    seed: u64,
    units: BTreeMap<UnitId, Entry<S::Task>>,
    connections: BTreeMap<ConnectionId, UnitId>,
    tickets: BTreeMap<Ticket, UnitId>,
    last_ticket: u64,
    listing: Listing,
    told: bool,
    wake_at: Option<Duration>,
    notices: Notices,
}

/// Whether the folders of an earlier node's units have been listed.
#[derive(Debug)]
enum Listing {
    Unasked,
    Failed { retry_at: Duration, error: FileError },
    Done,
}

/// A unit cannot be restarted by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// It is not wanted.
    #[error("{0} is not part of the stack")]
    NotWanted(UnitId),
    /// It is one that runs once, and it has succeeded.
    #[error("{0} has run and succeeded; it runs again only with a new release")]
    Succeeded(UnitId),
}

/// A unit's folder cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// It is wanted or something of it is still there.
    #[error("{0} is still wanted or running")]
    InUse(UnitId),
    /// The folder's removal failed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl<S: System> Supervisor<S>
where
    S::Task: Clone,
{
    /// A supervisor of the units of one state directory, which knows nothing yet. The seed decides the
    /// jitter of back-offs.
    pub fn new(system: S, state: &Path, seed: u64) -> Self {
        Self {
            system,
            folders: UnitFolders::below(state),
            seed,
            units: BTreeMap::new(),
            connections: BTreeMap::new(),
            tickets: BTreeMap::new(),
            last_ticket: 0,
            listing: Listing::Unasked,
            told: false,
            wake_at: None,
            notices: Notices::default(),
        }
    }

    /// Finds what an earlier node left: every recorded unit is read, and its shim sought. Until
    /// [`Supervisor::want`] is called nothing is started or stopped.
    pub fn adopt(&mut self) {
        self.list();
        self.settle();
    }

    /// Replaces what is wanted, whole. What is not in it is stopped; what is in it with another digest is
    /// replaced; the rest goes on.
    ///
    /// What is `held` goes on as it was last wanted. Where that was never told, what there is of it is neither
    /// started nor stopped.
    pub fn want(&mut self, wanted: Vec<Wanted<S::Task>>, held: &BTreeSet<UnitId>) {
        self.told = true;
        let now = self.system.now().steady;
        for (id, entry) in &mut self.units {
            entry.standing.left_alone = false;
            if !held.contains(id) {
                entry.standing.wanted = None;
                entry.wanted = None;
            }
        }
        for id in held {
            let entry = self.units.entry(id.clone()).or_insert_with(|| Entry::unread(now));
            entry.standing.left_alone = entry.wanted.is_none();
        }
        for unit in wanted {
            let entry = self.units.entry(unit.unit.id.clone()).or_insert_with(|| Entry::unread(now));
            entry.standing.left_alone = false;
            entry.standing.wanted = Some(unit.unit.clone());
            entry.wanted = Some(unit);
            entry.distrust_damage();
        }
        self.settle();
    }

    /// Stops everything, dependents first. [`Supervisor::is_down`] tells when it is done.
    pub fn stop_all(&mut self) {
        self.want(Vec::new(), &BTreeSet::new());
    }

    /// Restarts a unit now: one that runs is stopped and started again, one that waits after failures is
    /// tried at once.
    pub fn restart(&mut self, unit: &UnitId) -> Result<(), RestartError> {
        let entry = self.units.get_mut(unit).filter(|entry| entry.standing.wanted.is_some());
        let Some(entry) = entry else { return Err(RestartError::NotWanted(unit.clone())) };
        if entry.standing.succeeded() {
            return Err(RestartError::Succeeded(unit.clone()));
        }
        entry.damaged = false;
        entry.observed().ask_restart();
        self.settle();
        Ok(())
    }

    /// Tries at once whatever waits after failures, now or once it is wanted. What runs goes on.
    pub fn try_failed_again(&mut self) {
        // After one failure nothing waits: it is started again at once, and counted as that.
        let waits = |observed: &Observed| observed.phase == Phase::Down && observed.failures.in_a_row() > 1;
        let waiting = self.units.values_mut().filter(|entry| waits(&entry.standing.observed));
        waiting.for_each(|entry| entry.observed().forgive());
        self.settle();
    }

    /// Removes the folder of a unit that is not wanted and of which nothing is left, its record of having
    /// succeeded included.
    pub fn forget(&mut self, unit: &UnitId) -> Result<(), ForgetError> {
        if self.units.contains_key(unit) || !matches!(self.listing, Listing::Done) {
            return Err(ForgetError::InUse(unit.clone()));
        }
        Ok(self.system.remove(&self.folders.of(unit))?)
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event) {
        self.hear(event);
        self.settle();
    }

    /// Does what is due by now.
    pub fn tick(&mut self) {
        self.settle();
    }

    /// The steady time by which [`Supervisor::tick`] is to be called, unless an event comes first.
    pub const fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    /// What there is to journal since the last call, oldest first, and how many older ones were lost
    /// because nobody took them.
    pub fn take_notices(&mut self) -> (Vec<Notice>, u64) {
        self.notices.take()
    }

    /// Whether it is known that no process of any unit is left.
    pub fn is_down(&self) -> bool {
        matches!(self.listing, Listing::Done)
            && self.units.values().all(|entry| entry.standing.observed.phase == Phase::Down)
    }

    /// Why the folders of earlier units cannot be listed, while they cannot.
    pub const fn listing_trouble(&self) -> Option<&FileError> {
        match &self.listing {
            Listing::Failed { error, .. } => Some(error),
            Listing::Unasked | Listing::Done => None,
        }
    }

    /// How each unit stands, by id.
    pub fn snapshot(&self) -> Vec<UnitStatus> {
        self.units.iter().map(|(id, entry)| status::of(id, entry)).collect()
    }

    /// The machine underneath.
    pub const fn system(&self) -> &S {
        &self.system
    }

    /// A port on which nothing listens, for a server that is told its port rather than given one at each start. Where that
    /// can be had, nobody else can take its place there while it is away.
    pub fn server_port(&mut self) -> Option<model::Port> {
        self.system.privileged_port().or_else(|| self.system.free_port())
    }

    /// Decides and acts until there is nothing to do now.
    fn settle(&mut self) {
        if let Listing::Failed { retry_at, .. } = self.listing
            && retry_at <= self.system.now().steady
        {
            self.list();
        }
        for _ in 0..ROUNDS_MAX {
            let now = self.system.now().steady;
            let told = self.told && matches!(self.listing, Listing::Done);
            let decision = decide(&self.units, Circumstances { now, seed: self.seed, told });
            if decision.actions.is_empty() {
                self.rest(decision);
                return;
            }
            for (unit, action) in decision.actions {
                self.act(&unit, action);
            }
        }
        self.wake_at = Some(self.system.now().steady.saturating_add(RETRY));
    }

    fn rest(&mut self, mut decision: Decision) {
        for (id, entry) in &mut self.units {
            entry.waiting = decision.waiting.remove(id);
        }
        self.wake_at = match &self.listing {
            Listing::Failed { retry_at, .. } => Some(decision.wake_at.map_or(*retry_at, |at| at.min(*retry_at))),
            Listing::Unasked | Listing::Done => decision.wake_at,
        };
    }

    fn list(&mut self) {
        let now = self.system.now().steady;
        match self.system.names(self.folders.all()) {
            Ok(names) => {
                self.listing = Listing::Done;
                // A name that is no unit's is not ours to touch.
                for unit in names.iter().filter_map(|name| name.parse::<UnitId>().ok()) {
                    let entry = self.units.entry(unit).or_insert_with(|| Entry::unread(now));
                    entry.found = true;
                }
            }
            Err(error) => self.listing = Listing::Failed { retry_at: now.saturating_add(RETRY), error },
        }
    }

    /// Where records count.
    fn here(&self) -> Here {
        Here { boot: self.system.boot(), home: self.system.folder(self.folders.all()) }
    }

    fn ticket(&mut self, unit: &UnitId) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.tickets.insert(ticket, unit.clone());
        ticket
    }

    fn tell(&mut self, what: Happening, reason: impl Into<String>, evidence: Vec<Evidence>) {
        let at = self.system.now().wall;
        self.notices.push(Notice { at, what, reason: reason.into(), evidence });
    }

    /// The machine refused the next step of a unit: it is tried again.
    fn refused(&mut self, unit: &UnitId, what: String) {
        let retry_at = self.system.now().steady.saturating_add(RETRY);
        if let Some(entry) = self.units.get_mut(unit) {
            entry.observed().retry_at = Some(retry_at);
        }
        self.trouble(unit, what);
    }

    /// Notes what the machine refused, and tells it when it is news.
    fn trouble(&mut self, unit: &UnitId, what: String) {
        let Some(entry) = self.units.get_mut(unit) else { return };
        let times = entry.trouble.as_ref().map_or(1, |trouble| trouble.times.saturating_add(1));
        let news = entry.trouble.as_ref().is_none_or(|trouble| trouble.what != what);
        entry.trouble = Some(Trouble { what: what.clone(), times });
        if news {
            self.tell(Happening::UnitBlocked { unit: unit.clone() }, what, Vec::new());
        }
    }
}
