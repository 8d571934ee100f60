//! What is refused because of what is applied, or of what the machine has: by every command alike.

use rustix::process::Signal;

use crate::processes;
use crate::world::{World, is_root};

const FILE: &str = "stack: hello\nservices:\n  web: { run: bin/web }\n";

fn world(name: &str) -> World {
    let world = World::new(name, FILE);
    world.script("web", "#!/bin/sh\nexec sleep 600\n");
    world
}

/// Everything that says or does something about what is applied.
const ABOUT_WHAT_IS_APPLIED: [&[&str]; 10] = [
    &["status"],
    &["logs"],
    &["events"],
    &["explain", "1"],
    &["run", "web", "--", "true"],
    &["restart", "web"],
    &["secret", "list"],
    &["secret", "set", "KEY"],
    &["secret", "remove", "KEY"],
    &["down"],
];

#[track_caller]
fn production_is_refused(world: &World) {
    for words in ABOUT_WHAT_IS_APPLIED {
        let ran = world.run(&[&["--env", "production"], words].concat());
        assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{words:?}");
        assert_eq!(
            ran.err,
            "error: this state directory holds hello (development), and production was asked for\n\
             hint: give each stack and environment a state directory of its own with --state\n",
            "{words:?}"
        );
    }
}

#[test]
fn another_environment_than_the_applied_one_is_refused_with_a_node_and_without() {
    let world = world("other-environment");
    world.done(&["--env", "production", "events"]);
    world.up();
    production_is_refused(&world);
    world.done(&["--env", "development", "status"]);
    let node = world.node().unwrap();
    processes::send(&node, Signal::TERM);
    world.wait_for("the node to end", || processes::look(node.pid).is_none().then_some(()));
    production_is_refused(&world);
    assert!(world.node().is_none(), "a refused command started a node");
    let down = world.done(&["--env", "development", "down"]);
    assert!(down.err.starts_with("no node runs: one is started to stop what is left\n"), "{down:?}");
    world.is_down();
}

#[test]
fn a_user_whom_the_machine_does_not_have_is_refused_by_plan_as_by_up() {
    if !is_root() {
        return;
    }
    let world = world("unknown-user");
    world.write(&FILE.replace("bin/web", "bin/web, user: mainstay-nobody-has-this"));
    let why = "- web cannot run here: this machine has no user \"mainstay-nobody-has-this\": make the account, or leave `user` \
               out\n";
    for words in [&["plan"] as &[&str], &["up", "--detach"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(1), "{words:?}");
        assert!(ran.out.contains(why), "{words:?}: {ran:?}");
    }
    world.done(&["down"]);
}
