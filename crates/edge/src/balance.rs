//! Which replica takes a request: the less busy of two that are drawn (power of two choices; Mitzenmacher 2001). Start
//! reading at [`Pool::pick`].
//!
//! What is known of an endpoint is shared by all threads and outlives the settings that name it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::settings::Endpoint;

/// How long an endpoint that refused a connection is asked last.
pub const SHUN: Duration = Duration::from_secs(1);

/// One endpoint, and how it does.
#[derive(Debug)]
pub struct Tracked {
    /// Where it is.
    pub endpoint: Endpoint,
    in_flight: AtomicU32,
    /// The requests of its whole service, also at endpoints that are not in the pool any more.
    of_service: Arc<AtomicU32>,
    /// Until when it is asked last, in milliseconds of the steady clock.
    shunned_until: AtomicU64,
}

/// The endpoints of one service.
#[derive(Debug, Default)]
pub struct Pool {
    endpoints: Vec<Arc<Tracked>>,
    in_flight: Arc<AtomicU32>,
    /// Requests that wait for an endpoint.
    waiting: Arc<AtomicU32>,
}

/// A request that waits for an endpoint: counted until this is dropped.
#[derive(Debug)]
pub struct Waiter(Arc<AtomicU32>);

/// A request on its way to an endpoint: counted until this is dropped.
#[derive(Debug)]
pub struct Ticket {
    tracked: Arc<Tracked>,
    /// Requests of its service that were under way before it.
    before: u32,
}

impl Tracked {
    fn new(endpoint: Endpoint, of_service: &Arc<AtomicU32>) -> Self {
        let (in_flight, shunned_until) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { endpoint, in_flight, of_service: Arc::clone(of_service), shunned_until }
    }

    /// Requests that are on their way to it now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// It could not be connected to: it is asked last for a while.
    pub fn shun(&self, now: Duration) {
        self.shunned_until.store(millis(now.saturating_add(SHUN)), Ordering::Relaxed);
    }

    /// It answered: it is as good as any other.
    pub fn pardon(&self) {
        if self.shunned_until.load(Ordering::Relaxed) != 0 {
            self.shunned_until.store(0, Ordering::Relaxed);
        }
    }

    fn is_shunned(&self, now: Duration) -> bool {
        self.shunned_until.load(Ordering::Relaxed) > millis(now)
    }
}

