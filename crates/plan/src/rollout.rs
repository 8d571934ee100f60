//! Which replicas of a service are to exist now. Start reading at [`decide`].
//!
//! The answer is a set that the supervisor brings about; asked again with what it then observes, it
//! leads step by step from one release to the next. Whether one is reached is seen, not remembered, so a
//! node that dies in between goes on from what it finds.
//!
//! Invariant of a rolling change: while the old release is healthy, never fewer replicas are ready than
//! are wanted, and never more than one beyond that many exist. A new release that does not become ready
//! changes nothing about the old one.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use model::stack::{Listen, Rollout, Service};
use model::{ReleaseNumber, ReplicaNumber};

/// A new replica must have run for so long, besides being ready, before it takes an old one's place: most
/// mistakes in a configuration end a process within its first seconds.
pub const SETTLE: Duration = Duration::from_secs(3);

/// What a service is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The release.
    pub release: ReleaseNumber,
    /// How many replicas of it.
    pub count: u32,
    /// How it takes the place of what runs.
    pub strategy: Rollout,
    /// What runs before its replicas start.
    pub hook: Hook,
}

/// Where a release's hook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The release has none.
    None,
    /// It has yet to succeed.
    Pending,
    /// It failed and will be tried again, or not at all.
    Failed,
    /// It has succeeded.
    Succeeded,
}

/// A replica that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Of which release.
    pub release: ReleaseNumber,
    /// Which of its replicas.
    pub number: ReplicaNumber,
    /// How it does.
    pub state: State,
}

/// How a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On its way: waiting, starting, or running and not yet ready.
    Starting,
    /// Running and ready.
    Ready {
        /// Since when it runs, in steady time.
        since: Duration,
    },
    /// It was ready, or ended, and is not now.
    Failing,
    /// Asked to stop.
    Stopping,
}

/// The replicas that are to exist now, and why these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The replicas. Those that are not in here are stopped, those that do not exist are started.
    pub replicas: BTreeSet<(ReleaseNumber, ReplicaNumber)>,
    /// Where the change stands.
    pub stage: Stage,
    /// When to ask again even if nothing is observed, in steady time.
    pub wake_at: Option<Duration>,
}

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Only the wanted release exists.
    Settled,
    /// The old release runs on until the new one's hook has succeeded.
    WaitingForHook,
    /// The old release runs on, because the new one's hook failed.
    HookFailed,
    /// Replicas of the new release take the places of old ones.
    Replacing {
        /// New replicas that are ready.
        ready: u32,
        /// Of so many.
        of: u32,
    },
    /// The old release runs on, because this replica of the new one does not become ready.
    Held {
        /// Which.
        replica: ReplicaNumber,
    },
    /// The old replicas stop before the new ones start.
    StoppingOld,
}

/// How releases of a service take each other's place. Two replicas cannot listen on one fixed port: there
/// the old one stops first, whatever the file says, and `plan` says so.
pub fn strategy(service: &Service) -> Rollout {
    match service.listen {
        Listen::Fixed(_) => Rollout::Recreate,
        Listen::None | Listen::Chosen => service.rollout.clone(),
    }
}

/// The replicas that are to exist at `now` (steady time).
pub fn decide(wanted: &Wanted, observed: &[Observed], now: Duration) -> Step {
    let scene = Scene::of(wanted, observed, now);
    if scene.old.is_empty() && !(wanted.strategy == Rollout::Recreate && scene.old_stopping) {
        return scene.step(scene.new_up_to(wanted.count), &[], Stage::Settled);
    }
    match wanted.hook {
        Hook::Pending => return scene.step(BTreeSet::new(), scene.old_kept(wanted.count), Stage::WaitingForHook),
        Hook::Failed => return scene.step(BTreeSet::new(), scene.old_kept(wanted.count), Stage::HookFailed),
        Hook::None | Hook::Succeeded => {}
    }
    match wanted.strategy {
        Rollout::Rolling => rolling(&scene),
        Rollout::Recreate => scene.step(BTreeSet::new(), &[], Stage::StoppingOld),
    }
}

/// Which of the replicas that are to be restarted goes next, if one may: one that does not answer anyway,
/// or else the first, once every other replica is ready. The caller takes out of `pending` what it has
/// restarted.
pub fn next_restart(
    pending: &BTreeSet<(ReleaseNumber, ReplicaNumber)>,
    observed: &[Observed],
) -> Option<(ReleaseNumber, ReplicaNumber)> {
    let mut existing = observed.iter().filter(|it| it.state != State::Stopping);
    let broken = existing.clone().find(|it| !it.is_ready() && pending.contains(&it.key()));
    match broken {
        Some(broken) => Some(broken.key()),
        None => existing.all(Observed::is_ready).then(|| pending.first().copied()).flatten(),
    }
}

