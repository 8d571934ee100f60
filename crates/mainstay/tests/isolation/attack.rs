//! The attacker: this very program, run by a stack in the place of one of its services.
//!
//! Start reading at [`attacker`]. It is told where everything is, tries each way to it, and prints one line per try.
//! It never sends a signal to what it was not told of.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde_json::{Value, json};

/// The file, in the folder of the stack, that says what to attack. Where there is none, nothing is attacked.
pub(crate) const TARGETS: &str = "targets.json";
/// How each report begins.
pub(crate) const REPORT: &str = "ATTACK ";
/// The last report of [`lurker`].
pub(crate) const LURKED: &str = "end";
/// Set in the process that tries the control API once more, as nobody's child.
const ORPHAN: &str = "ATTACK_AS_ORPHAN";
const PATIENCE: Duration = Duration::from_secs(10);

/// Not a test of its own: what the stack runs.
#[test]
fn attacker() {
    let Ok(text) = fs::read_to_string(TARGETS) else { return };
    let targets: Value = serde_json::from_str(&text).unwrap();
    if std::env::var_os(ORPHAN).is_some() {
        let parent = processes_parent();
        report("control socket, orphaned", control(&targets).map(|got| format!("{got} (parent {parent})")));
        return;
    }
    own_things();
    for (name, pid) in targets["processes"].as_object().unwrap() {
        look_into(name, i32::try_from(pid.as_i64().unwrap()).unwrap());
    }
    for place in targets["closed"].as_array().unwrap() {
        walk(Path::new(place.as_str().unwrap()), &targets);
    }
    sockets(&targets);
    databases(&targets);
    for (name, pid) in targets["processes"].as_object().unwrap() {
        signal(name, i32::try_from(pid.as_i64().unwrap()).unwrap());
    }
}

/// Not a test of its own: a replica that looks into the release hook of its own service.
#[test]
fn lurker() {
    let Ok(text) = fs::read_to_string(TARGETS) else { return };
    let targets: Value = serde_json::from_str(&text).unwrap();
    report("own environment", fs::read("/proc/self/environ").map_err(words).and_then(|bytes| full(&bytes)));
    let hook = i32::try_from(targets["hook"].as_i64().unwrap()).unwrap();
    look_into("the hook", hook);
    let home = Path::new(targets["home"].as_str().unwrap());
    report("plant in the hook's home", fs::write(home.join(".psqlrc"), "x").map_err(words).map(|()| "written".into()));
    report(LURKED, Err("done".to_owned()));
}

