//! Connections to replicas. Start reading at [`Connections::take`].
//!
//! Each thread keeps its own idle connections, by address. One that was kept may have been closed by the replica in the
//! very moment it is used; so a request that was not answered at all over such a connection is sent again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http1::{Limits, ResponseParser};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;

use crate::buffer::Buffer;

/// Idle connections that one thread keeps to one replica: as many as are in use together at a busy time, since each that is not
/// kept then is made anew with the next request.
pub(crate) const IDLE_MAX: usize = 512;
/// How long an idle connection is kept.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(55);
/// How long a connection may take to be made.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// A connection to a replica.
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    pub(crate) input: Buffer,
    pub(crate) parser: ResponseParser,
    pub(crate) limits: Limits,
    address: SocketAddr,
    /// Whether it has carried a request before.
    pub(crate) used: bool,
}

impl Upstream {
    /// Connects to a replica.
    pub(crate) async fn connect(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Buffer::default(), parser: ResponseParser::new(limits), limits, address, used: false })
    }

    /// Reads once.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, context)
    }

    /// Whether it is still open and silent, as an idle connection has to be. What happened since this thread last looked for
    /// events is only seen where it is to be sure, for one call to the system.
    fn is_quiet(&mut self, sure: bool) -> bool {
        if sure {
            return sys::sockets::is_quiet(&self.stream);
        }
        let mut byte = [0];
        let mut room = tokio::io::ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        std::pin::Pin::new(&mut self.stream).poll_read(&mut context, &mut room).is_pending()
    }
}

/// The idle connections of one thread.
#[derive(Default)]
pub(crate) struct Connections {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
}

struct Idle {
    upstream: Upstream,
    since: Duration,
}

impl Connections {
    /// An idle connection to this replica, the one that was used last. `sure` is for a request that is sent once at the most: it
    /// must not get a connection that ended a moment ago.
    pub(crate) fn take(&self, address: SocketAddr, sure: bool) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        let of_replica = idle.get_mut(&address)?;
        while let Some(mut kept) = of_replica.pop() {
            if kept.upstream.is_quiet(sure) {
                return Some(kept.upstream);
            }
        }
        None
    }

    /// Keeps a connection whose exchange is through.
    pub(crate) fn keep(&self, mut upstream: Upstream, now: Duration) {
        upstream.used = true;
        upstream.input.release();
        upstream.input.discharge();
        let mut idle = self.idle.borrow_mut();
        let of_replica = idle.entry(upstream.address).or_default();
        if of_replica.len() < IDLE_MAX {
            of_replica.push(Idle { upstream, since: now });
        }
    }

    /// Closes what has been idle for long, and what leads to replicas that are not wanted any more.
    pub(crate) fn tidy(&self, now: Duration, wanted: impl Fn(SocketAddr) -> bool) {
        self.idle.borrow_mut().retain(|address, of_replica| {
            of_replica.retain(|kept| now.saturating_sub(kept.since) < IDLE_TIME_MAX);
            wanted(*address) && !of_replica.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a request that is sent only once gets the connection of a replica that was just killed: nothing is awaited
    /// in here, so the runtime does not know of its end.
    #[tokio::test]
    async fn a_connection_that_has_just_ended_is_not_taken_where_it_is_to_be_sure() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::default();
        for _ in 0..2 {
            connections.keep(Upstream::connect(address, Limits::default()).await.unwrap(), Duration::ZERO);
        }
        let (_one, other) = (listener.accept().unwrap(), listener.accept().unwrap());
        drop(other);
        assert!(connections.take(address, true).is_some(), "the first is still there");
        assert!(connections.take(address, true).is_none());
    }
}
