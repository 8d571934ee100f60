//! Who is too slow, and what becomes of it: clients and services, each held to its own time.

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use edge::evidence::Counts;
use model::Span;

use crate::bench::{Bench, Client, Peer, dawdle, echo, service};

/// A time that is soon over.
const SHORT: Span = Span::millis(300);
/// More than the buffers of all sockets between a client and its service hold.
const BODY_BYTES: usize = 64 << 20;

const POST: &str = "POST / HTTP/1.1\r\nHost: acme.test\r\nAccept: application/json\r\nContent-Length: ";

/// A service that takes a body of five bytes, and answers.
fn five(mut peer: Peer) {
    while peer.request().is_some() {
        peer.reader.read_exact(&mut [0; 5]).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

/// Sends a body on a thread of its own, as far as it is taken.
fn send_large(client: &Client) {
    let mut sending = client.reader.get_ref().try_clone().unwrap();
    std::thread::spawn(move || drop(sending.write_all(&vec![b'x'; BODY_BYTES])));
}

/// How the only request was counted.
fn verdict(bench: &mut Bench) -> (u64, u64, u64) {
    let Counts { client_errors, failures, gone, .. } = bench.counted(1);
    (client_errors, failures, gone)
}

/// Fails when each byte of a head puts its end off.
#[test]
fn a_head_that_trickles_in_is_not_waited_for() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| settings.times.head = SHORT);
    let mut client = bench.connect();
    let mut sending = client.reader.get_ref().try_clone().unwrap();
    let trickle = std::thread::spawn(move || trickle(&mut sending, b"GET / HTTP/1.1\r\nA: "));
    assert!(client.head().starts_with("HTTP/1.1 408 "));
    drop(client);
    trickle.join().unwrap();
}

/// Sends a beginning, and then byte after byte until nobody takes them any more.
fn trickle(stream: &mut impl Write, beginning: &[u8]) {
    let mut taken = stream.write_all(beginning).is_ok();
    while taken {
        dawdle(Duration::from_millis(20));
        taken = stream.write_all(b"x").is_ok();
    }
}

/// Fails when each byte of a body puts its end off, or when the service is blamed.
#[test]
fn a_body_that_trickles_in_is_its_clients_fault() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        std::thread::park();
    })]);
    bench.apply(|settings| settings.times.slow_grace = SHORT);
    let mut client = bench.connect();
    let mut sending = client.reader.get_ref().try_clone().unwrap();
    let trickle = std::thread::spawn(move || trickle(&mut sending, format!("{POST}1000000\r\n\r\n").as_bytes()));
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().contains("body_timeout")), (408, true), "{}", answer.text());
    drop(client);
    trickle.join().unwrap();
    assert_eq!(verdict(&mut bench), (1, 0, 0));
}

/// Fails when a client is blamed for a service that does not read what it is sent.
#[test]
fn a_body_that_is_not_taken_is_its_services_fault() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        std::thread::park();
    })]);
    bench.apply(|settings| settings.times.stall = SHORT);
    let mut client = bench.connect();
    client.send(format!("{POST}{BODY_BYTES}\r\n\r\n"));
    send_large(&client);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().contains("upstream_timeout")), (504, true), "{}", answer.text());
    assert_eq!(verdict(&mut bench), (0, 1, 0));
}

/// Fails when a body puts the service's time off: it would be waited for as long as for a stalled one.
#[test]
fn a_routes_timeout_holds_for_requests_with_bodies() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        std::thread::park();
    })]);
    bench.apply(|settings| settings.routes[0].timeout = SHORT);
    let mut client = bench.connect();
    client.send(format!("{POST}5\r\n\r\nhello"));
    assert_eq!(client.answer().status, 504);
    assert_eq!(verdict(&mut bench), (0, 1, 0));
}

/// Fails when the time that a client takes is its service's, for its timeout or for what it is measured by.
#[test]
fn a_routes_timeout_begins_when_the_request_is_sent() {
    let mut bench = Bench::new(&[service(five)]);
    bench.apply(|settings| settings.routes[0].timeout = SHORT);
    let mut client = bench.connect();
    client.send(format!("{POST}5\r\n\r\nhel"));
    dawdle(SHORT.duration() * 3);
    client.send("lo");
    assert_eq!(client.answer().text(), "ok");
    let durations = bench.counted(1).durations;
    let bucket = *durations.keys().next().unwrap();
    assert!(edge::evidence::from(bucket) < SHORT.duration(), "{durations:?}");
}

