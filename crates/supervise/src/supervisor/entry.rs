//! What the supervisor holds of one unit: how it stands, and the handles that decisions never see.
//!
//! Start reading at [`Entry`].

use std::time::Duration;

use model::{Address, Digest, Port, ProcessIdentity, Timestamp, UnitId};
use plan::supervision::{
    Answers, Asking, GentleSignal, Life, Observed, Phase, ProbeKind, ProbePolicy, Standing, StopPolicy, StopReason,
    Stopping, Unit, WaitingOn,
};
use sys::{ConnectionId, Now, ProbeFailure, Ticket};

use super::wanted::{PortChoice, Wanted};
use crate::record::{FORMAT, Here, LastFailure, Origin, Record, Stage};

/// One unit.
#[derive(Debug)]
pub(super) struct Entry<Task> {
    pub(super) standing: Standing,
    pub(super) wanted: Option<Wanted<Task>>,
    pub(super) shim: Option<ProcessIdentity>,
    pub(super) child: Option<ProcessIdentity>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) port: Option<Port>,
    pub(super) launched: Option<Timestamp>,
    pub(super) restarts: u64,
    pub(super) last_failure: Option<LastFailure>,
    /// What the machine last refused, and how often in a row.
    pub(super) trouble: Option<Trouble>,
    pub(super) tickets: Tickets,
    pub(super) waiting: Option<WaitingOn>,
    /// Whether it was found running rather than started by this supervisor.
    pub(super) found: bool,
    /// Whether its record was found damaged: whether it ever succeeded is then unknown.
    pub(super) damaged: bool,
    /// The unit as its record calls it; a unit that was never started has none.
    recorded_as: Option<Unit>,
}

/// See [`Entry::trouble`].
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) times: u32,
}

/// The answers that are awaited.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    pub(super) ready: Option<Ticket>,
    pub(super) live: Option<Ticket>,
    pub(super) prepare: Option<Ticket>,
    pub(super) complete: Option<Completing>,
}

/// A task that completes a unit, under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completing {
    pub(super) ticket: Ticket,
    /// What it completes to.
    pub(super) to: Option<Digest>,
    /// Which start of the unit it was begun for: another child is not completed by it.
    pub(super) of_start: Duration,
}

impl<Task> AsRef<Standing> for Entry<Task> {
    fn as_ref(&self) -> &Standing {
        &self.standing
    }
}

impl<Task> Entry<Task> {
    pub(super) fn unread(now: Duration) -> Self {
        Self {
            standing: Standing { wanted: None, left_alone: false, observed: Observed::unread(now) },
            wanted: None,
            shim: None,
            child: None,
            connection: None,
            port: None,
            launched: None,
            restarts: 0,
            last_failure: None,
            trouble: None,
            tickets: Tickets::default(),
            waiting: None,
            found: false,
            damaged: false,
            recorded_as: None,
        }
    }

    pub(super) const fn observed(&mut self) -> &mut Observed {
        &mut self.standing.observed
    }

    /// The policy behind a question; what is wanted now goes before what was started.
    pub(super) fn probe_policy(&self, kind: ProbeKind) -> Option<ProbePolicy> {
        let unit = self.standing.wanted.as_ref().or(self.standing.observed.running.as_ref())?;
        match kind {
            ProbeKind::Ready => unit.ready,
            ProbeKind::Live => unit.live,
        }
    }

    /// Whether its liveness probe has failed so often that it is to be stopped, or is being stopped.
    pub(super) fn found_dead(&self) -> bool {
        let observed = &self.standing.observed;
        let why = observed.stop.as_ref().map(|stop| stop.why).or(observed.stop_due);
        why == Some(StopReason::Unhealthy)
    }

    /// What its liveness probe was last answered, if that is why it last failed.
    pub(super) fn liveness_failure(&self) -> Option<&ProbeFailure> {
        self.last_failure.as_ref()?.what.liveness()
    }

    /// Whether only its record tells on which port it listens.
    pub(super) fn chooses_port(&self) -> bool {
        let choice = self.wanted.as_ref().map(|wanted| wanted.port);
        matches!(choice, Some(PortChoice::Chosen | PortChoice::Kept))
    }

