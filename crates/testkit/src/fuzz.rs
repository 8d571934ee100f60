//! Tests that try made-up cases, each known by its seed. Start reading at [`Fuzzer::run`].
//!
//! An ordinary run tries the same few always. `MAINSTAY_FUZZ_MINUTES=20` goes on for that long with others, and with others
//! each time; `MAINSTAY_SEED=…` tries that one alone. `cargo xtask fuzz` runs every fuzzer of the workspace.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// What tries cases.
#[derive(Debug, Clone, Copy)]
pub struct Fuzzer {
    /// What `cargo` is told to run it: `test -p http1 --test wire fuzz`.
    pub command: &'static str,
    /// Cases of an ordinary run.
    pub cases: u64,
}

/// What was tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    cases: u64,
    took: Duration,
    /// How long the slowest case took, and its seed.
    slowest: (Duration, u64),
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slowest, seed) = self.slowest;
        write!(f, "{} cases in {:?}; the slowest took {slowest:?} (seed {seed})", self.cases, self.took)
    }
}

impl Fuzzer {
    /// Tries one case after the other. For one that panics, its seed is printed with what `show` says of it.
    pub fn run(&self, try_one: impl Fn(u64), show: impl Fn(u64) -> String) -> Tried {
        let mut tried = Tried::default();
        if let Some(seed) = switch("MAINSTAY_SEED") {
            self.try_case(seed, &try_one, &show, &mut tried);
            return tried;
        }
        let minutes = switch("MAINSTAY_FUZZ_MINUTES").map(|minutes| Duration::from_secs(minutes * 60));
        let first = minutes.map_or(0, |_| (u64::from(std::process::id()) << 32) | (1 << 63));
        while minutes.map_or(tried.cases < self.cases, |minutes| tried.took < minutes) {
            self.try_case(first + tried.cases, &try_one, &show, &mut tried);
        }
        tried
    }

    #[expect(clippy::disallowed_methods, reason = "how long to go on is real time")]
    fn try_case(&self, seed: u64, try_one: &impl Fn(u64), show: &impl Fn(u64) -> String, tried: &mut Tried) {
        let began = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| try_one(seed))) {
            #[expect(clippy::print_stdout, reason = "this is for whoever runs the test")]
            {
                println!("replay: MAINSTAY_SEED={seed} cargo {}\n{}", self.command, show(seed));
            }
            resume_unwind(panic);
        }
        let took = began.elapsed();
        tried.cases += 1;
        tried.took += took;
        tried.slowest = tried.slowest.max((took, seed));
    }
}

/// A number in the environment; nothing where there is none.
#[expect(clippy::disallowed_methods, reason = "the switches of tests")]
fn switch(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
