//! Supervision in the simulated world, over many seeds. `MAINSTAY_SEED=7` replays one and prints
//! what happened; `MAINSTAY_SEEDS=100`
//! runs another number of them.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "the whole file is a test")]

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testkit::seeds::{self, Outcome};
use testkit::{Counts, Fault};

/// Seeds in an ordinary run.
const SEEDS: u64 = 10_000;
/// After so many failing seeds the rest is not run.
const FAILING_MAX: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[derive(Default)]
struct Total {
    seeds: u64,
    counts: Counts,
    time: Duration,
    turns: u64,
    starts: u64,
    least_faults: Option<u64>,
    failing: Vec<(u64, Vec<String>)>,
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        outcome.trace.iter().for_each(|line| println!("{line}"));
        self.counts.merge(&outcome.counts);
        self.time += outcome.time;
        self.turns += outcome.turns;
        self.starts += outcome.starts;
        let faults = outcome.counts.total();
        self.least_faults = Some(self.least_faults.map_or(faults, |least| least.min(faults)));
        if !outcome.violations.is_empty() {
            self.failing.push((seed, outcome.violations));
        }
    }
}

fn run_all(seeds: impl Iterator<Item = u64> + Send, traced: bool) -> Total {
    let seeds = Mutex::new(seeds);
    let total = Mutex::new(Total::default());
    let failing = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failing.load(Ordering::Relaxed) < FAILING_MAX as u64 {
                    let Some(seed) = seeds.lock().unwrap().next() else { return };
                    let outcome = seeds::run(seed, traced);
                    if !outcome.violations.is_empty() {
                        failing.fetch_add(1, Ordering::Relaxed);
                    }
                    total.lock().unwrap().add(seed, outcome);
                }
            });
        }
    });
    total.into_inner().unwrap()
}

#[test]
fn no_seed_breaks_a_law() {
    let total = match number("MAINSTAY_SEED") {
        Some(seed) => run_all(std::iter::once(seed), true),
        None => run_all(0..number("MAINSTAY_SEEDS").unwrap_or(SEEDS), false),
    };
    let hours = total.time.as_secs() / 3600;
    // Straight to the terminal: the counts are to be seen when the test passes as well.
    let (seeds, turns, starts) = (total.seeds, total.turns, total.starts);
    writeln!(std::io::stderr(), "{seeds} seeds, {hours} simulated hours, {turns} turns, {starts} starts").unwrap();
    writeln!(std::io::stderr(), "{}", total.counts).unwrap();
    for (seed, violations) in &total.failing {
        println!("replay: MAINSTAY_SEED={seed} cargo test -p testkit --test simulation");
        violations.iter().for_each(|line| println!("    {line}"));
    }
    assert!(total.failing.is_empty(), "{} of {} seeds broke a law", total.failing.len(), total.seeds);
    assert!(total.least_faults >= Some(seeds::FAULTS_MIN), "a seed had only {:?} faults", total.least_faults);
    assert!(total.time >= seeds::FAULTY * u32::try_from(total.seeds).unwrap(), "a seed was shorter than it should be");
    if total.seeds >= 1000 {
        for fault in Fault::ALL {
            assert!(total.counts.of(fault) > 0, "{fault:?} was never inflicted");
        }
    }
}