impl Pool {
    /// The pool of these endpoints; what is known of those that were in the pool before is kept.
    pub fn renewed(&self, endpoints: &[Endpoint]) -> Self {
        let known = |endpoint: &Endpoint| self.endpoints.iter().find(|it| it.endpoint == *endpoint).cloned();
        let new = |endpoint: &Endpoint| Arc::new(Tracked::new(endpoint.clone(), &self.in_flight));
        let track = |endpoint: &Endpoint| known(endpoint).unwrap_or_else(|| new(endpoint));
        Self {
            endpoints: endpoints.iter().map(track).collect(),
            in_flight: Arc::clone(&self.in_flight),
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// The endpoint for a request, and its ticket. `random` is drawn anew for each request; none that was tried for it
    /// already is asked again.
    pub fn pick(&self, random: u64, now: Duration, tried: &[Arc<Tracked>]) -> Option<Ticket> {
        let count = self.endpoints.len();
        let draw = |from: u32| usize::try_from(from).unwrap_or(0).checked_rem(count);
        let first = draw(u32::try_from(random & u64::from(u32::MAX)).unwrap_or(0))?;
        // The second is never the first where there are two.
        let step = draw(u32::try_from(random >> 32).unwrap_or(0))? % count.saturating_sub(1).max(1) + 1;
        let second = (first + step) % count;
        let burden = |index: usize| {
            let tracked = &self.endpoints[index];
            (tried.iter().any(|it| Arc::ptr_eq(it, tracked)), tracked.is_shunned(now), tracked.in_flight())
        };
        let drawn = if burden(second) < burden(first) { second } else { first };
        let (was_tried, shunned, _) = burden(drawn);
        let best = match was_tried || shunned {
            // Both are bad: any other is better.
            true => (0..count).min_by_key(|index| burden(*index))?,
            false => drawn,
        };
        let (was_tried, ..) = burden(best);
        (!was_tried).then(|| Ticket::new(&self.endpoints[best]))
    }

    /// Lets a request wait for an endpoint, where fewer than so many of its service do.
    pub fn wait(&self, most: u32) -> Option<Waiter> {
        // Counted before it is compared, as tickets are.
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter(Arc::clone(&self.waiting));
        (before < most).then_some(waiter)
    }
}

impl Ticket {
    fn new(tracked: &Arc<Tracked>) -> Self {
        tracked.in_flight.fetch_add(1, Ordering::Relaxed);
        let before = tracked.of_service.fetch_add(1, Ordering::Relaxed);
        Self { tracked: Arc::clone(tracked), before }
    }

    /// The endpoint.
    pub fn tracked(&self) -> &Arc<Tracked> {
        &self.tracked
    }

    /// Whether it is one of so many requests that its service may have under way. Counted before it is compared: of two that
    /// come at once for one place, none is let in beyond it.
    pub fn is_within(&self, most: u32) -> bool {
        self.before < most
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tracked.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.tracked.of_service.fetch_sub(1, Ordering::Relaxed);
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ports: std::ops::Range<u16>) -> Pool {
        Pool::default().renewed(&endpoints(ports))
    }

    fn endpoints(ports: std::ops::Range<u16>) -> Vec<Endpoint> {
        let endpoint = |port| Endpoint {
            release: model::ReleaseNumber(1),
            replica: model::ReplicaNumber(u32::from(port)),
            address: ([127, 0, 0, 1], port).into(),
        };
        ports.map(endpoint).collect()
    }

    /// Well spread, and the same in every run.
    fn random(round: u64) -> u64 {
        round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn requests_spread_evenly_however_they_are_drawn() {
        for count in 1..=7_u16 {
            let pool = pool(0..count);
            let tickets: Vec<_> =
                (0..700).map(|round| pool.pick(random(round), Duration::ZERO, &[]).unwrap()).collect();
            let loads: Vec<u32> = pool.endpoints.iter().map(|it| it.in_flight()).collect();
            let fair = 700 / u32::from(count);
            assert!(loads.iter().all(|load| load.abs_diff(fair) <= 4), "{count} endpoints: {loads:?}");
            drop(tickets);
            assert!(pool.endpoints.iter().all(|it| it.in_flight() == 0));
        }
        assert!(Pool::default().pick(7, Duration::ZERO, &[]).is_none());
    }

    #[test]
    fn who_refused_is_asked_last_until_it_answers() {
        let pool = pool(0..3);
        pool.endpoints[1].shun(Duration::from_secs(10));
        let picked = |at: u64| {
            let replicas = (0..200).map(|round| pool.pick(random(round), Duration::from_millis(at), &[]).unwrap());
            replicas.filter(|it| it.tracked().endpoint.replica.0 == 1).count()
        };
        assert_eq!(picked(10_999), 0);
        assert!(picked(11_000) > 20);
        pool.endpoints[1].shun(Duration::from_secs(10));
        pool.endpoints[1].pardon();
        assert!(picked(10_001) > 20);
    }

    #[test]
    fn a_retry_goes_elsewhere_while_there_is_an_elsewhere() {
        let pool = pool(0..3);
        let tried: Vec<_> = pool.endpoints[..2].to_vec();
        for round in 0..100 {
            let ticket = pool.pick(random(round), Duration::ZERO, &tried).unwrap();
            assert_eq!(ticket.tracked().endpoint.replica.0, 2);
        }
        assert!(pool.pick(1, Duration::ZERO, &pool.endpoints).is_none(), "each was tried");
    }

    #[test]
    fn what_is_known_of_an_endpoint_outlives_the_settings() {
        let before = pool(0..2);
        let ticket = before.pick(0, Duration::ZERO, &[]).unwrap();
        let after = before.renewed(&endpoints(0..3));
        let load: u32 = after.endpoints.iter().map(|it| it.in_flight()).sum();
        assert_eq!((after.endpoints.len(), load), (3, 1));
        drop(ticket);
        assert!(after.endpoints.iter().all(|it| it.in_flight() == 0));
    }

    #[test]
    fn no_more_than_so_many_wait_for_an_endpoint() {
        let before = pool(0..0);
        let first = before.wait(1).unwrap();
        let after = before.renewed(&endpoints(0..1));
        assert!(after.wait(1).is_none(), "also after a change of the settings");
        drop(first);
        assert!(after.wait(1).is_some());
    }

    #[test]
    fn requests_at_endpoints_that_are_gone_count_for_their_service() {
        let before = pool(0..1);
        let at_the_old = before.pick(0, Duration::ZERO, &[]).unwrap();
        let after = before.renewed(&endpoints(1..2));
        let at_the_new = after.pick(0, Duration::ZERO, &[]).unwrap();
        assert_eq!((at_the_new.is_within(1), at_the_new.is_within(2)), (false, true));
        drop((at_the_old, at_the_new));
        assert!(after.pick(0, Duration::ZERO, &[]).unwrap().is_within(1));
    }
}
