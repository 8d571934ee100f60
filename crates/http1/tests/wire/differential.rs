//! Other people's servers against this crate: what is passed on, each of them must read as it was read here.
//!
//! A server that is not installed is skipped, with a line that says so. `cargo xtask differential` installs what it can,
//! runs this, and has `docs/differential.md` written, with what each server makes of messages that are refused here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use http1::Refusal;

use crate::case::{self, Case};
use crate::conversation::{Side, hold};
use crate::echo::Echo;
use crate::plain_reader::{self, Plain};
use crate::servers::{KINDS, Server};

/// Sent behind every case: its answer shows that the server found the end of what came before.
const SENTINEL: &[u8] = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n";
/// How long a server may be silent before it counts as waiting for more.
const SILENCE: Duration = Duration::from_millis(500);
/// The same where an answer is expected.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sound cases that a server may refuse: one that refuses more shows nothing about the rest.
const REFUSED_MAX: usize = 8;

/// What a server made of a sound message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    Alike,
    /// It answered with this status instead, and did not read on.
    Refused(String),
    /// It understood something else.
    Other(String),
}

/// One server and what it made of the corpus.
struct Findings {
    name: &'static str,
    version: String,
    /// Sound cases it will not have, with its status.
    refused: Vec<(String, String)>,
    /// Sound cases it read otherwise.
    other: Vec<(String, String)>,
    alike: usize,
    /// For each code, how many of the cases that are refused here it accepts.
    accepts: BTreeMap<&'static str, usize>,
}

#[test]
fn what_is_passed_on_is_read_alike_by_every_server() {
    let cases: Vec<Case> = case::all().into_iter().filter(Case::is_request).collect();
    let write_page = writes_page();
    let findings = on_every_server(&cases, write_page);
    let wrong: String = findings
        .iter()
        .flat_map(|server| server.other.iter().map(|(case, what)| format!("{}: {case}: {what}\n", server.name)))
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
    for server in &findings {
        assert!(server.refused.len() <= REFUSED_MAX, "{} will not have {:?}", server.name, server.refused);
    }
    if write_page {
        assert_eq!(findings.len(), KINDS.len(), "the page is about all servers: install those that were skipped");
        let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/differential.md");
        std::fs::write(page, page_of(&cases, &findings)).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "the switch of this test")]
fn writes_page() -> bool {
    std::env::var("MAINSTAY_DIFFERENTIAL").is_ok()
}