fn rolling(scene: &Scene) -> Step {
    let wanted = scene.wanted;
    let started = if scene.old.iter().any(|it| it.is_ready()) {
        scene.settled_new.saturating_add(1).max(scene.newest_started).min(wanted.count)
    } else {
        // Nothing of the old release answers: there is nobody to be careful for.
        wanted.count
    };
    let old = scene.old_kept(wanted.count.saturating_sub(scene.settled_new));
    let stage = match scene.failing_new {
        Some(replica) => Stage::Held { replica },
        None => Stage::Replacing { ready: scene.settled_new, of: wanted.count },
    };
    scene.step(scene.new_up_to(started), old, stage)
}

/// What is observed, seen from what is wanted.
struct Scene<'a> {
    wanted: &'a Wanted,
    /// Replicas of other releases that were not asked to stop, the one to keep longest first.
    old: Vec<Observed>,
    /// Whether replicas of other releases are on their way out.
    old_stopping: bool,
    /// Wanted replicas that are ready and have run long enough.
    settled_new: u32,
    /// The highest number among wanted replicas that exist.
    newest_started: u32,
    /// The first wanted replica that fails.
    failing_new: Option<ReplicaNumber>,
    /// When the next of them will have run long enough.
    settles_at: Option<Duration>,
}

impl<'a> Scene<'a> {
    fn of(wanted: &'a Wanted, observed: &[Observed], now: Duration) -> Self {
        let is_wanted = |it: &&Observed| it.release == wanted.release && (1..=wanted.count).contains(&it.number.0);
        let new: Vec<&Observed> = observed.iter().filter(is_wanted).collect();
        let settling = |it: &&Observed| match it.state {
            State::Ready { since } => Some(since.saturating_add(SETTLE)),
            State::Starting | State::Failing | State::Stopping => None,
        };
        let (old_stopping, mut old): (Vec<Observed>, Vec<Observed>) =
            observed.iter().filter(|it| it.release != wanted.release).partition(|it| it.state == State::Stopping);
        old.sort_by_key(|it| (!it.is_ready(), std::cmp::Reverse(it.release), it.number));
        let settled_new = new.iter().filter_map(settling).filter(|at| *at <= now).count();
        Self {
            wanted,
            old,
            old_stopping: !old_stopping.is_empty(),
            settled_new: u32::try_from(settled_new).unwrap_or(u32::MAX),
            newest_started: new.iter().map(|it| it.number.0).max().unwrap_or(0),
            failing_new: new.iter().filter(|it| it.state == State::Failing).map(|it| it.number).min(),
            settles_at: new.iter().filter_map(settling).filter(|at| *at > now).min(),
        }
    }

    fn new_up_to(&self, count: u32) -> BTreeSet<(ReleaseNumber, ReplicaNumber)> {
        (1..=count).map(|number| (self.wanted.release, ReplicaNumber(number))).collect()
    }

    fn old_kept(&self, count: u32) -> &[Observed] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.old.get(..count).unwrap_or(&self.old)
    }

    fn step(&self, mut replicas: BTreeSet<(ReleaseNumber, ReplicaNumber)>, old: &[Observed], stage: Stage) -> Step {
        replicas.extend(old.iter().map(|it| (it.release, it.number)));
        let wake_at = self.settles_at.filter(|_| !old.is_empty());
        Step { replicas, stage, wake_at }
    }
}

impl Observed {
    const fn key(&self) -> (ReleaseNumber, ReplicaNumber) {
        (self.release, self.number)
    }

    const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Settled => f.write_str("settled"),
            Stage::WaitingForHook => f.write_str("the old release runs on until the new one's command has succeeded"),
            Stage::HookFailed => f.write_str("the old release runs on: the new one's command failed"),
            Stage::Replacing { ready, of } => write!(f, "{ready} of {of} replicas replaced"),
            Stage::Held { replica } => {
                write!(f, "the old release runs on: replica {replica} of the new one does not become ready")
            }
            Stage::StoppingOld => f.write_str("the old replicas stop before the new ones start"),
        }
    }
}

#[cfg(test)]
mod tests;
