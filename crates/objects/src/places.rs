//! Who is connected: clients that a key has vouched for, and strangers. Start reading at [`Places::greet`].
//!
//! Whoever comes is let in, so that a probe, which nobody vouches for, is answered however many connections there are: where
//! there are too many strangers, the one that has been there longest goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections on each of which a key has signed a request.
const KNOWN_MAX: usize = 1024;
/// Connections on which none has.
const STRANGERS_MAX: usize = 128;
/// How long a connection may stay without one.
const STRANGER_TIME_MAX: Duration = Duration::from_secs(10);

/// The places of all connections.
#[derive(Debug)]
pub(crate) struct Places {
    known: Arc<Semaphore>,
    strangers: Mutex<Strangers>,
}

#[derive(Debug, Default)]
struct Strangers {
    /// How many have come.
    came: u64,
    /// Those that are there, in the order in which they came, each with what tells it to go.
    present: BTreeMap<u64, Arc<Notify>>,
}

/// One connection. Dropped, it leaves its place.
#[derive(Debug)]
pub(crate) struct Guest {
    places: Arc<Places>,
    number: u64,
    displaced: Arc<Notify>,
    known: OnceLock<OwnedSemaphorePermit>,
}

/// There is no place for a client more that a key vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {KNOWN_MAX} connections: close those that are not used")]
pub(crate) struct Crowded;

impl Places {
    pub(crate) fn new() -> Self {
        Self { known: Arc::new(Semaphore::new(KNOWN_MAX)), strangers: Mutex::default() }
    }

    /// Lets a stranger in.
    pub(crate) fn greet(self: &Arc<Self>) -> Guest {
        let displaced = Arc::new(Notify::new());
        let mut strangers = self.strangers();
        strangers.came += 1;
        let number = strangers.came;
        strangers.present.insert(number, Arc::clone(&displaced));
        let too_many = strangers.present.len() > STRANGERS_MAX;
        drop(strangers);
        if too_many {
            self.displace();
        }
        Guest { places: Arc::clone(self), number, displaced, known: OnceLock::new() }
    }

    /// Has the stranger go that has been there longest.
    pub(crate) fn displace(&self) {
        if let Some((_, oldest)) = self.strangers().present.pop_first() {
            oldest.notify_one();
        }
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// A key has signed a request of this connection.
    pub(crate) fn vouch(&self) -> Result<(), Crowded> {
        if self.known.get().is_some() {
            return Ok(());
        }
        let place = Arc::clone(&self.places.known).try_acquire_owned().map_err(|_| Crowded)?;
        self.places.strangers().present.remove(&self.number);
        // A connection has one request at a time, so nobody else has vouched meanwhile.
        drop(self.known.set(place));
        Ok(())
    }

    /// Ends when the connection must: never, once a key has vouched for it.
    pub(crate) async fn shown_out(&self) {
        // Told to go or not, the time is up.
        drop(tokio::time::timeout(STRANGER_TIME_MAX, self.displaced.notified()).await);
        if self.known.get().is_some() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.places.strangers().present.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn must_go(guest: &Guest) -> bool {
        guest.shown_out().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_stranger_that_was_there_longest_makes_room_for_the_next() {
        let places = Arc::new(Places::new());
        let mut guests: Vec<Guest> = (0..STRANGERS_MAX).map(|_| places.greet()).collect();
        guests[0].vouch().unwrap();
        guests.push(places.greet());
        assert!(!guests.iter().any(must_go), "one that is vouched for takes no stranger's place");
        guests.push(places.greet());
        let gone: Vec<usize> = (0..guests.len()).filter(|at| must_go(&guests[*at])).collect();
        assert_eq!(gone, [1]);
    }

    #[tokio::test]
    async fn who_has_gone_takes_no_place() {
        let places = Arc::new(Places::new());
        let first = places.greet();
        for _ in 0..=STRANGERS_MAX {
            drop(places.greet());
        }
        assert!(!must_go(&first));
        let known: Vec<Guest> =
            (0..KNOWN_MAX).map(|_| places.greet()).inspect(|guest| guest.vouch().unwrap()).collect();
        assert_eq!(first.vouch(), Err(Crowded));
        drop(known);
        assert_eq!((first.vouch(), first.vouch()), (Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_stays_for_a_while_and_a_client_that_is_vouched_for_as_long_as_it_likes() {
        let places = Arc::new(Places::new());
        let (stranger, client) = (places.greet(), places.greet());
        client.vouch().unwrap();
        let begun = tokio::time::Instant::now();
        stranger.shown_out().await;
        assert_eq!(begun.elapsed(), STRANGER_TIME_MAX);
        assert!(tokio::time::timeout(STRANGER_TIME_MAX * 10, client.shown_out()).await.is_err());
    }
}
