//! Other sockets to listen on, handed to an edge that serves.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use edge::listening::https_words;
use model::Port;
use sys::listeners::handover;

use crate::bench::{Authority, Bench, Client, echo, until};

/// Hands over copies of these in place of what the edge listens on, and waits until it has them.
fn hand(bench: &Bench, listeners: &[&TcpListener], https: Option<Port>) {
    let copies: Vec<OwnedFd> = listeners.iter().map(|it| it.try_clone().unwrap().into()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(handover::give(&bench.folder.0, &https_words(https), &copies)).unwrap();
}

fn another() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Whether a request is answered on this connection.
fn serves(client: &mut Client) -> bool {
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n");
    client.answer().status == 200
}

/// Fails when a connection is closed with the port that it came by, a port that stays is closed for a moment, one that came
/// is not accepted on, or one that went still is.
#[test]
fn ports_come_and_go_and_connections_stay() {
    let mut bench = Bench::of_threads(2, &[echo()]);
    let (came, new) = another();
    let mut open: Vec<Client> = bench.addresses.iter().map(|address| Bench::connect_to(*address)).collect();
    assert!(open.iter_mut().all(serves));
    hand(&bench, &[&bench.listeners[0], &came], None);
    assert!(serves(&mut Bench::connect_to(new)) && serves(&mut Bench::connect_to(bench.addresses[0])));
    let gone = bench.listeners.pop().unwrap().local_addr().unwrap();
    until(|| TcpStream::connect(gone).is_err().then_some(()));
    assert!(open.iter_mut().all(serves), "also what came by the port that is gone");
}

/// Fails when a socket goes on being spoken at as before, although another port is said to be the one of HTTPS.
#[test]
fn a_port_that_becomes_the_one_of_https_speaks_tls() {
    let mut bench = Bench::new(&[echo()]);
    let authority = Authority::new();
    bench.certify(&authority, &[&["acme.test"]]);
    assert!(serves(&mut bench.connect()));
    hand(&bench, &[&bench.listeners[0]], Port::new(bench.address.port()));
    bench.secure = bench.address;
    let trusting = authority.client(&[&rustls::version::TLS13], &[]);
    until(|| (bench.connect_securely(&trusting, "acme.test").try_get("/") == Some(200)).then_some(()));
}