/// Fails when a client is blamed that waits to be asked for its body.
#[test]
fn a_service_that_does_not_ask_for_a_body_in_time_is_late() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        std::thread::park();
    })]);
    bench.apply(|settings| {
        settings.routes[0].timeout = SHORT;
        settings.times.slow_grace = Span::secs(60);
    });
    let mut client = bench.connect();
    client.send(format!("{POST}5\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(client.answer().status, 504);
    assert_eq!(verdict(&mut bench), (0, 1, 0));
}

/// A service that answers as soon as it has a head, and wants the rest all the same.
fn hasty(mut peer: Peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsoon\r\n");
    std::thread::park();
}

/// Fails when a service is blamed for a client that keeps it waiting once its answer has begun.
#[test]
fn a_client_that_owes_its_body_to_an_answer_under_way_is_at_fault() {
    let mut bench = Bench::new(&[service(hasty)]);
    bench.apply(|settings| (settings.times.slow_grace, settings.times.answer_pause) = (SHORT, SHORT));
    let mut client = bench.connect();
    client.send(format!("{POST}5\r\n\r\nhel"));
    client.head();
    assert_eq!(client.chunk(), b"soon");
    assert!(client.is_ended());
    assert_eq!(verdict(&mut bench), (0, 0, 0));
    assert_eq!(bench.log.line("body_timeout")["status"], 200);
}

/// Fails when a client is blamed for a service that takes no body once it has begun to answer.
#[test]
fn a_service_that_does_not_take_a_body_it_answers_to_is_at_fault() {
    let mut bench = Bench::new(&[service(hasty)]);
    bench.apply(|settings| (settings.times.slow_grace, settings.times.stall) = (SHORT, SHORT));
    let mut client = bench.connect();
    client.send(format!("{POST}{BODY_BYTES}\r\n\r\n"));
    send_large(&client);
    assert_eq!(verdict(&mut bench), (0, 1, 0));
}

/// A service that sends a head at once and, after each pause, a chunk.
fn streaming(pauses: &'static [Duration]) -> std::net::SocketAddr {
    service(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for pause in pauses {
            dawdle(*pause);
            peer.send("4\r\ntick\r\n");
        }
        std::thread::park();
    })
}

/// Fails when a route's timeout, or anything but silence, ends a stream.
#[test]
fn a_stream_goes_on_until_its_service_falls_silent() {
    const PAUSES: [Duration; 4] = [Duration::from_millis(500); 4];
    let mut bench = Bench::new(&[streaming(&PAUSES)]);
    bench.apply(|settings| {
        settings.routes[0].timeout = SHORT;
        settings.times.answer_pause = Span::millis(1500);
    });
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.head();
    for _ in PAUSES {
        assert_eq!(client.chunk(), b"tick");
    }
    assert!(client.is_ended(), "it is not waited for longer");
    assert_eq!(verdict(&mut bench), (0, 1, 0));
}

/// Fails when a client is waited for that takes nothing, or when its service is blamed.
#[test]
fn a_client_that_does_not_take_its_answer_is_given_up() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n"));
        peer.send(vec![b'x'; BODY_BYTES]);
    })]);
    bench.apply(|settings| {
        settings.times.slow_grace = SHORT;
        settings.times.stall = SHORT;
    });
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.head();
    assert_eq!(verdict(&mut bench), (0, 0, 1));
    let mut rest = Vec::new();
    // What ends before its end may do so with an error.
    let _reset = client.reader.read_to_end(&mut rest);
    assert!(rest.len() < BODY_BYTES, "it was sent all the same");
}

/// Fails when taking a little now and then is enough.
#[test]
fn a_client_that_sips_at_its_answer_is_given_up() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n"));
        peer.send(vec![b'x'; BODY_BYTES]);
    })]);
    bench.apply(|settings| {
        settings.times.slow_grace = SHORT;
        settings.times.least_bytes_per_second = NonZeroU32::MAX;
    });
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.head();
    let (mut taken, mut sip) = (0, [0; 64 << 10]);
    while let Ok(count @ 1..) = client.reader.read(&mut sip) {
        taken += count;
        dawdle(Duration::from_millis(10));
    }
    assert!(taken < BODY_BYTES, "it was sent all the same");
    assert_eq!(verdict(&mut bench), (0, 0, 1));
}
