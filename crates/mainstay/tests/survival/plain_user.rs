//! The same as a user without rights: everything runs as that user, and the state stays its own.

use crate::processes;
use crate::site::{FILE, page, writing};
use crate::world::{NOBODY, World, is_root, tell};

#[test]
fn a_plain_user_runs_a_stack_through_the_node_s_death() {
    let world = World::of("plain", FILE, is_root().then_some(NOBODY));
    let before = world.up();
    let (took, written) = writing(&world, || {
        let node = world.node().unwrap();
        processes::kill(&node);
        world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
        let old = world.child("db");
        world.up();
        assert_eq!(world.child("db"), old, "the database was restarted");
        processes::kill(&old);
        world.replaced("db", &old).1
    });
    tell("plain user: database killed, ready again", took);
    let stored = page(&world).written;
    assert!(written.acknowledged <= stored && stored <= written.attempted, "{written:?} {stored}");
    assert!(before["node"]["isolation"].as_str().unwrap().contains("process"), "{before:#}");
    world.down();
}
