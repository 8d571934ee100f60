//! Whose bodies are being taken: a few of each key, and not too many in all. Start reading at [`Turns::take`].
//!
//! Each holds memory. A key's clients can be slow, and can be anybody to whom its service gave a URL; they use up the turns
//! of their key, and the other keys have theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies that are being taken at once.
const TURNS_MAX: usize = 64;
/// Those of one key.
const TURNS_OF_KEY_MAX: usize = 16;
/// How long a request waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Who takes bodies now.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// Keys that have a turn or wait for one.
    of_keys: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// Leave to take a body.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held until the body is taken")] [OwnedSemaphorePermit; 2]);

impl Turns {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(TURNS_MAX)), of_keys: Mutex::default() }
    }

    /// Waits for a turn of this key.
    pub(super) async fn take(&self, key: &str) -> S3Result<Turn> {
        let turn = async {
            let of_key = self.of_key(key).acquire_owned().await.map_err(S3Error::internal_error)?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(S3Error::internal_error)?;
            Ok(Turn([of_key, of_all]))
        };
        let turn = tokio::time::timeout(WAIT_MAX, turn).await;
        turn.map_err(|_| s3_error!(SlowDown, "too many bodies are being taken: send fewer at once"))?
    }

    fn of_key(&self, key: &str) -> Arc<Semaphore> {
        let mut of_keys = self.of_keys.lock().unwrap_or_else(PoisonError::into_inner);
        of_keys.retain(|known, turns| known == key || Arc::strong_count(turns) > 1);
        let turns = of_keys.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(TURNS_OF_KEY_MAX)));
        Arc::clone(turns)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_key_that_has_all_its_turns_keeps_nobody_else_out() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..TURNS_OF_KEY_MAX {
            taken.push(turns.take("slow").await.unwrap());
        }
        assert!(turns.take("slow").now_or_never().is_none());
        turns.take("other").await.unwrap();
        taken.pop();
        turns.take("slow").await.unwrap();
    }

    #[tokio::test]
    async fn keys_without_a_turn_are_forgotten() {
        let turns = Turns::new();
        let held = turns.take("held").await.unwrap();
        for number in 0..10 {
            turns.take(&number.to_string()).await.unwrap();
        }
        assert_eq!(turns.of_keys.lock().unwrap().len(), 2);
        drop(held);
    }
}
