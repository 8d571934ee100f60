//! How requests went in the last seconds, by service: what the edge counts, kept for as long as it is about now.
//!
//! Start reading at [`Window::of`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use edge::evidence::{self, Arm, Counts};
use model::ServiceName;

/// How far back it goes.
pub(crate) const LENGTH: Duration = Duration::from_secs(10);
/// Reports that are kept at most: one a second of each of many threads.
const REPORTS_MAX: usize = 1024;

/// The last seconds.
#[derive(Debug, Default)]
pub(crate) struct Window {
    reports: VecDeque<(Duration, BTreeMap<ServiceName, Counts>)>,
    connections: u64,
}

/// How the requests to a service went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traffic {
    /// How many there were each second.
    pub(crate) per_second: f64,
    /// The share of them that failed, from 0 to 1: 500 and above, and no answer.
    pub(crate) failed: f64,
    /// Within which 95 of 100 were answered; to within a quarter.
    pub(crate) p95: Duration,
}

impl Window {
    /// Takes in what was counted until now.
    pub(crate) fn add(&mut self, now: Duration, arms: Vec<(Arm, Counts)>, connections: u64) {
        let mut services: BTreeMap<ServiceName, Counts> = BTreeMap::new();
        for (arm, counts) in arms {
            services.entry(arm.service).or_default().add(&counts);
        }
        self.connections = connections;
        self.reports.push_back((now, services));
        let over = self.reports.len().saturating_sub(REPORTS_MAX);
        self.reports.drain(..over);
        self.reports.retain(|(at, _)| now.saturating_sub(*at) < LENGTH);
    }

    /// How the requests to a service went until now; `None` when there were none.
    pub(crate) fn of(&self, service: &ServiceName, now: Duration) -> Option<Traffic> {
        let mut sum = Counts::default();
        let young = self.reports.iter().filter(|(at, _)| now.saturating_sub(*at) < LENGTH);
        for counts in young.filter_map(|(_, services)| services.get(service)) {
            sum.add(counts);
        }
        let requests = sum.durations.values().sum::<u64>();
        (requests > 0).then(|| Traffic {
            per_second: number(requests) / LENGTH.as_secs_f64(),
            failed: number(sum.server_errors + sum.failures) / number(requests),
            p95: percentile(&sum, requests, 95),
        })
    }

    /// Connections of clients that are open.
    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }
}

/// The end of the bucket in which that many of a hundred requests are reached.
fn percentile(counts: &Counts, requests: u64, percent: u64) -> Duration {
    let mut left = (requests * percent).div_ceil(100);
    for (bucket, count) in &counts.durations {
        left = left.saturating_sub(*count);
        if left == 0 {
            return evidence::from(bucket.saturating_add(1));
        }
    }
    Duration::ZERO
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(service: &str) -> Arm {
        Arm { route: "shop.example /".to_owned(), service: service.parse().unwrap(), release: None }
    }

    #[test]
    fn the_last_seconds_are_summed_and_older_ones_forgotten() {
        let mut window = Window::default();
        let slow = evidence::bucket(Duration::from_millis(100));
        let quick = evidence::bucket(Duration::from_millis(2));
        let counts = |well, failures, durations: &[(u8, u64)]| Counts {
            well,
            failures,
            durations: durations.iter().copied().collect(),
            ..Counts::default()
        };
        window.add(Duration::from_secs(1), vec![(arm("api"), counts(500, 0, &[(slow, 500)]))], 3);
        window.add(Duration::from_secs(12), vec![(arm("api"), counts(19, 0, &[(quick, 19)]))], 4);
        window.add(Duration::from_secs(13), vec![(arm("api"), counts(0, 1, &[(slow, 1)]))], 5);
        let traffic = window.of(&"api".parse().unwrap(), Duration::from_secs(13)).unwrap();
        assert_eq!((traffic.per_second, traffic.failed, window.connections()), (2.0, 0.05, 5));
        assert!((2..=3).contains(&traffic.p95.as_millis()), "{traffic:?}");
        assert_eq!(window.of(&"web".parse().unwrap(), Duration::from_secs(13)), None);
        assert_eq!(window.of(&"api".parse().unwrap(), Duration::from_secs(30)), None);
    }
}
