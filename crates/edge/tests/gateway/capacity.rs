//! What the edge does when there is no room: its own failure, and nobody else's.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use edge::evidence::{Arm, Counts};

use crate::bench::{Bench, PATIENCE, echo, service};

/// Says that a test has a process of its own.
const ALONE: &str = "EDGE_TEST_ALONE";
/// Clients that ask at the same time.
const AT_ONCE: usize = 200;
/// Clients that take nothing of their answers.
const SLOW_CLIENTS: usize = 300;
/// What they may cost: far less than buffers of 256 KiB each.
const SLOW_CLIENTS_BYTES_MAX: usize = 32 << 20;

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

/// Fails when most of a burst has to connect anew to a replica that had another one before.
#[test]
fn a_second_burst_finds_the_connections_of_the_first() {
    let (together, connections) = (Arc::new(Barrier::new(AT_ONCE)), Arc::new(AtomicUsize::new(0)));
    let connected = Arc::clone(&connections);
    let bench = Bench::new(&[service(move |mut peer| {
        connected.fetch_add(1, Ordering::Relaxed);
        while peer.request().is_some() {
            together.wait();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })]);
    let mut clients: Vec<_> = (0..AT_ONCE).map(|_| bench.connect()).collect();
    for _ in 0..2 {
        clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n"));
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "ok"));
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections < AT_ONCE + AT_ONCE / 10, "{connections} connections for {AT_ONCE} requests at a time");
}

/// Runs a test in a process of its own, with so many descriptors: what it looks at is a whole process's.
fn alone(name: &str, descriptors: u32, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let this = std::env::current_exe().unwrap();
    let child = Command::new("sh")
        .args(["-c", "ulimit -n \"$2\"; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(this)
        .arg(format!("capacity::{name}"))
        .arg(descriptors.to_string())
        .env(ALONE, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

/// Fails when a replica is blamed because the edge has no descriptor left to connect to it with.
#[test]
fn an_edge_without_descriptors_blames_nobody_else() {
    alone("an_edge_without_descriptors_blames_nobody_else", 128, without_descriptors);
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

/// Fails when what is sent to a client that takes nothing is held in a buffer that has grown.
#[test]
fn clients_that_take_no_answer_cost_little_memory() {
    alone("clients_that_take_no_answer_cost_little_memory", 4096, without_takers);
}

fn without_takers() {
    static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
    let (full, fills) = channel();
    let endless = service(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\n");
        // So long nothing is taken once every buffer on the way is full.
        peer.reader.get_ref().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        while peer.reader.get_mut().write_all(&PIECE).is_ok() {}
        full.send(()).unwrap();
        std::thread::park();
    });
    let mut bench = Bench::new(&[endless]);
    bench.apply(|settings| settings.times.slow_grace = model::Span::secs(60));
    let before = memory();
    let slow: Vec<_> = (0..SLOW_CLIENTS)
        .map(|_| {
            let mut client = bench.connect();
            client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
            client
        })
        .collect();
    (0..SLOW_CLIENTS).for_each(|_| fills.recv_timeout(PATIENCE * 3).unwrap());
    let grown = memory().saturating_sub(before);
    assert!(grown < SLOW_CLIENTS_BYTES_MAX, "{grown} bytes more");
    drop(slow);
}

/// Bytes of memory that this process has.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
