//! kill -9 of each process that there is: what a user sees, what is lost, how long until all is well again.

use serde_json::Value;

use crate::processes::{self, Process};
use crate::site::{FILE, Page, page, writing};
use crate::world::{World, pid_of, tell, unit};

/// What was there before something was killed.
struct Before {
    status: Value,
    page: Page,
    entry: u64,
}

/// Kills what `victims` picks while notes are written, waits until `unit` runs anew and all is ready, and holds the
/// stack to having kept every acknowledged note and visit.
#[track_caller]
fn check(name: &str, unit: &str, victims: impl Fn(&World) -> Vec<Process>) -> (World, Before, Value) {
    let world = World::new(name, FILE);
    let status = world.up();
    let before = Before { status, page: page(&world), entry: world.newest_entry() };
    let old = world.child(unit);
    let ((after, took), written) = writing(&world, || {
        let (victims, node) = (victims(&world), world.node().unwrap());
        victims.iter().for_each(processes::kill);
        if victims.contains(&node) {
            node_again(&world, &victims);
        }
        world.replaced(unit, &old)
    });
    tell(format!("{name}: ready again"), took);
    kept(&world, &before, written);
    (world, before, after)
}

/// Waits until a killed node is gone, and starts the next.
#[track_caller]
fn node_again(world: &World, victims: &[Process]) {
    let gone = || victims.iter().all(|it| processes::look(it.pid).is_none()).then_some(());
    world.wait_for("the killed to be gone", gone);
    assert_eq!(world.run(&["status"]).code, Some(4));
    world.up();
}

#[track_caller]
fn kept(world: &World, before: &Before, written: crate::site::Written) {
    let after = page(world);
    let new = after.written - before.page.written;
    println!("  acknowledged {} of {}, stored {new}", written.acknowledged, written.attempted);
    assert!(written.acknowledged <= new && new <= written.attempted, "{written:?}, but {new} are stored");
    assert!(after.visits > before.page.visits, "{after:?} after {:?}", before.page);
    for line in world.events_after(before.entry) {
        println!("  {line}");
    }
}

/// These units have the processes that they had.
#[track_caller]
fn untouched(before: &Value, after: &Value, units: &[&str]) {
    for unit in units {
        assert_eq!(pid_of(before, unit), pid_of(after, unit), "{unit} was restarted");
    }
}

#[track_caller]
fn told(world: &World, before: &Before, sentences: &[&str]) {
    let events = world.events_after(before.entry);
    for sentence in sentences {
        assert!(events.iter().any(|event| event.contains(sentence)), "no {sentence:?} in {events:#?}");
    }
}

#[test]
fn a_killed_replica_is_started_again_and_its_twin_goes_on() {
    let (world, before, after) = check("replica", "web.1.1", |world| vec![world.child("web.1.1")]);
    untouched(&before.status, &after, &["web.1.2", "worker.1.1", "db", "cache"]);
    assert_eq!(unit(&after, "web.1.1").unwrap()["restarts"], 1);
    told(&world, &before, &["web.1.1 ended", "web.1.1 was started again"]);
    world.down();
}

#[test]
fn postgres_recovers_and_its_users_go_on() {
    let (world, before, after) = check("postgres", "db", |world| vec![world.child("db")]);
    untouched(&before.status, &after, &["cache", "web.1.1", "web.1.2", "worker.1.1"]);
    assert_eq!(unit(&after, "db").unwrap()["restarts"], 1);
    told(&world, &before, &["db ended", "db was started again", "db is ready"]);
    world.down();
}

#[test]
fn redis_keeps_what_it_acknowledged() {
    let (world, before, after) = check("redis", "cache", |world| vec![world.child("cache")]);
    untouched(&before.status, &after, &["db", "web.1.1", "web.1.2", "worker.1.1"]);
    assert_eq!(unit(&after, "cache").unwrap()["restarts"], 1);
    told(&world, &before, &["cache ended", "cache was started again"]);
    world.down();
}

#[test]
fn a_replica_without_its_shim_is_replaced() {
    let (world, before, after) = check("shim-of-replica", "web.1.1", |world| vec![world.shim("web.1.1")]);
    untouched(&before.status, &after, &["web.1.2", "db", "cache"]);
    world.down();
}

#[test]
fn postgres_without_its_shim_is_replaced_and_never_runs_twice() {
    let (world, before, after) = check("shim-of-postgres", "db", |world| vec![world.shim("db")]);
    untouched(&before.status, &after, &["cache", "web.1.1", "web.1.2"]);
    let old = pid_of(&before.status, "db").unwrap();
    assert_eq!(processes::look(old), None, "the old server still runs");
    assert_eq!(unit(&after, "db").unwrap()["restarts"], 1, "the first start found the old server's traces");
    world.down();
}

#[test]
fn a_killed_node_fails_no_request_and_the_next_takes_over() {
    let world = World::new("node", FILE);
    let before = world.up();
    let page_before = page(&world);
    let entry = world.newest_entry();
    let node = world.node().unwrap();
    let (took, written) = writing(&world, || {
        processes::kill(&node);
        node_again(&world, std::slice::from_ref(&node));
        let (_, took) = world.wait_for("the next node", || world.status().filter(|status| status["settled"] == true));
        took
    });
    tell("node: settled after up", took);
    assert_eq!(written.acknowledged, written.attempted, "a request failed");
    let after = world.status().unwrap();
    untouched(&before, &after, &["db", "cache", "web.1.1", "web.1.2", "worker.1.1"]);
    assert!(units_restarts_are_none(&after), "{after:#}");
    kept(&world, &Before { status: before, page: page_before, entry }, written);
    world.down();
}

fn units_restarts_are_none(status: &Value) -> bool {
    crate::world::units(status).iter().all(|unit| unit["restarts"] == 0)
}

#[test]
fn node_and_shim_killed_together() {
    let (world, before, after) =
        check("node-and-shim", "web.1.2", |world| vec![world.node().unwrap(), world.shim("web.1.2")]);
    untouched(&before.status, &after, &["db", "cache", "web.1.1", "worker.1.1"]);
    world.down();
}

#[test]
fn node_and_the_shim_of_postgres_killed_together() {
    let (world, before, after) =
        check("node-and-shim-of-postgres", "db", |world| vec![world.node().unwrap(), world.shim("db")]);
    untouched(&before.status, &after, &["cache", "web.1.1", "web.1.2"]);
    let old = pid_of(&before.status, "db").unwrap();
    assert_eq!(processes::look(old), None, "the old server still runs");
    assert_eq!(unit(&after, "db").unwrap()["restarts"], 1, "the first start found the old server's traces");
    world.down();
}
