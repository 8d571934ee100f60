//! The wall clock set forwards and backwards by an hour under a stack: nothing that runs may notice.
//!
//! The machine's own clock stays as it is. Every program of the stack, the node and the shims included, is given one
//! with an offset by the dynamic loader (`clock.c`), in a mount namespace of their own where the loader is told to do
//! so. Start reading at [`Site`]. Only root can mount there; anybody else's run says that it skips.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::processes;
use crate::site::{FILE, writing};
use crate::world::{World, ended, is_root, pid_of, steady, units};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Moments that differ by less are the same to these tests; every step is larger.
const SAME_WITHIN: i64 = HOUR / 4;

/// The offset from the machine's wall clock under which a stack runs.
struct Clock {
    offset: File,
    /// Noon of a day to come, in UTC: what a clock shows here is told from it.
    noon: i64,
}

impl Clock {
    /// A clock for whatever is run by [`Site::NEW_ROOM`] in a folder.
    fn over(world: &World) -> Self {
        let folder = world.folder.join("clock");
        fs::create_dir(&folder).unwrap();
        let offset = folder.join("offset");
        fs::write(&offset, [0; 8]).unwrap();
        let library = folder.join("clock.so");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library);
        compile.arg(format!("-DOFFSET_FILE=\"{}\"", offset.display()));
        compile.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/survival/clock.c"));
        assert!(compile.status().unwrap().success());
        fs::create_dir(folder.join("etc")).unwrap();
        fs::write(folder.join("etc/ld.so.preload"), library.to_str().unwrap()).unwrap();
        let noon = (real() / DAY + 1) * DAY + DAY / 2;
        Self { offset: File::options().write(true).open(offset).unwrap(), noon }
    }

    /// Sets the clock so far after noon; before it when negative.
    fn set(&self, after_noon: i64) {
        let nanos = (self.noon + after_noon - real()) * 1_000_000;
        self.offset.write_all_at(&nanos.to_ne_bytes(), 0).unwrap();
    }
}

/// The machine's wall clock.
fn real() -> i64 {
    sys::clock::now().wall.as_millis()
}

fn millis(moment: &Value) -> i64 {
    moment.as_str().unwrap().parse::<model::Timestamp>().unwrap().as_millis()
}

/// A stack under a clock of its own.
struct Site {
    world: World,
    clock: Clock,
    begun: Duration,
}

impl Site {
    /// Runs the words after it where `$1/etc` lies over `/etc`, except over what the machine's stacks share there.
    const NEW_ROOM: &str = "set -e; mkdir -p /etc/mainstay \"$1/shared\"; mount --bind /etc/mainstay \"$1/shared\"; \
        mount -t overlay overlay -o \"lowerdir=$1/etc:/etc\" /etc; mount --bind \"$1/shared\" /etc/mainstay; \
        shift; exec \"$@\"";

    /// A stack whose clock stands so far from noon; `None` where this machine does not allow it.
    fn at(after_noon: i64, file: &str) -> Option<Self> {
        if !is_root() {
            println!("SKIPPED: only root can give a stack a clock of its own");
            return None;
        }
        let mut world = World::new("clock", file);
        world
            .script("counter", "#!/bin/sh\nn=0\nwhile :; do n=$((n + 1)); echo \"$n $(date +%s)\"; sleep 0.05; done\n");
        let clock = Clock::over(&world);
        clock.set(after_noon);
        let folder = world.folder.join("clock");
        let room = ["unshare", "--mount", "--propagation", "private", "sh", "-c", Self::NEW_ROOM, "sh"];
        world.run_through(room.into_iter().chain([folder.to_str().unwrap()]));
        Some(Self { world, clock, begun: steady() })
    }

