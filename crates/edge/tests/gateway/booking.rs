//! Where it is booked how a request went: at whoever answered it, or failed to.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::bench::{Bench, PATIENCE, echo, route, service};

/// Fails when a replica's failure is booked at the one that made up for it, or nowhere.
#[test]
fn a_failure_that_another_replica_makes_up_for_is_booked_where_it_was() {
    const REQUESTS: u64 = 50;
    let dying = service(|mut peer| drop(peer.request()));
    let mut bench = Bench::new(&[dying, echo()]);
    let mut client = bench.connect();
    assert!((0..REQUESTS).all(|_| client.get("/").status == 200));
    let arms = bench.counted_by_arm(REQUESTS);
    let of = |number| {
        let (_, counts) = arms.iter().find(|(arm, _)| arm.replica == Some(model::ReplicaNumber(number))).unwrap();
        (counts.well, counts.failures, counts.retried, counts.requests())
    };
    let (dead, alive) = (of(0), of(1));
    assert_eq!((dead.0, dead.1, dead.3, alive), (0, 0, 0, (REQUESTS, 0, 0, REQUESTS)));
    assert!((1..=REQUESTS).contains(&dead.2), "{} failures were made up for", dead.2);
}

/// Fails when a request is booked by its route's place in other settings than its own.
#[test]
fn a_request_that_outlives_its_settings_is_booked_where_it_was_asked() {
    let (asked, asks) = channel();
    let (answer, answers) = channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let slow = service(move |mut peer| {
        peer.request();
        asked.send(()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut bench = Bench::new(&[slow]);
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    asks.recv_timeout(PATIENCE).unwrap();
    bench.apply(|settings| settings.routes = vec![route("other.example", "/a"), route("other.example", "/b")]);
    answer.send(()).unwrap();
    assert_eq!(client.answer().text(), "ok");
    let arms = bench.counted_by_arm(1);
    let routes: Vec<&str> = arms.keys().map(|arm| arm.route.as_str()).collect();
    assert_eq!(routes, ["{tenant}.test /"]);
}
