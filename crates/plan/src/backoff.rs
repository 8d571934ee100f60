//! When something that failed is tried again: at once the first time, then ever later.
//!
//! Start reading at [`Failures::next_try`]. Invariant: the same failures and the same seed give the same
//! moment; nothing here draws a random number or asks for the time.

use std::time::Duration;

use model::UnitId;

/// The wait before the third try; it doubles from there. The second try is immediate.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The wait before the next try once the failures are a loop; it doubles from there.
pub const LOOP_WAIT: Duration = Duration::from_secs(30);
/// No wait is longer, jitter aside.
pub const WAIT_MAX: Duration = Duration::from_secs(300);
/// No wait for the edge is longer: no request reaches anything without it, and a try costs little.
pub const EDGE_WAIT_MAX: Duration = Duration::from_secs(1);
/// What ran for so long before it failed starts with a clean slate.
pub const STABLE: Duration = Duration::from_secs(600);
/// So many failures within [`LOOP_WINDOW`] are a loop.
pub const LOOP_FAILURES: usize = 5;
/// See [`LOOP_FAILURES`].
pub const LOOP_WINDOW: Duration = Duration::from_secs(600);
/// Jitter adds up to one part in so many to a wait.
pub const JITTER_PART: u32 = 10;

/// The failures of one thing since it was last stable, on the steady clock of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failures {
    /// How many in a row.
    row: u32,
    /// When the last [`LOOP_FAILURES`] were, oldest first.
    recent: Vec<Duration>,
}

impl Failures {
    /// Takes in a failure at `now` of what had run for `ran`.
    pub fn failed(&mut self, now: Duration, ran: Duration) {
        self.stopped(ran);
        self.row = self.row.saturating_add(1);
        if self.recent.len() >= LOOP_FAILURES {
            self.recent.remove(0);
        }
        self.recent.push(now);
    }

    /// Takes in that what had run for `ran` was stopped on purpose: if it was stable, earlier failures are
    /// forgiven.
    pub fn stopped(&mut self, ran: Duration) {
        if ran >= STABLE {
            *self = Self::default();
        }
    }

    /// When the last failure was.
    pub fn last(&self) -> Option<Duration> {
        self.recent.last().copied()
    }

    /// How many failures in a row.
    pub const fn in_a_row(&self) -> u32 {
        self.row
    }

    /// Whether they came so quickly that tries are now rare.
    pub fn looping(&self) -> bool {
        match (self.recent.first(), self.recent.last()) {
            (Some(first), Some(last)) => {
                self.recent.len() >= LOOP_FAILURES && last.saturating_sub(*first) <= LOOP_WINDOW
            }
            _ => false,
        }
    }

    /// The shortest time from the last failure to the next try of this unit.
    pub fn wait(&self, unit: &UnitId) -> Duration {
        let (first, doublings) = match self.looping() {
            true => (LOOP_WAIT, self.row.saturating_sub(u32::try_from(LOOP_FAILURES).unwrap_or(u32::MAX))),
            false if self.row < 2 => return Duration::ZERO,
            false => (FIRST_WAIT, self.row - 2),
        };
        first.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(wait_max(unit))
    }

    /// When the next try of this unit is due: the wait and the jitter that the seed gives after the last failure.
    /// `None` when nothing failed.
    pub fn next_try(&self, unit: &UnitId, seed: u64) -> Option<Duration> {
        let last = self.recent.last()?;
        let wait = self.wait(unit);
        let share = scramble(seed ^ u64::from(self.row)) % 1000;
        let jitter = wait.saturating_mul(u32::try_from(share).unwrap_or(0)) / (1000 * JITTER_PART);
        Some(last.saturating_add(wait).saturating_add(jitter))
    }
}

/// The longest wait for a unit, jitter aside.
pub const fn wait_max(unit: &UnitId) -> Duration {
    match unit {
        UnitId::Edge => EDGE_WAIT_MAX,
        _ => WAIT_MAX,
    }
}

/// A number that looks unrelated to its argument (the finaliser of SplitMix64).
pub fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn replica() -> UnitId {
        "web.1.1".parse().unwrap()
    }

    /// The waits after each of `count` failures of a unit that come `apart` after each try.
    fn waits_of(unit: &UnitId, count: u32, apart: Duration) -> Vec<u64> {
        let mut failures = Failures::default();
        let mut now = SECOND;
        let mut waits = Vec::new();
        for _ in 0..count {
            failures.failed(now, apart);
            waits.push(failures.wait(unit).as_secs());
            now += failures.wait(unit) + apart;
        }
        waits
    }

    fn waits(count: u32, apart: Duration) -> Vec<u64> {
        waits_of(&replica(), count, apart)
    }

    #[test]
    fn the_edge_is_tried_every_second_however_often_it_failed() {
        assert_eq!(waits_of(&UnitId::Edge, 8, SECOND), [0, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_first_try_is_immediate_and_the_rest_wait_longer_up_to_a_cap() {
        assert_eq!(waits(11, SECOND * 200), [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[test]
    fn quick_failures_are_a_loop_and_tries_get_rare() {
        assert_eq!(waits(10, SECOND), [0, 1, 2, 4, 30, 60, 120, 240, 300, 256]);
    }

    #[test]
    fn what_ran_stably_starts_with_a_clean_slate() {
        assert_eq!(waits(4, STABLE), [0, 0, 0, 0]);
    }

    #[test]
    fn jitter_only_adds_and_depends_on_the_seed_alone() {
        let mut failures = Failures::default();
        (0..3).for_each(|_| failures.failed(SECOND, Duration::ZERO));
        for seed in 0..100 {
            let due = failures.next_try(&replica(), seed).unwrap();
            assert!(due >= SECOND * 3 && due <= SECOND * 3 + SECOND / 5, "{due:?}");
            assert_eq!(failures.next_try(&replica(), seed), Some(due));
        }
        assert_ne!(failures.next_try(&replica(), 1), failures.next_try(&replica(), 2));
    }
}
