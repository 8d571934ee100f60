//! How often one client may ask: the generic cell rate algorithm over a table of fixed size. Start reading at
//! [`Limiter::admit`].
//!
//! A client may use its whole allowance at once and gets it back evenly (ITU-T I.371, the virtual scheduling form of
//! the algorithm). The table is shared by all threads without a lock: what is known of a client is one word that is
//! compared and swapped, so two threads never admit more than the limit together. A flood of addresses cannot grow
//! the table; it pushes out those clients whose allowance is nearest to being whole again.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Rate, RatePeriod};

/// Clients that one limit remembers at the same time, eight bytes each.
pub const CLIENTS_MAX: usize = 1 << 16;
/// Those that all limits together do, where each of them has no more than the least.
pub const CLIENTS_OF_ALL_MAX: usize = 1 << 19;
/// Those that a limit remembers, however many limits there are.
pub const CLIENTS_MIN: usize = 1 << 12;
/// Parts of a limit's memory that are tidied one at a time.
pub const PARTS: usize = 100;
/// The most requests in one period that are told apart from no limit at all.
pub const EVENTS_MAX: u32 = 1 << 20;

/// Entries that a client can be in: one cache line.
const WAYS: usize = 8;
/// About so many ticks make a period, so that a request of a usual limit costs many.
const TICKS: u32 = 1 << 24;
/// What is further ahead than this lies behind.
const AHEAD_TICKS_MAX: u32 = 1 << 31;

/// A limit, and what it knows of its clients.
pub struct Limiter {
    rate: Rate,
    period: Duration,
    /// Ticks that one request costs, at least 1.
    cost: u32,
    /// Ticks in a period: what `rate.events` requests cost.
    whole: u32,
    hasher: RandomState,
    sets: Box<[Set]>,
}

/// Entries, each `tag << 32 | whole_at`: which client, never 0, and the tick at which its allowance is whole again.
#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// What is said of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may pass.
    pub admitted: bool,
    /// Requests that may pass at once after this one.
    pub remaining: u32,
    /// Until the allowance is whole again.
    pub reset: Duration,
    /// Until a next request may pass; zero when one may now.
    pub retry_after: Duration,
}

impl Limiter {
    /// A limit that has seen nobody, one of so many.
    pub fn new(rate: Rate, limits: usize) -> Self {
        Self::remembering(rate, (CLIENTS_OF_ALL_MAX / limits.max(1)).clamp(CLIENTS_MIN, CLIENTS_MAX))
    }

    fn remembering(rate: Rate, clients: usize) -> Self {
        let period = match rate.per {
            RatePeriod::Second => Duration::from_secs(1),
            RatePeriod::Minute => Duration::from_secs(60),
            RatePeriod::Hour => Duration::from_secs(3600),
        };
        let events = rate.events.clamp(1, EVENTS_MAX);
        let cost = (TICKS / events).max(1);
        let sets = (0..clients.div_ceil(WAYS).next_power_of_two()).map(|_| Set::default()).collect();
        Self { rate, period, cost, whole: cost * events, hasher: RandomState::new(), sets }
    }

    /// The limit.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Judges a request of a client, and counts it when it may pass. `now` is on the steady clock.
    pub fn admit(&self, client: u128, now: Duration) -> Verdict {
        let hash = self.hasher.hash_one(client);
        let now = self.tick(now);
        let (tag, set) = (u64::from(high(hash)).max(1), self.set(hash));
        loop {
            let (entry, seen) = set.find(tag, |entry| self.missing(entry, now));
            let missing = if seen >> 32 == tag { self.missing(seen, now) } else { 0 };
            let after = missing + self.cost;
            if after > self.whole {
                return self.verdict(false, missing);
            }
            let counted = tag << 32 | u64::from(now.wrapping_add(after));
            if entry.compare_exchange(seen, counted, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return self.verdict(true, after);
            }
        }
    }

