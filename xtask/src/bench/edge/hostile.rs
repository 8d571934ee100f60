//! Clients that are slow or do nothing, many at a time: what memory they cost each gateway, how soon it is rid of them, and
//! how the others fare meanwhile. Start reading at [`measure`].

mod crowd;
mod others;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::gateway::Gateway;
use super::load::LOAD_CORE;
use super::work::Wire;
use crate::bench::{Error, memory};
use crowd::Crowd;

/// Descriptors that are for anything but these clients.
const DESCRIPTORS_RESERVED: u64 = 1024;
/// How many a gateway may need for one client: its connection and one to the origin.
const DESCRIPTORS_PER_CLIENT: u64 = 2;
/// How long after the last client has gone memory is looked at again.
const SETTLING: Duration = Duration::from_secs(1);

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// There are none: how the others fare undisturbed.
    Nobody,
    SlowHead,
    SlowBody,
    SlowRead,
    Idle,
    IdleTls,
}

impl Attack {
    /// In the order in which they are measured, for about three minutes with three gateways. Those that take most memory come
    /// last: a process seldom gives it back.
    pub(super) const ALL: [Attack; 6] =
        [Attack::Nobody, Attack::SlowHead, Attack::SlowBody, Attack::SlowRead, Attack::Idle, Attack::IdleTls];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Attack::Nobody => "none",
            Attack::Idle => "idle",
            Attack::IdleTls => "idle, over TLS",
            Attack::SlowHead => "a byte of a head each second",
            Attack::SlowBody => "a byte of a body each second",
            Attack::SlowRead => "1 KiB of an answer each second",
        }
    }

    pub(super) const fn wire(self) -> Wire {
        match self {
            Attack::IdleTls => Wire::Tls,
            _ => Wire::Plain,
        }
    }

    const fn clients(self) -> usize {
        match self {
            Attack::Nobody => 0,
            Attack::Idle => 5_000,
            Attack::IdleTls => 1_000,
            Attack::SlowHead | Attack::SlowBody | Attack::SlowRead => 500,
        }
    }

    /// How long it goes on once all are there: where our edge ends them, until it has.
    const fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Attack::Nobody => 3,
            Attack::Idle | Attack::IdleTls => 4,
            Attack::SlowRead => 5,
            Attack::SlowHead => 18,
            Attack::SlowBody => 24,
        })
    }
}

/// What one gateway did with one kind of clients.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Endured {
    pub(super) gateway: &'static str,
    pub(super) attack: Attack,
    pub(super) clients: usize,
    /// Its resident set before they came, its largest while they were there, and soon after they had gone.
    pub(super) resident_kib: [u64; 3],
    /// How long each client was there that the gateway has ended.
    pub(super) ended: Vec<Duration>,
    pub(super) others: Others,
}

/// How the others fared: those who ask for something small, steadily.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Others {
    /// 99 of 100 were answered within.
    pub(super) p99_ms: f64,
    pub(super) failed: usize,
}

/// As many descriptors as the system lets us have, for this process and those it starts: for how many clients they suffice.
pub(super) fn raise_descriptors() -> Result<usize, Error> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
        .map_err(|source| Error::Descriptors(source.into()))?;
    Ok(clients_within(most.unwrap_or(u64::MAX)))
}

fn clients_within(descriptors: u64) -> usize {
    let clients = descriptors.saturating_sub(DESCRIPTORS_RESERVED) / DESCRIPTORS_PER_CLIENT;
    usize::try_from(clients).unwrap_or(usize::MAX)
}

/// Lets the clients come, as many as there is room for, and looks at what the gateway does.
pub(super) fn measure(gateway: &Gateway, attack: Attack, room: usize) -> Result<Endured, Error> {
    // What is pinned is a thread that ends: whoever started it stays where it was.
    let endured = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            let mut core = CpuSet::new();
            core.set(LOAD_CORE);
            sched_setaffinity(None, &core).map_err(|source| Error::Pin(source.into()))?;
            endure(gateway, attack, attack.clients().min(room))
        });
        measuring.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let [before, most, _] = endured.resident_kib;
    eprintln!(
        "{} {:<30} {:<9} {} KiB more, p99 of others {:.2} ms, {} ended",
        endured.clients,
        attack.name(),
        gateway.name,
        most.saturating_sub(before),
        endured.others.p99_ms,
        endured.ended.len(),
    );
    Ok(endured)
}

fn endure(gateway: &Gateway, attack: Attack, clients: usize) -> Result<Endured, Error> {
    let door = gateway.door(attack.wire())?;
    let pids = gateway.pids(attack.wire())?;
    let resident = || pids.iter().map(|&pid| memory::of_process(pid).rss_kib).sum();
    let before = resident();
    pids.iter().for_each(|&pid| memory::forget_peak(pid));
    let (ended, others) = others::meanwhile(&door, || {
        let mut crowd = Crowd::gather(attack, clients, &door)?;
        crowd.carry_on();
        Ok(crowd.ended())
    })?;
    let most = pids.iter().map(|&pid| memory::peak_kib(pid)).sum();
    std::thread::sleep(SETTLING);
    Ok(Endured { gateway: gateway.name, attack, clients, resident_kib: [before, most, resident()], ended, others })
}

#[cfg(test)]
mod tests {
    use super::{Attack, clients_within};

    /// Fails when a limit as low as many systems have would be gone beyond, or a usual one would not do for all.
    #[test]
    fn no_more_clients_come_than_there_are_descriptors_for() {
        assert_eq!((clients_within(0), clients_within(4096)), (0, 1536));
        assert!(clients_within(20_000) >= Attack::Idle.clients());
    }
}
