//! PostgreSQL on this machine, operated from nothing to recovery, as root with a user of its own and as a plain
//! user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ground::{
    self, Ground, Running, again_as_plain_user, free_port, is_root, log_policy, now, passwords, run, service,
};
use model::stack::Postgres;
use model::{ByteSize, CpuShare, Holder, Port};
use resources::postgres::{PrepareError, Server, ServerError, discover};
use resources::{Password, Passwords, Place};
use rustix::process::Signal;

fn spec() -> Postgres {
    Postgres { version: None, memory: ByteSize::mebibytes(64), port: None, standbys: 0, pool: None }
}

fn server(place: Place) -> Server {
    Server::new(place, &spec(), &discover(&[]), CpuShare::millicores(2000)).unwrap()
}

fn start(ground: &Ground, server: &Server, passwords: &Passwords, port: Port) -> Running {
    run(server.prepare(passwords, now())).unwrap();
    let mut running = Running::start(server.operated(passwords, log_policy(&ground.folder)), port);
    running.wait_ready();
    run(server.complete(passwords)).unwrap();
    running
}

fn variable(server: &Server, running: &Running, holder: &Holder, passwords: &Passwords, name: &str) -> String {
    let variables = server.connection(running.port, holder, passwords).unwrap();
    variables[&name.parse().unwrap()].0.to_string()
}

/// Runs a statement through the real client: what it prints, or its complaint.
fn sql(server: &Server, url: &str, statement: &str) -> Result<String, String> {
    let output = Command::new(server.installation().beside("psql"))
        .args([url, "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement])
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
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
    let server = server(ground.place("order-db"));
    let running = start(&ground, &server, &passwords, free_port());
    let url = |holder: &Holder| variable(&server, &running, holder, &passwords, "ORDER_DB_URL");
    let (owner, api, worker) = (url(&Holder::Owner), url(&service("api")), url(&service("web-worker")));
    let port = running.port;
    assert_eq!(api, format!("postgres://api_service:api-password-0123@127.0.0.1:{port}/order_db"));

    // The owner makes tables; services use them, whenever they were made.
    sql(&server, &owner, "CREATE TABLE orders (id serial PRIMARY KEY, what text)").unwrap();
    sql(&server, &owner, "CREATE SCHEMA audit CREATE TABLE lines (what text)").unwrap();
    sql(&server, &api, "INSERT INTO orders (what) VALUES ('tea')").unwrap();
    sql(&server, &worker, "UPDATE orders SET what = 'coffee'").unwrap();
    sql(&server, &worker, "INSERT INTO audit.lines VALUES ('x')").unwrap();
    assert_eq!(sql(&server, &api, "SELECT what FROM orders"), Ok("coffee".to_owned()));

    // Services change rows and nothing else.
    assert_refused(sql(&server, &api, "CREATE TABLE mine (a int)"), "permission denied for schema public");
    assert_refused(sql(&server, &api, "CREATE SCHEMA mine"), "permission denied for database order_db");
    assert_refused(
        sql(&server, &api, "CREATE TEMP TABLE mine (a int)"),
        "permission denied to create temporary tables",
    );
    assert_refused(sql(&server, &api, "DROP TABLE orders"), "must be owner of table orders");
    assert_refused(sql(&server, &api, "ALTER TABLE orders ADD b int"), "must be owner of table orders");
    assert_refused(sql(&server, &api, "TRUNCATE orders"), "permission denied for table orders");
    assert_refused(sql(&server, &api, "CREATE ROLE mine"), "permission denied to create role");
    assert_refused(sql(&server, &api, "CREATE DATABASE mine"), "permission denied to create database");
    assert_refused(sql(&server, &api, "SELECT rolpassword FROM pg_authid"), "permission denied for table pg_authid");
    assert_refused(sql(&server, &api, "COPY orders TO PROGRAM 'cat'"), "pg_execute_server_program");
    assert_refused(sql(&server, &api, "SET ROLE order_db_owner"), "permission denied to set role");
    assert_refused(sql(&server, &owner, "CREATE ROLE mine"), "permission denied to create role");

    // Nobody reads another database, and nobody comes in without a password of their own.
    for database in ["postgres", "template1"] {
        assert_refused(
            sql(&server, &api.replace("/order_db", &format!("/{database}")), "SELECT 1"),
            &format!("permission denied for database \"{database}\""),
        );
    }
    let authentication = "password authentication failed for user \"api_service\"";
    assert_refused(sql(&server, &api.replace("api-password", "bad-password"), "SELECT 1"), authentication);
    let superuser = format!("postgres://mainstay:operator-password-0123@127.0.0.1:{port}/postgres");
    assert_refused(sql(&server, &superuser, "SELECT 1"), "pg_hba.conf rejects connection");

    // What is said to be on is on.
    for (setting, value) in [
        ("data_checksums", "on"),
        ("ssl", "on"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("fsync", "on"),
        ("cluster_name", "order-db"),
        ("shared_buffers", "16MB"),
    ] {
        assert_eq!(sql(&server, &api, &format!("SHOW {setting}")), Ok(value.to_owned()), "{setting}");
    }
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(sql(&server, &format!("{api}?sslmode=require"), encrypted), Ok("t".to_owned()));

    // A changed password counts at once, and is a reason to complete the server again.
    let mut changed = passwords.clone();
    let new = Password::new("another-password-0123".to_owned().into()).unwrap();
    changed.others.insert(service("api"), new);
    let completed = |passwords| server.operated(passwords, log_policy(&ground.folder)).unit.completed;
    assert_ne!(completed(&changed), completed(&passwords));
    run(server.complete(&changed)).unwrap();
    assert_refused(sql(&server, &api, "SELECT 1"), authentication);
    run(server.complete(&passwords)).unwrap();

    // A service that stops using the resource loses its login; what the owner took away stays away.
    sql(&server, &owner, "REVOKE DELETE ON orders FROM order_db_users").unwrap();
    run(server.complete(&ground::passwords(&["api"]))).unwrap();
    assert_refused(sql(&server, &worker, "SELECT 1"), "authentication failed");
    assert_eq!(sql(&server, &api, "SELECT what FROM orders"), Ok("coffee".to_owned()));
    assert_refused(sql(&server, &api, "DELETE FROM orders"), "permission denied for table orders");
    run(server.complete(&passwords)).unwrap();
    assert_eq!(sql(&server, &worker, "SELECT what FROM orders"), Ok("coffee".to_owned()));

    // No password is in a file of the resource or in the server's words.
    let mut files = vec![fs::read(ground.folder.join("order-db.output")).unwrap()];
    collect(&ground.folder.join("order-db"), &mut files);
    for needle in ["operator-password-0123", "owner-password-0123", "api-password-0123"] {
        let found = files.iter().filter(|bytes| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()));
        assert_eq!(found.count(), 0, "{needle}");
    }
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(!arguments.contains("password-0123"), "{arguments}");
}

fn collect(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            // A server that runs removes files of its own meanwhile.
            false => files.extend(fs::read(path)),
        }
    }
}