    /// Forgets the clients of one of [`PARTS`] parts whose allowance is whole. To be called for each at least once in 100
    /// periods: the ticks of an entry mean something for 2^31 of them.
    pub fn forget_idle(&self, part: usize, now: Duration) {
        let now = self.tick(now);
        let sets = self.sets.iter().skip(part % PARTS).step_by(PARTS);
        for entry in sets.flat_map(|set| &set.0) {
            let seen = entry.load(Ordering::Acquire);
            if seen != 0 && self.missing(seen, now) == 0 {
                // Somebody who counts a request meanwhile wins.
                let _counted = entry.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed).is_err();
            }
        }
    }

    /// Ticks until the allowance of an entry is whole: 0 when that time has passed.
    fn missing(&self, entry: u64, now: u32) -> u32 {
        let ahead = low(entry).wrapping_sub(now);
        // What seems half of all ticks ahead lies behind. More than a whole allowance is ahead where another thread
        // looked at the clock a little later than this one.
        if ahead < AHEAD_TICKS_MAX { ahead.min(self.whole) } else { 0 }
    }

    fn verdict(&self, admitted: bool, missing: u32) -> Verdict {
        let room = self.whole.saturating_sub(missing);
        Verdict {
            admitted,
            remaining: room / self.cost,
            reset: self.span(missing),
            retry_after: self.span(self.cost.saturating_sub(room)),
        }
    }

    fn set(&self, hash: u64) -> &Set {
        &self.sets[usize::try_from(low(hash)).unwrap_or(usize::MAX) & (self.sets.len() - 1)]
    }

    fn tick(&self, now: Duration) -> u32 {
        let ticks = now.as_nanos() * u128::from(self.whole) / self.period.as_nanos();
        // It wraps; entries are only ever compared over short distances.
        u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or(0)
    }

    /// A number of ticks as a span, rounded up.
    fn span(&self, ticks: u32) -> Duration {
        let nanos = (self.period.as_nanos() * u128::from(ticks)).div_ceil(u128::from(self.whole));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Set {
    /// The entry of a client with its value; else the one to be taken: an empty one, one whose allowance is whole,
    /// or the one that misses least.
    fn find(&self, tag: u64, missing: impl Fn(u64) -> u32) -> (&AtomicU64, u64) {
        let mut best = (&self.0[0], self.0[0].load(Ordering::Acquire));
        for entry in &self.0 {
            let seen = entry.load(Ordering::Acquire);
            if seen >> 32 == tag {
                return (entry, seen);
            }
            if missing(seen) < missing(best.1) {
                best = (entry, seen);
            }
        }
        best
    }
}

fn high(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or(0)
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn limiter(rate: &str) -> Limiter {
        Limiter::new(rate.parse().unwrap(), 1)
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// How many of so many requests at one moment are admitted.
    fn admitted(limiter: &Limiter, client: u128, now: Duration, requests: u32) -> u32 {
        (0..requests).map(|_| u32::from(limiter.admit(client, now).admitted)).sum()
    }

    #[test]
    fn exactly_the_allowance_at_once_and_then_evenly() {
        for (rate, events, period) in [
            ("100/min", 100, 60.0),
            ("1/h", 1, 3600.0),
            ("7/s", 7, 1.0),
            ("10000/s", 10_000, 1.0),
            ("100000/h", 100_000, 3600.0),
        ] {
            let limiter = limiter(rate);
            let start = seconds(1_000_000.3);
            assert_eq!(admitted(&limiter, 1, start, events + 5), events, "{rate} at once");
            let one = period / f64::from(events);
            assert_eq!(admitted(&limiter, 1, start + seconds(one * 0.98), 2), 0, "{rate} before the next");
            assert_eq!(admitted(&limiter, 1, start + seconds(one * 1.02), 2), 1, "{rate} after one interval");
            assert_eq!(
                admitted(&limiter, 1, start + seconds(period * 3.0), events + 5),
                events,
                "{rate} after a pause"
            );
        }
    }

    #[test]
    fn verdicts_say_what_is_left_and_when_to_come_back() {
        let limiter = limiter("3/min");
        let now = seconds(50.0);
        let said: Vec<_> = (0..4)
            .map(|_| limiter.admit(9, now))
            .map(|it| (it.admitted, it.remaining, it.reset.as_millis(), it.retry_after.as_millis()))
            .collect();
        assert_eq!(
            said,
            [(true, 2, 20_000, 0), (true, 1, 40_000, 0), (true, 0, 60_000, 20_000), (false, 0, 60_000, 20_000)]
        );
    }

    #[test]
    fn clients_do_not_share() {
        let limiter = limiter("5/min");
        assert_eq!(admitted(&limiter, 1, seconds(1.0), 9), 5);
        assert_eq!(admitted(&limiter, 2, seconds(1.0), 9), 5);
    }

    #[test]
    fn threads_together_admit_no_more_than_the_limit() {
        let limiter = limiter("1000/min");
        let admitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        admitted.fetch_add(u32::from(limiter.admit(7, seconds(3.0)).admitted), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 1000);
    }

    #[test]
    fn many_limits_take_no_more_memory_than_some() {
        let clients = |limits| Limiter::new("5/s".parse().unwrap(), limits).sets.len() * WAYS;
        assert_eq!(
            [1, 8, 9, 16, 1000].map(clients),
            [CLIENTS_MAX, CLIENTS_MAX, CLIENTS_MAX, CLIENTS_MAX / 2, CLIENTS_MIN]
        );
    }

    #[test]
    fn every_part_is_tidied() {
        let limiter = limiter("5/s");
        assert!((0..10_000).all(|client| limiter.admit(client, seconds(1.0)).admitted));
        let known = || limiter.sets.iter().flat_map(|set| &set.0).filter(|it| it.load(Ordering::Relaxed) != 0).count();
        assert!(known() > 9_000);
        (0..PARTS).for_each(|part| limiter.forget_idle(part, seconds(3.0)));
        assert_eq!(known(), 0);
    }

    /// Fails when a thread whose clock was read a moment earlier takes a used allowance for a whole one.
    #[test]
    fn a_thread_that_is_late_admits_nothing_beyond_the_limit() {
        let limiter = limiter("5/s");
        assert_eq!(admitted(&limiter, 1, seconds(3.0), 9), 5);
        assert_eq!(admitted(&limiter, 1, seconds(2.999), 9), 0);
        assert_eq!(admitted(&limiter, 1, seconds(3.0), 9), 0);
    }

    #[test]
    fn a_flood_of_addresses_pushes_out_those_that_miss_least() {
        let limiter = Limiter::remembering("10/min".parse().unwrap(), WAYS);
        let now = seconds(1.0);
        assert_eq!(admitted(&limiter, 1, now, 20), 10);
        for client in 2..200 {
            limiter.admit(client, now);
        }
        assert_eq!(admitted(&limiter, 1, now, 1), 0, "who used the whole allowance is still remembered");
    }

    #[test]
    fn an_old_entry_never_counts_against_its_client() {
        let limiter = Limiter::remembering("10/s".parse().unwrap(), WAYS);
        for round in 0..20_000_u32 {
            let now = seconds(f64::from(round) * 0.9);
            (0..PARTS).for_each(|part| limiter.forget_idle(part, now));
            if round % 4_551 == 0 {
                assert_eq!(admitted(&limiter, 1, now, 20), 10, "round {round}");
            }
        }
    }
}
