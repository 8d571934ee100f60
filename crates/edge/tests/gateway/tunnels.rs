//! Connections that switch to another protocol.

use std::io::Read;

use edge::control::ToEdge;
use model::Span;

use crate::bench::{Bench, Client, service, until};
use crate::drain::{SWITCH, socket};

/// A client whose connection has switched, and through which five bytes went there and back.
fn switched(bench: &Bench) -> Client {
    let mut client = bench.connect();
    client.send(SWITCH);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    client.send("hello");
    let mut heard = [0; 5];
    client.reader.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    client
}

/// Fails when a switch counts as a failure, or only once it has ended.
#[test]
fn a_switch_is_a_success_when_it_is_made_and_in_the_log_when_it_ends() {
    let mut bench = Bench::new(&[socket("a")]);
    let client = switched(&bench);
    let counts = bench.counted(1);
    assert_eq!((counts.well, counts.failures, counts.server_errors), (1, 0, 0));
    drop(client);
    let line = bench.log.line("101");
    assert_eq!((&line["bytes"], &line["received"], &line["status"]), (&5.into(), &5.into(), &101.into()), "{line}");
}

/// Fails when a connection that the end of the edge cuts off is in no log.
#[test]
fn a_switch_that_the_end_of_the_edge_cuts_off_is_in_the_log() {
    let mut bench = Bench::new(&[socket("a")]);
    let mut client = switched(&bench);
    bench.tell(&ToEdge::Drain { within: Span::millis(300) });
    assert!(client.is_ended());
    let line = bench.log.line("101");
    assert_eq!((&line["bytes"], &line["received"]), (&5.into(), &5.into()), "{line}");
    assert!(line["duration_ms"].as_f64().unwrap() >= 200.0, "{line}");
}

/// Fails when a switched connection is not under way for its service, or for ever.
#[test]
fn a_switched_connection_is_under_way_until_it_ends() {
    let mut bench = Bench::new(&[socket("a")]);
    bench.apply(|settings| settings.requests.per_service = 1);
    let client = switched(&bench);
    let mut other = bench.connect();
    let answer = other.get("/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("service_busy"), "{}", answer.text());
    drop(client);
    until(|| (other.get("/").status == 200).then_some(()));
}

/// Fails when a connection over which nothing is said stays open.
#[test]
fn a_switched_connection_ends_when_nothing_is_said_for_long() {
    let mut bench = Bench::new(&[service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        std::thread::park();
    })]);
    bench.apply(|settings| settings.times.tunnel_pause = Span::millis(300));
    let mut client = bench.connect();
    client.send(SWITCH);
    client.head();
    assert!(client.is_ended());
    assert_eq!(bench.log.line("101")["reason"], "tunnel_silent");
}
