//! What became of every request, and what that comes to over a time.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    /// Who one is.
    Session,
    /// The first of all people.
    List,
    /// People with a name.
    Search,
    /// Everything about one person.
    Profile,
    /// A file of the frontend.
    Page,
    /// That a person be added.
    Add,
    /// That a person be given a photo.
    Photo,
}

impl Ask {
    /// Whether asking twice is the same as asking once (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(self) -> bool {
        self != Self::Add
    }
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) ask: Ask,
    /// When it was to be asked, by the schedule.
    pub(crate) due: Duration,
    pub(crate) ended: Duration,
    /// When the connection that it used began to be opened.
    pub(crate) opened: Duration,
    /// Why it failed, unless it did not.
    pub(crate) failure: Option<String>,
}

/// Every request, by number.
#[derive(Default)]
pub(crate) struct Record(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    under_way: BTreeMap<u64, (Ask, Duration)>,
    outcomes: Vec<Outcome>,
}

impl Record {
    /// Notes a request that was due then, and says how many are under way with it.
    pub(crate) fn begun(&self, number: u64, ask: Ask, due: Duration) -> usize {
        let mut entries = self.entries();
        entries.under_way.insert(number, (ask, due));
        entries.under_way.len()
    }

    pub(crate) fn ended(&self, number: u64, outcome: Outcome) {
        let mut entries = self.entries();
        entries.under_way.remove(&number);
        entries.outcomes.push(outcome);
    }

    /// Whether the last requests that ended, so many, were all due since then and went well.
    pub(crate) fn went_well(&self, since: Duration, count: usize) -> bool {
        let entries = self.entries();
        let last = entries.outcomes.iter().rev().take(count);
        last.filter(|outcome| outcome.due >= since && outcome.failure.is_none()).count() == count
    }

    /// Why the last requests that ended, so many, failed.
    pub(super) fn last_failures(&self, count: usize) -> BTreeMap<String, usize> {
        failures(self.entries().outcomes.iter().rev().take(count))
    }

    /// Whether a request of this kind is under way.
    pub(crate) fn is_under_way(&self, ask: Ask) -> bool {
        self.entries().under_way.values().any(|(of, _)| *of == ask)
    }

    /// What became of all that was due in a time, once all of it has ended.
    pub(super) fn figures(&self, time: &Range<Duration>) -> Option<Figures> {
        let entries = self.entries();
        let has_ended = entries.under_way.values().all(|(_, due)| *due >= time.end);
        let within = entries.outcomes.iter().filter(|outcome| time.contains(&outcome.due));
        has_ended.then(|| Figures { span: time.end.saturating_sub(time.start), outcomes: within.cloned().collect() })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of the requests of a time.
#[derive(Debug)]
pub(crate) struct Figures {
    span: Duration,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Figures {
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.failure.is_some())
    }

    /// When the first good answer was whole to a request that was due since then.
    pub(crate) fn first_good_since(&self, moment: Duration) -> Option<Duration> {
        let good = self.outcomes.iter().filter(|outcome| outcome.failure.is_none() && outcome.due >= moment);
        good.map(|outcome| outcome.ended).min()
    }

    /// How long after a moment the last request was due that failed.
    pub(crate) fn last_failed_after(&self, moment: Duration) -> Duration {
        self.failed().map(|outcome| outcome.due.saturating_sub(moment)).max().unwrap_or_default()
    }

    /// The time within which so many of 1000 good answers were whole, from when they were due.
    fn latency(&self, permille: usize) -> Duration {
        let good = self.outcomes.iter().filter(|outcome| outcome.failure.is_none());
        let mut all: Vec<Duration> = good.map(|outcome| outcome.ended.saturating_sub(outcome.due)).collect();
        all.sort_unstable();
        all.get(all.len() * permille / 1000).copied().unwrap_or_default()
    }
}

/// How often which request failed for which reason.
fn failures<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for outcome in outcomes {
        if let Some(why) = &outcome.failure {
            *counted.entry(format!("{:?}: {why}", outcome.ask)).or_default() += 1;
        }
    }
    counted
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |permille| self.latency(permille).as_millis();
        write!(
            f,
            "{} requests in {:.1} s, {} failed, p50 {} ms, p99 {} ms",
            self.outcomes.len(),
            self.span.as_secs_f64(),
            self.failed().count(),
            milliseconds(500),
            milliseconds(990)
        )?;
        failures(self.outcomes.iter()).into_iter().try_for_each(|(why, count)| write!(f, "; {count} × {why}"))
    }
}
