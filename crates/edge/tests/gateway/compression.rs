//! Answers that are compressed on their way, and those that are not.

use std::io::Read;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::bench::{Answer, Bench, Client, service};

/// What is compressed by several times.
fn content(bytes: usize) -> Vec<u8> {
    (0_u32..).flat_map(|number| format!("line {} of many\n", number / 3).into_bytes()).take(bytes).collect()
}

fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 4096)),
        "zstd" => Box::new(zstd::Decoder::new(body).unwrap()),
        other => panic!("unknown coding {other}"),
    };
    reader.read_to_end(&mut out).unwrap();
    out
}

fn ask(client: &mut Client, method: &str, fields: &str) {
    client.send(format!("{method} / HTTP/1.1\r\nHost: acme.test\r\n{fields}\r\n"));
}

/// What an edge makes of one answer of a service.
fn through(head: &str, body: Vec<u8>, fields: &str) -> Answer {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    let fixed = service(move |mut peer| {
        while peer.request().is_some() {
            peer.send(&head);
            peer.send(&body);
        }
    });
    let bench = Bench::new(&[fixed]);
    let mut client = bench.connect();
    ask(&mut client, "GET", fields);
    client.answer()
}

const ALL: &str = "Accept-Encoding: gzip, br, zstd\r\n";

#[test]
fn what_gets_smaller_is_compressed_and_comes_back_the_same() {
    for coding in ["gzip", "br", "zstd"] {
        for size in [1024, 70_000, 3_000_000] {
            let head = "200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\nAccept-Ranges: bytes";
            let answer = through(head, content(size), &format!("Accept-Encoding: {coding}\r\n"));
            assert_eq!(answer.field("content-encoding"), Some(coding));
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.field("etag"), Some("W/\"a\""));
            assert_eq!((answer.field("content-length"), answer.field("accept-ranges")), (None, None));
            assert!(answer.body.len() < size / 2, "{coding}: {} of {size}", answer.body.len());
            assert!(decoded(coding, &answer.body) == content(size), "{coding} of {size} bytes");
        }
    }
}

#[test]
fn what_does_not_or_must_not_is_sent_as_it_is() {
    let text = "200 OK\r\nContent-Type: text/plain";
    for (head, size, fields, vary) in [
        (text.to_owned(), 1023, ALL, None),
        (text.to_owned(), 5000, "", Some("Accept-Encoding")),
        (text.to_owned(), 5000, "Accept-Encoding: deflate\r\n", Some("Accept-Encoding")),
        (format!("{text}\r\nCache-Control: private, no-transform"), 5000, ALL, None),
        (format!("{text}\r\nContent-Encoding: deflate"), 5000, ALL, None),
        (format!("{text}\r\nRepr-Digest: sha-256=:AAAA:"), 5000, ALL, None),
        (
            "206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4999/9000".to_owned(),
            5000,
            ALL,
            None,
        ),
        ("200 OK\r\nContent-Type: image/png".to_owned(), 5000, ALL, None),
        ("200 OK\r\nContent-Type: text/event-stream".to_owned(), 5000, ALL, None),
        ("200 OK".to_owned(), 5000, ALL, None),
        (
            text.to_owned(),
            5000,
            "Accept-Encoding: gzip\r\nCookie: a=b\r\nSec-Fetch-Site: cross-site\r\n",
            Some("Accept-Encoding"),
        ),
        (
            text.to_owned(),
            5000,
            "Accept-Encoding: gzip\r\nAuthorization: x\r\nSec-Fetch-Site: same-site\r\n",
            Some("Accept-Encoding"),
        ),
    ] {
        let answer = through(&head, content(size), fields);
        let coding = answer.field("content-encoding").filter(|coding| *coding != "deflate");
        assert_eq!((coding, answer.field("vary")), (None, vary), "{head} {fields}");
        assert!(answer.body == content(size), "{head} {fields}");
    }
    for fields in
        ["Cookie: a=b\r\nSec-Fetch-Site: same-origin\r\n", "Cookie: a=b\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        let answer = through(text, content(5000), &format!("{ALL}{fields}"));
        assert_eq!(answer.field("content-encoding"), Some("zstd"), "{fields}");
    }
}

