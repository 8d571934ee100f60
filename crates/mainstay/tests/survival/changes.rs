//! What people do to a stack that runs: change it, restart it, run something in it, watch it, start it twice.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Pid, Signal};

use crate::processes;
use crate::site::{FILE, addresses, note, page, request, writing};
use crate::world::{Ran, World, ended, pid_of, unit, units};

/// Looks all the time, while something happens, whether a replica of `web` is ready and answers; says how often it
/// looked and how often none did.
fn watching<T>(world: &World, meanwhile: impl FnOnce() -> T) -> (T, u32, u32) {
    let (stop, looks, failures) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                looks.fetch_add(1, Ordering::Relaxed);
                if !one_answers(world) {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    (result, looks.into_inner(), failures.into_inner())
}

/// Whether a replica of `web` is ready and answers. Where none does that was ready when the look began, others may have
/// become ready since: the look ends when what is ready stays the same.
fn one_answers(world: &World) -> bool {
    let answers = |address| request(address, "GET", "/readyz", "").is_ok_and(|(code, _)| code == 200);
    let mut ready = addresses(world);
    loop {
        if ready.is_empty() {
            return false;
        }
        if ready.iter().copied().any(answers) {
            return true;
        }
        let now = addresses(world);
        if now == ready {
            return false;
        }
        ready = now;
    }
}

#[test]
fn a_changed_file_is_rolled_out_with_a_replica_ready_at_every_moment() {
    let world = World::new("rolling", FILE);
    let before = world.up();
    world.write(&FILE.replace("COLOUR: blue", "COLOUR: green"));
    let ((ran, planned), looks, failures) = watching(&world, || {
        let begun = world.done(&["up", "--detach"]);
        let planned = world.done(&["plan"]).out;
        world.done(&["up", "--wait", "100s"]);
        (begun, planned)
    });
    assert!(ran.out.contains("web"), "{}", ran.out);
    // Its hook may still run, and its first new replica may have begun.
    let going = planned.lines().find_map(|line| line.trim().strip_prefix("still starting or being replaced: "));
    assert!(going.is_some_and(|units| units.split(", ").all(|unit| unit.starts_with("web."))), "{planned}");
    assert!(
        planned.ends_with("\nNothing new to do: what is still under way leads to what the file says.\n"),
        "{planned}"
    );
    let after = world.status().unwrap();
    assert!(looks > 0);
    assert_eq!(failures, 0, "of {looks} looks; {}", world.events());
    assert_eq!(after["services"][0]["release"], 2);
    let replicas = after["services"][0]["replicas"].as_array().unwrap();
    assert!(replicas.iter().all(|it| it["release"] == 2), "{after:#}");
    for untouched in ["db", "cache", "worker.1.1"] {
        assert_eq!(pid_of(&before, untouched), pid_of(&after, untouched), "{untouched} was restarted");
    }
    world.down();
}

#[test]
fn a_release_that_does_not_start_leaves_the_old_one_serving() {
    let world = World::new("failing", FILE);
    let before = world.up();
    world.write(&FILE.replace("bin/minimal serve", "bin/minimal nonsense"));
    let (ran, looks, failures) = watching(&world, || world.run(&["up", "--wait", "6s"]));
    assert_eq!((ran.code, failures), (Some(3), 0), "{} {looks}", ran.err);
    assert!(ran.err.contains("web.2.1: exited with code 1"), "{}", ran.err);
    let printed = world.done(&["logs", "web.2.1"]).out;
    assert!(printed.contains("usage: minimal"), "{printed}");
    let held = world.status().unwrap();
    assert!(held["problems"].to_string().contains("web"), "{held:#}");
    assert_eq!(pid_of(&before, "web.1.2"), pid_of(&held, "web.1.2"));
    world.write(FILE);
    world.done(&["up", "--detach"]);
    let back = world.status().unwrap();
    let web = &back["services"][0];
    assert_eq!(
        (&web["state"], &web["ready"], &web["serving"]),
        (&"going back".into(), &0.into(), &2.into()),
        "{web:#}"
    );
    assert!(web["change"].as_str().unwrap().starts_with("to release 1, as release 3: "), "{web:#}");
    assert_eq!(world.run(&["status"]).code, Some(3));
    let after = world.up();
    let (web, replicas) = (&after["services"][0], after["services"][0]["replicas"].as_array().unwrap());
    assert!(replicas.len() == 2 && replicas.iter().all(|it| it["release"] == web["release"]), "{web:#}");
    assert_eq!(after["problems"], serde_json::json!([]));
    world.down();
}

#[test]
fn a_program_that_is_not_there_is_refused_and_nothing_is_changed() {
    let world = World::new("refused", FILE);
    let before = world.up();
    world.write(&FILE.replace("bin/minimal serve", "bin/absent serve"));
    let ran = world.run(&["up", "--wait", "6s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("bin/absent"), "{}", ran.err);
    let after = world.status().unwrap();
    assert_eq!((after["settled"].as_bool(), &after["services"][0]["release"]), (Some(true), &1.into()));
    assert_eq!(pid_of(&before, "web.1.1"), pid_of(&after, "web.1.1"));
    world.down();
}

#[test]
fn a_restart_goes_one_by_one() {
    let world = World::new("restart", FILE);
    let before = world.up();
    let ((), looks, failures) = watching(&world, || drop(world.done(&["restart", "web"])));
    assert_eq!(failures, 0, "of {looks} looks; {}", world.events());
    let after = world.status().unwrap();
    for replica in ["web.1.1", "web.1.2"] {
        assert_ne!(pid_of(&before, replica), pid_of(&after, replica), "{replica}\n{}", world.events());
        assert_eq!(unit(&after, replica).unwrap()["restarts"], 0, "what was asked for is no failure");
    }
    assert_eq!(pid_of(&before, "worker.1.1"), pid_of(&after, "worker.1.1"));
    let ran = world.run(&["restart", "wbe"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there is no service wbe"), "{}", ran.err);
    let ran = world.run(&["restart", "db"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("db is a resource: only services are restarted"), "{}", ran.err);
    world.down();
}

const JOBS: &str = "\
stack: jobs
services:
  tidy:
    run: sh -c 'echo tidied $WHERE'
    env: { WHERE: here }
    schedule: \"0 6 * * *\"
  steady:
    run: sh -c 'while :; do sleep 1; done'
";

#[test]
fn commands_run_in_the_place_of_a_service() {
    let world = World::new("run", JOBS);
    let status = world.up();
    assert!(status["services"][1]["next_run"].as_str().unwrap().ends_with("T06:00:00.000Z"), "{status:#}");
    let ran = world.run(&["run", "tidy", "--", "sh", "-c", "echo out $WHERE; echo err >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(7), "out here\n"), "{}", ran.err);
    assert!(ran.err.starts_with("err\n"), "{}", ran.err);
    assert_eq!(world.run(&["run", "steady", "--", "true"]).code, Some(0));
    let absent = world.run(&["run", "tidy", "--", "no-such-program"]);
    assert_eq!(absent.code, Some(127));
    assert!(absent.err.contains("no-such-program"), "{}", absent.err);
    let unknown = world.run(&["run", "nothing", "--", "true"]);
    assert!(unknown.err.contains("there is no service nothing"), "{}", unknown.err);
    let as_json = world.done(&["run", "tidy", "--output", "json", "--", "sh", "-c", "echo out $WHERE"]).out;
    let said: Vec<serde_json::Value> = as_json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(&said[..], [line, end] if line["line"] == "out here" && end["code"] == 0), "{as_json}");
    let logged = world.done(&["logs", "tidy", "--output", "json"]).out;
    assert!(logged.contains("out here"), "{logged}");
    world.down();
}

#[test]
fn the_end_of_a_run_is_shown_however_much_it_printed() {
    /// Prints more than is kept of a run, in parts that are read before the next, and the last part at once.
    const SCRIPT: &str = "print() { awk -v from=$1 -v to=$2 \
                          'BEGIN { rest = sprintf(\"%8000s\", \"\"); for (n = from; n <= to; n++) print n rest }'; }
                          for end in 2000 4000 6000 8000; do
                              print $((end - 1999)) $end; while [ ! -e $0/read.$end ]; do sleep 0.02; done
                          done
                          print 8001 9500; exit 7";
    let world = World::new("output", JOBS);
    world.up();
    let mut run = world.begin(&["run", "tidy", "--", "sh", "-c", SCRIPT, &world.folder.to_string_lossy()]);
    let lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut numbers = lines.map(|line| line.unwrap().trim_end().parse::<u32>().unwrap());
    for end in [2000, 4000, 6000, 8000] {
        assert!(numbers.by_ref().take(2000).eq(end - 1999..=end), "to {end}");
        std::fs::write(world.folder.join(format!("read.{end}")), "").unwrap();
    }
    // It ends while what it printed last waits to be read.
    let runs = || processes::shims(&world.state).keys().any(|unit| unit.contains(".run."));
    world.wait_for("the run to end", || (!runs()).then_some(()));
    assert!(numbers.eq(8001..=9500));
    assert_eq!(ended(run).code, Some(7));
    world.down();
}

/// The first line of a command that goes on.
fn first_line(follower: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (line, lines)
}

#[track_caller]
fn follows_until(command: &[&str], end: impl FnOnce(&World)) -> Ran {
    let world = World::new(
        "follow",
        "stack: ticks\nservices:\n  tick: { run: sh -c 'while :; do echo tick; sleep 1; done' }\n",
    );
    world.up();
    let mut follower = world.begin(command);
    let (line, lines) = first_line(&mut follower);
    assert!(!line.is_empty());
    end(&world);
    // Read on, so that the follower never waits for its reader.
    let rest = lines.lines().map_while(Result::ok).count();
    let ran = ended(follower);
    println!("  {command:?} ended with {:?} after {rest} more lines: {}", ran.code, ran.err.trim());
    ran
}

#[test]
fn followers_end_with_the_stack() {
    for command in [["logs", "-f"], ["events", "-f"]] {
        assert_eq!(follows_until(&command, World::down).code, Some(0), "{command:?}");
    }
}

#[test]
fn followers_end_with_a_killed_node_and_say_so() {
    for command in [["logs", "-f"], ["events", "-f"]] {
        let ran = follows_until(&command, |world| processes::kill(&world.node().unwrap()));
        assert_eq!(ran.code, Some(1), "{command:?}");
        assert!(ran.err.contains("node"), "{}", ran.err);
    }
}

#[test]
fn two_ups_at_once_make_one_node() {
    let world = World::new("two-ups", FILE);
    let ups = [world.begin(&["up", "--wait", "100s"]), world.begin(&["up", "--wait", "100s"])];
    for ran in ups.map(ended) {
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.err, world.events());
    }
    let nodes = world.processes().into_iter().filter(|it| it.command.contains("mainstay node")).count();
    assert_eq!(nodes, 1);
    let status = world.status().unwrap();
    assert_eq!((status["settled"].as_bool(), &status["services"][0]["release"]), (Some(true), &1.into()));
    assert_eq!(units(&status).len(), 5);
    assert!(note(addresses(&world)[0], "once"));
    assert_eq!(page(&world).written, 1);
    world.down();
}

/// A node in the foreground, once everything is ready.
fn in_foreground(world: &World) -> Child {
    let up = world.begin(&["up"]);
    world.wait_for("everything to be ready", || world.status().filter(|status| status["settled"] == true));
    up
}

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn ctrl_c_stops_the_stack() {
    let world = World::new("ctrl-c", JOBS);
    let up = in_foreground(&world);
    signal(&up, Signal::INT);
    let ran = ended(up);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("everything is stopped; data is kept"), "{}", ran.err);
    world.is_down();
}

/// Whether a process handles Ctrl-C by itself, by the mask of caught signals that proc(5) describes.
fn catches_ctrl_c(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (Signal::INT.as_raw() - 1)) != 0
}

#[test]
fn ctrl_c_ends_an_up_that_waits_for_the_state_directory_and_stops_nothing() {
    let world = World::new("ctrl-c-held", JOBS);
    world.up();
    let (node, service) = (world.node().unwrap(), world.child("steady.1.1"));
    processes::kill(&node);
    world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
    let lock = std::fs::File::open(world.state.join("lock")).unwrap();
    let take = || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok();
    // The files of a killed process are closed a moment after it is gone.
    world.wait_for("the lock", take);
    let up = world.begin(&["up"]);
    world.wait_for("the command to listen for Ctrl-C", || catches_ctrl_c(&up).then_some(()));
    signal(&up, Signal::INT);
    // Had it gone on waiting, it would have ended with 5: the directory is in use all the time.
    let ran = ended(up);
    assert_eq!((ran.code, &*ran.err), (Some(1), "no node has begun; what runs goes on as it was\n"), "{ran:?}");
    drop(lock);
    assert_eq!(world.child("steady.1.1"), service);
    world.up();
    assert_eq!(world.child("steady.1.1"), service);
    world.down();
}

#[test]
fn a_closed_terminal_ends_the_node_alone() {
    for ending in [Signal::HUP, Signal::TERM, Signal::KILL] {
        let world = World::new("terminal", JOBS);
        let up = in_foreground(&world);
        let service = world.child("steady.1.1");
        signal(&up, ending);
        let ran = ended(up);
        assert_eq!(ran.code, if ending == Signal::KILL { None } else { Some(0) }, "{}", ran.err);
        assert_eq!(world.child("steady.1.1"), service, "{ending:?} ended the service");
        let status = world.up();
        assert_eq!(pid_of(&status, "steady.1.1"), Some(service.pid));
        world.down();
    }
}

#[test]
fn a_second_node_is_refused() {
    let world = World::new("second-node", JOBS);
    world.up();
    let node = world.node().unwrap();
    let ran = world.run(&["node"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.err.contains(&format!("is in use by process {}", node.pid)), "{}", ran.err);
    assert_eq!(world.status().unwrap()["settled"], true, "the first node is disturbed");
    world.down();
}

#[test]
fn a_folder_without_a_file_is_told() {
    let world = World::new("no-file", JOBS);
    std::fs::remove_file(world.folder.join("mainstay.yaml")).unwrap();
    let ran = world.run(&["up"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there is no mainstay.yaml"), "{}", ran.err);
    assert!(ran.err.contains("mainstay init"), "{}", ran.err);
}

#[test]
fn notes_survive_down_and_up() {
    let world = World::new("down-up", FILE);
    world.up();
    let ((), written) = writing(&world, || {
        let enough = || (page(&world).written > 5).then_some(());
        world.wait_for("some notes", enough);
    });
    let before = page(&world);
    assert!(before.written >= written.acknowledged);
    world.down();
    assert!(world.done(&["down"]).err.contains("nothing runs"), "there is nothing to stop any more");
    world.up();
    let after = page(&world);
    assert_eq!(after.written, before.written);
    assert!(after.visits > before.visits);
    world.down();
}
