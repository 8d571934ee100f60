//! Who holds memory for a request now: some for each key, and not too much in all. Start reading at [`Turns::take`].
//!
//! A key's clients can be slow, and can be anybody to whom its service gave a URL; they use up the memory of their key, and the
//! other keys have theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory of one share.
pub(super) const SHARE_BYTES: u64 = 256 << 10;
/// How long a request waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How many shares are held at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharesMax {
    /// Of all keys.
    pub(super) in_all: usize,
    /// Of one key.
    pub(super) of_key: usize,
}

/// Who has shares now, of memory of one kind.
#[derive(Debug)]
pub(super) struct Turns {
    max: SharesMax,
    all: Arc<Semaphore>,
    /// Keys that have a turn or wait for one.
    of_keys: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// Leave to hold memory.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held as long as the memory is")] [OwnedSemaphorePermit; 2]);

impl Turns {
    pub(super) fn new(max: SharesMax) -> Self {
        Self { max, all: Arc::new(Semaphore::new(max.in_all)), of_keys: Mutex::default() }
    }

    /// Waits for so many shares of this key, at most all that it may have.
    pub(super) async fn take(&self, key: &str, shares: u32) -> S3Result<Turn> {
        let turn = async {
            let of_key = self.of_key(key).acquire_many_owned(shares).await.map_err(S3Error::internal_error)?;
            let of_all = Arc::clone(&self.all).acquire_many_owned(shares).await.map_err(S3Error::internal_error)?;
            Ok(Turn([of_key, of_all]))
        };
        let turn = tokio::time::timeout(WAIT_MAX, turn).await;
        turn.map_err(|_| s3_error!(SlowDown, "too much is being sent and taken: do less at once"))?
    }

    fn of_key(&self, key: &str) -> Arc<Semaphore> {
        let mut of_keys = self.of_keys.lock().unwrap_or_else(PoisonError::into_inner);
        of_keys.retain(|known, turns| known == key || Arc::strong_count(turns) > 1);
        let turns = of_keys.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.max.of_key)));
        Arc::clone(turns)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MAX: SharesMax = SharesMax { in_all: 10, of_key: 4 };

    #[tokio::test]
    async fn a_key_that_has_all_its_shares_keeps_nobody_else_out() {
        let turns = Turns::new(MAX);
        let mut taken = vec![turns.take("slow", 3).await.unwrap(), turns.take("slow", 1).await.unwrap()];
        assert!(turns.take("slow", 1).now_or_never().is_none());
        turns.take("other", 4).await.unwrap();
        taken.pop();
        turns.take("slow", 1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_slow_down() {
        let turns = Turns::new(MAX);
        let _held = turns.take("slow", 4).await.unwrap();
        assert_eq!(turns.take("slow", 1).await.unwrap_err().code().as_str(), "SlowDown");
    }

    #[tokio::test]
    async fn keys_without_a_turn_are_forgotten() {
        let turns = Turns::new(MAX);
        let held = turns.take("held", 1).await.unwrap();
        for number in 0..10 {
            turns.take(&number.to_string(), 1).await.unwrap();
        }
        assert_eq!(turns.of_keys.lock().unwrap().len(), 2);
        drop(held);
    }
}
