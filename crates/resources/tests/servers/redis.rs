//! Redis on this machine, operated from nothing to recovery, as root with a user of its own and as a plain user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use crate::ground::{self, Ground, Running, again_as_plain_user, free_port, log_policy, now, passwords, run, service};
use model::stack::{Eviction, Redis};
use model::{ByteSize, Port};
use resources::redis::{Server, discover};
use resources::{Passwords, Place};
use rustix::process::Signal;

fn spec() -> Redis {
    Redis { memory: ByteSize::mebibytes(32), evict: Eviction::Noeviction, port: None, standbys: 0 }
}

fn server(place: Place) -> Server {
    Server::new(place, &spec(), &discover(&[])).unwrap()
}

fn start(ground: &Ground, server: &Server, passwords: &Passwords, port: Port) -> Running {
    run(server.prepare(passwords, now())).unwrap();
    let mut running = Running::start(server.operated(passwords, log_policy(&ground.folder)), port);
    running.wait_ready();
    run(server.complete(passwords, now())).unwrap();
    running
}

/// A service's connection, by the URL that it is given.
struct Client(::redis::Connection);

impl Client {
    fn new(server: &Server, port: Port, name: &str, passwords: &Passwords) -> Result<Self, String> {
        let variables = server.connection(port, &service(name), passwords).unwrap();
        Self::open(&variables[&"CACHE_URL".parse().unwrap()].0)
    }

    fn open(url: &str) -> Result<Self, String> {
        let opened = ::redis::Client::open(url).unwrap().get_connection();
        opened.map(Self).map_err(|error| error.to_string())
    }

    /// What the server answers, as text.
    fn ask(&mut self, words: &str) -> Result<String, String> {
        let mut words = words.split(' ');
        let mut command = ::redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        let answer: ::redis::RedisResult<Option<String>> = command.query(&mut self.0);
        answer.map(Option::unwrap_or_default).map_err(|error| error.to_string())
    }
}

fn assert_refused(outcome: Result<String, String>, why: &str) {
    let error = outcome.unwrap_err();
    assert!(error.contains(why), "{error:?} does not say {why:?}");
}

#[test]
fn from_nothing_to_least_privilege() {
    let ground = Ground::new();
    let passwords = passwords(&["api", "web-worker"]);
    let server = server(ground.place("cache"));
    let running = start(&ground, &server, &passwords, free_port());
    let port = running.port;
    let variables = server.connection(port, &service("web-worker"), &passwords).unwrap();
    assert_eq!(
        *variables[&"CACHE_URL".parse().unwrap()].0,
        format!("redis://web_worker_service:web-worker-password-0123@127.0.0.1:{port}")
    );

    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    let mut worker = Client::new(&server, port, "web-worker", &passwords).unwrap();
    assert_eq!(api.ask("SET tea green"), Ok("OK".to_owned()));
    assert_eq!(worker.ask("GET tea"), Ok("green".to_owned()));
    assert_eq!(worker.ask("EVAL return(1) 0"), Ok("1".to_owned()));
    assert!(api.ask("INFO server").unwrap().contains("tcp_port"));

    for forbidden in [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "CONFIG GET requirepass",
        "CONFIG SET dir /tmp",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "MODULE LIST",
        "ACL LIST",
        "ACL SETUSER api_service allcommands",
        "SCRIPT FLUSH",
        "FUNCTION FLUSH",
        "CLIENT LIST",
        "CLIENT KILL 127.0.0.1:1",
        "MONITOR",
        "SAVE",
        "BGREWRITEAOF",
        "MIGRATE 127.0.0.1 1 tea 0 1",
        "SWAPDB 0 1",
        "SLOWLOG GET",
        "CLUSTER RESET",
        "FAILOVER",
        "SYNC",
    ] {
        assert_refused(api.ask(forbidden), "no permissions to run");
    }
    assert_refused(api.ask("DEBUG SLEEP 0"), "DEBUG command not allowed");
    assert_eq!(api.ask("GET tea"), Ok("green".to_owned()));

    // Nobody comes in without a password, but to ask whether the server is there.
    let mut nobody = Client::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    for question in ["PING", "GET tea", "AUTH default none", "AUTH none"] {
        assert!(nobody.ask(question).is_err(), "{question}");
    }
    assert_eq!(nobody.ask("AUTH prober none"), Ok("OK".to_owned()));
    assert_eq!(nobody.ask("PING"), Ok("PONG".to_owned()));
    for forbidden in ["GET tea", "DBSIZE", "PUBLISH tea green", "ACL LIST"] {
        assert_refused(nobody.ask(forbidden), "no permissions to run");
    }
    assert_eq!(nobody.ask("RESET"), Ok("RESET".to_owned()));
    assert!(nobody.ask("GET tea").is_err());
    let wrong = Client::open(&format!("redis://api_service:wrong-password-0123@127.0.0.1:{port}"));
    assert!(wrong.err().unwrap().contains("Password authentication failed"));

    // A service that stops using the resource loses its login at once; the others' connections stay.
    run(server.complete(&ground::passwords(&["api"]), now())).unwrap();
    assert!(worker.ask("GET tea").is_err());
    assert!(Client::new(&server, port, "web-worker", &passwords).is_err());
    assert_eq!(api.ask("GET tea"), Ok("green".to_owned()));
    run(server.complete(&passwords, now())).unwrap();
    assert_eq!(Client::new(&server, port, "web-worker", &passwords).unwrap().ask("GET tea"), Ok("green".to_owned()));

    let mut operator = Client::open(&format!("redis://mainstay:operator-password-0123@127.0.0.1:{port}")).unwrap();
    for (setting, value) in [
        ("maxmemory", "33554432"),
        ("maxmemory-policy", "noeviction"),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("bind", "127.0.0.1"),
        ("protected-mode", "yes"),
        ("enable-debug-command", "no"),
    ] {
        let found: Vec<String> = ::redis::cmd("CONFIG").arg("GET").arg(setting).query(&mut operator.0).unwrap();
        assert_eq!(found, [setting, value]);
    }

    // No password is in the settings, the users' file, the arguments or the server's words.
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).unwrap();
    let mut texts = vec![arguments, running.output()];
    for name in ["redis.conf", "users.acl"] {
        texts.push(fs::read_to_string(ground.folder.join("cache/config").join(name)).unwrap());
    }
    assert!(!texts.concat().contains("password-0123"));
}

