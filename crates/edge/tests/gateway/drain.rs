//! An end that loses nothing, and changes that close nothing.

use std::io::Read;

use edge::control::ToEdge;
use edge::settings::Endpoint;

use crate::bench::{Bench, PATIENCE, echo, service};

fn drain(bench: &mut Bench, within: model::Span) {
    bench.tell(&ToEdge::Drain { within });
}

/// A service that switches to another protocol, and then sends back what it is sent.
pub(crate) fn socket(name: &'static str) -> std::net::SocketAddr {
    service(move |mut peer| {
        while let Some(head) = peer.request() {
            if !head.contains("Upgrade: websocket") {
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
                continue;
            }
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            let mut byte = [0];
            while peer.reader.read_exact(&mut byte).is_ok() {
                peer.send(byte);
            }
        }
    })
}

pub(crate) const SWITCH: &str =
    "GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn an_edge_that_drains_finishes_what_is_under_way_and_ends() {
    let (asked, asks) = std::sync::mpsc::channel();
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = std::sync::Arc::new(std::sync::Mutex::new(answers));
    let slow = service(move |mut peer| {
        peer.request();
        asked.send(()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let mut bench = Bench::new(&[slow]);
    let (mut busy, mut idle) = (bench.connect(), bench.connect());
    idle.send("GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n");
    assert_eq!(idle.answer().status, 404);
    busy.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    asks.recv_timeout(PATIENCE).unwrap();
    drain(&mut bench, model::Span::secs(60));
    // It ends only once the edge drains.
    assert!(idle.is_ended());
    bench.listeners.clear();
    assert!(std::net::TcpStream::connect(bench.address).is_err(), "nobody accepts any more");
    answer.send(()).unwrap();
    let last = busy.answer();
    assert_eq!((last.text(), last.field("connection")), ("late", Some("close")));
    assert!(busy.is_ended());
    bench.running.join().unwrap().unwrap();
}

#[test]
fn what_does_not_end_by_itself_ends_at_the_deadline() {
    let mut bench = Bench::new(&[socket("a")]);
    let mut client = bench.connect();
    client.send(SWITCH);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    drain(&mut bench, model::Span::millis(700));
    client.send("x");
    let mut byte = [0];
    client.reader.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x", "a switched connection goes on until then");
    assert!(client.is_ended());
    bench.running.join().unwrap().unwrap();
}

#[test]
fn a_replica_that_is_taken_out_gets_no_request_and_loses_none() {
    let (first, second) = (socket("first"), socket("second"));
    let mut bench = Bench::new(&[first]);
    let mut switched = bench.connect();
    switched.send(SWITCH);
    assert!(switched.head().starts_with("HTTP/1.1 101 "));
    let mut kept = bench.connect();
    assert_eq!(kept.get("/").text(), "first");
    bench.apply(|settings| {
        let replaced = Endpoint { release: model::ReleaseNumber(2), replica: model::ReplicaNumber(0), address: second };
        settings.endpoints.values_mut().for_each(|endpoints| *endpoints = vec![replaced.clone()]);
    });
    for round in 0..20 {
        assert_eq!(kept.get("/").text(), "second", "{round}");
    }
    switched.send("y");
    let mut byte = [0];
    switched.reader.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"y");
}

#[test]
fn many_changes_of_the_settings_close_no_connection() {
    let mut bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    for round in 0..200_u64 {
        bench.apply(|settings| settings.strict_headers = round.is_multiple_of(2));
        assert_eq!(client.get("/").status, 200, "{round}");
    }
}
