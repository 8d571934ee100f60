//! A state directory that was copied while its stack runs, and one that was moved while it does not.
//!
//! A copy names the processes, sockets and control groups of the original. Start reading at [`Copy`].

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::processes::{self, Process};
use crate::site::{FILE, addresses, note, page};
use crate::world::{Ran, World};

/// A copy of a world's state directory.
struct Copy<'a> {
    world: &'a World,
    state: PathBuf,
}

impl<'a> Copy<'a> {
    /// The copy as `cp -a` makes it, without some of its files.
    fn of(world: &'a World, name: &str, without: &[&str]) -> Self {
        let state = world.folder.join(name);
        let mut command = Command::new("cp");
        assert!(command.arg("-a").arg(&world.state).arg(&state).status().unwrap().success());
        without.iter().for_each(|name| fs::remove_file(state.join(name)).unwrap());
        Self { world, state }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.world.command(arguments).env("MAINSTAY_STATE", &self.state).output().unwrap().into()
    }
}

/// What runs of a stack.
fn running(world: &World) -> BTreeMap<String, Process> {
    processes::children(&world.state)
}

#[test]
fn a_copy_is_refused_and_harms_nothing() {
    let world = World::new("copied", FILE);
    world.up();
    assert!(note(addresses(&world)[0], "before"));
    let before = running(&world);
    assert_eq!(before.len(), 5, "{before:?}");
    let copies = [Copy::of(&world, "whole", &[]), Copy::of(&world, "without-link", &["runtime"])];
    for node in ["with its node", "without its node"] {
        for copy in &copies {
            for command in [&["up", "--wait", "20s"][..], &["up", "--detach"], &["down"], &["secret", "list"]] {
                let ran = copy.run(command);
                let told = format!("is a copy of {}", world.state.display());
                let refused = ran.code != Some(0) && ran.err.contains(&told);
                // `down` sees that nothing of the copy runs before it looks whose it is.
                let nothing_runs = command == ["down"] && ran.err.contains("nothing runs");
                assert!(refused || nothing_runs, "{command:?} in {}: {ran:?}", copy.state.display());
                assert_eq!(running(&world), before, "{command:?} {node}");
            }
        }
        if let Some(node) = world.node() {
            processes::kill(&node);
            world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
        }
    }
    world.up();
    assert_eq!(running(&world), before);
    assert!(note(addresses(&world)[0], "after"));
    assert_eq!(page(&world).written, 2);
    world.down();
}

#[test]
fn a_copy_that_forgot_what_it_is_harms_nothing_either() {
    let world = World::new("forgot", FILE);
    world.up();
    let before = running(&world);
    let copy = Copy::of(&world, "forgot", &["state.redb"]);
    // The records of its units still name the shims of the original, which has no node to speak for it.
    let node = world.node().unwrap();
    processes::kill(&node);
    world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
    let up = copy.run(&["up", "--wait", "20s"]);
    println!("  up in the copy: {:?} {}", up.code, up.err.trim());
    assert_eq!(running(&world), before, "up");
    let down = copy.run(&["down"]);
    assert_eq!(down.code, Some(0), "{down:?}");
    assert_eq!(running(&world), before, "down");
    assert!(processes::of_folder(&copy.state).is_empty());
    world.up();
    assert_eq!(running(&world), before);
    assert!(note(addresses(&world)[0], "after"));
    world.down();
}

