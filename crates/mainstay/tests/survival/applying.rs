//! What a file does that is applied: to a stack that was stopped, to one that is being stopped, to one whose new release
//! fails; and what `plan` says of each before.
//!
//! The services here are scripts that leave a mark with each start, see [`Marks`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::processes::{self, Process};
use crate::site::ask_node;
use crate::world::{World, ended, pid_of, steady, unit};

/// What the programs of one test leave for it, and it for them.
struct Marks(PathBuf);

impl Marks {
    /// A folder that every user may write to.
    fn of(world: &World) -> Self {
        let folder = world.folder.join("marks");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        Self(folder)
    }

    /// Writes a program that leaves a mark with each start and then does as `rest` says.
    fn program(&self, world: &World, name: &str, rest: &str) {
        let marks = self.0.display();
        world.script(name, &format!("#!/bin/sh\nMARKS={marks}\necho started >> {marks}/{name}\n{rest}\n"));
    }

    /// How often a program was started.
    fn starts(&self, name: &str) -> usize {
        fs::read_to_string(self.0.join(name)).map_or(0, |text| text.lines().count())
    }

    /// Leaves a mark for the programs.
    fn leave(&self, name: &str) {
        fs::write(self.0.join(name), "").unwrap();
    }
}

/// A stack of one service that runs `program`, written `old` and `new`, both of which go on forever.
fn file(program: &str) -> String {
    format!("stack: applying\nservices:\n  web: {{ run: bin/{program} }}\n")
}

const FOREVER: &str = "exec sleep 600";

/// From one try to the next of what fails again and again, at least.
const RARELY: Duration = Duration::from_secs(30);

/// A stack that was up with the program `old` and is down.
fn stopped(name: &str) -> (World, Marks) {
    let world = World::new(name, &file("old"));
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    marks.program(&world, "new", FOREVER);
    world.up();
    world.down();
    assert_eq!(marks.starts("old"), 1);
    (world, marks)
}

/// The plan's text, of a file that is not refused.
#[track_caller]
fn plan(world: &World) -> String {
    world.done(&["plan"]).out
}

#[test]
fn after_down_a_changed_file_starts_nothing_of_the_old_release() {
    let (world, marks) = stopped("changed-after-down");
    world.write(&file("new"));
    let planned = plan(&world);
    assert!(
        planned.contains("will start\n  web  release 1 → 2: another text of its script, another command, 1 replica\n"),
        "{planned}"
    );
    assert!(!planned.contains("before an old one stops"), "{planned}");
    let status = world.up();
    assert_eq!((marks.starts("old"), marks.starts("new")), (1, 1), "{}", world.events());
    assert_eq!(status["services"][0]["release"], 2);
    world.down();
}

#[test]
fn after_down_the_same_file_is_planned_as_a_start() {
    let (world, marks) = stopped("same-after-down");
    let planned = plan(&world);
    assert!(planned.contains("will start\n  web  release 1, 1 replica\n"), "{planned}");
    world.done(&["secret", "list"]);
    assert!(!world.socket.parent().unwrap().exists(), "a folder for sockets was made where no node runs");
    world.up();
    assert_eq!(marks.starts("old"), 2);
    assert!(plan(&world).ends_with("\nNothing to do: everything is as the file says.\n"));
    world.down();
}

/// Files that are refused before there is a plan, and with one.
fn refused_files() -> [(String, &'static str); 2] {
    let secret = format!("{}\nsecrets: {{ KEY: set }}\n", file("old").replace("bin/old", "bin/old, secrets: [KEY]"));
    [(file("absent"), "bin/absent"), (secret, "secret KEY")]
}

/// Why the stack was last asked to stop, by the journal.
fn why_down(world: &World) -> String {
    let events = world.done(&["events", "--output", "json"]).out;
    let entries = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["entry"].clone());
    let last = entries.rev().find(|entry| entry["what"]["kind"] == "down_requested").unwrap();
    last["reason"].as_str().unwrap().to_owned()
}