    /// The number of the last run of a job; 0 before the first.
    fn runs(&self, job: &str) -> u64 {
        let status = self.world.status().unwrap();
        let service = status["services"].as_array().unwrap().iter().find(|it| it["name"] == job).unwrap().clone();
        let last = service["last_run"].as_str().unwrap_or_default();
        last.split_once(".run.").map_or(0, |(_, run)| run.split(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until a job has run more often than it had.
    #[track_caller]
    fn runs_on(&self, job: &str, before: u64) {
        self.world.wait_for(&format!("another run of {job}"), || (self.runs(job) > before).then_some(()));
    }

    /// The stack shows the time that was set, and no span that comes of a step.
    #[track_caller]
    fn shows(&self, after_noon: i64) {
        let status = self.world.status().unwrap();
        let at = millis(&status["at"]);
        assert!((at - self.clock.noon - after_noon).abs() < SAME_WITHIN, "{after_noon} after noon is shown as {at}");
        let lived = i64::try_from((steady().saturating_sub(self.begun)).as_millis()).unwrap() + SECOND;
        assert!(status["node"]["uptime_ms"].as_i64().unwrap() <= lived, "{:#}", status["node"]);
        for unit in units(&status) {
            let span = at - millis(&unit["since"]);
            assert!((0..=lived).contains(&span), "after {lived} ms: {unit:#}");
        }
    }

    /// The journal's sentences after an entry, each of which has the time that was set and the next number.
    #[track_caller]
    fn told(&self, entry: u64, after_noon: i64) -> Vec<String> {
        let listed = self.world.done(&["events", "--after", &entry.to_string(), "--output", "json"]).out;
        let entries: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (entry, number) in entries.iter().zip(entry + 1..) {
            assert_eq!(entry["entry"]["id"], number, "{listed}");
            assert!((millis(&entry["entry"]["at"]) - self.clock.noon - after_noon).abs() < SAME_WITHIN, "{entry}");
        }
        entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Every line of the counter is there, in order, with the time that the counter saw. While a clock is set, a line
    /// can be written before and stamped after.
    #[track_caller]
    fn counted(&self, steps: usize) {
        let logged = self.world.done(&["logs", "counter", "--output", "json"]).out;
        let lines = logged.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines: Vec<Value> = lines.filter(|line| line["stream"] != "shim").collect();
        let mut astride = 0;
        for (line, expected) in lines.iter().zip(1_u64..) {
            let (number, seen) = line["line"].as_str().unwrap().split_once(' ').unwrap();
            assert_eq!(number.parse(), Ok(expected), "{line}");
            let seen = seen.parse::<i64>().unwrap() * SECOND;
            astride += usize::from((millis(&line["at"]) - seen).abs() > SAME_WITHIN);
        }
        assert!(!lines.is_empty() && astride <= steps, "{astride} of {} lines have another time", lines.len());
    }
}

/// Units that are to have one process throughout.
const LASTING: [&str; 6] = ["web.1.1", "web.1.2", "worker.1.1", "counter.1.1", "db", "cache"];

#[track_caller]
fn untouched(before: &Value, after: &Value) {
    for unit in LASTING {
        assert!(pid_of(before, unit).is_some(), "{unit} does not run: {before:#}");
        assert_eq!(pid_of(before, unit), pid_of(after, unit), "{unit} was restarted");
    }
    assert!(units(after).iter().all(|unit| unit["restarts"] == 0), "{after:#}");
}

/// The guest book, something that counts aloud, and two jobs.
fn site(after_noon: i64) -> Option<Site> {
    let more = "  counter: { run: bin/counter }\n  \
                often: { run: sh -c 'echo often', schedule: \"* * * * *\" }\n  \
                noon: { run: sh -c 'echo noon', schedule: \"0 12 * * *\" }\nresources:\n";
    Site::at(after_noon, &FILE.replace("resources:\n", more))
}

#[test]
fn nothing_notices_a_clock_that_is_set() {
    let Some(site) = site(-HOUR / 2) else { return };
    let (world, clock) = (&site.world, &site.clock);
    let before = world.up();
    let node = world.node();
    let ((), written) = writing(world, || {
        let often = site.runs("often");
        clock.set(-SECOND);
        site.runs_on("noon", 0);
        site.runs_on("often", often);
        site.shows(0);

        // An hour forwards: the runs of that hour are missed, and said to be; the next one comes.
        let (entry, often) = (world.newest_entry(), site.runs("often"));
        clock.set(HOUR + 30 * SECOND);
        site.runs_on("often", often);
        site.shows(HOUR);
        let told = site.told(entry, HOUR);
        assert!(told.iter().any(|it| it.contains("often missed")), "{told:#?}");

        // An hour back: what runs every minute goes on, and noon does not come a second time.
        let (entry, often) = (world.newest_entry(), site.runs("often"));
        clock.set(-2 * SECOND);
        site.runs_on("often", often);
        site.shows(0);
        let told = site.told(entry, 0);
        assert!(!told.iter().any(|it| it.contains("missed")), "{told:#?}");
        assert_eq!(site.runs("noon"), 1, "{}", world.events());
    });
    assert_eq!(written.acknowledged, written.attempted, "a request failed");
    assert_eq!(world.node(), node);
    untouched(&before, &world.status().unwrap());
    site.counted(3);
    world.down();
}

#[test]
fn a_clock_set_while_the_node_is_dead_is_believed_by_the_next() {
    for step in [HOUR, -HOUR] {
        let Some(site) = site(-HOUR / 2) else { return };
        let (world, clock) = (&site.world, &site.clock);
        let before = world.up();
        let ((), written) = writing(world, || {
            let (entry, often) = (world.newest_entry(), site.runs("often"));
            let node = world.node().unwrap();
            processes::kill(&node);
            world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
            // One second before a whole minute, so that a run comes soon.
            clock.set(step - HOUR / 2 - SECOND);
            world.up();
            site.runs_on("often", often);
            site.shows(step - HOUR / 2);
            let told = site.told(entry, step - HOUR / 2);
            let missed = told.iter().any(|it| it.contains("noon missed 1 scheduled run"));
            assert_eq!(missed, step > 0, "{told:#?}");
            assert_eq!(site.runs("noon"), 0, "a run of half an hour ago was made up for");
        });
        assert_eq!(written.acknowledged, written.attempted, "a request failed");
        untouched(&before, &world.status().unwrap());
        site.counted(1);
        world.down();
    }
}

/// A service that is killed at its deadline, and one that always fails.
const SLOW: &str = "\
stack: slow
services:
  failing: { run: sh -c 'exit 1' }
  stubborn: { run: bin/stubborn, health: { drain: 3s } }
";
const DRAIN: Duration = Duration::from_secs(3);

impl Site {
    fn note(&self, unit: &str) -> String {
        let status = self.world.status().unwrap();
        crate::world::unit(&status, unit).unwrap()["note"].as_str().unwrap_or_default().to_owned()
    }

    /// How long the failing service still waits, by its status, on the steady clock.
    fn tried_again(&self) -> Option<Duration> {
        let note = self.note("failing.1.1");
        let left: model::Span = note.split_once("tried again in ")?.1.split([';', ':', ',']).next()?.parse().ok()?;
        Some(steady() + left.duration())
    }
}

#[test]
fn back_off_and_deadlines_do_not_use_a_clock_that_is_set() {
    let Some(site) = Site::at(0, SLOW) else { return };
    let (world, clock) = (&site.world, &site.clock);
    world.script("stubborn", "#!/bin/sh\ntrap '' TERM\necho deaf\nwhile :; do sleep 0.1; done\n");
    assert_eq!(world.run(&["up", "--wait", "1s"]).code, Some(3));
    // Its loop of failures has the longest waits: none of them ends while this looks.
    let looped = || site.note("failing.1.1").contains("5 times in a row").then(|| site.tried_again()).flatten();
    let (until, _) = world.wait_for("the failures to be a loop", looped);
    let deaf = || world.run(&["logs", "stubborn"]).out.contains("deaf").then_some(());
    world.wait_for("the stubborn to be deaf", deaf);
    for after_noon in [HOUR, -HOUR] {
        let old = world.child("stubborn.1.1");
        let begun = steady();
        let restart = world.begin(&["restart", "stubborn"]);
        let stopping = || site.note("stubborn.1.1").contains("killed in").then_some(());
        world.wait_for("the stubborn to be asked to stop", stopping);
        clock.set(after_noon);
        assert_eq!(world.child("stubborn.1.1"), old, "a step of the clock ended the time to drain");
        let now = site.tried_again().unwrap();
        assert!(now.abs_diff(until) < Duration::from_secs(5), "tried again at {now:?} rather than {until:?}");
        let ran = ended(restart);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(steady().saturating_sub(begun) >= DRAIN);
    }
    world.down();
}
