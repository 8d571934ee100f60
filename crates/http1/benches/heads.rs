//! What strictness costs: heads read and passed on, beside `httparse` alone on the same bytes.
//!
//! `cargo bench -p http1` prints one line for each message: nanoseconds for `httparse`, for a checked head, and for one that is
//! passed on as well, each the fastest of several rounds, with the ratio to `httparse`.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Instant;

use http1::request::Onward;
use http1::{Asked, Edits, Host, Limits, RequestParser, ResponseParser, Version};

/// Heads in one round: few, so that some rounds are left alone by whatever else the machine does.
const HEADS: u32 = 200;
/// Rounds, of which the fastest counts: what disturbs a measurement only ever makes it slower.
const ROUNDS: usize = 5_000;
/// Slots for fields, as in the crate.
const SLOTS: usize = 100;

const SMALL: &[u8] =
    b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

const BROWSER: &[u8] = b"GET /search?q=a+b&c=%C3%A9 HTTP/1.1\r\nHost: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1700000000\r\nUpgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n\
Content-Length: 1024\r\nCache-Control: no-store\r\nX-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n\
Set-Cookie: session=0123456789abcdef; Path=/; Secure; HttpOnly; SameSite=Lax\r\nVary: Accept-Encoding\r\n\r\n";

fn main() {
    println!("{:<18} {:>9} {:>9} {:>7} {:>11} {:>7}", "head", "httparse", "checked", "ratio", "passed on", "ratio");
    for (name, head) in [("small request", SMALL), ("browser's request", BROWSER)] {
        print(name, nanoseconds(|| httparse_request(head)), request(head, false), request(head, true));
    }
    print("response", nanoseconds(|| httparse_response(RESPONSE)), response(false), response(true));
}

fn print(name: &str, httparse: f64, checked: f64, passed_on: f64) {
    let (first, second) = (checked / httparse, passed_on / httparse);
    println!("{name:<18} {httparse:>6.0} ns {checked:>6.0} ns {first:>7.2} {passed_on:>8.0} ns {second:>7.2}");
}

/// Of one call, in the fastest round.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let started = Instant::now();
        (0..HEADS).for_each(|_| work());
        started.elapsed().as_secs_f64() * 1e9 / f64::from(HEADS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn httparse_request(head: &[u8]) {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut cut = httparse::Request::new(&mut []);
    assert!(black_box(cut.parse_with_uninit_headers(black_box(head), &mut slots)).is_ok());
    black_box(&cut);
}

fn httparse_response(head: &[u8]) {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut cut = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    assert!(black_box(parser.parse_response_with_uninit_headers(&mut cut, black_box(head), &mut slots)).is_ok());
    black_box(&cut);
}

fn request(bytes: &[u8], pass_on: bool) -> f64 {
    let mut parser = RequestParser::new(Limits::default());
    let mut out = Vec::with_capacity(2 * bytes.len());
    nanoseconds(|| {
        let Ok(Some(head)) = parser.parse(black_box(bytes)) else { panic!("a sound head") };
        if let (true, Some(host)) = (pass_on, head.host()) {
            out.clear();
            black_box(head.forward(&Onward { target: head.target(), host, edits: Edits::default() }, &mut out));
        }
        black_box((head, head.host().map(Host::name)));
    })
}

fn response(pass_on: bool) -> f64 {
    let asked = Asked { version: Version::Http11, head: false, upgrade: false, keep_alive: true };
    let mut parser = ResponseParser::new(Limits::default());
    let mut out = Vec::with_capacity(2 * RESPONSE.len());
    nanoseconds(|| {
        let Ok(Some(head)) = parser.parse(black_box(RESPONSE), asked) else { panic!("a sound head") };
        if pass_on {
            out.clear();
            let onward = http1::response::Onward { asked, close: false, edits: Edits::default() };
            black_box(head.forward(&onward, &mut out));
        }
        black_box(head);
    })
}
