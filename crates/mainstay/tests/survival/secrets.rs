//! Secrets that cannot be had, changes of them that are cut off, and what is told of them.
//!
//! The services here are scripts that only sleep. Nothing that runs may be stopped because something cannot be seen.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::applying::{HEEDING_LIMITS, writes_at_most};
use crate::processes;
use crate::world::{Ran, World, pid_of, units};

const FOREVER: &str = "#!/bin/sh\nexec sleep 600\n";

/// A stack of which `web` receives a secret, and `other` none.
const FILE: &str = "\
stack: secrets
services:
  web: { run: bin/forever, secrets: [KEY] }
  other: { run: bin/forever }
secrets:
  KEY: { generate: 24B }
";

/// What is said of a service or resource that is held.
const HELD: &str = "is held, so what runs of it goes on as it was last told, and nothing new of it is started";

fn world(name: &str, file: &str) -> World {
    let world = World::new(name, file);
    world.script("forever", FOREVER);
    world
}

/// Runs a command with a text on its standard input.
#[track_caller]
fn with_input(world: &World, arguments: &[&str], text: &str) -> Ran {
    let file = world.folder.join("input");
    std::fs::write(&file, text).unwrap();
    let ran: Ran = world.command(arguments).stdin(std::fs::File::open(&file).unwrap()).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    ran
}

#[track_caller]
fn set(world: &World, name: &str, value: &str) -> Ran {
    with_input(world, &["secret", "set", name], value)
}

#[track_caller]
fn kill_node(world: &World) {
    let node = world.node().unwrap();
    processes::kill(&node);
    world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
}