#[test]
fn a_restart_and_a_kill_lose_nothing() {
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let server = server(ground.place("db"));
    let port = free_port();
    let running = start(&ground, &server, &passwords, port);
    let owner = variable(&server, &running, &Holder::Owner, &passwords, "DB_URL");
    let api = variable(&server, &running, &service("api"), &passwords, "DB_URL");
    sql(&server, &owner, "CREATE TABLE rows (n int)").unwrap();
    sql(&server, &api, "INSERT INTO rows VALUES (1)").unwrap();
    running.end(Signal::INT);
    let running = start(&ground, &server, &passwords, port);
    for n in 2..=5 {
        sql(&server, &api, &format!("INSERT INTO rows VALUES ({n})")).unwrap();
    }
    running.end(Signal::KILL);
    let running = start(&ground, &server, &passwords, port);
    assert_eq!(sql(&server, &api, "SELECT sum(n), count(*) FROM rows"), Ok("15|5".to_owned()));
    assert!(running.output().contains("database system was not properly shut down"), "{}", running.output());
}

#[test]
fn as_a_plain_user() {
    if again_as_plain_user("postgres::as_a_plain_user") {
        return;
    }
    let ground = Ground::new();
    let passwords = passwords(&["api"]);
    let server = server(ground.place("db"));
    let port = free_port();
    let running = start(&ground, &server, &passwords, port);
    let owner = variable(&server, &running, &Holder::Owner, &passwords, "DB_URL");
    let api = variable(&server, &running, &service("api"), &passwords, "DB_URL");
    sql(&server, &owner, "CREATE TABLE rows (n int)").unwrap();
    sql(&server, &api, "INSERT INTO rows VALUES (1)").unwrap();
    assert_refused(sql(&server, &api, "DROP TABLE rows"), "must be owner of table rows");
    running.end(Signal::KILL);
    let _running = start(&ground, &server, &passwords, port);
    assert_eq!(sql(&server, &api, "SELECT n FROM rows"), Ok("1".to_owned()));
}

