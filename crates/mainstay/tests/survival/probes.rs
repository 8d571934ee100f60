//! Probes that are commands: whether they are there, and what is told of those that fail.

use serde_json::Value;

use crate::world::World;

#[test]
fn the_program_of_a_probe_that_is_not_there_is_refused_by_plan_as_by_up() {
    let file = "stack: probes\nservices:\n  web:\n    run: bin/web\n    env: { PATH: /no/such/folder }\n    \
                health: { ready: { command: bin/no-such-file }, live: { command: ls } }\n";
    let world = World::new("absent-probe", file);
    world.script("web", "#!/bin/sh\nexec /bin/sleep 600\n");
    for words in [&["plan"] as &[&str], &["up", "--detach"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(1), "{words:?}");
        for problem in [
            "services.web.health.ready.command: there is no program ",
            "services.web.health.live.command: ls is in none of the folders of PATH (/no/such/folder)",
        ] {
            assert!(ran.err.contains(problem), "{words:?}: {ran:?}");
        }
    }
    world.done(&["down"]);
}

#[test]
fn a_replica_that_its_liveness_probe_ends_says_why() {
    let file = "stack: probes\nservices:\n  web: { run: bin/web, health: { live: { command: bin/is-live } } }\n";
    let world = World::new("liveness", file);
    world.script("web", "#!/bin/sh\nexec sleep 600\n");
    world.script("is-live", "#!/bin/sh\necho asked\necho no table >&2\nexit 1\n");
    world.up();
    let says = "the liveness probe says: exit code 1: no table";
    let told = |status: &Value| status["problems"].to_string().contains(&format!("web.1.1: ready: {says}"));
    world.wait_for("the probe's failures to be a problem", || world.status().filter(told));
    let is_told = |event: &str| world.events().contains(event).then_some(());
    let stopped = "its liveness probe failed: exit code 1: no table";
    world.wait_for("the stop to be explained", || is_told(stopped));
    let restarted = || {
        let told = world.run(&["events", "--output", "json"]).out;
        let mut events = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["text"] == "web.1.1 was started again")
    };
    let (event, _) = world.wait_for("the replica to be started again", restarted);
    let explained = world.done(&["explain", &event["entry"]["id"].to_string()]).out;
    assert!(explained.contains(says), "{explained}");
    world.down();
}