#[test]
fn a_restart_and_a_kill_lose_nothing() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let server = server(ground.place("cache"));
    let port = free_port();
    for (signal, from) in [(Signal::TERM, 0), (Signal::KILL, 1000), (Signal::TERM, 2000)] {
        let running = start(&ground, &server, &passwords, port);
        let mut api = Client::new(&server, port, "api", &passwords).unwrap();
        assert_eq!(api.ask("DBSIZE").err(), None);
        let size: usize = ::redis::cmd("DBSIZE").query(&mut api.0).unwrap();
        assert_eq!(size, from);
        for number in from..from + 1000 {
            assert_eq!(api.ask(&format!("SET key{number} {number}")), Ok("OK".to_owned()));
        }
        running.end(signal);
    }
}

/// Fails when the log is read in as somebody who may not do what it says: a server passes over such transactions, and the
/// effects of a script are one.
#[test]
fn a_kill_loses_no_transaction() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let server = server(ground.place("cache"));
    let port = free_port();
    let running = start(&ground, &server, &passwords, port);
    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    for (question, answer) in [("MULTI", "OK"), ("SET tea green", "QUEUED"), ("SET milk none", "QUEUED")] {
        assert_eq!(api.ask(question), Ok(answer.to_owned()));
    }
    let done: Vec<String> = ::redis::cmd("EXEC").query(&mut api.0).unwrap();
    assert_eq!(done, ["OK", "OK"]);
    let script = "redis.call('SET','sugar','one') redis.call('SET','spoon','two')";
    ::redis::cmd("EVAL").arg(script).arg(0).exec(&mut api.0).unwrap();
    running.end(Signal::KILL);
    let _running = start(&ground, &server, &passwords, port);
    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    for (key, value) in [("tea", "green"), ("milk", "none"), ("sugar", "one"), ("spoon", "two")] {
        assert_eq!(api.ask(&format!("GET {key}")), Ok(value.to_owned()), "{key}");
    }
}

#[test]
fn a_log_that_was_torn_is_used_up_to_the_tear() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let place = ground.place("cache");
    let server = server(place.clone());
    let port = free_port();
    let running = start(&ground, &server, &passwords, port);
    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    assert_eq!(api.ask("SET tea green"), Ok("OK".to_owned()));
    running.end(Signal::KILL);
    let log = place.data().join("appendonlydir/appendonly.aof.1.incr.aof");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend(b"*3\r\n$3\r\nSET\r\n$3\r\nte");
    fs::write(&log, bytes).unwrap();
    let _running = start(&ground, &server, &passwords, port);
    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    assert_eq!(api.ask("GET tea"), Ok("green".to_owned()));
}

#[test]
fn as_a_plain_user() {
    if again_as_plain_user("redis::as_a_plain_user") {
        return;
    }
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let server = server(ground.place("cache"));
    let port = free_port();
    let running = start(&ground, &server, &passwords, port);
    let mut api = Client::new(&server, port, "api", &passwords).unwrap();
    assert_eq!(api.ask("SET tea green"), Ok("OK".to_owned()));
    assert_refused(api.ask("FLUSHALL"), "no permissions to run");
    running.end(Signal::KILL);
    let _running = start(&ground, &server, &passwords, port);
    assert_eq!(Client::new(&server, port, "api", &passwords).unwrap().ask("GET tea"), Ok("green".to_owned()));
}