#[test]
fn folders_belong_to_whom_they_should() {
    let ground = Ground::new();
    let place = ground.place("db");
    run(server(place.clone()).prepare(&passwords(&[]), now())).unwrap();
    let mode = |name: &str| fs::metadata(place.folder.join(name)).unwrap().permissions().mode() & 0o7777;
    let owner = |name: &str| fs::metadata(place.folder.join(name)).unwrap().uid();
    let own = rustix::process::geteuid().as_raw();
    let theirs = place.user.map_or(own, |user| user.uid);
    let (folder, file) = if is_root() { (0o750, 0o640) } else { (0o700, 0o600) };
    for (name, expected_mode, expected_owner) in [
        ("", folder, own),
        ("config", folder, own),
        ("config/postgresql.conf", file, own),
        ("config/pg_hba.conf", file, own),
        ("config/server.key", file, own),
        ("authority.key", 0o600, own),
        ("resource.json", 0o600, own),
        ("data", 0o700, theirs),
        ("data/PG_VERSION", 0o600, theirs),
    ] {
        assert_eq!(
            (format!("{:o}", mode(name)), owner(name)),
            (format!("{expected_mode:o}"), expected_owner),
            "{name}"
        );
    }
    assert_eq!(fs::metadata(&place.sockets).unwrap().permissions().mode() & 0o7777, 0o700);
    assert!(!place.folder.join("passwd.new").exists());
}

#[test]
fn a_preparation_that_was_cut_short_is_not_believed() {
    let ground = Ground::new();
    let place = ground.place("db");
    let half = place.folder.join("data.new-0123456789abcdef");
    fs::create_dir_all(half.join("base")).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    run(server(place.clone()).prepare(&passwords(&[]), now())).unwrap();
    assert!(!half.exists());
    assert!(place.data().join("global/pg_control").exists());
}

