//! One thread of the edge: its settings, its connections to replicas, its counts. Start reading at [`Worker`].
//!
//! Nothing in here is shared with another thread except what the settings hold, so the way of a request takes no lock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::deadline::Deadlines;
use crate::evidence::{Arm, Counts};
use crate::folder::Shelves;
use crate::live::Live;
use crate::serve::Record;
use crate::settings::TimeLimits;
use crate::settled::Settled;
use crate::tls::CertificateTable;
use crate::upstream::Connections;

/// How often what is not needed any more is let go of, in looks.
const TIDY_LOOKS: u32 = 10;

/// What one thread has.
pub(crate) struct Worker {
    live: RefCell<Rc<Settled>>,
    /// Settings of before that requests may still be under way by, or whose counts nobody took.
    former: RefCell<Vec<Rc<Settled>>>,
    certificates: RefCell<Arc<CertificateTable>>,
    /// Connections of clients that this thread serves.
    pub(crate) open: Cell<usize>,
    /// Requests under way, to replicas or of folders.
    under_way: Cell<u32>,
    /// Threads that share what there is of requests.
    threads: NonZeroU32,
    pub(crate) upstreams: Connections,
    pub(crate) shelves: Shelves,
    pub(crate) deadlines: Deadlines,
    /// State of the generator that draws replicas: no secret.
    random: Cell<u64>,
    looks: Cell<u32>,
    /// Whether it is the one of all threads that tidies what they share.
    tidies_limits: bool,
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

/// A request that is under way until this is dropped.
pub(crate) struct Place<'w>(&'w Worker);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
    }
}

impl Worker {
    /// The state of one of so many threads, the first or another one; `seed` is random.
    pub(crate) fn new(
        live: Arc<Live>,
        certificates: Arc<CertificateTable>,
        seed: u64,
        log: AccessLog,
        threads: NonZeroU32,
        is_first: bool,
    ) -> Self {
        Self {
            live: RefCell::new(Rc::new(Settled::new(live))),
            former: RefCell::default(),
            certificates: RefCell::new(certificates),
            open: Cell::new(0),
            under_way: Cell::new(0),
            threads,
            upstreams: Connections::default(),
            shelves: Shelves::of_share(threads),
            deadlines: Deadlines::default(),
            random: Cell::new(seed | 1),
            looks: Cell::new(0),
            tidies_limits: is_first,
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
        let former = self.live.replace(Rc::new(Settled::new(live)));
        self.former.borrow_mut().push(former);
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

    /// Lets a request begin, where this thread has not its share of so many under way.
    pub(crate) fn enter(&self, total: u32) -> Option<Place<'_>> {
        let under_way = self.under_way.get();
        (under_way < total.div_ceil(self.threads.get())).then(|| {
            self.under_way.set(under_way + 1);
            Place(self)
        })
    }

    /// This thread's share of what the process has.
    pub(crate) fn share_of(&self, total: usize) -> usize {
        total.div_ceil(usize::try_from(self.threads.get()).unwrap_or(usize::MAX))
    }

    /// Hands a record to the access log.
    pub(crate) fn log(&self, record: Record) {
        self.log.note(record);
    }

    /// What was counted since this was last asked, of whatever settings.
    pub(crate) fn take_evidence(&self) -> BTreeMap<Arm, Counts> {
        let (live, mut former) = (self.live(), self.former.borrow_mut());
        let mut arms: BTreeMap<Arm, Counts> = BTreeMap::new();
        for settled in former.iter().chain([&live]) {
            for (arm, counts) in settled.take_evidence() {
                arms.entry(arm).or_default().add(&counts);
            }
        }
        former.retain(|settled| Rc::strong_count(settled) > 1);
        arms
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
        }
        if self.tidies_limits {
            let part = usize::try_from(looks).unwrap_or(0);
            self.live().limiters().for_each(|limiter| limiter.forget_idle(part, now));
        }
    }
}

/// A number that shows nothing of the order of those it is made from (the finaliser of splitmix64; Steele 2014).
fn scrambled(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
