//! What a server says it has read: as text, in a form that is easy to write in any language.
//!
//! `method GET`, `target /a`, one `field NAME HEX` for each field and `body HEX`, a line each.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::plain_reader::{self, Plain};

/// What a server has read, in the form in which servers can be compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By name, in lower case and with hyphens; values of one name joined as a list, as some servers do.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Echo {
    /// What a server would have to read.
    pub(crate) fn of(message: &Plain) -> Self {
        let mut echo = Self::empty();
        echo.method.clone_from(&message.start[0]);
        echo.target.clone_from(&message.start[1]);
        echo.body.clone_from(&message.body);
        message.fields.iter().for_each(|(name, value)| echo.add(name, value));
        echo
    }

    /// Reads what [`Echo::write`] or a script has written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut echo = Self::empty();
        for line in text.lines() {
            let (what, rest) = line.split_once(' ')?;
            match what {
                "method" => rest.clone_into(&mut echo.method),
                "target" => rest.clone_into(&mut echo.target),
                "body" => echo.body = bytes(rest)?,
                "field" => {
                    let (name, value) = rest.split_once(' ')?;
                    echo.add(name, &bytes(value)?);
                }
                _ => return None,
            }
        }
        Some(echo)
    }

    fn empty() -> Self {
        Self { method: String::new(), target: String::new(), fields: BTreeMap::new(), body: Vec::new() }
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        let value = value.escape_ascii().to_string().replace(", ", ",");
        let name = name.to_lowercase().replace('_', "-");
        self.fields.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
}

fn write(message: &Plain) -> String {
    let mut text = format!("method {}\ntarget {}\n", message.start[0], message.start[1]);
    for (name, value) in &message.fields {
        text += &format!("field {name} {}\n", hex(value));
    }
    text + &format!("body {}\n", hex(&message.body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// Answers each request with what it was: what proxies are put in front of, so that they show what they have read. Goes on
/// until the test ends.
#[expect(clippy::disallowed_methods, reason = "a server of this test, which no task of the program runs beside")]
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// A connection that breaks off is the proxy's affair.
fn answer(mut stream: TcpStream) -> Option<()> {
    let (mut buffer, mut read) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let waits = buffer.ends_with(b"\r\n\r\n") && contains(&buffer, b"100-continue");
        while let Ok((message, rest)) = plain_reader::request(&buffer) {
            let body = if message.start[0] == "HEAD" { String::new() } else { write(&message) };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            buffer = rest.to_vec();
            stream.write_all((head + &body).as_bytes()).ok()?;
        }
        if waits && !buffer.is_empty() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        match stream.read(&mut read).ok()? {
            0 => return None,
            count => buffer.extend_from_slice(&read[..count]),
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
