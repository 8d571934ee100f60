//! How long a client is waited for: as long as it brings, or takes, enough. Start reading at [`Waiting`].

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long a client may stand still, and what it may lag behind [`RATE_MIN`] by in all.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// The bytes of a body in a second below which patience runs out.
pub(crate) const RATE_MIN: u64 = 4 << 10;

/// Waiting for a client, with patience.
#[derive(Debug)]
pub(crate) struct Waiting {
    patience: Patience,
    /// Since when the client is waited for, and the end of patience.
    since: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { patience: Patience::new(), since: None }
    }

    /// The client brought or took so many bytes.
    pub(crate) fn moved(&mut self, bytes: u64) {
        let waited = self.since.take().map_or_else(Duration::default, |(since, _)| since.elapsed());
        self.patience.moved(bytes, waited);
    }

    /// Waits for the client; ready when patience is out.
    pub(crate) fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.patience.left();
        let (_, end) = self.since.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        end.as_mut().poll(context)
    }
}

/// What is left of it. Only waiting uses it up, and bytes give it back at [`RATE_MIN`], up to [`PATIENCE_MAX`].
#[derive(Debug)]
struct Patience(Duration);

impl Patience {
    fn new() -> Self {
        Self(PATIENCE_MAX)
    }

    /// How long may be waited for the next byte.
    fn left(&self) -> Duration {
        self.0
    }

    /// So many bytes moved after so long a wait.
    fn moved(&mut self, bytes: u64, waited: Duration) {
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / RATE_MIN);
        self.0 = self.0.saturating_sub(waited).saturating_add(earned).min(PATIENCE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many times so many bytes move, each after so long, before patience runs out.
    fn lasts(bytes: u64, each: Duration) -> Option<u32> {
        let mut patience = Patience::new();
        (0..10_000).find(|_| {
            let out = patience.left() < each;
            patience.moved(bytes, each);
            out
        })
    }

    #[test]
    fn who_moves_enough_is_waited_for_and_who_trickles_is_not() {
        let second = Duration::from_secs(1);
        assert_eq!(lasts(RATE_MIN, second), None);
        assert_eq!(lasts(1, second), Some(60));
        assert_eq!(lasts(RATE_MIN / 2, second), Some(119));
        assert_eq!(lasts(u64::MAX, PATIENCE_MAX), None);
        assert_eq!(lasts(u64::MAX, PATIENCE_MAX + second), Some(0));
    }
}
