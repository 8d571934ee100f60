//! How requests went in the last seconds, by service: what the edge counts, kept for as long as it is about now.
//!
//! Start reading at [`Window::of`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use edge::evidence::{self, Counts};
use model::ServiceName;

use super::link::Report;

/// How far back it goes.
pub(crate) const LENGTH: Duration = Duration::from_secs(10);
/// Reports that are kept at most: one a second of each of many threads.
const REPORTS_MAX: usize = 1024;
/// How long what the edge last said of itself is believed: it says so every second.
const BELIEVED: Duration = Duration::from_secs(5);

/// The last seconds.
#[derive(Debug, Default)]
pub(crate) struct Window {
    reports: VecDeque<Reported>,
    /// When the edge last said something, while it can be reached.
    heard: Option<Duration>,
}

/// One report.
#[derive(Debug)]
struct Reported {
    at: Duration,
    services: BTreeMap<ServiceName, Counts>,
    /// What the edge said of itself; nothing by service.
    of_edge: Report,
}

/// What the edge did not do as it should in the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Connections beyond a limit, or beyond what there are descriptors for.
    pub(crate) turned_away: u64,
    /// Requests that broke its own code, since it began.
    pub(crate) panics: u64,
    /// Reports that did not reach the node.
    pub(crate) lost: u64,
}

/// How the requests to a service went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traffic {
    /// How many there were each second.
    pub(crate) per_second: f64,
    /// The share of them that failed, from 0 to 1: 500 and above, and no answer.
    pub(crate) failed: f64,
    /// Within which the service began to answer 95 of 100 once it had them; to within a quarter.
    pub(crate) p95: Duration,
}

impl Window {
    /// Takes in what was counted until now.
    pub(crate) fn add(&mut self, now: Duration, mut report: Report) {
        let mut services: BTreeMap<ServiceName, Counts> = BTreeMap::new();
        for (arm, counts) in report.arms.drain(..) {
            services.entry(arm.service).or_default().add(&counts);
        }
        self.heard = Some(now);
        self.reports.push_back(Reported { at: now, services, of_edge: report });
        let over = self.reports.len().saturating_sub(REPORTS_MAX);
        self.reports.drain(..over);
        self.reports.retain(|report| now.saturating_sub(report.at) < LENGTH);
    }

    /// The edge cannot be reached any more.
    pub(crate) fn lose(&mut self) {
        self.heard = None;
    }

    /// How the requests to a service went until now; `None` when there were none.
    pub(crate) fn of(&self, service: &ServiceName, now: Duration) -> Option<Traffic> {
        let mut sum = Counts::default();
        for counts in self.young(now).filter_map(|report| report.services.get(service)) {
            sum.add(counts);
        }
        let requests = sum.requests();
        (requests > 0).then(|| Traffic {
            per_second: number(requests) / LENGTH.as_secs_f64(),
            failed: number(sum.server_errors + sum.failures + sum.edge_failures) / number(requests),
            p95: percentile(&sum, 95),
        })
    }

    /// Connections of clients that are open, as far as that is known.
    pub(crate) fn connections(&self, now: Duration) -> u64 {
        self.newest(now).map_or(0, |newest| newest.connections)
    }

    /// What went wrong in the edge itself.
    pub(crate) fn faults(&self, now: Duration) -> Faults {
        let Some(newest) = self.newest(now) else { return Faults::default() };
        // An edge that was started meanwhile counts from anew.
        let oldest = self.young(now).next().map(|report| &report.of_edge).filter(|it| it.lost <= newest.lost);
        let before = oldest.unwrap_or(newest);
        Faults {
            turned_away: newest.turned_away.by_limits.saturating_sub(before.turned_away.by_limits),
            panics: newest.panics,
            lost: newest.lost.saturating_sub(before.lost),
        }
    }

    fn young(&self, now: Duration) -> impl Iterator<Item = &Reported> {
        self.reports.iter().filter(move |report| now.saturating_sub(report.at) < LENGTH)
    }

    /// What the edge last said of itself, if that is to be believed.
    fn newest(&self, now: Duration) -> Option<&Report> {
        self.heard.filter(|heard| now.saturating_sub(*heard) < BELIEVED)?;
        self.reports.back().map(|report| &report.of_edge)
    }
}

/// The end of the bucket in which that many of a hundred durations are reached.
fn percentile(counts: &Counts, percent: u64) -> Duration {
    let mut left = (counts.durations.values().sum::<u64>() * percent).div_ceil(100);
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
    use edge::control::TurnedAway;
    use edge::evidence::Arm;

    use super::*;

    fn arm(service: &str) -> Arm {
        Arm { route: "shop.example /".to_owned(), service: service.parse().unwrap(), release: None, replica: None }
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
        let report =
            |counts, connections| Report { arms: vec![(arm("api"), counts)], connections, ..Report::default() };
        window.add(Duration::from_secs(1), report(counts(500, 0, &[(slow, 500)]), 3));
        window.add(Duration::from_secs(12), report(counts(19, 0, &[(quick, 19)]), 4));
        window.add(Duration::from_secs(13), report(counts(0, 1, &[(slow, 1)]), 5));
        let traffic = window.of(&"api".parse().unwrap(), Duration::from_secs(13)).unwrap();
        assert_eq!((traffic.per_second, traffic.failed, window.connections(Duration::from_secs(13))), (2.0, 0.05, 5));
        assert!((2..=3).contains(&traffic.p95.as_millis()), "{traffic:?}");
        assert_eq!(window.of(&"web".parse().unwrap(), Duration::from_secs(13)), None);
        assert_eq!(window.of(&"api".parse().unwrap(), Duration::from_secs(30)), None);
    }

    #[test]
    fn connections_are_those_of_an_edge_that_says_so_now() {
        let mut window = Window::default();
        window.add(Duration::from_secs(10), Report { connections: 7, ..Report::default() });
        let seen = |window: &Window, second| window.connections(Duration::from_secs(second));
        assert_eq!((seen(&window, 11), seen(&window, 15)), (7, 0));
        window.lose();
        assert_eq!(seen(&window, 11), 0);
    }

    #[test]
    fn faults_are_those_of_the_last_seconds() {
        let mut window = Window::default();
        let report = |by_limits, panics, lost| {
            let turned_away = TurnedAway { by_limits, in_handshake: 9 };
            Report { turned_away, panics, lost, ..Report::default() }
        };
        window.add(Duration::from_secs(1), report(100, 1, 5));
        window.add(Duration::from_secs(2), report(103, 1, 5));
        let faults = |window: &Window, second| window.faults(Duration::from_secs(second));
        assert_eq!(faults(&window, 3), Faults { turned_away: 3, panics: 1, lost: 0 });
        assert_eq!(faults(&window, 9), Faults::default(), "it has fallen silent");
        window.add(Duration::from_secs(10), report(2, 0, 0));
        assert_eq!(faults(&window, 10), Faults::default(), "another edge began");
    }
}
