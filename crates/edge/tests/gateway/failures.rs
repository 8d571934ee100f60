//! What goes wrong, and what a client sees of it.

use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bench::{Bench, PATIENCE, dawdle, echo, nowhere, service};

#[test]
fn a_replica_that_is_gone_costs_no_request() {
    let bench = Bench::new(&[nowhere(), echo()]);
    let mut client = bench.connect();
    for round in 0..50 {
        assert_eq!(client.get("/").status, 200, "round {round}");
    }
}

#[test]
fn a_replica_that_dies_with_a_request_costs_no_idempotent_one() {
    let dying = service(|mut peer| drop(peer.request()));
    let bench = Bench::new(&[dying, echo()]);
    let mut client = bench.connect();
    for round in 0..50 {
        assert_eq!(client.get("/").status, 200, "round {round}");
    }
}

/// Fails when a request is given up because its replica began to answer, although its client has none of that.
#[test]
fn a_replica_that_dies_in_the_head_of_its_answer_costs_no_idempotent_request() {
    let dying = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-");
    });
    let mut bench = Bench::new(&[dying, echo()]);
    let mut client = bench.connect();
    for round in 0..50 {
        assert_eq!(client.get("/").status, 200, "round {round}");
    }
    assert!(bench.counted(50).retried > 0);
}

/// A replica that is killed while it has its first request, and says so.
fn killed(told: Sender<()>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let _head = stream.read(&mut [0; 1024]).unwrap();
        drop(stream);
        told.send(()).unwrap();
    });
    address
}

/// Fails when a request does not wait for the replica that takes the place of the only one.
#[test]
fn the_restart_of_the_only_replica_costs_no_idempotent_request() {
    let (told, dead) = channel();
    let mut bench = Bench::new(&[killed(told)]);
    let (mut first, mut second) = (bench.connect(), bench.connect());
    first.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    dead.recv_timeout(PATIENCE).unwrap();
    bench.lead_to(&[]);
    // Nobody has got this one, so it may wait whatever it is.
    second.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\n\r\n");
    bench.lead_to(&[echo()]);
    assert_eq!((first.answer().status, second.answer().status), (200, 200));
}

/// Fails when the replicas of the settings are asked that were worked by when the head began to arrive.
#[test]
fn a_head_that_arrives_in_pieces_goes_to_the_replicas_of_its_end() {
    let mut bench = Bench::new(&[nowhere()]);
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\nGET / HTTP/1.1\r\nHost: acme");
    // With this answer the edge has the beginning of the next request too.
    assert_eq!(client.answer().status, 404);
    bench.lead_to(&[echo()]);
    client.send(".test\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(bench.counted(1).retried, 0, "it was asked at once");
}

#[test]
fn a_request_that_may_have_been_carried_out_is_not_sent_twice() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let dying = service(move |mut peer| {
        peer.request();
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let bench = Bench::new(&[dying]);
    let mut client = bench.connect();
    client.send("POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 0\r\nAccept: application/json\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().contains("upstream_closed")), (502, true));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_kept_connection_that_the_service_closed_costs_nothing() {
    let once = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let bench = Bench::new(&[once]);
    let mut client = bench.connect();
    for round in 0..30 {
        assert_eq!(client.get("/").text(), "ok", "round {round}");
    }
}

#[test]
fn without_a_replica_the_edge_says_so() {
    for (endpoints, code, status) in [(vec![], "no_replica", 503), (vec![nowhere(), nowhere()], "unreachable", 502)] {
        let answer = Bench::new(&endpoints).connect().get("/");
        assert_eq!((answer.status, answer.text().contains(code)), (status, true), "{}", answer.text());
    }
}

#[test]
fn a_service_that_does_not_answer_in_time_is_not_waited_for() {
    let silent = service(|mut peer| {
        peer.request();
        std::thread::park();
    });
    let mut bench = Bench::new(&[silent]);
    bench.apply(|settings| settings.routes[0].timeout = model::Span::millis(200));
    let answer = bench.connect().get("/");
    assert_eq!((answer.status, answer.text().contains("upstream_timeout")), (504, true));
}

/// Services that break off in their answers, of every framing that shows it.
pub(crate) fn breaking() -> [std::net::SocketAddr; 2] {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    answers.map(|said| {
        service(move |mut peer| {
            peer.request();
            peer.send(said);
        })
    })
}

#[test]
fn an_answer_that_breaks_off_is_never_passed_off_as_whole() {
    for breaking in breaking() {
        let bench = Bench::new(&[breaking]);
        let mut client = bench.connect();
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
        let mut all = Vec::new();
        client.reader.read_to_end(&mut all).unwrap();
        let text = String::from_utf8(all).unwrap();
        assert!(text.contains("half") && !text.ends_with("0\r\n\r\n"), "{text}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_a_bad_gateway() {
    let garbling = service(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na");
    });
    let answer = Bench::new(&[garbling]).connect().get("/");
    assert_eq!((answer.status, answer.text().contains("upstream_malformed")), (502, true));
}

#[test]
fn a_request_that_cannot_be_read_ends_its_connection() {
    let bench = Bench::new(&[echo()]);
    for (request, status, code) in [
        (
            "GET / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "length_and_chunked",
        ),
        ("GET / HTTP/1.1\nHost: acme.test\n\n", 400, "bare_lf"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "missing_host"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "connect_method"),
        ("GET / HTTP/3.0\r\nHost: acme.test\r\n\r\n", 505, "version_not_supported"),
    ] {
        let mut client = bench.connect();
        client.send(request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().contains(code)), (status, true), "{}", answer.text());
        assert!(client.is_ended());
    }
}

/// Fails when an edge lives on with a socket that it takes no connections from.
#[test]
fn an_edge_that_cannot_accept_ends_and_says_why() {
    let bench = Bench::of_threads(2, &[echo()]);
    // What the kernel does to a socket that listens no more; a stream's way to say so works for it too.
    let socket = std::net::TcpStream::from(std::os::fd::OwnedFd::from(bench.listeners[1].try_clone().unwrap()));
    drop(socket.shutdown(std::net::Shutdown::Both));
    let ended = bench.running.join().unwrap().unwrap_err();
    assert!(matches!(ended, edge::process::EdgeError::Accept(_)), "{ended}");
}

/// A service that says when it is asked, and answers when it is told to.
fn patient() -> (std::net::SocketAddr, Receiver<()>, Sender<()>) {
    let (asked, asks) = channel();
    let (answer, answers) = channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let address = service(move |mut peer| {
        peer.request();
        asked.send(()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    (address, asks, answer)
}

/// Fails when a client that has no more to say is taken for one that is gone.
#[test]
fn a_client_that_ends_its_side_gets_its_answer() {
    let (patient, asks, answer) = patient();
    let bench = Bench::new(&[patient]);
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    asks.recv_timeout(PATIENCE).unwrap();
    // The end of its side is with the edge before the answer is.
    dawdle(Duration::from_millis(200));
    answer.send(()).unwrap();
    assert_eq!(client.answer().text(), "ok");
    assert!(client.is_ended());
}
