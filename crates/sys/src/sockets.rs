//! What a connection's socket knows of the other end. Start reading at [`is_quiet`].

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Whether the other end of a connection is there and has said nothing that was not read: asked of the system itself, since
/// what a runtime knows is as old as its last look for events.
pub fn is_quiet(connection: impl AsFd) -> bool {
    matches!(recv(connection, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT), Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_quiet_until_the_other_end_says_something_or_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        assert!(is_quiet(&connection));
        other.write_all(b"x").unwrap();
        assert!(!is_quiet(&connection), "something is there");

        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener.accept().unwrap());
        assert!(!is_quiet(&connection), "it is gone");
    }
}