#[test]
fn a_copy_at_the_place_of_an_original_that_was_moved_harms_nothing_either() {
    let world = World::new("replaced", FILE);
    world.up();
    let node = world.node().unwrap();
    let supervised: Vec<Process> =
        processes::shims(&world.state).into_values().chain(running(&world).into_values()).collect();
    assert_eq!(supervised.len(), 10, "{supervised:?}");
    let sockets = world.sockets();
    let moved = world.folder.join("elsewhere");
    fs::rename(&world.state, &moved).unwrap();
    assert!(Command::new("cp").arg("-a").arg(&moved).arg(&world.state).status().unwrap().success());
    let ends = |process: &Process| processes::look(process.pid).is_none_or(|now| now.started != process.started);
    let in_the_copy = |command: &[&str]| {
        let ran = world.run(command);
        println!("  {command:?} in the copy: {:?} {}", ran.code, ran.err.trim());
        let ended: Vec<&Process> = supervised.iter().filter(|it| ends(it)).collect();
        assert!(ended.is_empty(), "{command:?} ended {ended:?}");
        assert_eq!(sockets.iter().filter(|path| !path.exists()).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
        ran
    };
    // The original's node is not asked, while it still is there: it would stop the original, and give its secrets away.
    assert_eq!(in_the_copy(&["status"]).code, Some(4));
    world.wait_for("the original's node to end by itself", || ends(&node).then_some(()));
    in_the_copy(&["down"]);
    in_the_copy(&["up", "--wait", "5s"]);
    assert_eq!(in_the_copy(&["down"]).code, Some(0));
    fs::remove_dir_all(&world.state).unwrap();
    fs::rename(&moved, &world.state).unwrap();
    world.up();
    assert_eq!(supervised.iter().filter(|it| ends(it)).collect::<Vec<_>>(), Vec::<&Process>::new());
    world.down();
}

#[test]
fn a_moved_state_directory_keeps_its_data_and_its_key() {
    let mut world = World::new("moved", FILE);
    without_key_file(&world, &["up", "--wait", "100s"]);
    let secret = without_key_file(&world, &["secret", "get", "EDITOR_KEY"]);
    assert!(note(addresses(&world)[0], "before"));
    without_key_file(&world, &["down"]);
    let moved = world.folder.join("elsewhere");
    fs::rename(&world.state, &moved).unwrap();
    world.state = moved;
    without_key_file(&world, &["up", "--wait", "100s"]);
    assert_eq!(without_key_file(&world, &["secret", "get", "EDITOR_KEY"]), secret);
    assert_eq!(page(&world).written, 1);
    without_key_file(&world, &["down"]);
    fs::remove_file(fs::read_link(world.state.join("key")).unwrap()).unwrap();
}

/// Runs a command that finds the vault's key by itself.
#[track_caller]
fn without_key_file(world: &World, arguments: &[&str]) -> String {
    let ran = Ran::from(world.command(arguments).env_remove("MAINSTAY_KEY_FILE").output().unwrap());
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran.out
}

#[test]
fn a_node_whose_state_directory_was_removed_ends_and_what_it_ran_is_told_of() {
    let world = World::new("removed-running", "stack: removed\nservices:\n  web: { run: sleep 600, replicas: 2 }\n");
    world.up();
    let shims = |world: &World| -> Vec<Process> { processes::shims(&world.state).into_values().collect() };
    let (node, orphans) = (world.node().unwrap(), shims(&world));
    let supervised: Vec<Process> = orphans.iter().cloned().chain(running(&world).into_values()).collect();
    assert_eq!(supervised.len(), 4, "{supervised:?}");
    fs::remove_dir_all(&world.state).unwrap();
    let lives = |process: &Process| processes::look(process.pid).is_some_and(|now| now.started == process.started);
    world.wait_for("the node to end by itself", || (!lives(&node)).then_some(()));
    // Of the next stack there is one replica only.
    world.write("stack: removed\nservices:\n  web: { run: sleep 600 }\n");
    world.up();
    assert!(supervised.iter().all(lives), "what another directory ran is let be");
    let down = world.run(&["down"]);
    assert_eq!(down.code, Some(3), "{down:?}");
    // A plain user may not look into shims.
    assert!(supervised.iter().any(|it| down.err.contains(&it.pid.to_string())), "{down:?}");
    orphans.iter().for_each(|shim| processes::send(shim, Signal::TERM));
    world.wait_for("the old ones to be gone", || (!supervised.iter().any(lives)).then_some(()));
    world.done(&["down"]);
    assert_eq!(world.processes(), []);
}
