//! HTTP/2 by raw frames: what is not allowed, and what the edge does about it. Start reading at [`CASES`].
//!
//! Each case is a connection of its own. Codes of errors are those of RFC 9113, section 7; the `h2` crate says
//! `PROTOCOL_ERROR` in many places where a narrower code is defined, which the RFC leaves to the server.

use std::io::{Read, Write};
use std::time::Instant;

use rustls::version;

use crate::bench::{Authority, Bench, PATIENCE, Secure, echo, service};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// A whole request without a body.
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// What the edge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It answers with this status.
    Answer(u16),
    /// It resets the stream with this code.
    Reset(u32),
    /// It ends the connection with this code.
    Ended(u32),
    /// It ends the connection in the middle of what is sent, so that its code may be lost on the way.
    Broken,
}

use Seen::{Answer, Broken, Ended, Reset};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of fields, each written out (RFC 7541, section 6.2.2), without compression.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let mut length = text.len();
        let mut out = vec![u8::try_from(length.min(127)).unwrap()];
        if length >= 127 {
            length -= 127;
            while length >= 128 {
                out.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            out.push(u8::try_from(length).unwrap());
        }
        [out, text.as_bytes().to_vec()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "acme.test");

/// A request with these fields behind the usual ones.
pub(crate) fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    block(&[&[METHOD, SCHEME, PATH, AUTHORITY], fields].concat())
}

/// A request with just these fields.
fn get(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &block(fields))
}

/// A request with these fields behind the usual ones, as a frame.
fn get_with(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &with(fields))
}

/// A request with a body of these frames, and these fields behind the usual ones.
fn post(fields: &[(&str, &str)], body: &[Vec<u8>]) -> Vec<u8> {
    let mut all = frame(HEADERS, END_HEADERS, 1, &with(fields));
    body.iter().for_each(|frame| all.extend_from_slice(frame));
    all
}

