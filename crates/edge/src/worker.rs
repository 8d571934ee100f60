//! One thread of the edge: its settings, its connections to replicas, its counts. Start reading at [`Worker`].
//!
//! Nothing in here is shared with another thread except what the settings hold, so the way of a request takes no lock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use model::ReleaseNumber;

use crate::access_log::AccessLog;
use crate::deadline::Deadlines;
use crate::evidence::{Arm, Counts, Evidence};
use crate::folder::Shelves;
use crate::live::Live;
use crate::serve::Record;
use crate::settings::TimeLimits;
use crate::table::RouteIndex;
use crate::tls::CertificateTable;
use crate::upstream::Connections;

/// How often limits forget clients whose allowance is whole, in looks.
const TIDY_LOOKS: u32 = 10;

/// The settings of now, counted by this thread alone: a count that threads share would be the one word of memory that
/// every request of every core writes to.
pub(crate) struct Settled(Arc<Live>);

impl Deref for Settled {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0
    }
}

/// What one thread has.
pub(crate) struct Worker {
    live: RefCell<Rc<Settled>>,
    certificates: RefCell<Arc<CertificateTable>>,
    /// Connections of clients that this thread serves.
    pub(crate) open: Cell<usize>,
    pub(crate) upstreams: Connections,
    pub(crate) shelves: Shelves,
    pub(crate) deadlines: Deadlines,
    /// State of the generator that draws replicas: no secret.
    random: Cell<u64>,
    looks: Cell<u32>,
    evidence: RefCell<Evidence<(RouteIndex, Option<ReleaseNumber>)>>,
    log: AccessLog,
    pub(crate) ids: RequestIds,
}

/// Ids for requests that bring none: unique, not secret.
pub(crate) struct RequestIds {
    prefix: Cell<u64>,
    count: Cell<u64>,
}

impl RequestIds {
    /// A new id, 32 hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        format!("{:016x}{:016x}", self.prefix.get(), scrambled(count ^ self.prefix.get()))
    }
}

impl Worker {
    /// A thread's state; `seed` is random.
    pub(crate) fn new(live: Arc<Live>, certificates: Arc<CertificateTable>, seed: u64, log: AccessLog) -> Self {
        Self {
            live: RefCell::new(Rc::new(Settled(live))),
            certificates: RefCell::new(certificates),
            open: Cell::new(0),
            upstreams: Connections::default(),
            shelves: Shelves::default(),
            deadlines: Deadlines::default(),
            random: Cell::new(seed | 1),
            looks: Cell::new(0),
            evidence: RefCell::default(),
            log,
            ids: RequestIds { prefix: Cell::new(scrambled(seed)), count: Cell::new(0) },
        }
    }

    /// The settings of now. A request keeps them until it is through.
    pub(crate) fn live(&self) -> Rc<Settled> {
        Rc::clone(&self.live.borrow())
    }

    /// How long clients and services are waited for.
    pub(crate) fn times(&self) -> TimeLimits {
        self.live.borrow().settings.times
    }

    /// New settings, for requests from now on.
    pub(crate) fn renew(&self, live: Arc<Live>) {
        *self.live.borrow_mut() = Rc::new(Settled(live));
    }

    /// The certificates of now.
    pub(crate) fn certificates(&self) -> Arc<CertificateTable> {
        Arc::clone(&self.certificates.borrow())
    }

    /// New certificates, for handshakes from now on.
    pub(crate) fn renew_certificates(&self, certificates: Arc<CertificateTable>) {
        *self.certificates.borrow_mut() = certificates;
    }

    /// Time on the steady clock, to within a tenth of a second.
    pub(crate) fn now(&self) -> Duration {
        self.deadlines.now()
    }

    /// A number that differs from draw to draw (xorshift64*; Vigna 2016).
    pub(crate) fn draw(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Notes a request that is through.
    pub(crate) fn note(&self, record: Record) {
        if let Some(route) = record.route {
            let arm = (route, record.replica.map(|(release, _)| release));
            self.evidence.borrow_mut().count(arm, record.outcome(), record.took);
        }
        self.log.note(record);
    }

    /// What was counted since this was last asked. To be asked before the settings change: routes are known by
    /// their place in them.
    pub(crate) fn take_evidence(&self) -> BTreeMap<Arm, Counts> {
        let live = self.live();
        let named = |((route, release), counts): ((RouteIndex, Option<ReleaseNumber>), Counts)| {
            let route = live.route(route)?;
            let name = format!("{} {}", route.host, route.path);
            Some((Arm { route: name, service: route.to.clone(), release }, counts))
        };
        self.evidence.borrow_mut().take().into_iter().filter_map(named).collect()
    }

    /// What is to be done ten times a second.
    pub(crate) fn look(&self, now: Duration) {
        self.deadlines.look(now);
        let looks = self.looks.get().wrapping_add(1);
        self.looks.set(looks);
        if looks.is_multiple_of(TIDY_LOOKS) {
            let live = self.live();
            self.upstreams.tidy(now, |address| live.leads_to(address));
            self.shelves.tidy(|root| live.serves(root));
            live.limiters().for_each(|limiter| limiter.forget_idle(now));
        }
    }
}

/// A number that shows nothing of the order of those it is made from (the finaliser of splitmix64; Steele 2014).
fn scrambled(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