fn report(attack: &str, outcome: Result<String, String>) {
    let (got, what) = match outcome {
        Ok(what) => (true, what),
        Err(what) => (false, what),
    };
    println!("\n{REPORT}{}", json!({ "attack": attack, "got": got, "what": what }));
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn full(bytes: &[u8]) -> Result<String, String> {
    if bytes.is_empty() { Err("nothing".to_owned()) } else { Ok(format!("{} bytes", bytes.len())) }
}

/// What must go on working, and shows that the ways of attack are ways.
fn own_things() {
    let own = |name: &str| fs::read(format!("/proc/self/{name}")).map_err(words).and_then(|bytes| full(&bytes));
    report("own environment", own("environ"));
    report("own memory", fs::File::open("/proc/self/mem").map_err(words).map(|_| "open".to_owned()));
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = Pid::from_child(&child);
    report("own child's signals", kill_process(pid, Signal::TERM).map_err(words).map(|()| "sent".to_owned()));
    drop(child.wait());
    let volume = PathBuf::from(std::env::var_os("MINE_DIR").unwrap()).join("file");
    let wrote = fs::write(&volume, "mine").and_then(|()| fs::read(&volume)).map_err(words);
    report("own volume", wrote.and_then(|bytes| full(&bytes)));
    let new = Path::new("made-later.db");
    let wrote = fs::write(new, "new").and_then(|()| fs::read(new)).map_err(words);
    report("own new file", wrote.and_then(|bytes| full(&bytes)));
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    // With one byte there is neither a file nor a dump for a crash reporter.
    report(
        "core dumps",
        if matches!(core.split_whitespace().nth(5), Some("0" | "1")) { Err(core.into()) } else { Ok(core.into()) },
    );
}

fn look_into(name: &str, pid: i32) {
    let at = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
    report(&format!("environment of {name}"), fs::read(at("environ")).map_err(words).and_then(|it| full(&it)));
    for mode in ["read", "write"] {
        let opened = fs::File::options().read(mode == "read").write(mode == "write").open(at("mem"));
        report(&format!("memory of {name} to {mode}"), opened.map_err(words).map(|_| "open".to_owned()));
    }
    // The numbers may be listed by a process of the same user; what is behind them is another matter.
    let numbers = fs::read_dir(at("fd")).into_iter().flatten().flatten();
    let behind = numbers.map(|entry| fs::read_link(entry.path()).map_err(words)).find(Result::is_ok);
    let behind = behind.unwrap_or_else(|| Err("none can be followed".to_owned()));
    report(&format!("files of {name}"), behind.map(|path| path.display().to_string()));
    for door in ["root", "cwd"] {
        report(&format!("{door} of {name}"), fs::read_dir(at(door)).map_err(words).map(|_| "listed".to_owned()));
    }
}

fn signal(name: &str, pid: i32) {
    let pid = Pid::from_raw(pid).unwrap();
    report(&format!("reach {name} by signal"), test_kill_process(pid).map_err(words).map(|()| "reached".into()));
    report(&format!("end {name}"), kill_process(pid, Signal::KILL).map_err(words).map(|()| "sent".into()));
    report(
        &format!("end group of {name}"),
        kill_process_group(pid, Signal::KILL).map_err(words).map(|()| "sent".into()),
    );
}

/// Reads and changes every file below a folder, but for what is open to all services or the attacker's own.
fn walk(path: &Path, targets: &Value) {
    let open = targets["open"].as_array().unwrap();
    if open.iter().any(|open| path.starts_with(open.as_str().unwrap())) {
        return;
    }
    let name = path.display();
    if path.is_dir() {
        let probe = path.join("planted");
        report(&format!("file planted in {name}"), fs::write(&probe, "x").map_err(words).map(|()| "written".into()));
        // One that stayed would be found by the next walk.
        drop(fs::remove_file(&probe));
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), targets);
        }
    } else {
        report(&format!("file {name}"), fs::read(path).map_err(words).and_then(|bytes| full(&bytes)));
        let appended = fs::File::options().append(true).open(path).map_err(words);
        // What is masked takes everything and keeps nothing.
        let kept = appended.and_then(|file| {
            if file.metadata().is_ok_and(|it| it.is_file()) { Ok("open".into()) } else { Err("masked".into()) }
        });
        report(&format!("file {name} to change"), kept);
    }
}

fn answer(mut stream: impl Read + Write, question: &[u8]) -> Result<String, String> {
    stream.write_all(question).map_err(words)?;
    let mut bytes = [0; 512];
    let count = stream.read(&mut bytes).map_err(words)?;
    full(&bytes[..count])?;
    Ok(String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned())
}

fn ask(socket: &Path, question: &[u8]) -> Result<String, String> {
    let stream = UnixStream::connect(socket).map_err(words)?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    answer(stream, question)
}