pub(crate) type Case = (&'static str, fn() -> Vec<u8>, Seen);

/// What is sent, and what comes of it.
pub(crate) const CASES: &[Case] = &[
    ("an ordinary request", || get_with(&[]), Answer(200)),
    // Fields (RFC 9113, 8.2 and 8.3).
    ("a pseudo-field behind a field", || get(&[METHOD, SCHEME, ("a", "b"), PATH, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("two paths", || get(&[METHOD, SCHEME, PATH, PATH, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("two methods", || get(&[METHOD, METHOD, SCHEME, PATH, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("two authorities", || get(&[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("no method", || get(&[SCHEME, PATH, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("no scheme", || get(&[METHOD, PATH, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("no path", || get(&[METHOD, SCHEME, AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("an empty path", || get(&[METHOD, SCHEME, (":path", ""), AUTHORITY]), Reset(PROTOCOL_ERROR)),
    ("a path that is none", || get(&[METHOD, SCHEME, (":path", "a/b"), AUTHORITY]), Reset(PROTOCOL_ERROR)),
    (
        "a path with a line in it",
        || get(&[METHOD, SCHEME, (":path", "/ HTTP/1.1\r\nx: y"), AUTHORITY]),
        Reset(PROTOCOL_ERROR),
    ),
    ("a method with a space", || get(&[(":method", "GET /"), SCHEME, PATH, AUTHORITY]), Ended(PROTOCOL_ERROR)),
    ("a method in lower case", || get(&[(":method", "get"), SCHEME, PATH, AUTHORITY]), Answer(400)),
    ("a scheme that is not the connection's", || get(&[METHOD, (":scheme", "http"), PATH, AUTHORITY]), Answer(400)),
    ("a status", || get(&[METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")]), Reset(PROTOCOL_ERROR)),
    ("an unknown pseudo-field", || get(&[METHOD, SCHEME, PATH, AUTHORITY, (":a", "b")]), Ended(PROTOCOL_ERROR)),
    ("a name in upper case", || get_with(&[("Accept", "a")]), Ended(PROTOCOL_ERROR)),
    ("a name with a space", || get_with(&[("a b", "c")]), Ended(PROTOCOL_ERROR)),
    ("an empty name", || get_with(&[("", "c")]), Ended(PROTOCOL_ERROR)),
    ("a value with CR LF", || get_with(&[("a", "b\r\nc: d")]), Ended(PROTOCOL_ERROR)),
    ("a value with LF", || get_with(&[("a", "b\nc: d")]), Ended(PROTOCOL_ERROR)),
    ("a value with NUL", || get_with(&[("a", "b\0")]), Ended(PROTOCOL_ERROR)),
    ("connection", || get_with(&[("connection", "close")]), Reset(PROTOCOL_ERROR)),
    ("keep-alive", || get_with(&[("keep-alive", "5")]), Reset(PROTOCOL_ERROR)),
    ("proxy-connection", || get_with(&[("proxy-connection", "close")]), Reset(PROTOCOL_ERROR)),
    ("upgrade", || get_with(&[("upgrade", "websocket")]), Reset(PROTOCOL_ERROR)),
    ("transfer-encoding", || post(&[("transfer-encoding", "chunked")], &[]), Reset(PROTOCOL_ERROR)),
    ("te that is not trailers", || get_with(&[("te", "gzip")]), Reset(PROTOCOL_ERROR)),
    ("te with trailers", || get_with(&[("te", "trailers")]), Answer(200)),
    // Who is asked.
    ("a host that is another one", || get_with(&[("host", "other.test")]), Answer(400)),
    ("the same host twice", || get_with(&[("host", "acme.test")]), Answer(200)),
    ("a host and no authority", || get(&[METHOD, SCHEME, PATH, ("host", "acme.test")]), Answer(200)),
    ("two hosts", || get(&[METHOD, SCHEME, PATH, ("host", "acme.test"), ("host", "acme.test")]), Answer(400)),
    ("nobody", || get(&[METHOD, SCHEME, PATH]), Answer(400)),
    ("an authority with a user", || get(&[METHOD, SCHEME, PATH, (":authority", "u@acme.test")]), Answer(400)),
    ("an authority with a path", || get(&[METHOD, SCHEME, PATH, (":authority", "acme.test/a")]), Reset(PROTOCOL_ERROR)),
    ("a tunnel", || get(&[(":method", "CONNECT"), (":authority", "a.test:443")]), Answer(501)),
    (
        "another protocol",
        || get(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, PATH, AUTHORITY]),
        Reset(PROTOCOL_ERROR),
    ),
    // Lengths (8.1.1).
    ("a length and no body", || get_with(&[("content-length", "1")]), Reset(PROTOCOL_ERROR)),
    ("two lengths", || get_with(&[("content-length", "0"), ("content-length", "0")]), Answer(400)),
    ("two different lengths", || get_with(&[("content-length", "0"), ("content-length", "1")]), Reset(PROTOCOL_ERROR)),
    ("a length that is no number", || get_with(&[("content-length", "+0")]), Reset(PROTOCOL_ERROR)),
    (
        "a body beyond its length",
        || post(&[("content-length", "1")], &[frame(DATA, 0, 1, b"ab")]),
        Reset(PROTOCOL_ERROR),
    ),
    (
        "a body short of its length",
        || post(&[("content-length", "3")], &[frame(DATA, END_STREAM, 1, b"ab")]),
        Reset(PROTOCOL_ERROR),
    ),
    // Sizes.
    ("a head that is too long", || large_head(40), Answer(431)),
    ("a head that is far too long", || large_head(200), Broken),
    ("too many fields", || get_with(&[("a", "b"); 120]), Answer(431)),
    ("a table beyond what was allowed", || frame(HEADERS, WHOLE, 1, &[0x3f, 0xe1, 0xff, 0x03]), Ended(PROTOCOL_ERROR)),
    ("a field that no table has", || frame(HEADERS, WHOLE, 1, &[0xff, 0x7f]), Ended(PROTOCOL_ERROR)),
    ("a frame that is too long", || frame(DATA, 0, 1, &[0; 16_385]), Ended(FRAME_SIZE_ERROR)),
    // Frames where they do not belong (section 6).
    ("a head on stream 0", || frame(HEADERS, WHOLE, 0, &with(&[])), Ended(PROTOCOL_ERROR)),
    ("a head on a stream of the server's", || frame(HEADERS, WHOLE, 2, &with(&[])), Ended(PROTOCOL_ERROR)),
    ("data on a stream that is not open", || frame(DATA, 0, 1, b"a"), Ended(PROTOCOL_ERROR)),
    ("data on stream 0", || frame(DATA, 0, 0, b"a"), Ended(PROTOCOL_ERROR)),
    (
        "data behind the end",
        || [post(&[], &[frame(DATA, END_STREAM, 1, b"a"), frame(DATA, 0, 1, b"b")])].concat(),
        Ended(PROTOCOL_ERROR),
    ),
    ("a continuation of nothing", || frame(CONTINUATION, END_HEADERS, 1, &with(&[])), Ended(PROTOCOL_ERROR)),
    (
        "a frame between head and continuation",
        || [frame(HEADERS, END_STREAM, 1, &with(&[])), frame(PING, 0, 0, &[0; 8])].concat(),
        Ended(PROTOCOL_ERROR),
    ),
    (
        "a continuation of another stream",
        || [frame(HEADERS, END_STREAM, 1, &with(&[])), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
        Ended(PROTOCOL_ERROR),
    ),
    ("a promise", || frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), Ended(PROTOCOL_ERROR)),
    ("a reset of nothing", || frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), Ended(PROTOCOL_ERROR)),
    ("a reset of a wrong size", || [get_with(&[]), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), Ended(PROTOCOL_ERROR)),
    ("a ping of a wrong size", || frame(PING, 0, 0, &[0; 7]), Ended(PROTOCOL_ERROR)),
    ("a ping on a stream", || frame(PING, 0, 1, &[0; 8]), Ended(PROTOCOL_ERROR)),
    ("settings of a wrong size", || frame(SETTINGS, 0, 0, &[0; 5]), Ended(PROTOCOL_ERROR)),
    ("settings on a stream", || frame(SETTINGS, 0, 1, &[]), Ended(PROTOCOL_ERROR)),
    ("a window beyond its bound", || frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Ended(PROTOCOL_ERROR)),
    ("a window that grows by nothing", || frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Ended(PROTOCOL_ERROR)),
    ("a window that overflows", || frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), Ended(FLOW_CONTROL_ERROR)),
    ("a priority of a wrong size", || frame(PRIORITY, 0, 1, &[0; 4]), Ended(PROTOCOL_ERROR)),
    ("padding that is longer than its frame", || frame(HEADERS, WHOLE | 8, 1, &[9, 0]), Ended(PROTOCOL_ERROR)),
    // Floods.
    ("a continuation that never ends", continuations, Broken),
    ("frames without data", || post(&[], &vec![frame(DATA, 0, 1, b""); 2000]), Ended(ENHANCE_YOUR_CALM)),
    ("requests that are taken back at once", rapid_resets, Broken),
    ("requests that are malformed, again and again", malformed, Broken),
];

/// A head of so many kibibytes, in as many frames as it takes.
fn large_head(kib: usize) -> Vec<u8> {
    let value = "x".repeat(1000);
    let names: Vec<String> = (0..kib).map(|number| format!("x-{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let block = with(&fields);
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    let last = pieces.len() - 1;
    let frames = pieces.iter().enumerate().map(|(at, piece)| {
        let (kind, flags) = if at == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        frame(kind, if at == last { flags | END_HEADERS } else { flags }, 1, piece)
    });
    frames.flatten().collect()
}

fn continuations() -> Vec<u8> {
    [frame(HEADERS, END_STREAM, 1, &with(&[])), frame(CONTINUATION, 0, 1, &[]).repeat(10_000)].concat()
}

fn rapid_resets() -> Vec<u8> {
    let pair = |number: u32| {
        let stream = number * 2 + 1;
        [frame(HEADERS, WHOLE, stream, &with(&[])), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    (0..2000).flat_map(pair).collect()
}

fn malformed() -> Vec<u8> {
    let head = |number: u32| frame(HEADERS, WHOLE, number * 2 + 1, &with(&[("connection", "close")]));
    (0..2000).flat_map(head).collect()
}

/// A connection over which frames are sent by hand.
pub(crate) struct Wire {
    pub(crate) stream: Secure,
    bytes: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(bench: &Bench, authority: &Authority) -> Self {
        let config = authority.client(&[&version::TLS13], &["h2"]);
        let mut wire =
            Self { stream: bench.connect_securely(&config, "acme.test").reader.into_inner(), bytes: Vec::new() };
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send(&frame(SETTINGS, 0, 0, &[]));
        wire
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // An edge that has heard enough is what some cases wait for.
        drop(self.stream.write_all(bytes).and_then(|()| self.stream.flush()));
    }

    /// The next frame: kind, flags, stream, payload. `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some((&[a, b, c, kind, flags, d, e, f, g], rest)) = self.bytes.split_first_chunk::<9>() {
                let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
                if let Some(payload) = rest.get(..length) {
                    let read = (kind, flags, u32::from_be_bytes([d, e, f, g]), payload.to_vec());
                    self.bytes.drain(..9 + length);
                    return Some(read);
                }
            }
            let mut more = [0; 4096];
            match self.receive(&mut more) {
                Ok(read @ 1..) => self.bytes.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the edge does nothing"),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Reads without writing first: what the edge said before it closed is still there when nothing can be sent any more.
    fn receive(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.conn.reader().read(into) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.stream.conn.read_tls(&mut self.stream.sock)? == 0 {
                return Ok(0);
            }
            self.stream.conn.process_new_packets().map_err(std::io::Error::other)?;
        }
    }

    /// The next thing that says what became of it all.
    fn outcome(&mut self) -> Seen {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "not in time");
            let Some((kind, flags, _, payload)) = self.frame() else { return Broken };
            match kind {
                HEADERS => return Answer(status(&payload)),
                RST_STREAM => return Reset(number(&payload)),
                GOAWAY => return Ended(number(&payload[4..])),
                SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, &[])),
                _ => {}
            }
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().unwrap())
}

/// The status that a block of fields begins with: from the static table (RFC 7541, appendix A), or digits in the Huffman
/// code (appendix B).
fn status(block: &[u8]) -> u16 {
    match block {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [0x48, length, code @ ..] if length & 0x80 != 0 => {
            let code = &code[..usize::from(length & 0x7f)];
            let bits: Vec<u8> = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
            let (mut at, mut digits) = (0, 0);
            for _ in 0..3 {
                let take = |from: usize, count: usize| {
                    bits[from..from + count].iter().fold(0, |all, bit| all * 2 + u16::from(*bit))
                };
                let (digit, length) = match take(at, 5) {
                    digit @ 0..=2 => (digit, 5),
                    _ => (take(at, 6) - 0b011001 + 3, 6),
                };
                digits = digits * 10 + digit;
                at += length;
            }
            digits
        }
        [0x48, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        other => panic!("no status: {other:x?}"),
    }
}

#[test]
fn every_case_ends_as_it_should() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    bench.certify(&authority, &[&["acme.test"]]);
    let mut wrong = Vec::new();
    for (what, bytes, expected) in CASES {
        let mut wire = Wire::new(&bench, &authority);
        wire.send(&bytes());
        let seen = loop {
            match wire.outcome() {
                // Floods are found out by and by; until then their streams are answered one by one.
                Answer(_) | Reset(_) if matches!(expected, Ended(_) | Broken) => {}
                Ended(_) if *expected == Broken => break Broken,
                seen => break seen,
            }
        };
        if seen != *expected {
            wrong.push(format!("{what}: expected {expected:?}, saw {seen:?}"));
        }
        // Whatever it was, others are served.
        assert_eq!(bench.connect().get("/").status, 200, "after {what}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_client_that_takes_back_whatever_it_asks_is_sent_away() {
    let authority = Authority::new();
    let silent = service(|mut peer| while peer.request().is_some() {});
    let mut bench = Bench::new(&[silent]);
    bench.certify(&authority, &[&["acme.test"]]);
    let mut wire = Wire::new(&bench, &authority);
    let ended = (0..2000_u32).map(|number| number * 2 + 1).find_map(|stream| {
        wire.send(&frame(HEADERS, WHOLE, stream, &with(&[])));
        wire.send(&frame(PING, 0, 0, &[0; 8]));
        // With the answer to the ping, the request has been taken up.
        loop {
            match wire.frame() {
                Some((PING, _, _, _)) => break,
                Some((GOAWAY, _, _, payload)) => return Some((stream, Ended(number(&payload[4..])))),
                Some(_) => {}
                None => return Some((stream, Broken)),
            }
        }
        wire.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        None
    });
    let (stream, seen) = ended.unwrap();
    assert_eq!(seen, Ended(ENHANCE_YOUR_CALM));
    assert!(stream > 2 * 150, "a page that is left takes back this much at once: {stream}");
}

#[test]
fn a_client_that_never_reads_its_pings_is_no_burden() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    bench.certify(&authority, &[&["acme.test"]]);
    let mut wire = Wire::new(&bench, &authority);
    // The edge reads no further than it can answer, so at some point nothing more can be sent.
    let timeout = std::time::Duration::from_millis(500);
    wire.stream.sock.set_write_timeout(Some(timeout)).unwrap();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let sent = (0..10_000).take_while(|_| wire.stream.write_all(&pings).is_ok()).count();
    assert!(sent < 10_000, "170 MB of pings went nowhere");
    assert_eq!(bench.connect().get("/").status, 200);
}
