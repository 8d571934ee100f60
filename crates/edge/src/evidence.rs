//! How requests went, counted per second for the node. Start reading at [`Evidence`].
//!
//! Each thread counts for itself and hands its counts over once a second; nothing is shared on a request's way.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{ReleaseNumber, ReplicaNumber, ServiceName};

/// Buckets in which durations are counted; the last one has no upper end.
pub const BUCKETS: usize = 104;
/// Buckets from one power of two of microseconds to the next: a duration is known to within an eighth.
const PER_OCTAVE: u32 = 4;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Arm {
    /// The route, as `host path`.
    pub route: String,
    /// The service behind it.
    pub service: ServiceName,
    /// The release that answered, or failed to; absent when none was asked.
    pub release: Option<ReleaseNumber>,
    /// Its replica.
    #[serde(default)]
    pub replica: Option<ReplicaNumber>,
}

/// How the requests of one arm went.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Answers of 100 to 399.
    pub well: u64,
    /// Answers of 400 to 499, those of limits included.
    pub client_errors: u64,
    /// Answers of 500 to 599 by the service.
    pub server_errors: u64,
    /// Answers of the edge because the service failed to answer, and answers that were cut.
    pub failures: u64,
    /// Failures to answer after which another replica was asked: none of them is a request of its own.
    #[serde(default)]
    pub retried: u64,
    /// Answers of 500 to 599 that are the edge's own doing: it had no room, or is at fault.
    #[serde(default)]
    pub edge_failures: u64,
    /// Clients that went away before their answer was through.
    pub gone: u64,
    /// How long it took, once the service had all that its client sent of a request, until its answer began or there was none,
    /// as `bucket: count`. What a client takes is not in it, nor answers of the edge itself.
    pub durations: BTreeMap<u8, u64>,
}

impl Counts {
    /// How many requests these are.
    pub fn requests(&self) -> u64 {
        self.well + self.client_errors + self.server_errors + self.failures + self.edge_failures + self.gone
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.well += other.well;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.failures += other.failures;
        self.retried += other.retried;
        self.edge_failures += other.edge_failures;
        self.gone += other.gone;
        for (bucket, count) in &other.durations {
            *self.durations.entry(*bucket).or_default() += count;
        }
    }
}

/// How one request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Answered(u16),
    /// The service's answer did not come, or not all of it.
    Failed,
    /// The edge failed.
    FailedHere,
    /// The client did not wait.
    Gone,
}

/// The counts since they were last taken, by whatever tells arms apart.
#[derive(Debug)]
pub struct Evidence<K> {
    arms: BTreeMap<K, Counts>,
}

impl<K> Default for Evidence<K> {
    fn default() -> Self {
        Self { arms: BTreeMap::new() }
    }
}

impl<K: Ord> Evidence<K> {
    /// Counts a request whose service took so long, where it is known. Of a client that went away nothing is known.
    pub fn count(&mut self, arm: K, outcome: Outcome, waited: Option<Duration>) {
        let counts = self.arms.entry(arm).or_default();
        match outcome {
            Outcome::Answered(100..=399) => counts.well += 1,
            Outcome::Answered(400..=499) => counts.client_errors += 1,
            Outcome::Answered(_) => counts.server_errors += 1,
            Outcome::Failed => counts.failures += 1,
            Outcome::FailedHere => counts.edge_failures += 1,
            Outcome::Gone => counts.gone += 1,
        }
        if let Some(waited) = waited.filter(|_| outcome != Outcome::Gone) {
            *counts.durations.entry(bucket(waited)).or_default() += 1;
        }
    }

    /// Counts a failure after which another replica was asked.
    pub fn count_retried(&mut self, arm: K) {
        self.arms.entry(arm).or_default().retried += 1;
    }

    /// The counts so far; counting begins anew.
    pub fn take(&mut self) -> BTreeMap<K, Counts> {
        std::mem::take(&mut self.arms)
    }
}

/// The bucket of a duration.
pub fn bucket(took: Duration) -> u8 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    // The next two bits below the highest one.
    let quarter = if octave < 2 { 0 } else { (micros >> (octave - 2)) & 3 };
    let bucket = u64::from(octave * PER_OCTAVE) + quarter;
    u8::try_from(bucket.min(BUCKETS as u64 - 1)).unwrap_or(u8::MAX)
}

/// The shortest duration that a bucket counts.
pub fn from(bucket: u8) -> Duration {
    let (octave, quarter) = (u32::from(bucket) / PER_OCTAVE, u64::from(bucket) % u64::from(PER_OCTAVE));
    let base = 1_u64.checked_shl(octave).unwrap_or(u64::MAX);
    Duration::from_nanos(base.saturating_mul(1000).saturating_add(base.saturating_mul(250 * quarter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_last_bucket_that_begins_before_it() {
        for micros in [4, 5, 7, 8, 9, 63, 64, 79, 80, 1000, 123_456, 1_000_000, 60_000_000] {
            let took = Duration::from_micros(micros);
            let bucket = bucket(took);
            assert!(from(bucket) <= took && took < from(bucket + 1), "{micros} is not in {bucket}");
            assert!(from(bucket + 1).as_secs_f64() / from(bucket).as_secs_f64() < 1.26, "{micros}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(usize::from(bucket(Duration::MAX)), BUCKETS - 1);
    }

    #[test]
    fn counts_are_kept_apart_and_taken_once() {
        let mut evidence = Evidence::default();
        for (release, outcome) in [
            (1, Outcome::Answered(200)),
            (1, Outcome::Answered(304)),
            (1, Outcome::Answered(404)),
            (2, Outcome::Answered(500)),
            (2, Outcome::Failed),
            (2, Outcome::FailedHere),
            (2, Outcome::Gone),
        ] {
            evidence.count(release, outcome, Some(Duration::from_millis(1)));
        }
        evidence.count(1, Outcome::Answered(429), None);
        evidence.count_retried(2);
        let timed = |it: &Counts| it.durations.values().sum::<u64>();
        let taken: Vec<_> = evidence
            .take()
            .into_values()
            .map(|it| {
                (
                    it.well,
                    it.client_errors,
                    it.server_errors,
                    it.failures,
                    it.edge_failures,
                    it.gone,
                    it.requests(),
                    timed(&it),
                )
            })
            .collect();
        assert_eq!(taken, [(2, 2, 0, 0, 0, 0, 4, 3), (0, 0, 1, 1, 1, 1, 4, 3)]);
        assert!(evidence.take().is_empty());
    }
}