#[test]
fn a_preparation_that_is_killed_is_made_up_for() {
    // In the process that is killed, which runs this same test in the folder of the other.
    let here = std::env::current_dir().unwrap();
    if here.join("to-be-killed").exists() {
        let ground = std::mem::ManuallyDrop::new(Ground { folder: here });
        return run(server(ground.place("db")).prepare(&passwords(&["api"]), now())).unwrap();
    }
    for reached in ["config", "data.new-*", "data.new-*/PG_VERSION", "data.new-*/global/pg_control", "data"] {
        let ground = Ground::new();
        let place = ground.place("db");
        fs::write(ground.folder.join("to-be-killed"), "").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::a_preparation_that_is_killed_is_made_up_for"])
            .current_dir(&ground.folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        ground::wait_until(|| exists(&place.folder, reached));
        child.kill().unwrap();
        child.wait().unwrap();
        // The initdb that it left may still write: then preparing fails, and is tried again as supervision does.
        let server = server(place);
        let passwords = passwords(&["api"]);
        ground::wait_until(|| run(server.prepare(&passwords, now())).is_ok());
        let running = start(&ground, &server, &passwords, free_port());
        let api = variable(&server, &running, &service("api"), &passwords, "DB_URL");
        assert_eq!(sql(&server, &api, "SELECT 1"), Ok("1".to_owned()), "{reached}");
        assert!(!exists(&server.place().folder, "data.new-*"), "{reached}");
    }
}

/// Whether a path is there, whose first name may end with `*`.
fn exists(folder: &Path, path: &str) -> bool {
    let Some((start, rest)) = path.split_once('*') else { return folder.join(path).exists() };
    let names = sys::files::names(folder).unwrap();
    names.iter().any(|name| name.starts_with(start) && folder.join(format!("{name}{rest}")).exists())
}

#[test]
fn an_initdb_that_refuses_says_why_and_leaves_nothing_believed() {
    let ground = Ground::new();
    let place = ground.place("db");
    let real = discover(&[]);
    let fake = ground.folder.join("bin");
    fs::create_dir(&fake).unwrap();
    for (name, script) in [
        ("postgres", format!("echo 'postgres (PostgreSQL) {}'", real.usable[0].version)),
        ("initdb", "mkdir \"$2/base\"; echo 'initdb: error: no space' >&2; exit 3".to_owned()),
    ] {
        fs::write(fake.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(fake.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let found = resources::installation::discover(resources::installation::Program::Postgres, &[fake.join("postgres")]);
    let server = Server::new(place.clone(), &spec(), &found, CpuShare::millicores(1000)).unwrap();
    let error = run(server.prepare(&passwords(&[]), now())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} ended with exit status: 3: initdb: error: no space", fake.join("initdb").display())
    );
    assert!(!place.data().exists());
    run(self::server(place.clone()).prepare(&passwords(&[]), now())).unwrap();
    assert!(place.data().join("PG_VERSION").exists());
}

#[test]
fn data_that_is_gone_is_not_replaced_by_an_empty_server() {
    let ground = Ground::new();
    let place = ground.place("db");
    let server = server(place.clone());
    run(server.prepare(&passwords(&[]), now())).unwrap();
    fs::rename(place.data(), place.folder.join("elsewhere")).unwrap();
    let error = run(server.prepare(&passwords(&[]), now())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{0} held data since 2026-11-20T17:00:00.000Z, and its folder `data` is missing: put it back from a backup. If \
             it may be lost, remove {0}/resource.json and {0}.json and start again; the resource then starts empty",
            place.folder.display()
        )
    );
    fs::rename(place.folder.join("elsewhere"), place.data()).unwrap();
    run(server.prepare(&passwords(&[]), now())).unwrap();

    // The same when the whole folder is gone.
    fs::remove_dir_all(&place.folder).unwrap();
    let error = run(server.prepare(&passwords(&[]), now())).unwrap_err().to_string();
    let advice = format!("If it may be lost, remove {}.json and start again", place.folder.display());
    assert!(error.contains(&advice), "{error}");
    fs::remove_file(place.folder.with_extension("json")).unwrap();
    run(server.prepare(&passwords(&[]), now())).unwrap();
}

#[test]
fn data_of_another_major_version_is_refused() {
    let ground = Ground::new();
    let place = ground.place("db");
    fs::create_dir_all(place.data()).unwrap();
    fs::write(place.data().join("PG_VERSION"), "12\n").unwrap();
    let found = discover(&[]);
    let error = Server::new(place.clone(), &spec(), &found, CpuShare::millicores(1000)).err().unwrap();
    assert!(error.to_string().contains("was made by PostgreSQL 12"), "{error}");
    // A server that was chosen before the data came is stopped as well.
    fs::remove_dir_all(place.data()).unwrap();
    let server = server(place.clone());
    fs::create_dir_all(place.data()).unwrap();
    fs::write(place.data().join("PG_VERSION"), "12\n").unwrap();
    let error = run(server.prepare(&passwords(&[]), now())).unwrap_err();
    assert!(matches!(error, PrepareError::Version { data: 12, .. }), "{error}");
    fs::write(place.data().join("PG_VERSION"), "what\n").unwrap();
    let error = Server::new(place, &spec(), &found, CpuShare::millicores(1000)).err().unwrap();
    assert!(matches!(error, ServerError::DataVersion { .. }), "{error}");
}

#[test]
fn what_is_not_carried_out_is_refused() {
    let ground = Ground::new();
    let asked = [
        (Postgres { standbys: 1, ..spec() }, "`standbys` of a postgres resource is not supported yet: remove it"),
        (Postgres { pool: Some(40), ..spec() }, "`pool` of a postgres resource is not supported yet: remove it"),
    ];
    for (spec, expected) in asked {
        let refused = Server::new(ground.place("db"), &spec, &discover(&[]), CpuShare::millicores(1000));
        assert_eq!(refused.err().unwrap().to_string(), expected);
    }
}

#[test]
fn a_folder_on_the_way_that_cannot_be_entered_is_named() {
    let ground = Ground::new();
    let place = ground.place("db");
    fs::set_permissions(&ground.folder, fs::Permissions::from_mode(0o700)).unwrap();
    let outcome = run(server(place.clone()).prepare(&passwords(&[]), now()));
    match place.user {
        Some(user) => assert_eq!(
            outcome.unwrap_err().to_string(),
            format!(
                "user id {}, as which db runs, cannot reach {}: it may not enter {} (chmod o+x, or use another state directory)",
                user.uid,
                place.config().display(),
                ground.folder.display()
            )
        ),
        None => outcome.unwrap(),
    }
}

#[test]
fn a_socket_path_that_the_kernel_cannot_hold_is_refused() {
    let ground = Ground::new();
    let mut place = ground.place("db");
    place.sockets = ground.folder.join("s".repeat(100));
    let error = run(server(place).prepare(&passwords(&[]), now())).unwrap_err();
    assert!(error.to_string().contains("use a shorter runtime folder"), "{error}");
}

#[test]
fn the_digest_follows_what_needs_a_restart() {
    let ground = Ground::new();
    let made = |memory: u64, services: &[&str]| {
        let spec = Postgres { memory: ByteSize::mebibytes(memory), ..spec() };
        let server = Server::new(ground.place("db"), &spec, &discover(&[]), CpuShare::millicores(2000)).unwrap();
        server.operated(&passwords(services), log_policy(&ground.folder)).unit
    };
    let unit = made(64, &["api"]);
    assert_eq!(made(64, &["api"]), unit);
    assert_ne!(made(128, &["api"]).digest, unit.digest);
    // One more service is a matter of roles: the server stays up.
    let more = made(64, &["api", "web"]);
    assert_eq!(more.digest, unit.digest);
    assert_ne!(more.completed, unit.completed);
}
