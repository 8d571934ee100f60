//! Mutated messages: whatever arrives, reading it ends without a panic and alike however it is split, and what is passed on is
//! understood alike by a second reader. How to go on for longer, or to replay one: [`testkit::fuzz`].

use http1::Refusal;
use testkit::fuzz::Fuzzer;

use crate::case::{self, Case};
use crate::conversation::{End, Side, hold};
use crate::corpus::{misread, readings};
use crate::random::Random;

const FUZZER: Fuzzer = Fuzzer { command: "test -p http1 --test wire fuzz", cases: 20_000 };
/// Longer cases of the corpus test limits; mutating them finds nothing else.
const SEED_BYTES_MAX: usize = 2_000;

/// Pieces that mean something to some reader of HTTP.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b":",
    b",",
    b";",
    b"#",
    b"0",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0x5",
    b"+5",
    b"-1",
    b"ffffffffffffffff",
    b"99999999999999999999",
    b"GET / HTTP/1.1\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HEAD",
    b"CONNECT",
    b"http://a/",
    b"Host: b\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content_Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b" chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, x\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: content-length\r\n",
    b"Expect: 100-continue\r\n",
    b"X: y\r\n",
];

fn mutated(seeds: &[Case], seed: u64) -> (Side, Vec<u8>) {
    let mut random = Random(seed);
    let first = random.pick(seeds);
    let mut bytes = first.bytes.clone();
    for _ in 0..=random.below(5) {
        let from = random.below(bytes.len() + 1);
        let to = (from + random.below(20)).min(bytes.len());
        match random.below(7) {
            0 | 1 => drop(bytes.splice(from..from, random.pick(PIECES).iter().copied())),
            2 => drop(bytes.drain(from..to)),
            3 => bytes.truncate(to),
            4 => {
                let part = bytes[from..to].to_vec();
                bytes.splice(to..to, part);
            }
            5 => bytes.extend_from_slice(&random.pick(seeds).bytes),
            _ => {
                let byte = u8::try_from(random.below(256)).unwrap();
                bytes.splice(from..(from + 1).min(to), [byte]);
            }
        }
    }
    (Side::of(&first.kind), bytes)
}

fn try_one(seeds: &[Case], seed: u64) {
    let (side, bytes) = mutated(seeds, seed);
    let whole = hold(side, [&bytes[..]]);
    assert_eq!(misread(side, &whole), None);
    // Behind another message its last byte may be the CR.
    assert!(!whole.messages.is_empty() || is_explained(whole.end, &bytes), "{:?}", whole.end);
    let mut random = Random(!seed);
    let (one, other) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
    let (first, second) = (one.min(other), one.max(other));
    let split = hold(side, [&bytes[..first], &bytes[first..second], &bytes[second..]]);
    assert_eq!(readings(&split), readings(&whole), "split at {first} and {second}");
    if seed.is_multiple_of(8) {
        let split = hold(side, bytes.chunks(1));
        assert_eq!(readings(&split), readings(&whole), "byte by byte");
    }
}

/// A refusal that names bytes was for those bytes.
fn is_explained(end: End, bytes: &[u8]) -> bool {
    let bare_lf = || bytes.split(|it| *it == b'\n').rev().skip(1).any(|before| !before.ends_with(b"\r"));
    let bare_cr = || bytes.split(|it| *it == b'\r').skip(1).any(|behind| !behind.starts_with(b"\n"));
    match end {
        End::Refused(Refusal::BareLf) => bare_lf(),
        End::Refused(Refusal::BareCr) => bare_cr(),
        End::Refused(Refusal::Nul) => bytes.contains(&0),
        _ => true,
    }
}

#[test]
fn mutated_messages_are_read_alike_by_everybody() {
    let seeds: Vec<Case> = case::all().into_iter().filter(|case| case.bytes.len() <= SEED_BYTES_MAX).collect();
    let show = |seed| {
        let (side, bytes) = mutated(&seeds, seed);
        format!("{side:?}\n{}", bytes.escape_ascii())
    };
    println!("{}", FUZZER.run(|seed| try_one(&seeds, seed), show));
}