/// The servers side by side, one thread each.
fn on_every_server(cases: &[Case], also_refused: bool) -> Vec<Findings> {
    let work = |kind: &'static crate::servers::Kind| match kind.start() {
        Ok(server) => Some(findings(&server, cases, also_refused)),
        Err(missing) => {
            println!("skipped: {}: {missing}", kind.name);
            None
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = KINDS.iter().map(|kind| scope.spawn(move || work(kind))).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

fn findings(server: &Server, cases: &[Case], also_refused: bool) -> Findings {
    let (name, version) = (server.name, server.version.clone());
    let mut findings =
        Findings { name, version, refused: Vec::new(), other: Vec::new(), alike: 0, accepts: BTreeMap::new() };
    for case in cases {
        if !case.is_hostile() {
            match reading(server, case) {
                Reading::Alike => findings.alike += 1,
                Reading::Other(_) if name == "Apache" && APACHE_OWN_WAYS.iter().any(|(why, _)| *why == case.why) => {}
                Reading::Refused(status) => findings.refused.push((case.why.clone(), status)),
                Reading::Other(what) => findings.other.push((case.name(), what)),
            }
        } else if also_refused && is_whole(case) && accepts(server, case) {
            let code = Refusal::ALL.iter().map(|refusal| refusal.code()).find(|code| case.refusal() == Some(code));
            *findings.accepts.entry(code.unwrap()).or_default() += 1;
        }
    }
    findings
}

/// What Apache does with requests it has understood, so that its upstream sees something else: the case, and what happens.
const APACHE_OWN_WAYS: &[(&str, &str)] = &[
    ("OPTIONS for the whole server", "answers itself"),
    ("OPTIONS for the whole server, in absolute form", "answers itself"),
    ("two slashes are kept", "takes away the first slash"),
];

/// Sends what would be passed on for a case, then the sentinel, and compares what the server says it has read.
fn reading(server: &Server, case: &Case) -> Reading {
    let messages = hold(Side::Client, [&case.bytes[..]]).messages;
    let mut sent: Vec<Vec<u8>> = messages.into_iter().map(|message| message.forwarded).collect();
    // Nothing follows a request for another protocol before its answer.
    let silence = match sent.iter().position(|bytes| bytes.windows(9).any(|window| window == b"\nUpgrade:")) {
        Some(last) => {
            sent.truncate(last + 1);
            SILENCE
        }
        None => {
            sent.push(SENTINEL.to_vec());
            PATIENCE
        }
    };
    let (alike, reading) = read_together(server, &sent, silence);
    match (reading, sent.get(alike)) {
        // Either this message is one it will not have, or it lost its place before: alone it shows which.
        (Reading::Refused(status), Some(refused)) if alike > 0 => {
            match read_together(server, std::slice::from_ref(refused), SILENCE).1 {
                Reading::Refused(again) => Reading::Refused(again),
                _ => Reading::Other(format!("{status} for {}, which is answered alone", refused.escape_ascii())),
            }
        }
        (reading, _) => reading,
    }
}

/// Sends messages on one connection: how many were read alike, and what became of the next one.
fn read_together(server: &Server, sent: &[Vec<u8>], silence: Duration) -> (usize, Reading) {
    let mut answer = &exchange(server, &sent.concat(), silence)[..];
    for (index, bytes) in sent.iter().enumerate() {
        let expected = Echo::of(&plain_reader::request(bytes).unwrap().0);
        let response = match final_response(answer, expected.method == "HEAD") {
            Ok((response, rest)) => {
                answer = rest;
                response
            }
            Err(complaint) => return (index, Reading::Other(format!("{complaint}: {}", answer.escape_ascii()))),
        };
        match compare(&expected, &response) {
            Reading::Alike => {}
            reading => return (index, reading),
        }
    }
    match answer {
        [] => (sent.len(), Reading::Alike),
        more => (sent.len(), Reading::Other(format!("one answer too many: {}", more.escape_ascii()))),
    }
}

/// The next response that is not an interim one.
fn final_response(mut answer: &[u8], to_head: bool) -> Result<(Plain, &[u8]), String> {
    loop {
        let (response, rest) = plain_reader::response(answer, to_head)?;
        if !response.start[1].starts_with('1') {
            return Ok((response, rest));
        }
        answer = rest;
    }
}

fn compare(expected: &Echo, response: &Plain) -> Reading {
    if response.start[1] != "200" {
        return Reading::Refused(response.start[1].clone());
    }
    if expected.method == "HEAD" {
        return Reading::Alike;
    }
    let text = String::from_utf8_lossy(&response.body);
    let Some(read) = Echo::read(&text) else { return Reading::Other(format!("an answer of its own: {text}")) };
    // An empty query and none cannot be told apart in ASGI.
    let target = |echo: &Echo| echo.target.trim_end_matches('?').to_owned();
    let own = |name: &str| {
        ["connection", "content-length", "expect", "transfer-encoding", "upgrade", "trailer"].contains(&name)
    };
    let lost = expected.fields.iter().find(|(name, value)| !own(name) && read.fields.get(*name) != Some(value));
    match lost {
        _ if read.method != expected.method => Reading::Other(format!("the method {}", read.method)),
        _ if target(&read) != target(expected) => Reading::Other(format!("the target {}", read.target)),
        _ if read.body != expected.body => Reading::Other(format!("the body {}", read.body.escape_ascii())),
        Some((name, value)) => Reading::Other(format!("{name}: {value} as {:?}", read.fields.get(name))),
        None => Reading::Alike,
    }
}

/// Whether something behind a refused message leaves it as it is.
fn is_whole(case: &Case) -> bool {
    case.refusal() != Some(Refusal::TruncatedBody.code())
}

/// Whether a server takes what is refused here for a request to be answered.
fn accepts(server: &Server, case: &Case) -> bool {
    let sound_before = hold(Side::Client, [&case.bytes[..]]).messages.len();
    let answer = exchange(server, &[&case.bytes[..], SENTINEL].concat(), SILENCE);
    statuses(&answer).get(sound_before).is_some_and(|status| *status < 400)
}

/// The statuses of all final responses, wherever they begin.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let starts = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    starts.filter(|status| *status >= 200).collect()
}

/// Sends, and reads until the server closes or is silent for too long.
fn exchange(server: &Server, bytes: &[u8], silence: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(silence)).unwrap();
    let mut writing = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // A server that refuses early stops reading, and then this fails.
        let written = scope.spawn(move || writing.write_all(bytes));
        let (mut answer, mut buffer) = (Vec::new(), [0; 64 * 1024]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..count]);
        }
        if stream.shutdown(std::net::Shutdown::Both).is_ok() {
            drop(written.join());
        }
        answer
    })
}

