//! Requests through the edge while things happen to what is before and behind it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::processes::{self, Process};
use crate::world::{World, steady, tell};

/// How long one request may take: far more than any does, and more than a new edge takes to come back.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// Whoever asks at the same time.
const CLIENTS: usize = 4;
/// How often each of them asks at the least, also where what happens meanwhile is soon over.
const ASKS_MIN: u64 = 6;

/// A service that says which colour it has, and upgrades connections to say back what it is told.
pub(crate) const ECHO: &str = r#"#!/usr/bin/env python3
import os, signal, socketserver, sys, threading, time
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline().decode()
            if not line.strip(): return
            head = {}
            while (field := self.rfile.readline().decode().strip()):
                name, _, value = field.partition(':')
                head[name.lower()] = value.strip()
            if 'upgrade' in head:
                self.wfile.write(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
                while (said := self.rfile.readline()): self.wfile.write(said)
                return
            if '/slow' in line:
                print('slow', flush=True)
                time.sleep(3)
            body = os.environ['COLOUR'].encode()
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, request_queue_size = True, 128
server = Server(('127.0.0.1', int(os.environ['PORT'])), Handler)
def stop(*_):
    # What is under way finishes: nobody sends anything new by now.
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
server.serve_forever(0.05)
os._exit(0)
"#;

/// A stack with an edge on this port.
pub(crate) fn file(port: u16) -> String {
    format!(
        "stack: edged
services:
  web:
    run: bin/echo.py
    replicas: 2
    env: {{ COLOUR: blue }}
    health: {{ ready: /readyz, drain: 3s }}
edge:
  listen: {{ http: {port} }}
  routes:
    - {{ host: shop.example, to: web }}
"
    )
}

/// A stack that is up, and where its edge listens.
pub(crate) struct Edged {
    pub(crate) world: World,
    pub(crate) port: u16,
}

impl Edged {
    pub(crate) fn up(name: &str) -> Self {
        Self::up_by(name, file)
    }

    /// The same, of a stack with another file.
    fn up_by(name: &str, file: impl Fn(u16) -> String) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let world = World::new(name, &file(port));
        world.script("echo.py", ECHO);
        let status = world.up();
        assert_eq!(status["edge"]["addresses"], json!([format!("http://shop.example:{port}/")]));
        Self { world, port }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The edge's own process.
    pub(crate) fn process(&self) -> Process {
        self.world.child("edge")
    }

    /// Asks all the time while something happens; says how often, and what went wrong.
    fn asking<T>(&self, meanwhile: impl FnOnce() -> T) -> (T, Asked) {
        self.asking_for("shop.example", &[200], meanwhile)
    }

    /// The same for a host, of which these are the codes that are no failure.
    pub(crate) fn asking_for<T>(&self, host: &str, good: &[u16], meanwhile: impl FnOnce() -> T) -> (T, Asked) {
        let stop = AtomicBool::new(false);
        let ask = || match get_of(self.address(), host, "/") {
            Ok((code, _)) if good.contains(&code) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask_until(&stop, ask))).collect();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            stop.store(true, Ordering::Relaxed);
            let mut asked = Asked::default();
            for client in clients {
                let of_one = client.join().unwrap();
                asked.requests += of_one.requests;
                asked.failures.extend(of_one.failures);
                asked.slowest = asked.slowest.max(of_one.slowest);
            }
            (result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), asked)
        })
    }
}

/// What clients saw.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    requests: u64,
    failures: Vec<String>,
    slowest: Duration,
}

impl Asked {
    #[track_caller]
    pub(crate) fn all_went_well(&self, what: &str, world: &World) {
        println!("  {what}: {} requests, slowest {:?}", self.requests, self.slowest);
        assert!(self.failures.is_empty(), "{what}: {:#?}\n{}", self.failures, world.events());
    }
}

fn ask_until(stop: &AtomicBool, ask: impl Fn() -> Result<(), String>) -> Asked {
    let mut asked = Asked::default();
    while asked.requests < ASKS_MIN || !stop.load(Ordering::Relaxed) {
        let begun = steady();
        asked.requests += 1;
        if let Err(why) = ask() {
            asked.failures.push(format!("{why} after {:?}", steady().saturating_sub(begun)));
        }
        asked.slowest = asked.slowest.max(steady().saturating_sub(begun));
    }
    asked
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr) -> io::Result<(u16, String)> {
    get_path(address, "/")
}

pub(crate) fn get_path(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    get_of(address, "shop.example", path)
}

pub(crate) fn get_of(address: SocketAddr, host: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_TIME_MAX)?;
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

/// An upgraded connection that says back what it is told.
pub(crate) struct Tunnel(BufReader<TcpStream>);

