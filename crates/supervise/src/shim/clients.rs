//! The connections of nodes to the shim: lines in, lines out, both bounded.
//!
//! Start reading at [`Clients::accept`]. Invariant: a connection that sends what is not a request, or does
//! not read its answers, is closed; nobody else waits for it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::protocol::{MESSAGE_BYTES_MAX, Report, Request};
use crate::shim::core::Client;

/// Connections at one time; more are closed at once.
const CLIENTS_MAX: usize = 8;
/// Bytes that wait for one connection to read them.
const WAITING_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: Vec<Connection>,
    accepted: u64,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) stream: UnixStream,
    incoming: Vec<u8>,
    waiting: Vec<u8>,
}

/// What one look at a connection gave.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) requests: Vec<Request>,
    pub(super) closed: bool,
}

impl Clients {
    /// Takes one waiting connection in, or says why it was turned away; `Ok(None)` when none waits.
    pub(super) fn accept(&mut self, listener: &UnixListener) -> Result<Option<Client>, String> {
        let Ok((stream, _)) = listener.accept() else { return Ok(None) };
        sys::process::peer::check(stream.as_fd()).map_err(|refusal| refusal.to_string())?;
        if self.open.len() >= CLIENTS_MAX {
            return Err(format!("{CLIENTS_MAX} connections are open already"));
        }
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        self.accepted += 1;
        let client = Client(self.accepted);
        self.open.push(Connection { client, stream, incoming: Vec::new(), waiting: Vec::new() });
        Ok(Some(client))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.open.iter()
    }

    /// Reads what a connection sent and writes what waits for it.
    pub(super) fn serve(&mut self, client: Client) -> Heard {
        let Some(connection) = self.open.iter_mut().find(|open| open.client == client) else { return Heard::default() };
        let mut heard = connection.read();
        heard.closed |= connection.write_waiting().is_err();
        if heard.closed {
            self.close(client);
        }
        heard
    }

    /// Sends a message; whether the connection still stands.
    pub(super) fn tell(&mut self, client: Client, report: &Report) -> bool {
        let Some(connection) = self.open.iter_mut().find(|open| open.client == client) else { return true };
        let sent = connection.send(report);
        if sent.is_err() {
            self.close(client);
        }
        sent.is_ok()
    }

    fn close(&mut self, client: Client) {
        self.open.retain(|open| open.client != client);
    }

    pub(super) fn all(&self) -> Vec<Client> {
        self.open.iter().map(|open| open.client).collect()
    }
}

impl Connection {
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn read(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut buffer = [0_u8; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => heard.closed = true,
                Ok(count) => {
                    self.incoming.extend_from_slice(&buffer[..count]);
                    heard.closed |= self.take_requests(&mut heard.requests).is_none();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return heard,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => heard.closed = true,
            }
            if heard.closed {
                return heard;
            }
        }
    }

    /// Takes the whole lines out of what came in; `None` when one is no request or too long.
    fn take_requests(&mut self, requests: &mut Vec<Request>) -> Option<()> {
        while let Some(end) = self.incoming.iter().position(|byte| *byte == b'\n') {
            requests.push(serde_json::from_slice(&self.incoming[..end]).ok()?);
            self.incoming.drain(..=end);
        }
        (self.incoming.len() < MESSAGE_BYTES_MAX).then_some(())
    }

    fn send(&mut self, report: &Report) -> io::Result<()> {
        serde_json::to_writer(&mut self.waiting, report)?;
        self.waiting.push(b'\n');
        self.write_waiting()?;
        match self.waiting.len() > WAITING_BYTES_MAX {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
