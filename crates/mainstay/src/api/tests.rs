//! The server and the client speaking over a real socket, with a node that answers from a script.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use model::{EntryId, Happening, UnitId};
use sys::tasks::{Tasks, blocking};
use tokio::sync::{mpsc, watch};

use super::bodies::{AcceptedBody, ErrorBody, ErrorKind, LogLineBody, RunAcceptedBody, SecretValueBody, StatusBody};
use super::client::{Client, ClientError};
use super::endpoints::table;
use super::server::{Settings, bind, serve};
use crate::node::call::{Ask, CALLS_WAITING_MAX, Call};

/// A folder of one test's own, short enough for sockets.
struct World {
    folder: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mainstay-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// Serves with `node` answering calls while `test` runs.
    fn run<T>(&self, mut node: impl FnMut(Call), test: impl AsyncFnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (calls, mut received) = mpsc::channel(CALLS_WAITING_MAX);
            let (_stop, stopped) = watch::channel(false);
            let listener = bind(&self.socket()).unwrap();
            let settings = Settings {
                calls,
                tasks: Tasks::default(),
                logs: self.folder.join("logs"),
                journal: self.folder.join("journal"),
                newest: watch::channel(EntryId(0)).1,
            };
            let answering = async {
                while let Some(call) = received.recv().await {
                    node(call);
                }
            };
            tokio::select! {
                () = serve(listener, settings, stopped) => unreachable!("nobody said stop"),
                () = answering => unreachable!("the server holds the sender"),
                outcome = test() => outcome,
            }
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn status() -> StatusBody {
    serde_json::from_str(include_str!("../commands/samples/status-up.json")).unwrap()
}

/// Answers every call, with a refusal where no value is at hand.
fn agreeable(call: Call) {
    let accepted = || Ok(AcceptedBody { entry: EntryId(1) });
    let refused = || ErrorBody::new(ErrorKind::NotFound, "there is no such thing");
    let given = match call.what {
        Ask::Status(answer) => answer.send(Ok(status())).is_ok(),
        Ask::Plan(_, answer) => answer.send(Err(refused())).is_ok(),
        Ask::Apply(_, answer) | Ask::Down(_, answer) | Ask::Restart(_, _, answer) => answer.send(accepted()).is_ok(),
        Ask::Run(service, _, answer) => {
            let unit = format!("{service}.1.run.1").parse().unwrap();
            answer.send(Ok(RunAcceptedBody { unit })).is_ok()
        }
        Ask::RunState(_, answer) => answer.send(Err(refused())).is_ok(),
        Ask::RunHasEnded(_, answer) => answer.send(Err(refused())).is_ok(),
        Ask::Secrets(answer) => answer.send(Ok(Vec::new())).is_ok(),
        Ask::SecretGet(_, _, answer) => answer.send(Ok(SecretValueBody { value: "s3".to_owned() })).is_ok(),
        Ask::SecretSet(_, _, answer) | Ask::SecretRemove(_, answer) => answer.send(accepted()).is_ok(),
        Ask::SecretImport(_, answer) => answer.send(Ok(Vec::new())).is_ok(),
        Ask::Refused(_, _, answer) => answer.send(Ok(EntryId(1))).is_ok(),
    };
    assert!(given, "the caller went away");
}

/// One request as bytes, and the head and body of its answer.
async fn raw(socket: &Path, request: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn request(verb: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn a_status_arrives_as_it_was_sent() {
    let world = World::new("api-status");
    let found = world.run(agreeable, async || world.client().status().await.unwrap());
    assert_eq!(serde_json::to_value(found).unwrap(), serde_json::to_value(status()).unwrap());
}

#[test]
fn who_asks_is_who_the_kernel_says() {
    let world = World::new("api-actor");
    let actors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&actors);
    let node = move |call: Call| {
        seen.lock().unwrap().push(call.actor.clone());
        agreeable(call);
    };
    world.run(node, async || world.client().down(None).await.unwrap());
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(*actors.lock().unwrap(), [model::Actor::Local { uid: own }]);
}

#[test]
fn no_node_is_told_from_other_failures() {
    let world = World::new("api-absent");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = || runtime.block_on(world.client().status()).map(drop);
    assert!(matches!(ask(), Err(ClientError::NoNode { .. })));
    // A socket that a dead node left behind.
    drop(std::os::unix::net::UnixListener::bind(world.socket()).unwrap());
    assert!(matches!(ask(), Err(ClientError::NoNode { .. })));
}

#[test]
fn a_refusal_of_the_nodes_arrives_whole() {
    let world = World::new("api-refusal");
    let found = world.run(agreeable, async || world.client().run_state(&"api.1.run.1".parse().unwrap()).await);
    match found {
        Err(ClientError::Refused(body)) => {
            assert_eq!((body.kind, body.message.as_str()), (ErrorKind::NotFound, "there is no such thing"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn router_and_document_hold_the_same_calls() {
    let document = super::openapi::document();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        documented.extend(operations.as_object().unwrap().keys().map(|verb| (path.clone(), verb.clone())));
    }
    let listed: BTreeSet<(String, String)> =
        table().iter().map(|endpoint| (endpoint.path.to_owned(), endpoint.verb.as_str().to_owned())).collect();
    assert_eq!(documented, listed);

    let world = World::new("api-document");
    let socket = world.socket();
    world.run(agreeable, async || {
        for (path, verb) in &documented {
            let path = path.replace("{name}", "A").replace("{unit}", "api.1.run.1").replace("{id}", "1");
            let (head, body) = raw(&socket, &request(&verb.to_uppercase(), &path, "{}")).await;
            assert!(!body.contains("no such call") && !body.contains("this method"), "{verb} {path}: {head} {body}");
        }
        let (head, body) = raw(&socket, &request("GET", "/v1/nothing", "")).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        assert!(body.contains("there is no such call"), "{body}");
        let (head, body) = raw(&socket, &request("PATCH", "/v1/status", "")).await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("this method"), "{head} {body}");
    });
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = super::openapi::document();
    let mut pending = vec![&document];
    let mut references = 0;
    while let Some(value) = pending.pop() {
        if let Some(target) = value.get("$ref").and_then(serde_json::Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
            references += 1;
        }
        match value {
            serde_json::Value::Object(map) => pending.extend(map.values()),
            serde_json::Value::Array(list) => pending.extend(list),
            _ => {}
        }
    }
    assert!(references > 20, "{references}");
}

#[test]
fn what_is_sent_is_bounded_and_understood_or_refused() {
    let world = World::new("api-bounds");
    let socket = world.socket();
    world.run(agreeable, async || {
        let long = format!("{{\"value\":\"{}\"}}", "x".repeat(super::request::BODY_BYTES_MAX));
        let (head, body) = raw(&socket, &request("PUT", "/v1/secrets/KEY", &long)).await;
        assert!(head.starts_with("HTTP/1.1 422"), "{head}");
        assert!(body.contains("at most 2097152 bytes"), "{body}");
        let (head, body) = raw(&socket, &request("PUT", "/v1/secrets/KEY", "{\"value\": 424242}")).await;
        assert!(head.starts_with("HTTP/1.1 422"), "{head}");
        assert!(!body.contains("424242"), "a value is repeated in an error: {body}");
        let (head, body) = raw(&socket, &request("GET", "/v1/secrets/not-a-name", "")).await;
        assert!(head.starts_with("HTTP/1.1 422") && body.contains("'-' cannot stand here"), "{head} {body}");
        let (head, body) = raw(&socket, &request("POST", "/v1/services/api/runs", "{\"words\":[]}")).await;
        assert!(head.starts_with("HTTP/1.1 422") && body.contains("a run needs a command"), "{head} {body}");
        let (head, body) = raw(&socket, &request("GET", "/v1/logs?since=yesterday", "")).await;
        assert!(head.starts_with("HTTP/1.1 422") && body.contains("is no moment"), "{head} {body}");
    });
}

#[test]
fn a_value_is_not_cached() {
    let world = World::new("api-cache");
    let (head, _) = world.run(agreeable, async || raw(&world.socket(), &request("GET", "/v1/secrets/KEY", "")).await);
    assert!(head.contains("cache-control: no-store"), "{head}");
}

#[test]
fn more_connections_than_allowed_are_told_so() {
    let world = World::new("api-many");
    let socket = world.socket();
    world.run(agreeable, async || {
        let mut held = Vec::new();
        let refusal = loop {
            // An answered request shows that the connection before it has been looked at.
            match world.client().status().await {
                Ok(_) => held.push(tokio::net::UnixStream::connect(&socket).await.unwrap()),
                Err(ClientError::Refused(body)) => break body,
                Err(other) => panic!("{other:?}"),
            }
            // One that comes while the connection of the request before it still has a place is turned away itself.
            assert!(held.len() <= 2 * 64, "nobody was refused");
        };
        assert_eq!(refusal.kind, ErrorKind::Busy);
        assert_eq!(refusal.message, "64 connections are open already");
    });
}

#[test]
fn a_node_that_drops_its_calls_is_ending_and_serves_nobody() {
    let world = World::new("api-ending");
    world.run(drop, async || {
        assert!(!world.client().is_served().await.unwrap());
        match world.client().down(None).await {
            Err(ClientError::Refused(said)) => assert_eq!(said.kind, ErrorKind::Ending),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn logs_are_followed() {
    let world = World::new("api-follow");
    let folder = world.folder.join("logs/api.1.1");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |text: &str| {
        let line = format!(
            "{{\"at\":\"2026-11-20T17:00:00.000Z\",\"unit\":\"api.1.1\",\"stream\":\"out\",\"line\":\"{text}\"}}\n"
        );
        let path = folder.join("api.1.1.000001.log");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    };
    write("one");
    let mut seen = Vec::new();
    world.run(agreeable, async || {
        let each = |line: LogLineBody| {
            seen.push(line.line);
            if seen.len() == 1 {
                write("two");
            }
            if seen.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        world.client().lines("/v1/logs?of=api&follow=true", each).await.unwrap();
    });
    assert_eq!(seen, ["one", "two"]);
}

#[test]
fn the_output_of_a_run_ends_with_it_and_is_whole() {
    let world = World::new("api-output");
    let unit: UnitId = "api.1.run.1".parse().unwrap();
    let folder = world.folder.join(format!("logs/{unit}"));
    std::fs::create_dir_all(&folder).unwrap();
    let prints = |text: &str, number: u32| {
        let line = format!(
            "{{\"at\":\"2026-11-20T17:00:00.000Z\",\"unit\":\"{unit}\",\"stream\":\"out\",\"line\":\"{text}\"}}\n"
        );
        std::fs::write(folder.join(format!("{unit}.{number:06}.log")), line).unwrap();
    };
    prints("first", 1);
    let mut asked = 0;
    let node = |call: Call| match call.what {
        Ask::RunHasEnded(unit, answer) => {
            asked += 1;
            if asked == 3 {
                // Rotation takes away what was shown, and the last line comes just before the end.
                std::fs::remove_file(folder.join(format!("{unit}.000001.log"))).unwrap();
                prints("last", 2);
            }
            answer.send(Ok(asked >= 3)).unwrap();
        }
        _ => agreeable(call),
    };
    let mut seen = Vec::new();
    world.run(node, async || {
        let each = |line: LogLineBody| {
            seen.push(line.line);
            ControlFlow::Continue(())
        };
        world.client().run_output(&unit, each).await.unwrap();
    });
    assert_eq!(seen, ["first", "last"]);
}

/// Set for the copy of this program that asks the control socket and prints the answer.
const ASK_AT: &str = "MAINSTAY_TEST_ASK_AT";

/// Not a test of anything: what the tests below start as another process.
#[test]
fn asking_process() {
    let Some(socket) = std::env::var_os(ASK_AT) else { return };
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.write_all(request("GET", "/v1/status", "").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    println!("ANSWER {}", answer.replace(['\r', '\n'], " "));
}

/// Asks from another process; gives its output and what was journaled.
fn ask_from_elsewhere(world: &World, prepare: impl FnOnce(&mut Command)) -> (String, Vec<String>) {
    // A copy where every user may execute it.
    let program = world.folder.join("asking");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", "api::tests::asking_process", "--nocapture"]).env(ASK_AT, world.socket());
    prepare(&mut command);
    let journaled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&journaled);
    let node = move |call: Call| {
        if let Ask::Refused(what, why, _) = &call.what {
            seen.lock().unwrap().push(format!("{} by {}: {why}", what, call.actor));
        }
        agreeable(call);
    };
    let output = world.run(node, async || blocking(move || output(&mut command)).await.unwrap());
    let journaled = journaled.lock().unwrap().clone();
    (String::from_utf8_lossy(&output.stdout).into_owned(), journaled)
}

/// Runs a program that was just copied. A process that another test forks meanwhile holds the copy open for
/// writing until it runs its own program, and so long the kernel refuses to run it.
fn output(command: &mut Command) -> std::process::Output {
    const POLL: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 0..500 {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(POLL),
            other => return other.unwrap(),
        }
    }
    panic!("the program stays busy");
}

#[test]
fn another_process_of_the_same_user_may_ask() {
    let world = World::new("api-same");
    let (output, journaled) = ask_from_elsewhere(&world, |_| {});
    assert!(output.contains("ANSWER HTTP/1.1 200"), "{output}");
    assert!(journaled.is_empty(), "{journaled:?}");
}

#[test]
fn a_service_is_refused_and_that_is_journaled() {
    let world = World::new("api-service");
    let (output, journaled) = ask_from_elsewhere(&world, |command| {
        command.env(sys::process::unit::UNIT_VARIABLE, "/srv/app/.mainstay/units/api.1.1");
    });
    assert!(output.contains("ANSWER HTTP/1.1 403"), "{output}");
    assert!(output.contains("it belongs to api.1.1"), "{output}");
    assert_eq!(journaled.len(), 1, "{journaled:?}");
    assert!(journaled[0].starts_with("GET /v1/status by uid "), "{journaled:?}");
}

#[test]
fn another_user_is_refused_and_that_is_journaled() {
    if rustix::process::geteuid().as_raw() != 0 {
        println!("skipped: only root can ask as another user");
        return;
    }
    let world = World::new("api-foreign");
    let (output, journaled) = ask_from_elsewhere(&world, |command| {
        command.uid(54321).gid(54321);
    });
    assert!(output.contains("ANSWER HTTP/1.1 403"), "{output}");
    assert_eq!(journaled, ["GET /v1/status by uid 54321: user id 54321 may not call: only root and user id 0 may"]);
}

#[test]
fn refusals_in_a_row_do_not_fill_the_journal() {
    let world = World::new("api-flood");
    let journaled = Arc::new(Mutex::new(0_u32));
    let seen = Arc::clone(&journaled);
    let node = move |call: Call| {
        if matches!(call.what, Ask::Refused(..)) {
            *seen.lock().unwrap() += 1;
        }
        agreeable(call);
    };
    let program = std::env::current_exe().unwrap();
    let asking = |socket: PathBuf| {
        let mut command = Command::new(&program);
        command.args(["--exact", "api::tests::asking_process", "--nocapture"]);
        command.env(ASK_AT, socket).env(sys::process::unit::UNIT_VARIABLE, "/x/units/api.1.1");
        command
    };
    world.run(node, async || {
        for _ in 0..35 {
            let mut command = asking(world.socket());
            blocking(move || output(&mut command)).await.unwrap();
        }
    });
    assert_eq!(*journaled.lock().unwrap(), 30);
}

#[test]
fn an_event_of_the_journal_has_its_sentence() {
    let world = World::new("api-event");
    let mut journal = sys::journal::Journal::open(&world.folder.join("journal")).unwrap();
    let draft = sys::journal::Draft {
        actor: model::Actor::Node,
        what: Happening::DownRequested,
        reason: "asked".to_owned(),
        evidence: Vec::new(),
        cause: None,
    };
    journal.append(sys::clock::now().wall, draft).unwrap();
    let (one, all, none) = world.run(agreeable, async || {
        let one: super::bodies::EventBody = world.client().get("/v1/events/1").await.unwrap();
        let mut all = Vec::new();
        let each = |event: super::bodies::EventBody| {
            all.push(event.entry.id);
            ControlFlow::Continue(())
        };
        world.client().lines("/v1/events", each).await.unwrap();
        let none = world.client().get::<super::bodies::EventBody>("/v1/events/2").await;
        (one, all, none)
    });
    assert_eq!(one.text, "the stack was asked to stop");
    assert_eq!(all, [EntryId(1)]);
    assert!(matches!(none, Err(ClientError::Refused(body)) if body.message == "the journal has no entry 2"));
}