#[test]
fn after_down_a_refused_file_starts_nothing() {
    let (world, marks) = stopped("refused-after-down");
    for (refused, why) in refused_files() {
        world.write(&refused);
        for command in [&["up", "--detach"][..], &["up"]] {
            let ran = world.run(command);
            assert_eq!(ran.code, Some(1), "{command:?}: {ran:?}");
            assert!(ran.err.contains(why), "{command:?}: {}", ran.err);
            assert_eq!(marks.starts("old"), 1, "{command:?}\n{}", world.events());
            world.is_down();
        }
        assert_eq!(why_down(&world), "the file that the node was started for was refused, and nothing else runs");
    }
    world.write(&file("new"));
    world.up();
    assert_eq!((marks.starts("old"), marks.starts("new")), (1, 1));
    world.down();
}

#[test]
fn what_runs_without_a_node_is_told_and_is_looked_after_again_though_the_file_is_refused() {
    let world = World::new("refused-takeover", &file("old"));
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    world.up();
    let service = world.child("web.1.1");
    processes::kill(&world.node().unwrap());
    world.wait_for("the node to be gone", || world.node().is_none().then_some(()));
    let planned = plan(&world);
    assert!(planned.contains("will keep\n  web  release 1, 1 replica\n"), "{planned}");
    assert!(
        planned.contains("no node runs: until `mainstay up` starts one, nothing that ends is started"),
        "{planned}"
    );
    assert!(planned.ends_with("\nEverything is as the file says, except that no node runs.\n"), "{planned}");
    world.write(&file("absent"));
    let ran = world.run(&["up", "--detach"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("bin/absent"), "{}", ran.err);
    assert_eq!(world.child("web.1.1"), service);
    processes::kill(&service);
    world.replaced("web.1.1", &service);
    assert_eq!(marks.starts("old"), 2);
    world.down();
}

#[test]
fn what_is_being_stopped_is_planned_as_a_start() {
    let slow = file("slow").replace("bin/slow", "bin/slow, health: { drain: 100s }");
    let world = World::new("stopping", &slow);
    let marks = Marks::of(&world);
    marks.program(&world, "slow", "trap '' TERM\nuntil rm $MARKS/end 2>/dev/null; do sleep 0.05; done");
    world.up();
    let mut down = world.begin(&["down"]);
    stopping(&world);
    let planned = "will start\n  web  release 1, 1 replica\n       it is being stopped; it starts once that is done\n";
    assert!(plan(&world).contains(planned), "{}", plan(&world));
    let status = world.status().unwrap();
    let told = (&status["stopping"], &status["services"][0]["state"], &status["problems"]);
    assert_eq!(told, (&true.into(), &"stopping".into(), &serde_json::json!([])), "{status:#}");
    let refused = world.run(&["up", "--detach"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = "error: the stack is being stopped\nhint: `mainstay down` waits until that is done; `mainstay up` then";
    assert!(refused.err.contains(told), "{}", refused.err);
    // Whoever asked for it would see to its end.
    down.kill().unwrap();
    ended(down);
    processes::kill(&world.node().unwrap());
    assert!(plan(&world).contains(planned), "{}", plan(&world));
    let before = world.newest_entry();
    let up = world.begin(&["up", "--wait", "100s"]);
    let is_applied = || world.events_after(before).iter().any(|it| it.starts_with("a file was applied")).then_some(());
    world.wait_for("the file to be applied", is_applied);
    marks.leave("end");
    let ran = ended(up);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.err, world.events());
    assert!(ran.out.contains(planned), "{}", ran.out);
    assert_eq!(marks.starts("slow"), 2);
    let down = world.begin(&["down"]);
    stopping(&world);
    marks.leave("end");
    assert_eq!(ended(down).code, Some(0));
    world.is_down();
}

/// A stack whose only service stops once the mark `end` is left.
fn slow_to_stop(name: &str) -> (World, Marks) {
    let world = World::new(name, &file("slow").replace("bin/slow", "bin/slow, health: { drain: 100s }"));
    let marks = Marks::of(&world);
    marks.program(&world, "slow", "trap '' TERM\nuntil rm $MARKS/end 2>/dev/null; do sleep 0.05; done");
    (world, marks)
}

#[test]
fn down_ends_with_everything_also_where_its_nodes_are_killed() {
    let (world, marks) = slow_to_stop("down-without-node");
    world.up();
    let service = world.child("web.1.1");
    let down = world.begin(&["down"]);
    stopping(&world);
    for _ in 0..2 {
        let node = world.node().unwrap();
        processes::kill(&node);
        world.wait_for("another node", || world.node().filter(|now| now.pid != node.pid));
        stopping(&world);
    }
    assert!(processes::look(service.pid).is_some(), "the service was to take its time");
    marks.leave("end");
    let ran = ended(down);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.ends_with("everything is stopped\n"), "{}", ran.err);
    assert_eq!(processes::look(service.pid), None);
    world.is_down();
}

/// What a service manager runs: the node, started again after it was killed.
fn kept_node(world: &World) -> Child {
    let node = world.begin(&["node"]);
    world.wait_for("the node", || world.node().filter(|now| now.pid == node.id()));
    node
}

/// A stack that a service manager's node runs, whose `down` was begun when that node was killed.
fn killed_while_stopping(name: &str) -> (World, Marks, Child) {
    let (world, marks) = slow_to_stop(name);
    world.up();
    processes::kill(&world.node().unwrap());
    world.wait_for("the node to be gone", || world.node().is_none().then_some(()));
    let node = kept_node(&world);
    let down = world.begin(&["down"]);
    stopping(&world);
    processes::kill(&world.node().unwrap());
    assert_eq!(ended(node).code, None);
    (world, marks, down)
}

#[test]
fn a_node_that_is_started_after_its_down_was_cut_off_goes_on_with_it() {
    let (world, marks, mut down) = killed_while_stopping("down-cut-off");
    down.kill().unwrap();
    ended(down);
    if let Some(node) = world.node() {
        processes::kill(&node);
        world.wait_for("the node to be gone", || world.node().is_none().then_some(()));
    }
    let node = kept_node(&world);
    stopping(&world);
    marks.leave("end");
    assert_eq!(ended(node).code, Some(0));
    world.is_down();
    assert_eq!(marks.starts("slow"), 1);
}

#[test]
fn a_file_that_is_refused_does_not_take_back_a_down_that_was_cut_off() {
    for command in [&["up", "--detach"][..], &["up"]] {
        let (world, marks, mut down) = killed_while_stopping("refused-after-cut-off");
        down.kill().unwrap();
        ended(down);
        if let Some(node) = world.node() {
            processes::kill(&node);
            world.wait_for("the node to be gone", || world.node().is_none().then_some(()));
        }
        world.write(&file("absent"));
        let ran = world.run(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("bin/absent"), "{}", ran.err);
        assert!(
            ran.err.contains("hint: everything is being stopped, as a `mainstay down` asked"),
            "{command:?}: {}\n{}",
            ran.err,
            world.events()
        );
        marks.leave("end");
        world.down();
        assert_eq!(marks.starts("slow"), 1, "{}", world.events());
    }
}

#[test]
fn what_runs_is_not_stopped_for_a_file_that_was_refused() {
    let world = World::new("refused-late", &file("old"));
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    world.up();
    let (code, why) = ask_node(&world, "POST", "/v1/down?because=file_refused").unwrap();
    assert_eq!(code, 403, "{why}");
    assert_eq!(world.status().unwrap()["services"][0]["state"], "ready");
    world.down();
}

#[test]
fn a_node_that_is_started_while_another_stops_everything_says_that_it_is_late() {
    let (world, marks, down) = killed_while_stopping("down-taken-over");
    stopping(&world);
    let late = world.run(&["node"]);
    assert_eq!(late.code, Some(5), "{late:?}");
    assert!(late.err.contains("is in use by process"), "{}", late.err);
    marks.leave("end");
    assert_eq!(ended(down).code, Some(0));
    world.is_down();
    assert_eq!(marks.starts("slow"), 1);
}

#[test]
fn a_node_that_is_started_again_after_everything_was_stopped_starts_nothing_the_first_time() {
    let (world, marks, down) = killed_while_stopping("down-done");
    stopping(&world);
    marks.leave("end");
    assert_eq!(ended(down).code, Some(0));
    let late = world.run(&["node"]);
    assert_eq!(late.code, Some(0), "{late:?}");
    world.is_down();
    assert_eq!(marks.starts("slow"), 1);
    // That was the restart; this is a person.
    let node = kept_node(&world);
    world.wait_for("the service", || (marks.starts("slow") == 2).then_some(()));
    let down = world.begin(&["down"]);
    stopping(&world);
    marks.leave("end");
    assert_eq!((ended(down).code, ended(node).code), (Some(0), Some(0)));
    world.is_down();
}

#[test]
fn down_waits_for_a_node_that_has_begun_and_does_not_answer_yet() {
    let world = World::new("down-at-start", &file("old"));
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    world.up();
    world.down();
    let node = world.begin(&["node"]);
    world.wait_for("the lock to be taken", || world.node().filter(|now| now.pid == node.id()));
    let ran = world.done(&["down"]);
    assert!(ran.err.ends_with("everything is stopped\n"), "{}", ran.err);
    assert_eq!(ended(node).code, Some(0));
    world.is_down();
    assert_eq!(marks.starts("old"), 1);
}

#[test]
fn a_plan_that_is_refused_does_not_keep_a_node_from_going_on() {
    let (world, marks) = stopped("refused-plan");
    world.write(&file("absent"));
    let mut node = kept_node(&world);
    assert_eq!(world.run(&["plan"]).code, Some(1));
    world.wait_for("what was applied to run again", || (marks.starts("old") == 2).then_some(()));
    world.done(&["down"]);
    node.wait().unwrap();
}

/// Lets time pass, where what is tested is that it does.
fn pass(world: &World, span: Duration) {
    let begun = steady();
    world.wait_for("time to pass", || (steady().saturating_sub(begun) >= span).then_some(()));
}

/// Waits until the service is being stopped.
fn stopping(world: &World) {
    let stops = || world.status().filter(|status| unit(status, "web.1.1").is_some_and(|it| it["state"] == "stopping"));
    world.wait_for("the service to be stopping", stops);
}

#[test]
fn a_failing_release_is_blocked_until_the_file_is_mended() {
    let world = World::new("blocked", &file("old"));
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    marks.program(&world, "new", FOREVER);
    marks.program(&world, "broken", "exit 7");
    let before = world.up();
    world.write(&file("broken"));
    world.done(&["up", "--detach"]);
    let is_blocked = || world.status().filter(|status| status["services"][0]["state"] == "blocked");
    let (blocked, _) = world.wait_for("the service to be blocked", is_blocked);
    assert_eq!(pid_of(&before, "web.1.1"), pid_of(&blocked, "web.1.1"), "{blocked:#}");
    assert_eq!(unit(&blocked, "web.1.1").unwrap()["state"], "ready");
    assert_eq!(blocked["settled"], false);
    let problems = blocked["problems"].to_string();
    let why = "web: the old release runs on: replica 1 of the new one does not become ready";
    assert!(problems.contains(why), "{problems}");
    assert!(problems.contains("web.2.1: crash loop: exited with code 7"), "{problems}");
    world.write(&file("new"));
    let after = world.up();
    let web = &after["services"][0];
    assert_eq!((&web["state"], &web["release"]), (&"ready".into(), &3.into()), "{web:#}");
    assert_eq!(after["problems"], serde_json::json!([]));
    assert_eq!(marks.starts("old"), 1, "the old release was restarted");
    world.down();
}

#[test]
fn what_failed_is_tried_at_once_by_up() {
    let with_hook = file("old").replace("bin/old", "bin/old, release: { run: bin/migrate }");
    let world = World::new("hook", &with_hook);
    let marks = Marks::of(&world);
    marks.program(&world, "old", FOREVER);
    marks.program(&world, "migrate", "[ -e $MARKS/mended ]");
    world.done(&["up", "--detach"]);
    let hook = |status: &serde_json::Value| unit(status, "web.1.release").map(|it| it["state"].clone());
    let loops = || world.status().filter(|status| hook(status) == Some("crash loop".into()));
    world.wait_for("the command to fail again and again", loops);
    let tried = marks.starts("migrate");
    let planned = plan(&world);
    let again = "will try again\n  web  release 1, 1 replica\n       waiting after a failure, and tried at once: web.1.release\n";
    assert!(planned.contains(again), "{planned}");
    let begun = steady();
    world.done(&["up", "--detach"]);
    world.wait_for("the command to be tried", || (marks.starts("migrate") > tried).then_some(()));
    assert!(steady().saturating_sub(begun) < RARELY, "it waited as if nobody had asked");
    world.wait_for("the command to fail again and again", loops);
    world.down();
    marks.leave("mended");
    let begun = steady();
    world.up();
    assert!(steady().saturating_sub(begun) < RARELY, "it waited as if nobody had asked");
    world.down();
}

#[test]
fn a_job_is_not_restarted() {
    let job = "stack: jobs\nservices:\n  tidy: { run: bin/old, schedule: \"0 6 * * *\" }\n";
    let world = World::new("restart-job", job);
    let marks = Marks::of(&world);
    marks.program(&world, "old", "exit 0");
    world.up();
    let before = world.newest_entry();
    let ran = world.run(&["restart", "tidy"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = "error: tidy runs by a schedule; there is nothing to restart\n\
                hint: `mainstay run` starts a command in its place now\n";
    assert_eq!(ran.err, told);
    assert_eq!((world.newest_entry(), marks.starts("old")), (before, 0), "{}", world.events());
    world.down();
}

#[test]
fn a_run_that_nobody_waits_for_does_not_begin() {
    let file = "stack: runs\nservices:\n  base: { run: bin/base, health: { ready: { command: bin/is-ready } } }\n  \
                web: { run: bin/web, needs: [base] }\n";
    let world = World::new("given-up", file);
    let marks = Marks::of(&world);
    marks.program(&world, "base", FOREVER);
    marks.program(&world, "is-ready", "test -e $MARKS/ready");
    marks.program(&world, "web", FOREVER);
    marks.program(&world, "once", "");
    world.done(&["up", "--detach"]);
    let before = world.newest_entry();
    let begin = |times: usize| {
        let run = world.begin(&["run", "web", "--", "bin/once"]);
        let is_asked = |it: &&String| *it == "a command in the place of web was asked for";
        let asked = || (world.events_after(before).iter().filter(is_asked).count() == times).then_some(());
        world.wait_for("the run to be asked for", asked);
        run
    };
    let mut left = begin(1);
    left.kill().unwrap();
    ended(left);
    let is_given_up = || world.events_after(before).contains(&"web.1.run.1 was given up before it began".to_owned());
    world.wait_for("the run to be given up", || is_given_up().then_some(()));
    let waited_for = begin(2);
    marks.leave("ready");
    assert_eq!(ended(waited_for).code, Some(0), "{}", world.events());
    assert_eq!(marks.starts("once"), 1, "the run that was given up began all the same");
    world.down();
}

#[test]
fn a_run_that_somebody_waits_for_outlives_a_node_that_was_stopped_for_a_while() {
    let file = "stack: runs\nservices:\n  base: { run: bin/base, health: { ready: { command: bin/is-ready } } }\n  \
                web: { run: bin/web, needs: [base] }\n";
    let world = World::new("patient-run", file);
    let marks = Marks::of(&world);
    marks.program(&world, "base", FOREVER);
    marks.program(&world, "is-ready", "test -e $MARKS/ready");
    marks.program(&world, "web", FOREVER);
    marks.program(&world, "once", "exit 3");
    world.done(&["up", "--detach"]);
    let run = world.begin(&["run", "web", "--", "bin/once"]);
    let is_waiting = || world.status().filter(|status| status.to_string().contains("web.1.run.1"));
    world.wait_for("the run to wait", is_waiting);
    let node = world.node().unwrap();
    processes::send(&node, Signal::STOP);
    // Longer than a run is kept that nobody asks after.
    pass(&world, Duration::from_secs(6));
    processes::send(&node, Signal::CONT);
    marks.leave("ready");
    let ran = ended(run);
    assert_eq!(ran.code, Some(3), "{ran:?}\n{}", world.events());
    world.down();
}

#[test]
fn a_run_that_the_machine_refuses_says_why_once_and_begins_when_it_is_mended() {
    let file = "stack: runs\nservices:\n  web: { run: bin/web }\n";
    let world = World::new("refused-run", file);
    let marks = Marks::of(&world);
    marks.program(&world, "web", FOREVER);
    marks.program(&world, "once", "exit 3");
    world.up();
    // Nothing can be written to the folder of the run.
    let folder = world.state.join("units/web.1.run.1");
    std::os::unix::fs::symlink("nowhere", &folder).unwrap();
    let run = world.begin(&["run", "web", "--", "bin/once"]);
    world.wait_for("the start to be refused", || {
        let status = world.status()?;
        status["problems"].to_string().contains("web.1.run.1: waiting: cannot write").then_some(())
    });
    fs::remove_file(&folder).unwrap();
    let ran = ended(run);
    assert_eq!((ran.code, marks.starts("once")), (Some(3), 1), "{ran:?}");
    assert_eq!(ran.err.matches("web.1.run.1 has not begun: cannot write ").count(), 1, "{ran:?}");
    world.down();
}

/// What a command is run through so that a write beyond [`writes_at_most`] is an error and no signal, as on a full disk.
pub(crate) const HEEDING_LIMITS: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

/// Lets a process write so far into files and no farther, or as far as it likes.
pub(crate) fn writes_at_most(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(process.pid.cast_signed()).unwrap();
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn a_run_whose_end_cannot_be_written_down_ends_once_it_can() {
    let mut world = World::new("unwritten-end", "stack: runs\nservices:\n  web: { run: bin/web }\n");
    world.run_through(HEEDING_LIMITS);
    let marks = Marks::of(&world);
    marks.program(&world, "web", FOREVER);
    marks.program(&world, "once", "until [ -e $MARKS/go ]; do sleep 0.02; done; exit 3");
    world.up();
    let run = world.begin(&["run", "web", "--", "bin/once"]);
    world.wait_for("the run to begin", || (marks.starts("once") == 1).then_some(()));
    let node = world.node().unwrap();
    writes_at_most(&node, Some(0));
    marks.leave("go");
    let unwritten = format!("{}: I/O error: File too large", world.state.join("state.redb").display());
    world.wait_for("the unwritten end to be told", || {
        world.status()?["problems"].to_string().contains(&unwritten).then_some(())
    });
    writes_at_most(&node, None);
    let ran = ended(run);
    assert_eq!((ran.code, marks.starts("once")), (Some(3), 1), "{ran:?}");
    world.wait_for("nothing to be wrong any more", || {
        (world.status()?["problems"] == serde_json::json!([])).then_some(())
    });
    assert_eq!(world.node().unwrap(), node);
    world.down();
}

#[test]
fn a_node_waits_for_a_command_that_has_the_state_directory() {
    let (world, marks) = stopped("lock");
    let lock = fs::File::open(world.state.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut up = world.begin(&["up", "--detach"]);
    pass(&world, Duration::from_secs(1));
    assert_eq!(up.try_wait().unwrap(), None);
    drop(lock);
    let ran = ended(up);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.wait_for("the service", || (marks.starts("old") == 2).then_some(()));
    world.down();
}

#[test]
fn a_restart_that_a_down_cuts_short_is_no_restart() {
    let file = "stack: restarts\nservices:\n  web: { run: bin/slow, replicas: 2, health: { drain: 5s } }\n";
    let world = World::new("cut-restart", file);
    let marks = Marks::of(&world);
    marks.program(&world, "slow", "trap '' TERM\nwhile :; do sleep 0.05; done");
    world.up();
    let restart = world.begin(&["restart", "web"]);
    stopping(&world);
    let down = world.begin(&["down"]);
    let ran = ended(restart);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("web is not restarted: the stack is being stopped"), "{ran:?}");
    assert_eq!(ended(down).code, Some(0));
    world.is_down();
}

#[test]
fn a_restart_whose_time_is_over_is_given_up() {
    let file = "stack: restarts\nservices:\n  web: { run: bin/slow, replicas: 2, health: { drain: 5s } }\n";
    let world = World::new("late-restart", file);
    let marks = Marks::of(&world);
    marks.program(&world, "slow", "trap '' TERM\nwhile :; do sleep 0.05; done");
    let before = world.up();
    let entry = world.newest_entry();
    // The first replica takes longer to stop than the restart may take.
    assert_eq!(world.run(&["restart", "web", "--wait", "2s"]).code, Some(3));
    let given_up = "the restart of web did not come to every replica".to_owned();
    world.wait_for("it to be given up", || world.events_after(entry).contains(&given_up).then_some(()));
    let after = world.up();
    assert_ne!(pid_of(&after, "web.1.1"), pid_of(&before, "web.1.1"));
    assert_eq!(pid_of(&after, "web.1.2"), pid_of(&before, "web.1.2"), "{}", world.events());
    world.down();
}
