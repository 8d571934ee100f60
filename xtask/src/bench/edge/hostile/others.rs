//! The clients that are neither slow nor idle: each asks for something small at a fixed pace, whatever becomes of its request
//! before. An answer's time counts from when its request was due, so that a pause is felt by all that fall into it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::Others;
use super::crowd::SMALL;
use crate::bench::edge::load::quantile;
use crate::bench::edge::wire::{Door, Duplex, ask};
use crate::bench::{Error, now};

/// How many there are.
const CLIENTS: u8 = 4;
/// How often each asks: two hundred times a second all together.
const PERIOD: Duration = Duration::from_millis(20);

/// What became of the requests of one client.
#[derive(Default)]
struct Answers {
    milliseconds: Vec<f64>,
    failed: usize,
}

/// Has them ask while something is done: what comes of it, and how they fared.
pub(super) fn meanwhile<T>(door: &Door, work: impl FnOnce() -> Result<T, Error>) -> Result<(T, Others), Error> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = |number| {
            let (over, from) = (&over, Ipv4Addr::new(127, 2, 0, number + 1));
            scope.spawn(move || ask_steadily(door, from, over))
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        let value = work();
        over.store(true, Ordering::Relaxed);
        let join = |client: thread::ScopedJoinHandle<'_, _>| {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let all = clients.into_iter().map(join).collect::<Result<Vec<Answers>, Error>>()?;
        Ok((value?, together(all)))
    })
}

fn ask_steadily(door: &Door, from: Ipv4Addr, over: &AtomicBool) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let mut connection: Option<Box<dyn Duplex>> = None;
    let began = now();
    let mut due = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_sub(began.elapsed()));
        let open = match connection.take() {
            Some(open) => open,
            None => door.speak(door.connect(from, None)?)?,
        };
        let open = connection.insert(open);
        match ask(&mut **open, SMALL) {
            Ok(200) => answers.milliseconds.push(began.elapsed().saturating_sub(due).as_secs_f64() * 1000.0),
            Ok(_) => answers.failed += 1,
            Err(_) => {
                answers.failed += 1;
                connection = None;
            }
        }
        due += PERIOD;
    }
    Ok(answers)
}

fn together(all: Vec<Answers>) -> Others {
    let failed = all.iter().map(|answers| answers.failed).sum();
    let mut milliseconds: Vec<f64> = all.into_iter().flat_map(|answers| answers.milliseconds).collect();
    milliseconds.sort_by(f64::total_cmp);
    // Who had no answer at all waited for ever.
    Others { p99_ms: quantile(&milliseconds, 99).unwrap_or(f64::INFINITY), failed }
}
