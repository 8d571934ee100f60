//! Bodies, both ways, and what comes around them.

use std::io::Read;

use crate::bench::{Bench, Peer, fixed, service};

/// A service that answers with the body it got, in chunks.
pub(crate) fn mirror(mut peer: Peer) {
    while let Some(head) = peer.request() {
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        peer.reader.read_exact(&mut body).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(1000) {
            peer.send(format!("{:x}\r\n", chunk.len()));
            peer.send(chunk);
            peer.send("\r\n");
        }
        peer.send("0\r\n\r\n");
    }
}

#[test]
fn bodies_come_back_as_they_were_sent() {
    let bench = Bench::new(&[service(mirror)]);
    let mut client = bench.connect();
    for size in [0_usize, 1, 999, 4096, 70_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        client.send(format!("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {size}\r\n\r\n"));
        let mut sending = client.reader.get_ref().try_clone().unwrap();
        let sent = body.clone();
        let sender = std::thread::spawn(move || std::io::Write::write_all(&mut sending, &sent).unwrap());
        let answer = client.answer();
        sender.join().unwrap();
        assert!(answer.body == body, "{size} bytes came back as {}", answer.body.len());
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let mut bench = Bench::new(&[service(mirror)]);
    bench.apply(|settings| settings.routes[0].body_max = Some(model::ByteSize::bytes(10)));
    let mut client = bench.connect();
    client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 11\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
}

#[test]
fn an_answer_may_come_before_the_body() {
    let early = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        // It never reads the body.
        std::thread::park();
    });
    let bench = Bench::new(&[early]);
    let mut client = bench.connect();
    client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 100000000\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (403, "no"));
    assert!(client.is_ended(), "what is left of the body is not the next request");
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_service() {
    let asking = service(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            let mut body = [0; 5];
            peer.reader.read_exact(&mut body).unwrap();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            peer.send(body);
        }
    });
    let bench = Bench::new(&[asking]);
    let mut client = bench.connect();
    client.send("PUT / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn requests_of_one_connection_may_come_at_once() {
    let bench = Bench::new(&[service(mirror)]);
    let mut client = bench.connect();
    let one =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    client.send(one("a") + &one("bc") + "GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" + &one("def"));
    let bodies: Vec<String> = (0..4).map(|_| client.answer().text().to_owned()).collect();
    assert_eq!(bodies, ["a", "bc", "", "def"]);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_sent_in_chunks() {
    let closing = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let bench = Bench::new(&[closing]);
    let mut client = bench.connect();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.field("transfer-encoding"), answer.text()), (Some("chunked"), "all of it"));
    }
}

#[test]
fn heads_without_bodies() {
    let bench = Bench::new(&[fixed("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n")]);
    let mut client = bench.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 304 "));
    }
}

#[test]
fn after_a_switch_of_protocols_bytes_go_both_ways() {
    let socket = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
        let mut bytes = [0; 4];
        while peer.reader.read_exact(&mut bytes).is_ok() {
            bytes.reverse();
            peer.send(bytes);
        }
    });
    let bench = Bench::new(&[socket]);
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabcd");
    assert!(client.head().contains("Upgrade: websocket\r\n"));
    let mut hello = [0; 9];
    client.reader.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hellodcba");
    client.send("1234");
    let mut back = [0; 4];
    client.reader.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"4321");
}