fn control(targets: &Value) -> Result<String, String> {
    let socket = Path::new(targets["control"].as_str().unwrap());
    let line = ask(socket, b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    if line.contains(" 200 ") { Ok(line) } else { Err(line) }
}

fn sockets(targets: &Value) {
    report("control socket", control(targets));
    report("control socket, orphaned and with another environment", orphan());
    for (name, path) in targets["shims"].as_object().unwrap() {
        let stop = b"{\"ask\":\"stop\",\"signal\":9,\"deadline_ms\":0}\n";
        report(&format!("shim of {name}"), ask(Path::new(path.as_str().unwrap()), stop));
    }
    let redis = Path::new(targets["redis_socket"].as_str().unwrap());
    report("redis by its socket", ask(redis, b"CONFIG GET requirepass\r\n").and_then(redis_gave));
    let port = u16::try_from(targets["redis_port"].as_u64().unwrap()).unwrap();
    // Whoever asks without a password is told nothing, and the user whom the log is read in as is nobody's.
    for question in [
        "PING",
        "AUTH default x",
        "AUTH x",
        "GET key",
        "SET key x",
        "KEYS *",
        "INFO",
        "ACL LIST",
        "CONFIG GET *",
        "SHUTDOWN NOSAVE",
        "AUTH attacker_service x",
        "AUTH victim_service x",
        "AUTH mainstay x",
    ] {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(words);
        let got = stream.and_then(|stream| answer(stream, format!("{question}\r\n").as_bytes())).and_then(redis_gave);
        report(&format!("redis: {question}"), got);
    }
}

fn redis_gave(line: String) -> Result<String, String> {
    if line.starts_with('-') { Err(line) } else { Ok(line) }
}

/// Tries again as a process that has left its parent, its session and its environment.
fn orphan() -> Result<String, String> {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "setsid \"$0\" attack::attacker --exact --nocapture & exit 0"]).arg(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env(ORPHAN, "1").stdout(Stdio::piped());
    let mut child = command.spawn().map_err(words)?;
    drop(child.wait());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).map_err(words)?;
    let line = said.lines().find_map(|line| line.strip_prefix(REPORT)).ok_or("the orphan said nothing")?;
    let line: Value = serde_json::from_str(line).map_err(words)?;
    let what = line["what"].as_str().unwrap().to_owned();
    if line["got"] == true { Ok(what) } else { Err(what) }
}

fn processes_parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[expect(clippy::disallowed_methods, reason = "the attacker is a client with the variables and tasks of any other")]
fn databases(targets: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let variable = |name: &str| std::env::var(name).unwrap();
    let (own, password) = (variable("DB_USER"), variable("DB_PASSWORD"));
    let port = |name: &str| u16::try_from(targets[name].as_u64().unwrap()).unwrap();
    let own_port = variable("DB_PORT").parse().unwrap();
    let login = |what: &str, at: (&Path, u16), user: &str, password: &str, database: &str, statement: &str| {
        let mut config = tokio_postgres::Config::new();
        match at.0.is_absolute() {
            true => config.host_path(at.0),
            false => config.host("127.0.0.1"),
        };
        config.port(at.1).user(user).password(password).dbname(database).connect_timeout(PATIENCE);
        let tried = runtime.block_on(async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            client.simple_query(statement).await
        });
        let told =
            |error: tokio_postgres::Error| error.as_db_error().map_or(error.to_string(), |it| it.message().into());
        report(&format!("postgres: {what}"), tried.map_err(told).map(|rows| format!("{} rows", rows.len())));
    };
    let tcp = Path::new("tcp");
    login("own database", (tcp, own_port), &own, &password, "db", "SELECT current_user");
    for statement in [
        "SET ROLE victim_service",
        "SET ROLE db_owner",
        "SET ROLE mainstay",
        "SET SESSION AUTHORIZATION victim_service",
        "GRANT db_owner TO CURRENT_USER",
        "ALTER ROLE victim_service PASSWORD 'x'",
        "CREATE ROLE another",
        "CREATE TABLE public.planted (x int)",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "CREATE EXTENSION file_fdw",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user AND usename IS NOT NULL",
    ] {
        login(statement, (tcp, own_port), &own, &password, "db", statement);
    }
    login("another database of the server", (tcp, own_port), &own, &password, "postgres", "SELECT 1");
    let runtime_folder = PathBuf::from(targets["runtime"].as_str().unwrap());
    for (name, port, database) in [("db", own_port, "db"), ("ledger", port("ledger_port"), "ledger")] {
        for user in ["attacker_service", "victim_service", "mainstay", "postgres", "db_owner", "ledger_owner"] {
            let at = runtime_folder.join(name);
            if (name, user) != ("db", "attacker_service") {
                login(&format!("{user} on {name}"), (tcp, port), user, &password, database, "SELECT 1");
            }
            login(&format!("{user} on {name}'s socket"), (&at, port), user, "", database, "SELECT 1");
        }
    }
}
