//! The clients that are slow or do nothing. Start reading at [`Crowd`].
//!
//! A second is divided into slots, and each client has one of them: what they do is spread evenly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::Attack;
use crate::bench::edge::wire::{Door, ask};
use crate::bench::{Error, now};

/// How many slots a second has.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(50);
/// How many clients share an address: fewer than our edge lets one have.
const CLIENTS_PER_ADDRESS: usize = 500;
/// What a client takes of an answer at a time.
const SIP_BYTES: usize = 1 << 10;
/// How many times it does so to find the end of a connection.
const SIPS_MAX: usize = 16;

/// Clients of one kind.
pub(super) struct Crowd {
    attack: Attack,
    clients: Vec<Client>,
}

struct Client {
    stream: TcpStream,
    since: Instant,
    /// How long it was there, once the gateway has ended it.
    ended: Option<Duration>,
}

impl Crowd {
    /// Lets so many of them come in, one after the other.
    pub(super) fn gather(attack: Attack, count: usize, door: &Door) -> Result<Self, Error> {
        rehearse(attack, door)?;
        let clients = (0..count).map(|number| Client::come(attack, door, address(number)));
        Ok(Self { attack, clients: clients.collect::<Result<_, _>>()? })
    }

    /// Lets each do its part every second for as long as the attack lasts.
    pub(super) fn carry_on(&mut self) {
        let began = now();
        let mut due = Duration::ZERO;
        for slot in (0..SLOTS).cycle() {
            if due >= self.attack.lasts() {
                break;
            }
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            let turn = self.clients.iter_mut().skip(slot).step_by(SLOTS);
            turn.for_each(|client| client.act(self.attack));
            due += SLOT;
        }
    }

    /// How long each was there that the gateway has ended.
    pub(super) fn ended(&self) -> Vec<Duration> {
        self.clients.iter().filter_map(|client| client.ended).collect()
    }
}

/// The address of a client.
fn address(number: usize) -> Ipv4Addr {
    let [.., third, fourth] = (number / CLIENTS_PER_ADDRESS + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, third, fourth)
}

/// What is done slowly gets its answer when it is done fast: otherwise slowness would not be what is measured.
fn rehearse(attack: Attack, door: &Door) -> Result<(), Error> {
    let whole: &[u8] = match attack {
        Attack::SlowBody => b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        Attack::SlowRead => b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
        Attack::Nobody | Attack::Idle | Attack::IdleTls | Attack::SlowHead => SMALL,
    };
    let mut connection = door.speak(door.connect(address(0), None)?)?;
    match ask(&mut *connection, whole) {
        Ok(200) => Ok(()),
        answer => Err(Error::NotAnswered { what: attack.name(), answer }),
    }
}

/// A request for something small.
pub(super) const SMALL: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl Client {
    fn come(attack: Attack, door: &Door, from: Ipv4Addr) -> Result<Self, Error> {
        let buffer_bytes = (attack == Attack::SlowRead).then_some(SIP_BYTES);
        let mut stream = door.connect(from, buffer_bytes)?;
        let since = now();
        let begun = match attack {
            Attack::Nobody | Attack::Idle | Attack::IdleTls => {
                // What is spoken ends with this request; the connection goes on.
                let copy = stream.try_clone().map_err(Error::Descriptors)?;
                let mut spoken = door.speak(copy)?;
                ask(&mut *spoken, SMALL).map(drop)
            }
            Attack::SlowHead => stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\nSlow: "),
            Attack::SlowBody => {
                stream.write_all(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
            }
            Attack::SlowRead => stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        };
        let begun = begun.and_then(|()| stream.set_nonblocking(true));
        Ok(Self { stream, since, ended: begun.is_err().then(|| since.elapsed()) })
    }

    /// What it does each second.
    fn act(&mut self, attack: Attack) {
        if self.ended.is_some() {
            return;
        }
        let goes_on = match attack {
            Attack::Nobody | Attack::Idle | Attack::IdleTls => self.hears_no_end(SIPS_MAX),
            Attack::SlowHead | Attack::SlowBody => self.sends_a_byte() && self.hears_no_end(SIPS_MAX),
            Attack::SlowRead => self.hears_no_end(1),
        };
        if !goes_on {
            self.ended = Some(self.since.elapsed());
        }
    }

    fn sends_a_byte(&mut self) -> bool {
        let sent = self.stream.write_all(b"x");
        sent.map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |()| true)
    }

    /// Takes so many sips of what there is: whether the connection goes on.
    fn hears_no_end(&mut self, sips: usize) -> bool {
        for _ in 0..sips {
            match self.stream.read(&mut [0; SIP_BYTES]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    /// Fails when more clients share an address than our edge lets in, or one leaves the network of the machine itself.
    #[test]
    fn clients_have_addresses_of_the_machine_itself() {
        assert_eq!(
            [0, 499, 500, 4_999].map(|number| address(number).to_string()),
            ["127.1.0.1", "127.1.0.1", "127.1.0.2", "127.1.0.10"]
        );
    }
}