#[test]
fn what_an_answer_varies_by_is_all_said() {
    let varying = service(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nVary: Cookie\r\nContent-Length: 2000\r\n\r\n");
            peer.send(content(2000));
        }
    });
    let mut bench = Bench::new(&[varying]);
    bench.apply(|settings| {
        settings.routes[0].cors = Some(edge::settings::Cors {
            origins: ["https://app.example.com".to_owned()].into(),
            methods: std::collections::BTreeSet::new(),
            headers: std::collections::BTreeSet::new(),
            credentials: false,
            keep: model::Span::secs(1),
        });
    });
    let mut client = bench.connect();
    ask(&mut client, "GET", ALL);
    let answer = client.answer();
    let said: Vec<&str> = answer.head.lines().filter_map(|line| line.strip_prefix("Vary: ")).collect();
    assert_eq!(said, ["Cookie", "Origin", "Accept-Encoding"]);
}

#[test]
fn head_says_what_get_would_and_has_no_body() {
    let sized = service(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n");
        }
    });
    let bench = Bench::new(&[sized]);
    let mut client = bench.connect();
    for _ in 0..2 {
        ask(&mut client, "HEAD", ALL);
        let head = client.head();
        assert!(head.contains("Content-Encoding: zstd\r\n") && !head.contains("Content-Length"), "{head}");
    }
}

/// Reads chunks until they decode to at least so much.
fn read_decoded(client: &mut Client, coding: &str, bytes: usize) -> Vec<u8> {
    let mut coded = Vec::new();
    loop {
        coded.extend(client.chunk());
        let mut reader: Box<dyn Read> = match coding {
            "gzip" => Box::new(flate2::read::GzDecoder::new(coded.as_slice())),
            "br" => Box::new(brotli::Decompressor::new(coded.as_slice(), 4096)),
            _ => Box::new(zstd::Decoder::new(coded.as_slice()).unwrap()),
        };
        let (mut out, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            out.extend_from_slice(&piece[..count]);
        }
        if out.len() >= bytes {
            return out;
        }
    }
}

#[test]
fn a_stream_is_not_held_back() {
    for coding in ["gzip", "br", "zstd"] {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let streaming = service(move |mut peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.send("5\r\nfirst\r\n");
            wait.lock().unwrap().recv().unwrap();
            peer.send("6\r\nsecond\r\n0\r\n\r\n");
        });
        let bench = Bench::new(&[streaming]);
        let mut client = bench.connect();
        ask(&mut client, "GET", &format!("Accept-Encoding: {coding}\r\n"));
        assert!(client.head().contains(&format!("Content-Encoding: {coding}\r\n")));
        // The service says no more before the client has read this.
        assert_eq!(read_decoded(&mut client, coding, 5), b"first");
        go.send(()).unwrap();
        while !client.chunk().is_empty() {}
    }
}

#[test]
fn no_more_streams_are_compressed_than_there_is_memory_for() {
    let endless = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        // Open until the edge has gone.
        peer.request();
    });
    let bench = Bench::new(&[endless]);
    let mut clients = Vec::new();
    let mut compressed = 0;
    for _ in 0..70 {
        let mut client = bench.connect();
        ask(&mut client, "GET", ALL);
        compressed += usize::from(client.head().contains("Content-Encoding"));
        clients.push(client);
    }
    assert_eq!(compressed, 64);
    drop(clients);
    let again = crate::bench::until(|| {
        let mut client = bench.connect();
        ask(&mut client, "GET", ALL);
        client.head().contains("Content-Encoding").then_some(true)
    });
    assert!(again, "what ends makes room");
}

#[test]
fn a_body_that_breaks_off_is_not_passed_off_as_whole() {
    let breaking = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9000\r\n\r\n");
        peer.send(content(5000));
    });
    let bench = Bench::new(&[breaking]);
    let mut client = bench.connect();
    ask(&mut client, "GET", ALL);
    let mut all = Vec::new();
    client.reader.read_to_end(&mut all).unwrap();
    assert!(!all.ends_with(b"0\r\n\r\n"));
}
