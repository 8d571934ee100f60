//! The stack that most tests run, a guest book on PostgreSQL and Redis, and a reader and writer of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::world::{POLL, World, units};

/// The stack file.
pub(crate) const FILE: &str = "\
stack: survival
services:
  web:
    run: bin/minimal serve
    replicas: 2
    uses: [db, cache]
    secrets: [EDITOR_KEY]
    env: { COLOUR: blue }
    health: { ready: /readyz, live: /healthz, drain: 3s }
    release: { run: bin/minimal migrate }
  worker:
    run: bin/minimal work
    uses: [db, cache]
    needs: [web]
resources:
  db: { type: postgres, memory: 64MiB }
  cache: { type: redis, memory: 16MiB }
secrets:
  EDITOR_KEY: { generate: 24B }
";

/// How long one request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// What the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Notes in PostgreSQL.
    pub(crate) written: u64,
    /// The counter in Redis.
    pub(crate) visits: u64,
}

/// What a writer came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many notes were sent.
    pub(crate) attempted: u64,
    /// How many of them the service said are stored.
    pub(crate) acknowledged: u64,
}

/// Where the replicas of `web` that are ready listen.
pub(crate) fn addresses(world: &World) -> Vec<SocketAddr> {
    let Some(status) = world.status() else { return Vec::new() };
    let ready = units(&status)
        .into_iter()
        .filter(|unit| unit["state"] == "ready" && unit["id"].as_str().is_some_and(|id| id.starts_with("web.")));
    ready.filter_map(|unit| unit["address"].as_str()?.parse().ok()).collect()
}

/// Reads the page from the first replica.
#[track_caller]
pub(crate) fn page(world: &World) -> Page {
    let (page, _) = world.wait_for("the page", || {
        let (code, body) = request(*addresses(world).first()?, "GET", "/", "").ok()?;
        (code == 200).then(|| read_page(&body)).flatten()
    });
    page
}

fn read_page(body: &str) -> Option<Page> {
    let number = |label: &str| body.split_once(label)?.1.split('.').next()?.trim().parse().ok();
    Some(Page { written: number("Notes written:")?, visits: number("Visits:")? })
}

/// Stores a note; says whether it was acknowledged.
pub(crate) fn note(address: SocketAddr, text: &str) -> bool {
    request(address, "POST", "/notes", &format!("text={text}")).is_ok_and(|(code, _)| code == 303)
}

/// Writes notes one after the other while something else happens.
pub(crate) fn writing<T>(world: &World, meanwhile: impl FnOnce() -> T) -> (T, Written) {
    let stop = AtomicBool::new(false);
    let written = Mutex::new(Written::default());
    let result = std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        scope.spawn(|| write_until(world, &stop, &written));
        let first = || (written.lock().unwrap().acknowledged > 0).then_some(());
        world.wait_for("the first note", first);
        meanwhile()
    });
    (result, written.into_inner().unwrap())
}

/// Ends the writer, also when the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn write_until(world: &World, stop: &AtomicBool, written: &Mutex<Written>) {
    let mut known = addresses(world);
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let stored = known.get(turn % known.len().max(1)).is_some_and(|address| {
            written.lock().unwrap().attempted += 1;
            note(*address, &format!("note+{turn}"))
        });
        if stored {
            written.lock().unwrap().acknowledged += 1;
            continue;
        }
        // A node that is gone knows no addresses; the replicas are where they were.
        let now = addresses(world);
        if !now.is_empty() {
            known = now;
        }
        std::thread::sleep(POLL);
    }
}

/// One request, and its status and body.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect_timeout(&address, REQUEST_TIME_MAX)?;
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    exchange(stream, method, path, body)
}

/// A request to the control socket, and its answer's code and body.
pub(crate) fn ask_node(world: &World, method: &str, path: &str) -> io::Result<(u16, String)> {
    let stream = UnixStream::connect(&world.socket)?;
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    exchange(stream, method, path, "")
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