impl Tunnel {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(REQUEST_TIME_MAX)).unwrap();
        write!(stream, "GET /live HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .unwrap();
        let mut tunnel = Self(BufReader::new(stream));
        assert!(tunnel.line().starts_with("HTTP/1.1 101"));
        while !tunnel.line().trim().is_empty() {}
        tunnel
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    pub(crate) fn echoes(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").unwrap();
        assert_eq!(self.line(), format!("{text}\n"));
    }
}

/// Fails when a replica is stopped before the edge has let go of it.
#[test]
fn a_release_is_rolled_out_without_a_failed_request() {
    let edged = Edged::up("edge-rolling");
    assert_eq!(get(edged.address()).unwrap(), (200, "blue".to_owned()));
    edged.world.write(&file(edged.port).replace("COLOUR: blue", "COLOUR: green"));
    let edge = edged.process();
    let (_, asked) = edged.asking(|| edged.world.done(&["up", "--wait", "100s"]));
    asked.all_went_well("rolled out", &edged.world);
    assert_eq!(get(edged.address()).unwrap(), (200, "green".to_owned()));
    let (_, asked) = edged.asking(|| edged.world.done(&["restart", "web"]));
    asked.all_went_well("restarted", &edged.world);
    assert_eq!(edged.process(), edge);
    edged.world.down();
}

/// Fails when the replicas of a service that the file has no more are stopped before the edge has let go of them.
#[test]
fn a_service_is_taken_out_without_a_failed_request() {
    let edged = Edged::up("edge-taken-out");
    let spare =
        "  spare:\n    run: bin/echo.py\n    env: { COLOUR: green }\n    health: { ready: /readyz, drain: 3s }\nedge:";
    let with_spare = file(edged.port).replace("edge:", spare);
    edged.world.write(&with_spare);
    edged.world.done(&["up", "--wait", "100s"]);
    edged.world.write(&with_spare.replace("to: web", "to: spare"));
    edged.world.done(&["up", "--wait", "100s"]);
    assert_eq!(get(edged.address()).unwrap().1, "green");
    edged.world.write(&file(edged.port));
    let (_, asked) = edged.asking(|| {
        edged.world.done(&["up", "--wait", "100s"]);
        edged.world.wait_for("spare to be gone", || {
            let children = processes::children(&edged.world.state);
            (!children.contains_key("spare.1.1")).then_some(())
        });
    });
    asked.all_went_well("taken out", &edged.world);
    assert_eq!(get(edged.address()).unwrap().1, "blue");
    edged.world.down();
}

/// Fails when what a request waits for is stopped before the edge has finished.
#[test]
fn what_is_under_way_when_everything_stops_is_finished() {
    let edged = Edged::up("edge-down");
    let address = edged.address();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| get_path(address, "/slow"));
        let is_asked = || edged.world.run(&["logs", "web"]).out.contains("slow").then_some(());
        edged.world.wait_for("the service to be asked", is_asked);
        edged.world.down();
        assert_eq!(slow.join().unwrap().unwrap(), (200, "blue".to_owned()));
    });
}

/// Fails when a request that reached nobody is not tried at another replica.
#[test]
fn a_killed_replica_fails_no_request() {
    let edged = Edged::up("edge-replica");
    let old = edged.world.child("web.1.1");
    let (_, asked) = edged.asking(|| {
        processes::kill(&old);
        edged.world.replaced("web.1.1", &old)
    });
    asked.all_went_well("replica killed", &edged.world);
    edged.world.down();
}

/// Fails when a request does not wait for the replica that takes the place of the only one.
#[test]
fn the_only_replica_is_killed_and_no_request_fails() {
    let edged = Edged::up_by("edge-only-replica", |port| file(port).replace("replicas: 2", "replicas: 1"));
    let old = edged.world.child("web.1.1");
    let (_, asked) = edged.asking(|| {
        processes::kill(&old);
        edged.world.replaced("web.1.1", &old);
    });
    asked.all_went_well("only replica killed", &edged.world);
    edged.world.down();
}

/// Fails when the edge ends with the node, or the next node starts another one.
#[test]
fn a_killed_node_fails_no_request_and_the_next_adopts_the_edge() {
    let edged = Edged::up("edge-node");
    let edge = edged.process();
    let mut tunnel = Tunnel::open(edged.address());
    let (_, asked) = edged.asking(|| {
        processes::kill(&edged.world.node().unwrap());
        tunnel.echoes("without a node");
        edged.world.up()
    });
    asked.all_went_well("node killed", &edged.world);
    tunnel.echoes("with another one");
    assert_eq!(edged.process(), edge);
    // The new node holds the sockets too: an edge that dies now is back on them.
    killed_and_back(&edged, "edge killed under the next node");
    edged.world.down();
}

