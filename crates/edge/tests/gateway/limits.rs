//! How many connections are let in.

use std::io::Read;
use std::net::{IpAddr, TcpStream};

use edge::control::ToNode;
use edge::settings::ConnectionLimits;
use rustls::version;
use tokio::net::TcpSocket;

use crate::bench::{Authority, Bench, Client, PATIENCE, Secure, echo, until};

#[test]
fn a_connection_that_is_one_too_many_is_told_so_and_counted() {
    for (limits, status, code) in [
        (ConnectionLimits { total: 2, per_client: 9 }, 503, "overloaded"),
        (ConnectionLimits { total: 9, per_client: 2 }, 429, "too_many_connections"),
    ] {
        let mut bench = Bench::new(&[echo()]);
        bench.apply(|settings| settings.connections = limits);
        let mut open = [bench.connect(), bench.connect()];
        assert!(open.iter_mut().all(|client| client.get("/").status == 200));
        let mut third = bench.connect();
        let answer = third.answer();
        assert_eq!((answer.status, answer.text().contains(code)), (status, true), "{}", answer.text());
        assert!(third.is_ended());
        // Told although nobody asks anything. A report from before may tell of the two alone, or of the third as still there.
        let turned_away = bench.hear_until(|message| match message {
            ToNode::Evidence { connections: 2, turned_away, .. } => {
                Some(turned_away.by_limits).filter(|&by_limits| by_limits > 0)
            }
            _ => None,
        });
        assert_eq!(turned_away, 1);
        drop(open);
        until(|| (bench.connect().try_get("/")? == 200).then_some(()));
    }
}

/// Handshakes that one client may have under way.
const HANDSHAKES_PER_CLIENT_MAX: usize = 200;

/// A connection to the edge's TLS from another address of this machine.
fn connect_from(address: [u8; 4], bench: &Bench) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(address), 0).into()).unwrap();
        socket.connect(bench.secure).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    // Sooner than the edge gives a handshake up.
    stream.set_read_timeout(Some(PATIENCE / 2)).unwrap();
    stream
}

#[test]
fn a_client_that_finishes_no_handshake_keeps_only_itself_out() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    bench.certify(&authority, &[&["acme.test"]]);
    let silent: Vec<_> = (0..HANDSHAKES_PER_CLIENT_MAX).map(|_| TcpStream::connect(bench.secure).unwrap()).collect();
    let mut one_too_many = connect_from([127, 0, 0, 1], &bench);
    assert_eq!(one_too_many.read(&mut [0]).unwrap(), 0, "it is closed at once");
    let session =
        rustls::ClientConnection::new(authority.client(&[&version::TLS13], &[]), "acme.test".try_into().unwrap());
    let stream = Secure::new(session.unwrap(), connect_from([127, 0, 0, 2], &bench));
    let mut other = Client { reader: std::io::BufReader::new(stream) };
    assert_eq!(other.get("/").status, 200);
    drop(silent);
}
