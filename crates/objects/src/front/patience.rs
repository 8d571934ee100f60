//! How long a client is waited for: as long as it brings enough. Start reading at [`Patience`].

use std::time::Duration;

/// How long a body may stand still, and what a client may lag behind [`BODY_RATE_MIN`] by in all.
pub(super) const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// The bytes of a body in a second below which patience runs out.
pub(super) const BODY_RATE_MIN: u64 = 4 << 10;

/// What is left of it. Only waiting uses it up, and bytes give it back at [`BODY_RATE_MIN`], up to [`PATIENCE_MAX`].
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new() -> Self {
        Self(PATIENCE_MAX)
    }

    /// How long may be waited for the next byte.
    pub(super) fn left(&self) -> Duration {
        self.0
    }

    /// So many bytes came after so long a wait.
    pub(super) fn received(&mut self, bytes: u64, waited: Duration) {
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / BODY_RATE_MIN);
        self.0 = self.0.saturating_sub(waited).saturating_add(earned).min(PATIENCE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many times so many bytes come, each after so long, before patience runs out.
    fn lasts(bytes: u64, each: Duration) -> Option<u32> {
        let mut patience = Patience::new();
        (0..10_000).find(|_| {
            let out = patience.left() < each;
            patience.received(bytes, each);
            out
        })
    }

    #[test]
    fn who_brings_enough_is_waited_for_and_who_trickles_is_not() {
        let second = Duration::from_secs(1);
        assert_eq!(lasts(BODY_RATE_MIN, second), None);
        assert_eq!(lasts(1, second), Some(60));
        assert_eq!(lasts(BODY_RATE_MIN / 2, second), Some(119));
        assert_eq!(lasts(u64::MAX, PATIENCE_MAX), None);
        assert_eq!(lasts(u64::MAX, PATIENCE_MAX + second), Some(0));
    }
}