/// Fails when nobody holds the sockets while there is no edge.
#[test]
fn a_killed_edge_is_back_and_nobody_is_turned_away() {
    let edged = Edged::up("edge-killed");
    // So often that another unit would be tried rarely.
    for turn in 1..=6 {
        killed_and_back(&edged, &format!("edge killed, time {turn}"));
    }
    edged.world.down();
}

/// Kills the edge; whoever connects meanwhile waits and is served.
#[track_caller]
fn killed_and_back(edged: &Edged, what: &str) {
    let old = edged.process();
    processes::kill(&old);
    // Each connects after the edge has died; one refusal fails the test.
    let begun = steady();
    let answered = get(edged.address());
    let took = steady().saturating_sub(begun);
    tell(what, took);
    assert_eq!(answered.unwrap_or_else(|error| panic!("{error}\n{}", edged.world.events())).0, 200);
    assert_ne!(edged.process().pid, old.pid);
}

/// Fails when an application touches the edge's process or a connection.
#[test]
fn fifty_applications_close_no_connection() {
    let edged = Edged::up("edge-applied");
    let mut tunnel = Tunnel::open(edged.address());
    let edge = edged.process();
    let ((), asked) = edged.asking(|| {
        for turn in 1..=50 {
            let route = format!("    - {{ host: shop.example, path: /turn-{turn}/, to: web }}\n");
            edged.world.write(&format!("{}{route}", file(edged.port)));
            edged.world.done(&["up", "--wait", "100s"]);
            tunnel.echoes(&format!("turn {turn}"));
        }
    });
    asked.all_went_well("fifty applications", &edged.world);
    assert_eq!(edged.process(), edge);
    edged.world.down();
}

/// Fails when the edge's log is nobody's, or what it counts reaches nobody.
#[test]
fn what_the_edge_says_and_counts_is_shown() {
    let edged = Edged::up("edge-shown");
    let ((), asked) = edged.asking(|| {
        let counted =
            |status: &Value| status["services"][0]["traffic"]["per_second"].as_f64().is_some_and(|it| it > 0.0);
        edged.world.wait_for("requests to be counted", || edged.world.status().filter(&counted).map(drop));
    });
    asked.all_went_well("counted", &edged.world);
    let shown = edged.world.done(&["status"]).out;
    assert!(shown.contains("requests/s, 0.00% failed"), "{shown}");
    let logged = edged.world.done(&["logs", "edge"]).out;
    assert!(logged.contains("\"status\":200"), "{logged}");
    edged.world.down();
}

/// Fails when the port of somebody else is shared, or the refusal does not say whose it is.
#[test]
fn a_port_that_is_taken_is_refused_with_who_has_it() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let world = World::new("edge-taken", &file(port));
    world.script("echo.py", ECHO);
    let ran = world.run(&["up", "--wait", "30s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains(&format!("(process {}) listens on port {port} already", std::process::id())),
        "{}",
        ran.err
    );
    drop(held);
    world.up();
    world.down();
}

/// Fails when an edge that is stopped is not taken for one, or its port stays open without it.
#[test]
fn an_edge_that_is_taken_out_of_the_file_leaves_its_port() {
    let edged = Edged::up("edge-removed");
    let text = file(edged.port);
    edged.world.write(text.split_once("edge:").unwrap().0);
    let ran = edged.world.done(&["up", "--wait", "100s"]);
    assert!(ran.out.contains("nothing listens on http"), "{}", ran.out);
    let refused = || TcpStream::connect(edged.address()).is_err().then_some(());
    edged.world.wait_for("the port to be closed", refused);
    edged.world.down();
}

/// SIGTERM to the edge alone, as an operator may send it: it is started again, on the same sockets.
#[test]
fn an_edge_that_is_ended_by_hand_is_started_again() {
    let edged = Edged::up("edge-ended");
    let old = edged.process();
    let pid = rustix::process::Pid::from_raw(i32::try_from(old.pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    edged.world.wait_for("another edge", || {
        let now = processes::children(&edged.world.state).remove("edge")?;
        (now.pid != old.pid).then_some(())
    });
    assert_eq!(get(edged.address()).unwrap().0, 200);
    edged.world.down();
}

/// A stack whose edge serves HTTPS too, under a name that nobody can own.
pub(crate) struct Secured {
    edged: Edged,
    https: u16,
}

impl Secured {
    pub(crate) fn file(http: u16, https: u16) -> String {
        let listen = format!("listen: {{ https: {https}, http: {http} }}\n  tls: local");
        file(http).replace(&format!("listen: {{ http: {http} }}"), &listen).replace("shop.example", "shop.localhost")
    }

    fn up(name: &str) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, https) = (free(), free());
        let world = World::new(name, &Self::file(port, https));
        world.script("echo.py", ECHO);
        world.up();
        Self { edged: Edged { world, port }, https }
    }

    /// What a client sees that trusts nobody but the authority.
    fn get(&self, host: &str) -> String {
        get_securely(&self.edged.world, self.https, host)
    }
}