fn page_of(cases: &[Case], findings: &[Findings]) -> String {
    let (hostile, sound): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_hostile());
    let hostile: Vec<&Case> = hostile.into_iter().filter(|case| is_whole(case)).collect();
    let mut page = format!(
        "# Other servers against the edge's reader of HTTP/1.1

Written by `cargo xtask differential`; not edited by hand. The messages are those that clients send in
`crates/http1/tests/corpus`: {} that are sound and {} that are refused.

## What is passed on

For each sound message, what the edge would pass on was sent to each server, with one more request behind it. Every server that
answered read the same method, target, fields, body and number of requests. Some will not have every message, and say so;
that is no misunderstanding.

| server | version | read alike | will not have |
| --- | --- | ---: | ---: |
",
        sound.len(),
        hostile.len()
    );
    for server in findings {
        writeln!(page, "| {} | {} | {} | {} |", server.name, server.version, server.alike, server.refused.len())
            .unwrap();
    }
    page += "\n";
    for server in findings.iter().filter(|server| !server.refused.is_empty()) {
        let refused: Vec<String> = server.refused.iter().map(|(why, status)| format!("{why} ({status})")).collect();
        writeln!(page, "{} will not have: {}.\n", server.name, refused.join("; ")).unwrap();
    }
    let own_ways: Vec<String> = APACHE_OWN_WAYS.iter().map(|(why, way)| format!("{why} ({way})")).collect();
    writeln!(page, "Apache's upstream does not see these as they were sent: {}.\n", own_ways.join("; ")).unwrap();
    page += "## What is refused

The same servers, given as it is what the edge refuses, with one more request behind it. Each row is one reason, with the status that
the edge answers with and the number of messages; under each server, how many of them it answers as a request, or passes over
to answer what is behind them. No number: none. The limits of the servers were raised to those of the edge. Bodies that their connection
cuts short are not in the table: with a request behind them they are not short.

";
    page += &refusal_table(&hostile, findings);
    page
}

fn refusal_table(hostile: &[&Case], findings: &[Findings]) -> String {
    let names: Vec<String> = findings.iter().map(|server| format!(" {} |", server.name)).collect();
    let mut table = format!("| reason | why | status | messages |{}\n", names.concat());
    writeln!(table, "| --- | --- | ---: | ---: |{}", " ---: |".repeat(findings.len())).unwrap();
    for refusal in Refusal::ALL {
        let count = hostile.iter().filter(|case| case.refusal() == Some(refusal.code())).count();
        if count == 0 {
            continue;
        }
        write!(table, "| `{}` | {refusal} | {} | {count} |", refusal.code(), refusal.status()).unwrap();
        for server in findings {
            let accepted = server.accepts.get(refusal.code()).map(|count| format!(" {count}")).unwrap_or_default();
            write!(table, "{accepted} |").unwrap();
        }
        table.push('\n');
    }
    let totals = findings.iter().map(|server| format!(" {} |", server.accepts.values().sum::<usize>()));
    writeln!(table, "| together | | | {} |{}", hostile.len(), totals.collect::<String>()).unwrap();
    table
}
