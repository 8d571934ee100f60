//! A replica of the old release looks into the migration of the new one, which has the password of the tables' owner.
//!
//! Start reading at [`check`].

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::attack::{LURKED, TARGETS};
use crate::between_services::{namespaces_for, read};
use crate::world::World;
use crate::{is_root, plain_user, processes};

const FILE: &str = "\
stack: lurk
services:
  web:
    run: bin/lurk
    uses: [db]
    env: { COLOUR: blue }
    release: { run: bin/migrate }
resources:
  db: { type: postgres, memory: 64MiB }
";

/// Waits for a hook to look into, then looks.
const LURK: &str = "#!/bin/sh
until [ -e begin ]; do sleep 0.05; done
bin/attack attack::lurker --exact --nocapture
exec sleep 1000000
";
/// Ends at once, or stays to be looked into.
const MIGRATE: &str = "#!/bin/sh
[ ! -e hold ] || exec sleep 1000000
";

#[track_caller]
fn check(world: &World, given: impl Fn(&str) -> bool) {
    world.script("lurk", LURK);
    world.script("migrate", MIGRATE);
    let attack = world.folder.join("bin/attack");
    fs::copy(std::env::current_exe().unwrap(), &attack).unwrap();
    fs::set_permissions(&attack, fs::Permissions::from_mode(0o755)).unwrap();
    world.up();

    fs::write(world.folder.join("hold"), "").unwrap();
    world.write(&FILE.replace("blue", "green"));
    world.done(&["up", "--detach"]);
    // Another process may stand in its place while it is being started.
    let ((hook, environment), _) = world.wait_for("the hook with its environment", || {
        let hook = processes::children(&world.state).remove("web.2.release")?;
        let variables = fs::read_to_string(format!("/proc/{}/environ", hook.pid)).ok()?;
        variables.contains("DB_USER=").then_some((hook, variables))
    });
    // There is something to be had.
    assert!(environment.contains("DB_USER=db_owner"));
    let home = environment.split('\0').find_map(|it| it.strip_prefix("HOME=")).unwrap().to_owned();
    fs::write(world.folder.join(TARGETS), json!({ "hook": hook.pid, "home": home }).to_string()).unwrap();
    fs::write(world.folder.join("begin"), "").unwrap();
    let (reports, _) = world.wait_for("the attack", || {
        // Its lines bear time and name.
        let said = world.run(&["logs", "web"]).out;
        let lines: Vec<&str> = said.lines().filter_map(|line| Some(&line[line.find("ATTACK ")?..])).collect();
        Some(read(&lines.join("\n"))).filter(|reports| reports.contains_key(LURKED))
    });
    assert!(reports["own environment"].0, "{reports:#?}");
    let got: Vec<_> =
        reports.iter().filter(|(name, (got, _))| *got && *name != "own environment" && !given(name)).collect();
    assert!(got.is_empty(), "the replica got {got:#?}");
    assert!(reports.contains_key("environment of the hook"));
    fs::remove_file(world.folder.join("hold")).unwrap();
    processes::kill(&hook);
    world.up();
    world.done(&["down"]);
}

#[test]
fn as_root_by_group() {
    if !is_root() {
        println!("skipped: needs root, to give the hook a group of its own");
        return;
    }
    check(&World::new("lurk-root", FILE), |_| false);
}

#[test]
fn as_a_plain_user_by_namespaces() {
    let world = World::of("lurk-plain", FILE, plain_user());
    if !namespaces_for(&world) {
        println!("skipped: this machine gives plain users no namespaces");
        return;
    }
    // All that a plain user runs has that user's home.
    check(&world, |attack| attack == "plant in the hook's home");
}
