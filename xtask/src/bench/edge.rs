//! The edge beside nginx and HAProxy: the same work, the same machine, the same run, turn by turn; writes
//! `docs/benchmarks-edge.md`.
//!
//! Start reading at [`run`]. Each gateway does what ours does by default: an access log, timeouts, the strict security
//! headers, a rate limit that never strikes. Each has one worker, on the first core; load and origin have the second.
//! Processor time per request is the figure to compare: requests per second depend on the load generator as well.

mod report;

mod gateway;
mod hostile;
mod load;
mod processor;
mod wire;
mod work;

/// What `headers: strict` adds, as the edge has it: its peers are to add the same.
#[path = "../../../crates/edge/src/policy/security_headers.rs"]
mod security_headers;

use std::fs;
use std::num::NonZeroUsize;

use super::{Error, Scratch, machine, memory, release_binary};
use crate::repository;
use gateway::{Gateway, Stand};
use hostile::{Attack, Endured};
use report::{Measured, Report};
use work::Work;

/// How often every kind of work is measured unless told otherwise; medians count.
pub(crate) const ROUNDS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
/// Processor time of anything else, in cores, from which a run is measured again.
const FOREIGN_MAX: f64 = 0.12;
/// How often a disturbed run is repeated before it counts as it is.
const REPEATS: usize = 2;

/// Measures everything and writes the page.
pub(crate) fn run(rounds: NonZeroUsize) -> Result<(), Error> {
    let room = hostile::raise_descriptors()?;
    let root = repository::root();
    let binary = release_binary(&root, "mainstay")?;
    let scratch = Scratch::new()?;
    let machine = machine::describe();
    // Each begins with gateways that were just started: memory that was taken once is seldom given back.
    let measured = measured(&Stand::new(&binary, &scratch.path().join("work"))?, rounds)?;
    let hostile = Stand::new(&binary, &scratch.path().join("hostile"))?;
    let endured = endured(&hostile, room)?;
    let versions = hostile.gateways.iter().map(|gateway| gateway.version.clone()).collect();
    let report = Report { machine, versions, rounds: rounds.get(), measured, endured };
    let text = report.to_string();
    println!("{text}");
    let page = root.join("docs/benchmarks-edge.md");
    fs::write(&page, text).map_err(|source| Error::File { path: page, source })
}

/// Every gateway with every kind of slow and idle clients.
fn endured(stand: &Stand, room: usize) -> Result<Vec<Endured>, Error> {
    let each = |attack| stand.gateways.iter().map(move |gateway| hostile::measure(gateway, attack, room));
    Attack::ALL.into_iter().flat_map(each).collect()
}

/// Every gateway with every kind of work, turn by turn.
fn measured(stand: &Stand, rounds: NonZeroUsize) -> Result<Vec<Measured>, Error> {
    let mut measured = Vec::new();
    for round in 0..rounds.get() {
        for work in Work::ALL {
            let mut turn: Vec<&Gateway> = stand.gateways.iter().filter(|gateway| gateway.can(work)).collect();
            // Whoever comes first finds the machine cooler.
            if round % 2 == 1 {
                turn.reverse();
            }
            for gateway in turn {
                measured.push(quiet(stand, gateway, work)?);
            }
        }
    }
    Ok(measured)
}

/// One run, again when something else kept the machine busy.
fn quiet(stand: &Stand, gateway: &Gateway, work: Work) -> Result<Measured, Error> {
    let mut best = once(stand, gateway, work)?;
    for _ in 0..REPEATS {
        if best.foreign_cores <= FOREIGN_MAX {
            break;
        }
        let again = once(stand, gateway, work)?;
        if again.foreign_cores < best.foreign_cores {
            best = again;
        }
    }
    eprintln!(
        "{:<22} {:<9} {:>9.0} requests/s, {:.2} s of processor per 100,000, foreign {:.2}",
        work.name(),
        gateway.name,
        best.load.requests_per_second(),
        best.processor_seconds * 100_000.0 / best.load.requests.max(1.0),
        best.foreign_cores,
    );
    Ok(best)
}

fn once(stand: &Stand, gateway: &Gateway, work: Work) -> Result<Measured, Error> {
    load::warm_up(gateway, work, &stand.folder)?;
    let pids = gateway.pids(work.wire())?;
    pids.iter().for_each(|&pid| memory::forget_peak(pid));
    let origins = stand.origins()?;
    // The load generator is a child of ours that ends within the run.
    let known = || processor::of(&origins) + processor::of_ended_children();
    let before = (processor::of(&pids), known(), processor::of_machine());
    let load = load::run(gateway, work, &stand.folder)?;
    let after = (processor::of(&pids), known(), processor::of_machine());
    let processor_seconds = after.0 - before.0;
    let foreign_seconds = (after.2 - before.2) - (after.1 - before.1) - processor_seconds;
    let peak_kib = pids.iter().map(|&pid| memory::peak_kib(pid)).sum();
    let foreign_cores = foreign_seconds / load.seconds;
    Ok(Measured { gateway: gateway.name, work, processor_seconds, foreign_cores, peak_kib, load })
}