    /// Where the unit listens, as far as its port and launch tell.
    pub(super) fn address(&self) -> Option<Address> {
        let on = |port: Port| Address::Tcp(([127, 0, 0, 1], port.number()).into());
        match &self.wanted {
            Some(wanted) if wanted.port == PortChoice::Unused => wanted.launch.address.clone(),
            Some(Wanted { port: PortChoice::Fixed(port), .. }) => Some(on(*port)),
            _ => self.port.map(on),
        }
    }

    /// A unit that runs once may already have succeeded when its record is damaged: it is left to a person.
    pub(super) fn distrust_damage(&mut self) {
        if let (true, Some(wanted)) = (self.damaged, &self.standing.wanted)
            && matches!(wanted.life, Life::Once { .. })
        {
            self.standing.observed.gave_up = Some(wanted.digest);
        }
    }

    /// Takes in a record that was read. What it holds of another boot or folder is history: nothing of it runs here.
    pub(super) fn recall(&mut self, record: Record, origin: Origin, now: Now) {
        let counts = origin == Origin::Here;
        let observed = &mut self.standing.observed;
        observed.succeeded = record.succeeded;
        observed.gave_up = record.gave_up;
        observed.completed = None;
        if counts {
            observed.failures = record.failures;
            observed.failures_of = record.failures_of;
            observed.started = Duration::from_millis(record.launched_steady_ms);
        }
        if counts && matches!(record.stage, Stage::Started | Stage::Stopping) {
            observed.completed = record.completed;
            observed.answers = if record.ready { Answers::Yes } else { Answers::NotYet };
            let start = Asking { next: now.steady, ..Asking::default() };
            (observed.ready, observed.live) = (start, start);
            observed.stop = (record.stage == Stage::Stopping).then(|| Stopping {
                deadline: now.steady.saturating_add(record.unit.stop.deadline),
                why: StopReason::Begun,
            });
        }
        observed.running = Some(record.unit.clone());
        self.shim = record.shim.filter(|_| counts);
        self.port = record.port;
        self.launched = Some(record.launched);
        self.restarts = record.restarts;
        self.last_failure = record.last_failure;
        self.recorded_as = Some(record.unit);
    }

    /// The unit as it is about to be recorded for a start.
    pub(super) fn begin(&mut self, unit: &Unit, port: Option<Port>, now: Now) {
        self.observed().starting(unit, now.steady);
        self.port = port;
        self.launched = Some(now.wall);
        self.shim = None;
        self.child = None;
        self.connection = None;
        self.found = false;
        self.tickets.ready = None;
        self.tickets.live = None;
        self.recorded_as = Some(unit.clone());
    }

    /// What is to stand in its record now. `None` when there is nothing to say: it was never started.
    pub(super) fn record(&self, here: &Here, now: Now) -> Option<Record> {
        let observed = &self.standing.observed;
        let unit = self.recorded_as.clone().or_else(|| self.standing.wanted.clone())?;
        let stage = match observed.phase {
            Phase::Seeking | Phase::Up if observed.stop.is_some() => Stage::Stopping,
            Phase::Seeking | Phase::Up => Stage::Started,
            Phase::Ending | Phase::Remains => Stage::Ended,
            Phase::Unread | Phase::Down | Phase::Preparing | Phase::Prepared => Stage::Idle,
        };
        Some(Record {
            format: FORMAT,
            unit,
            boot: here.boot.clone(),
            home: here.home,
            stage,
            shim: self.shim.clone(),
            port: self.port,
            launched: self.launched.unwrap_or(now.wall),
            launched_steady_ms: u64::try_from(observed.started.as_millis()).unwrap_or(u64::MAX),
            ready: observed.answers != Answers::NotYet,
            completed: observed.completed,
            failures: observed.failures.clone(),
            failures_of: observed.failures_of,
            succeeded: observed.succeeded,
            gave_up: observed.gave_up,
            restarts: self.restarts,
            last_failure: self.last_failure.clone(),
        })
    }
}

/// What stands in for a unit whose record is lost while its shim lives: enough to stop it.
pub(super) fn stand_in(id: &UnitId, digest: Digest) -> Unit {
    Unit {
        id: id.clone(),
        digest,
        requires: std::collections::BTreeSet::new(),
        prepared: false,
        completed: None,
        ready: None,
        live: None,
        stop: StopPolicy { gently: GentleSignal::Terminate, deadline: Duration::from_secs(30) },
        life: Life::Lasting,
    }
}
