//! What the edge does when there is no room: its own failure, and nobody else's.

use std::fs::File;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use edge::evidence::{Arm, Counts};

use crate::bench::{Bench, PATIENCE, echo, service};

/// Says that a test is its own child, with few descriptors.
const CONFINED: &str = "EDGE_TEST_FEW_DESCRIPTORS";

/// The only arm that counted failures of the edge.
fn failed_here(arms: &std::collections::BTreeMap<Arm, Counts>) -> (&Arm, &Counts) {
    arms.iter().find(|(_, counts)| counts.edge_failures > 0).unwrap()
}

/// Fails when requests have no bound, or when one that is beyond it counts at a replica.
#[test]
fn a_request_that_is_one_too_many_is_told_to_come_back() {
    let (asked, asks) = channel();
    let (answer, answers) = channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let slow = service(move |mut peer| {
        while peer.request().is_some() {
            asked.send(()).unwrap();
            answers.lock().unwrap().recv().unwrap();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut bench = Bench::new(&[slow]);
    bench.apply(|settings| settings.requests.total = 1);
    let (mut first, mut second) = (bench.connect(), bench.connect());
    first.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    asks.recv_timeout(PATIENCE).unwrap();
    let refused = second.get("/");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("overloaded"), "{}", refused.text());
    answer.send(()).unwrap();
    assert_eq!(first.answer().text(), "ok");
    answer.send(()).unwrap();
    assert_eq!(second.get("/").text(), "ok", "there is room again");
    let arms = bench.counted_by_arm(3);
    let (arm, counts) = failed_here(&arms);
    assert_eq!((arm.replica, counts.edge_failures, counts.failures, counts.server_errors), (None, 1, 0, 0));
}

/// Fails when a replica is blamed because the edge has no descriptor left to connect to it with.
#[test]
fn an_edge_without_descriptors_blames_nobody_else() {
    if std::env::var_os(CONFINED).is_some() {
        return without_descriptors();
    }
    // Descriptors are a whole process's: another one than that of the other tests.
    let this = std::env::current_exe().unwrap();
    let name = "capacity::an_edge_without_descriptors_blames_nobody_else";
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 128; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(this)
        .arg(name)
        .env(CONFINED, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

fn without_descriptors() {
    let mut bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    // Answered by the edge itself: it has taken the connection, and made none to the service.
    client.send("GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let refused = client.get("/");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("out_of_sockets"), "{}", refused.text());
    drop(all);
    assert_eq!(client.get("/").status, 200, "its replica is as good as before");
    let arms = bench.counted_by_arm(2);
    let (arm, counts) = failed_here(&arms);
    assert_eq!((arm.replica, counts.edge_failures, counts.failures), (None, 1, 0));
}