/// The answer at a port of HTTPS.
pub(crate) fn get_securely(world: &World, port: u16, host: &str) -> String {
    let resolve = format!("{host}:{port}:127.0.0.1");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-w", " %{http_code} %{http_version}", "--resolve", &resolve]);
    curl.arg("--cacert").arg(world.state.join("authority.pem"));
    let ran = curl.arg(format!("https://{host}:{port}/")).output().unwrap();
    let said = if ran.status.success() { ran.stdout } else { ran.stderr };
    String::from_utf8(said).unwrap()
}

/// Fails when the edge has no certificates, those of another authority than is said to be trusted, or none any more once
/// it or the node began anew; or when plain requests are not sent to HTTPS.
#[test]
fn https_is_served_by_the_local_authority_whoever_dies() {
    let secured = Secured::up("edge-https");
    let world = &secured.edged.world;
    assert_eq!(secured.get("shop.localhost"), "blue 200 2");
    assert!(secured.get("other.localhost").contains("unrecognized name"), "{}", secured.get("other.localhost"));
    let mut plain = TcpStream::connect(secured.edged.address()).unwrap();
    write!(plain, "GET /a?b HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    let location = format!("location: https://shop.localhost:{}/a?b", secured.https);
    assert!(answer.starts_with("HTTP/1.1 308") && answer.to_lowercase().contains(&location), "{answer}");
    let old = secured.edged.process();
    processes::kill(&old);
    assert_eq!(secured.get("shop.localhost"), "blue 200 2", "by the next edge, once it has certificates");
    let edge = secured.edged.process();
    assert_ne!(edge.pid, old.pid);
    processes::kill(&world.node().unwrap());
    assert_eq!(secured.get("shop.localhost"), "blue 200 2", "without a node");
    world.up();
    assert_eq!((secured.get("shop.localhost"), secured.edged.process()), ("blue 200 2".to_owned(), edge));
    assert!(world.events().contains("certificates for 1 host were issued"), "{}", world.events());
    world.down();
}

/// Fails when a host of a new route has no certificate once that is applied.
#[test]
fn a_new_host_has_a_certificate_once_it_is_applied() {
    let secured = Secured::up("edge-new-host");
    let world = &secured.edged.world;
    let mut text = Secured::file(secured.edged.port, secured.https);
    text.push_str("    - { host: \"{tenant}.shop.localhost\", to: web }\n");
    world.write(&text);
    world.up();
    assert_eq!(secured.get("acme.shop.localhost"), "blue 200 2");
    let said = world.done(&["trust"]).out;
    assert!(said.contains(&world.state.join("authority.pem").display().to_string()), "{said}");
    world.down();
}

/// Fails when a folder is sent as it lies in the project, is not sent anew once it is applied, or is lost with the edge.
#[test]
fn a_folder_is_sent_as_it_was_applied() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "stack: edged
services: {{ web: {{ static: dist, spa: true }} }}
edge: {{ listen: {{ http: {port} }}, routes: [{{ host: shop.example, to: web }}] }}
"
    );
    let world = World::new("edge-folder", &text);
    let index = |text: &str| std::fs::write(world.folder.join("dist/index.html"), text).unwrap();
    std::fs::create_dir(world.folder.join("dist")).unwrap();
    index("one");
    let planned = world.done(&["plan"]).out;
    assert!(planned.contains("release 1, 1 file; index.html answers where there is none"), "{planned}");
    let status = world.up();
    assert_eq!((&status["services"][0]["state"], &status["services"][0]["release"]), (&json!("ready"), &json!(1)));
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let home = || get(address).unwrap();
    assert_eq!(home(), (200, "one".to_owned()));
    index("two");
    assert_eq!(home().1, "one", "it is not applied");
    let edge = world.child("edge");
    world.up();
    assert_eq!((home().1, world.child("edge")), ("two".to_owned(), edge.clone()));
    processes::kill(&edge);
    assert_eq!(home().1, "two");
    for command in [&["restart", "web"][..], &["run", "web", "--", "true"]] {
        let refused = world.run(command);
        assert!(refused.err.contains("nothing of it runs"), "{command:?}: {refused:?}");
    }
    world.down();
}