/// Starts a node that is given no file: after a while it goes on with what was applied last.
fn node_without_file(world: &World) {
    drop(world.command(&["node"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
}

/// Waits until something is told among the problems; the status.
#[track_caller]
fn told(world: &World, problem: &str) -> Value {
    let told = |status: &Value| status["problems"].to_string().contains(problem);
    world.wait_for(problem, || world.status().filter(told)).0
}

fn service<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["services"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

#[test]
fn a_service_whose_secret_is_gone_stays_as_it_is_and_the_rest_goes_on() {
    let world = world("held-service", FILE);
    let before = world.up();
    kill_node(&world);
    // The release has the first of these versions, and twenty are kept.
    (0..20).for_each(|_| drop(set(&world, "KEY", "another")));
    let other = world.child("other.1.1");
    processes::kill(&other);
    node_without_file(&world);
    let status = told(&world, &format!("web {HELD}: version 1 of KEY is not in the vault"));
    assert_eq!(pid_of(&status, "web.1.1"), pid_of(&before, "web.1.1"));
    assert_eq!(service(&status, "web")["state"], "held");
    let again = || world.status().filter(|status| service(status, "other")["state"] == "ready");
    let (status, _) = world.wait_for("the other service", again);
    assert_ne!(pid_of(&status, "other.1.1"), Some(other.pid));

    for command in [&["restart", "web"][..], &["run", "web", "--", "true"]] {
        let ran = world.run(command);
        assert!(ran.code == Some(1) && ran.err.contains("`mainstay secret set KEY`"), "{command:?}: {ran:?}");
    }
    // What cannot be started again is not stopped for being dead either: it waits.
    processes::kill(&world.child("web.1.1"));
    let waits = || world.status().filter(|status| units(status).iter().any(|it| it["state"] == "waiting"));
    world.wait_for("the held replica to wait", waits);

    set(&world, "KEY", "anew");
    let settled = || world.status().filter(|status| status["settled"] == true);
    let (status, _) = world.wait_for("the new release", settled);
    assert_eq!((&service(&status, "web")["release"], &status["problems"]), (&2.into(), &Value::Array(Vec::new())));
    world.down();
}

#[test]
fn a_job_whose_secret_is_gone_is_not_begun() {
    let file = "\
stack: held-job
services:
  tidy: { run: bin/forever, secrets: [KEY], schedule: \"0 6 * * *\" }
secrets:
  KEY: { generate: 24B }
";
    let world = world("held-job", file);
    let before = world.up();
    assert!(service(&before, "tidy")["next_run"].is_string(), "{before:#}");
    kill_node(&world);
    (0..20).for_each(|_| drop(set(&world, "KEY", "another")));
    node_without_file(&world);
    let status = told(&world, &format!("tidy {HELD}: version 1 of KEY is not in the vault"));
    let held = (&service(&status, "tidy")["state"], &status["settled"], &service(&status, "tidy")["next_run"]);
    assert_eq!(held, (&"held".into(), &false.into(), &Value::Null));
    let ran = world.run(&["run", "tidy", "--", "true"]);
    assert!(ran.code == Some(1) && ran.err.contains("`mainstay secret set KEY`"), "{ran:?}");

    set(&world, "KEY", "anew");
    let settled = || world.status().filter(|status| status["settled"] == true);
    let scheduled = || settled().filter(|status| service(status, "tidy")["next_run"].is_string());
    let (status, _) = world.wait_for("the job to be scheduled again", scheduled);
    assert_eq!(service(&status, "tidy")["state"], "scheduled");
    world.down();
}

#[test]
fn a_resource_of_which_no_server_is_known_stays_as_it_is_with_what_uses_it() {
    let world = world(
        "held-resource",
        "\
stack: held
services:
  web: { run: bin/forever, uses: [cache] }
  other: { run: bin/forever }
resources:
  cache: { type: redis, memory: 16MiB }
",
    );
    let before = world.up();
    kill_node(&world);
    let other = world.child("other.1.1");
    processes::kill(&other);
    // What tells which server wrote the data cannot be read for a while.
    let manifest = world.state.join("resources/cache/data/appendonlydir/appendonly.aof.manifest");
    let aside = world.folder.join("manifest");
    std::fs::rename(&manifest, &aside).unwrap();
    std::os::unix::fs::symlink("nowhere", &manifest).unwrap();
    node_without_file(&world);
    told(&world, &format!("cache {HELD}: "));
    told(&world, &format!("web {HELD}: it uses cache, which is held"));
    let planned = world.run(&["plan"]).out;
    assert!(planned.contains("- cache is held: what runs of it goes on as it was last told"), "{planned}");
    let again = || world.status().filter(|status| service(status, "other")["state"] == "ready");
    let (status, _) = world.wait_for("the other service", again);
    for unit in ["cache", "web.1.1"] {
        assert_eq!(pid_of(&status, unit), pid_of(&before, unit), "{unit} was restarted");
    }
    // Once that is mended, nobody has to say so.
    std::fs::rename(&aside, &manifest).unwrap();
    let (status, _) = world.wait_for("all", || world.status().filter(|status| status["settled"] == true));
    for unit in ["cache", "web.1.1"] {
        assert_eq!(pid_of(&status, unit), pid_of(&before, unit), "{unit} was restarted");
    }
    world.down();
}

/// The newest version of each secret by the vault, and by the journal, which is to tell of each once.
fn versions(world: &World) -> [BTreeMap<String, Vec<u64>>; 2] {
    let listed: Value = serde_json::from_str(&world.done(&["secret", "list", "--output", "json"]).out).unwrap();
    let name = |value: &Value| value.as_str().unwrap().to_owned();
    let kept = listed.as_array().unwrap().iter();
    let kept = kept.map(|it| (name(&it["name"]), (1..=it["version"].as_u64().unwrap()).collect()));
    let mut told: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in world.done(&["events", "--output", "json"]).out.lines() {
        let what = &serde_json::from_str::<Value>(line).unwrap()["entry"]["what"];
        if what["kind"] == "secret_set" {
            told.entry(name(&what["secret"])).or_default().push(what["version"].as_u64().unwrap());
        }
    }
    [kept.collect(), told]
}

#[test]
fn an_import_killed_at_every_entry_is_journaled_once_and_whole() {
    let world = world("import", FILE);
    world.up();
    let names: Vec<String> = (0..8).map(|number| format!("IMPORTED_{number}=value\n")).collect();
    std::fs::write(world.folder.join("imported.env"), names.concat()).unwrap();
    crate::steps::each_step("import", |n| {
        let killed = crate::steps::killed_at(&world, n, &["secret", "import", "imported.env"]);
        world.up();
        let [kept, told] = versions(&world);
        assert_eq!(told, kept, "step {n}");
        killed
    });
    world.down();
}

#[test]
fn secrets_that_have_no_room_say_so_and_are_set_once_there_is_some() {
    let mut world = world("no-room", FILE);
    world.run_through(HEEDING_LIMITS);
    let before = world.up();
    let node = world.node().unwrap();
    let size = |name| world.state.join(name).metadata().unwrap().len();
    writes_at_most(&node, Some(size("vault.redb").max(size("state.redb"))));
    let large: Vec<String> = (0..30).map(|number| format!("LARGE_{number}={}\n", "x".repeat(30_000))).collect();
    std::fs::write(world.folder.join("large.env"), large.concat()).unwrap();
    let import = || world.run(&["secret", "import", "large.env"]);
    let refused = (0..10).map(|_| import()).find(|ran| ran.code != Some(0)).expect("no room to be short");
    assert!(refused.code == Some(1) && refused.err.contains("File too large"), "{refused:?}");
    assert!(import().err.contains("File too large"));
    assert!(world.done(&["secret", "list"]).out.contains("KEY"));
    writes_at_most(&node, None);
    assert_eq!(import().code, Some(0));
    let after = world.up();
    assert_eq!(pid_of(&after, "web.1.1"), pid_of(&before, "web.1.1"));
    assert_eq!(world.node().unwrap(), node);
    world.down();
}

#[test]
fn no_secret_of_the_stack_is_journaled_with_a_command() {
    let world = world("masked", FILE);
    set(&world, "KEY", "hunter2");
    world.up();
    assert_eq!(world.run(&["run", "web", "--", "echo", "--password=hunter2"]).out, "--password=hunter2\n");
    let events = world.events();
    assert!(events.contains("echo --password=***") && !events.contains("hunter2"), "{events}");
    world.down();
}

#[test]
fn people_are_told_of_secrets_that_the_file_does_not_declare() {
    let world = world("undeclared", FILE);
    let ran = world.run(&["secret", "get", "KEY"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("KEY has no value yet") && ran.err.contains("the next `mainstay up` makes it"), "{ran:?}");
    let ran = set(&world, "KEI", "typo");
    assert!(ran.err.contains("the file does not declare KEI, so no service receives it"), "{}", ran.err);
    assert!(!set(&world, "KEY", "known").err.contains("declare"));
    std::fs::write(world.folder.join("all.env"), "KEY=a\nKEI=b\n").unwrap();
    let ran = world.done(&["secret", "import", "all.env", "--output", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report, serde_json::json!({ "set": ["KEY", "KEI"], "undeclared": ["KEI"] }));
    world.write("stack: [");
    assert!(!set(&world, "KEI", "value").err.contains("declare"), "a broken file says nothing");
}