#[test]
fn a_full_memory_refuses_writes_or_evicts_as_asked() {
    for (evict, refused) in [(Eviction::Noeviction, true), (Eviction::AllkeysLru, false)] {
        let ground = Ground::new();
        let passwords = passwords(&["api"]);
        let spec = Redis { memory: ByteSize::mebibytes(4), evict, ..spec() };
        let server = Server::new(ground.place("cache"), &spec, &discover(&[])).unwrap();
        let running = start(&ground, &server, &passwords, free_port());
        let mut api = Client::new(&server, running.port, "api", &passwords).unwrap();
        let value = "x".repeat(64 << 10);
        let outcomes: Vec<_> = (0..200).map(|number| api.ask(&format!("SET key{number} {value}"))).collect();
        assert_eq!(outcomes.iter().any(Result::is_err), refused, "{evict:?}");
        if refused {
            assert_refused(outcomes.last().unwrap().clone(), "command not allowed when used memory > 'maxmemory'");
        }
    }
}

#[test]
fn data_that_is_gone_is_not_replaced_by_an_empty_server() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let place = ground.place("cache");
    let server = server(place.clone());
    let port = free_port();
    start(&ground, &server, &passwords, port).end(Signal::TERM);
    let (log, aside) = (place.data().join("appendonlydir"), place.folder.join("aside"));
    let refused = || run(server.prepare(&passwords, now())).unwrap_err().to_string();
    let expected = format!(
        "{0} held data since 2026-11-20T17:00:00.000Z, and data/appendonlydir/appendonly.aof.manifest is missing or \
         lists no file: put it back from a backup. If it may be lost, remove {0}/resource.json and {0}.json and start \
         again; the resource then starts empty",
        place.folder.display()
    );
    fs::rename(&log, &aside).unwrap();
    assert_eq!(refused(), expected);
    fs::create_dir(&log).unwrap();
    fs::write(log.join("appendonly.aof.manifest"), "").unwrap();
    assert_eq!(refused(), expected);
    fs::remove_dir_all(&log).unwrap();
    fs::rename(&aside, &log).unwrap();
    start(&ground, &server, &passwords, port).end(Signal::TERM);

    // Saying that it may be lost is enough, unless a snapshot would be lost with it.
    fs::remove_dir_all(&log).unwrap();
    fs::remove_file(place.folder.join("resource.json")).unwrap();
    fs::remove_file(place.folder.with_extension("json")).unwrap();
    fs::write(place.data().join("dump.rdb"), "REDIS").unwrap();
    assert!(refused().contains("holds a snapshot (dump.rdb) and no append-only file"), "{}", refused());
    fs::remove_file(place.data().join("dump.rdb")).unwrap();
    start(&ground, &server, &passwords, port).end(Signal::TERM);
}

#[test]
fn a_folder_that_is_gone_whole_is_not_replaced_by_an_empty_server() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let place = ground.place("cache");
    let server = server(place.clone());
    let port = free_port();
    start(&ground, &server, &passwords, port).end(Signal::TERM);
    fs::remove_dir_all(&place.folder).unwrap();
    // The first refusal makes folders anew; the next is the same.
    for _ in 0..2 {
        assert_eq!(
            run(server.prepare(&passwords, now())).unwrap_err().to_string(),
            format!(
                "{0} held data since 2026-11-20T17:00:00.000Z, and data/appendonlydir/appendonly.aof.manifest is missing \
                 or lists no file: put it back from a backup. If it may be lost, remove {0}.json and start again; the \
                 resource then starts empty",
                place.folder.display()
            )
        );
    }
    fs::remove_file(place.folder.with_extension("json")).unwrap();
    start(&ground, &server, &passwords, port).end(Signal::TERM);
    assert!(place.folder.with_extension("json").exists());
}

#[test]
fn a_folder_of_another_kind_is_refused() {
    let ground = Ground::new();
    let place = ground.place("cache");
    fs::create_dir(&place.folder).unwrap();
    let record = r#"{"format":1,"kind":"postgres","since":"2026-11-20T17:00:00.000Z"}"#;
    let refused = |record: &str| {
        fs::write(place.folder.join("resource.json"), record).unwrap();
        run(server(place.clone()).prepare(&passwords(&[]), now())).unwrap_err().to_string()
    };
    assert!(refused(record).contains("holds data of another kind of resource"));
    assert!(refused(&record.replace("\"format\":1", "\"format\":2")).contains("has format 2"));
    assert!(refused("{").contains("is damaged"));
    // Moved away as the refusal says, it is in nobody's way any more, whatever is noted beside it.
    fs::remove_dir_all(&place.folder).unwrap();
    fs::write(place.folder.with_extension("json"), record).unwrap();
    run(server(place.clone()).prepare(&passwords(&[]), now())).unwrap();
}

#[test]
fn what_is_not_carried_out_is_refused() {
    let ground = Ground::new();
    let spec = Redis { standbys: 2, ..spec() };
    let refused = Server::new(ground.place("cache"), &spec, &discover(&[])).err().unwrap();
    assert_eq!(refused.to_string(), "`standbys` of a redis resource is not supported yet: remove it");
}
