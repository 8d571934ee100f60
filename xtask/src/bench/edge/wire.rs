//! Connections of clients of our own, each from an address that its caller chooses: the ports of one address run out, and a
//! gateway may limit how many connections one has. Start reading at [`Door`].

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::bench::Error;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Where a gateway lets clients in.
pub(super) struct Door {
    address: SocketAddrV4,
    tls: Option<Tls>,
}

/// Whose certificate is expected there, and by what it is known.
struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// A connection, whatever it is made of.
pub(super) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Door {
    pub(super) fn plain(port: u16) -> Self {
        Self { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), tls: None }
    }

    /// Behind a certificate that this authority vouches for.
    pub(super) fn tls(port: u16, authority: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Certificate { path: authority.to_owned(), source };
        let certificate = CertificateDer::from_pem_file(authority).map_err(|source| unusable(Box::new(source)))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|source| unusable(Box::new(source)))?;
        let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from("localhost").map_err(|source| unusable(Box::new(source)))?;
        Ok(Self { tls: Some(Tls { name, config }), ..Self::plain(port) })
    }

    /// A connection from an address. Who has a small buffer takes no more of an answer than it reads.
    pub(super) fn connect(&self, from: Ipv4Addr, buffer_bytes: Option<usize>) -> Result<TcpStream, Error> {
        let open = || -> io::Result<TcpStream> {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            if let Some(bytes) = buffer_bytes {
                sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
            }
            bind(&socket, &SocketAddrV4::new(from, 0))?;
            connect(&socket, &self.address)?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        open().map_err(|source| Error::Connect { from, to: self.address, source })
    }

    /// Speaks over a connection what is spoken here.
    pub(super) fn speak(&self, stream: TcpStream) -> Result<Box<dyn Duplex>, Error> {
        let Some(Tls { name, config }) = &self.tls else { return Ok(Box::new(stream)) };
        let session = ClientConnection::new(Arc::clone(config), name.clone()).map_err(Error::Tls)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }
}

/// Sends a request and reads the whole answer: its status.
pub(super) fn ask(connection: &mut dyn Duplex, request: &[u8]) -> io::Result<u16> {
    connection.write_all(request)?;
    connection.flush()?;
    let mut received = Vec::new();
    let head = loop {
        if let Some(head) = read_head(&received) {
            break head;
        }
        if received.len() > HEAD_BYTES_MAX || receive(connection, &mut received)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    while received.len() < head.bytes + head.body_bytes {
        if receive(connection, &mut received)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head.status)
}

fn receive(connection: &mut dyn Duplex, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 4 << 10];
    let count = connection.read(&mut piece)?;
    received.extend_from_slice(&piece[..count]);
    Ok(count)
}

/// What is to be known of the head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

/// The head that these bytes begin with, if all of it is there.
fn read_head(received: &[u8]) -> Option<Head> {
    let bytes = received.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..bytes]);
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some(Head { status, bytes, body_bytes: text.lines().find_map(length).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::{Head, read_head};

    /// Fails when the body is taken for a part of the head, or the length for that of both.
    #[test]
    fn a_head_ends_at_the_empty_line() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(read_head(answer), Some(Head { status: 200, bytes: 38, body_bytes: 5 }));
        assert_eq!(read_head(&answer[..37]), None);
    }
}
