//! One service of a stack attacks another, the resources and the platform, in each way that services are kept apart.
//!
//! Start reading at [`check`].

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::attack::{REPORT, TARGETS};
use crate::world::{World, pid_of, unit};
use crate::{is_root, plain_user};

const FILE: &str = "\
stack: siege
services:
  attacker:
    run: sleep 1000000
    uses: [db]
    volumes: { mine: MINE_DIR }
  victim:
    run: sleep 1000000
    uses: [db, ledger, cache]
    secrets: [VICTIM_KEY]
    volumes: { theirs: THEIRS_DIR }
resources:
  db: { type: postgres, memory: 64MiB }
  ledger: { type: postgres, memory: 64MiB }
  cache: { type: redis, memory: 16MiB }
secrets:
  VICTIM_KEY: { generate: 24B }
";

/// What the attacker reports of each try.
pub(crate) type Reports = BTreeMap<String, (bool, String)>;

/// What it must be able to do.
const OWN: [&str; 5] = ["own environment", "own memory", "own child's signals", "own volume", "postgres: own database"];

/// Starts the stack, attacks from inside, and holds it to having given nothing but what `given` passes.
#[track_caller]
fn check(world: &World, isolation: &str, given: impl Fn(&str) -> bool) -> Reports {
    let before = world.up();
    let told = before["node"]["isolation"].as_str().unwrap();
    assert!(told.starts_with(isolation), "{told}");
    let place = world.folder.join("bin/attack");
    fs::copy(std::env::current_exe().unwrap(), &place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(world.folder.join(TARGETS), targets(world, &before).to_string()).unwrap();
    let theirs = world.state.join("volumes/victim/theirs/file");
    fs::write(&theirs, "theirs").unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o666)).unwrap();

    let ran = world.done(&["run", "attacker", "--", "bin/attack", "attack::attacker", "--exact", "--nocapture"]);
    let reports = read(&ran.out);
    for name in OWN {
        assert!(reports.get(name).is_some_and(|report| report.0), "{name}: {:?}\n{}", reports.get(name), ran.out);
    }
    let got: Vec<_> = reports
        .iter()
        .filter(|(name, (got, _))| *got && !OWN.contains(&name.as_str()) && !given(name))
        .map(|(name, (_, what))| format!("{name}: {what}"))
        .collect();
    println!("{isolation}: {} attacks, {} refused", reports.len(), reports.values().filter(|it| !it.0).count());
    assert!(got.is_empty(), "the attacker got {got:#?}");
    // The whole list was tried.
    assert!(reports.contains_key("end group of victim"));

    let after = world.status().unwrap();
    assert_eq!(after["settled"], true, "{after:#}");
    for id in ["victim.1.1", "db", "ledger", "cache"] {
        assert_eq!(pid_of(&before, id), pid_of(&after, id), "{id} was restarted");
    }
    assert_eq!(before["node"]["pid"], after["node"]["pid"]);
    reports
}

/// The reports in what an attacker printed.
pub(crate) fn read(out: &str) -> Reports {
    let lines = out.lines().filter_map(|line| line.strip_prefix(REPORT));
    let report = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let what = line["what"].as_str().unwrap().to_owned();
        (line["attack"].as_str().unwrap().to_owned(), (line["got"] == true, what))
    };
    lines.map(report).collect()
}

fn targets(world: &World, status: &Value) -> Value {
    let mut processes = BTreeMap::from([("node".to_owned(), world.node().unwrap().pid)]);
    let mut shims = BTreeMap::new();
    for unit in ["victim.1.1", "attacker.1.1", "db", "ledger", "cache"] {
        let name = unit.split('.').next().unwrap();
        processes.insert(format!("the shim of {name}"), world.shim(unit).pid);
        shims.insert(name, world.state.join("units").join(unit).join("s"));
        // Its own replica has its own user; where it shares one with it, that is no matter of other services.
        if name != "attacker" {
            processes.insert(name.to_owned(), world.child(unit).pid);
        }
    }
    let runtime = world.socket.parent().unwrap();
    let port = |name: &str| {
        let address = unit(status, name).unwrap()["address"].as_str().unwrap().to_owned();
        address.rsplit(':').next().unwrap().parse::<u16>().unwrap()
    };
    let closed: [&Path; 3] = [&world.state, runtime, &world.folder.join("home/vault.key")];
    let open: [PathBuf; 2] = [world.state.join("artefacts"), world.state.join("volumes/attacker")];
    json!({
        "processes": processes, "shims": shims, "closed": closed, "open": open, "runtime": runtime,
        "control": world.socket, "redis_socket": runtime.join("cache/redis.sock"),
        "redis_port": port("cache"), "ledger_port": port("ledger"),
    })
}

#[test]
fn as_root_by_user() {
    if !is_root() {
        println!("skipped: needs root, to give each service a user of its own");
        return;
    }
    let world = World::new("siege-root", FILE);
    let reports = check(&world, "by user", |_| false);
    // The folder of the file is root's.
    assert_eq!(reports["own new file"].1, "Permission denied (os error 13)");
    assert_eq!(reports["environment of victim"].1, "Permission denied (os error 13)");
    world.done(&["down"]);
}

#[test]
fn as_a_plain_user_by_namespaces() {
    let world = World::of("siege-plain", FILE, plain_user());
    if !namespaces_for(&world) {
        println!("skipped: this machine gives plain users no namespaces");
        return;
    }
    let reports = check(&world, "by namespaces", |attack| attack == "own new file");
    // A file made next to the stack file after the start can be read: ordinary development does that.
    assert!(reports["own new file"].0);
    assert_eq!(reports["control socket"].1, "No such file or directory (os error 2)");
    assert!(reports[&format!("file {}", world.folder.join("home/vault.key").display())].1 == "nothing");
    world.done(&["down"]);
}

/// The means of a machine that gives plain users no namespaces, made by a namespace that allows no more of them.
const WITHOUT_NAMESPACES: &str = "#!/bin/sh
exec unshare --user --map-current-user --keep-caps sh -c '
  echo 0 > /proc/sys/user/max_user_namespaces &&
  exec setpriv --ambient-caps=-all --inh-caps=-all \"$0\" \"$@\"' \"$0.program\" \"$@\"
";

#[test]
fn as_a_plain_user_by_landlock_alone() {
    let world = World::of("siege-landlock", FILE, plain_user());
    if !namespaces_for(&world) {
        println!("skipped: the case is made by a namespace, which plain users are not given here");
        return;
    }
    let program = world.folder.join("bin/mainstay");
    fs::rename(&program, world.folder.join("bin/mainstay.program")).unwrap();
    world.script("mainstay", WITHOUT_NAMESPACES);
    // Files are the node's user's, and status says that nothing hides them.
    let reports = check(&world, "by Landlock, in part: services share your user; they cannot read other", |attack| {
        attack == "own new file" || attack.starts_with("file ")
    });
    for attack in ["control socket", "control socket, orphaned and with another environment"] {
        assert_eq!(reports[attack].1, "HTTP/1.1 403 Forbidden", "{attack}");
    }
    world.done(&["down"]);
}

/// Whether the stack's user is given namespaces.
pub(crate) fn namespaces_for(world: &World) -> bool {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-current-user", "--mount", "true"]).current_dir(&world.folder);
    if let Some(uid) = plain_user() {
        command.uid(uid).gid(uid);
    }
    command.status().is_ok_and(|status| status.success())
}
