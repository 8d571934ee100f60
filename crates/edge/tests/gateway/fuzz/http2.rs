//! Whatever frames a client sends, its connection ends, others are served, nothing panics and no memory is held.

use std::cell::RefCell;
use std::io::Write;
use std::net::Shutdown;

use edge::control::ToNode;
use testkit::fuzz::Fuzzer;
use testkit::random::Random;

use crate::bench::{Authority, Bench, PATIENCE, echo};
use crate::frames::{self, Wire};

const FUZZER: Fuzzer = Fuzzer { command: "test -p edge --test gateway fuzz::http2", cases: 200 };

/// Cases between two looks at whether others are served.
const LOOK_CASES: u64 = 20;
/// Bytes of one case; more would only make it longer.
const BYTES_MAX: usize = 256 << 10;
/// What all cases may add to the memory of this process, in KiB: other tests run in it as well.
const GROWTH_KIB_MAX: u64 = 256 << 10;

/// Frames and parts of frames, one behind the other: those of the cases, random ones, floods, then changed here and there.
fn made_up(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::new();
    for _ in 0..=random.below(6) {
        let mut piece = match random.below(3) {
            0 => random_frame(&mut random),
            _ => random.pick(frames::CASES).map(|(_, bytes, _)| bytes()).unwrap(),
        };
        piece.truncate(BYTES_MAX / 8);
        let times = if random.one_in(8) { random.below(200) } else { 1 };
        bytes.extend(piece.repeat(usize::try_from(times).unwrap()));
    }
    bytes.truncate(BYTES_MAX);
    for _ in 0..random.below(6) {
        let (from, to) = (place(&mut random, bytes.len()), place(&mut random, bytes.len()));
        match random.below(4) {
            0 => drop(bytes.drain(from..(from + 20).min(bytes.len()))),
            1 => bytes.truncate(from.max(9)),
            2 => {
                let part = bytes[from.min(to)..from.max(to).min(from.min(to) + 100)].to_vec();
                drop(bytes.splice(to..to, part));
            }
            _ => bytes.iter_mut().skip(from).take(1).for_each(|byte| *byte = byte.wrapping_add(random.number() as u8)),
        }
    }
    bytes
}

fn place(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64 + 1)).unwrap()
}

/// A frame of any kind on one of a few streams, with what such a frame could hold.
fn random_frame(random: &mut Random) -> Vec<u8> {
    let [kind, flags, stream, length, byte] = [11, 256, 8, 40, 256].map(|bound| random.below(bound));
    let small = |number: u64| u8::try_from(number).unwrap();
    let payload = match random.below(3) {
        0 => frames::with(&[("a", "b")]),
        1 => vec![0; usize::try_from(length).unwrap()],
        _ => vec![small(byte); usize::try_from(length).unwrap()],
    };
    frames::frame(small(kind), small(flags), u32::try_from(stream).unwrap(), &payload)
}

/// Sends it all, ends, and reads until the edge has ended too.
fn try_one(bench: &Bench, authority: &Authority, seed: u64) {
    let mut wire = Wire::new(bench, authority);
    // What the edge takes no more of is enough.
    wire.stream.sock.set_write_timeout(Some(PATIENCE / 20)).unwrap();
    wire.send(&made_up(seed));
    wire.stream.conn.send_close_notify();
    drop(wire.stream.flush());
    drop(wire.stream.sock.shutdown(Shutdown::Write));
    while wire.frame().is_some() {}
    if seed.is_multiple_of(LOOK_CASES) {
        assert_eq!(bench.connect().get("/").status, 200);
    }
}

/// What this process holds in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often the edge's code has broken.
fn panics(bench: &mut Bench) -> u64 {
    assert_eq!(bench.connect().get("/").status, 200);
    loop {
        if let ToNode::Evidence { panics, .. } = bench.hear() {
            return panics;
        }
    }
}

#[test]
fn every_connection_ends_and_costs_nothing() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    bench.certify(&authority, &[&["acme.test"]]);
    let (before, bench) = (resident_kib(), RefCell::new(bench));
    let tried =
        FUZZER.run(|seed| try_one(&bench.borrow(), &authority, seed), |seed| made_up(seed).escape_ascii().to_string());
    println!("{tried}");
    assert_eq!(panics(&mut bench.borrow_mut()), 0);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more than before");
}
