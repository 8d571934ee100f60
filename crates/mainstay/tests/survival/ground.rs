//! What the machine does to a stack: restarts, other processes with the same numbers, full disks, dead readers.
//! A clock that is set has a file of its own, [`clock`](crate::clock).

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::processes;
use crate::site::{FILE, addresses, note, page, request};
use crate::world::{World, ended, is_root, steady, tell};

/// A process that is none of the stack's.
struct Foreign(Child);

impl Foreign {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").current_dir("/").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Kills everything of the stack, the node first.
fn crash(world: &World) {
    processes::kill(&world.node().unwrap());
    world.wait_for("everything to be gone", || {
        let left = world.processes();
        left.iter().for_each(processes::kill);
        left.is_empty().then_some(())
    });
}

/// Rewrites the record of each unit that has a shim.
fn rewrite_records(world: &World, change: impl Fn(&mut Value)) -> usize {
    let mut changed = 0;
    for entry in fs::read_dir(world.state.join("units")).unwrap() {
        let path = entry.unwrap().path().join("unit.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if record["shim"].is_object() {
            change(&mut record);
            fs::write(&path, record.to_string()).unwrap();
            changed += 1;
        }
    }
    changed
}

#[test]
fn after_a_restart_of_the_machine_foreign_processes_are_let_be() {
    let world = World::new("boot", FILE);
    world.up();
    assert!(note(addresses(&world)[0], "before"));
    let before = page(&world);
    crash(&world);
    let mut foreign = Foreign::start();
    // The recorded numbers belong to another boot, and one of this boot's processes has them now.
    let changed = rewrite_records(&world, |record| {
        record["boot"] = "00000000-0000-0000-0000-000000000000".into();
        record["shim"]["boot"] = "00000000-0000-0000-0000-000000000000".into();
        record["shim"]["pid"] = foreign.0.id().into();
    });
    assert_eq!(changed, 5);
    // A restart empties the folder of sockets too.
    fs::remove_dir_all(world.socket.parent().unwrap()).unwrap();
    let begun = steady();
    world.up();
    tell("another boot: ready", steady().saturating_sub(begun));
    assert_eq!(foreign.0.try_wait().unwrap(), None, "a foreign process was ended");
    assert_eq!(page(&world).written, before.written);
    assert!(page(&world).visits > before.visits);
    world.down();
    assert_eq!(foreign.0.try_wait().unwrap(), None, "a foreign process was ended");
}

#[test]
fn a_removed_state_directory_is_made_anew() {
    let world = World::new("removed", FILE);
    world.up();
    world.down();
    if is_root() {
        // What a node left behind that was killed, and whose resources had other users.
        let sockets = world.socket.with_file_name("cache");
        fs::create_dir_all(&sockets).unwrap();
        std::os::unix::fs::chown(sockets, Some(59_999), Some(59_999)).unwrap();
    }
    fs::remove_dir_all(&world.state).unwrap();
    world.up();
    assert_eq!(page(&world).written, 0);
    world.down();
}

#[test]
fn a_process_that_got_the_number_of_a_shim_is_let_be() {
    let world = World::new("same-number", FILE);
    world.up();
    crash(&world);
    let mut foreign = Foreign::start();
    rewrite_records(&world, |record| record["shim"]["pid"] = foreign.0.id().into());
    world.up();
    world.down();
    assert_eq!(foreign.0.try_wait().unwrap(), None, "a foreign process was ended");
}

#[test]
fn down_says_what_it_cannot_find_out_and_ends_once_it_can() {
    let world = World::new("unknown", FILE);
    world.up();
    crash(&world);
    rewrite_records(&world, |record| record["format"] = 2.into());
    let mut down = world.begin(&["down"]);
    let mut said = BufReader::new(down.stderr.take().unwrap()).lines().map(Result::unwrap);
    let why = "web.1.1 is not known to have ended: the record has format 2, this release reads up to 1";
    assert!(said.any(|line| line.starts_with(why)), "`down` ended without a word");
    assert_eq!(rewrite_records(&world, |record| record["format"] = 1.into()), 5);
    assert_eq!(ended(down).code, Some(0));
    assert_eq!(said.last().as_deref(), Some("everything is stopped"));
    world.is_down();
}

/// How many lines come to a little more than 10 MB.
const LINES: u64 = 100_000;

#[test]
fn what_is_printed_while_the_node_is_dead_is_kept() {
    let world = World::new("printed", "stack: printed\nservices:\n  chatter: { run: bin/chatter }\n");
    let marks = world.folder.join("marks");
    fs::create_dir(&marks).unwrap();
    fs::set_permissions(&marks, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (go, done) = (marks.join("go"), marks.join("done"));
    world.script(
        "chatter",
        &format!(
            "#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done\n\
             seq -f 'line %07.0f of the text that is printed while nobody but the shim listens, and that has its length' \
             1 {LINES}\n: > {done}\nwhile :; do sleep 1; done\n",
            go = go.display(),
            done = done.display()
        ),
    );
    world.up();
    let child = world.child("chatter.1.1");
    processes::kill(&world.node().unwrap());
    let begun = steady();
    fs::write(&go, "").unwrap();
    world.wait_for("everything to be printed", || done.exists().then_some(()));
    tell("10 MB printed while the node is dead", steady().saturating_sub(begun));
    assert!(world.node().is_none());
    world.up();
    assert_eq!(world.child("chatter.1.1"), child, "the service was restarted");
    let (numbers, bytes) = world
        .wait_for("all lines", || {
            let logged = world.run(&["logs", "chatter"]).out;
            let number = |line: &str| line.split_once(" line ")?.1.split(' ').next()?.parse::<u64>().ok();
            let numbers: BTreeSet<u64> = logged.lines().filter_map(number).collect();
            (numbers.last() == Some(&LINES)).then_some((numbers, logged.len()))
        })
        .0;
    assert!(bytes > 10_000_000, "{bytes}");
    assert_eq!(u64::try_from(numbers.len()).unwrap(), LINES, "the first kept is {:?}", numbers.first());
    let size: u64 = files(&world.state.join("logs/chatter.1.1")).iter().map(|(_, size)| size).sum();
    println!("  {size} bytes of log files");
    world.down();
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect()
}

/// A small file system over the state directory, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=320m,mode=711", "tmpfs"]).arg(folder);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let filler = fs::File::create(self.0.join("filler")).unwrap();
        let mut filler = std::io::BufWriter::new(filler);
        let zeros = [0_u8; 1 << 16];
        while std::io::Write::write_all(&mut filler, &zeros).is_ok() {}
        // The rest of the buffer has no place either.
        drop(filler.into_parts());
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} is still mounted", self.0.display());
        }
    }
}

#[test]
fn a_full_disk_stops_nothing_that_runs_and_is_told() {
    if !is_root() {
        println!("SKIPPED: only root can mount a small disk");
        return;
    }
    let world = World::new("full-disk", FILE);
    let Some(disk) = SmallDisk::over(&world.state) else {
        println!("SKIPPED: no file system can be mounted here");
        return;
    };
    let before = world.up();
    assert!(note(addresses(&world)[0], "before"));
    let written = page(&world).written;
    disk.fill();
    // Reading goes on; nothing is restarted for it.
    let (code, _) = request(addresses(&world)[0], "GET", "/readyz", "").unwrap();
    assert_eq!(code, 200);
    // What is acknowledged now counts like everything else.
    let stored = u64::from(note(addresses(&world)[0], "during"));
    println!("  acknowledged on a full disk: {stored}");
    // A death is noticed and mended without a place to write it down, or told as what stands in the way.
    processes::kill(&world.child("worker.1.1"));
    let (told, took) = world.wait_for("the full disk to be told", || {
        let status = world.status()?;
        let problems = status["problems"].as_array()?.clone();
        (!problems.is_empty()).then_some(problems)
    });
    tell("full disk: told", took);
    println!("  {told:?}");
    assert!(told.iter().any(|it| it.as_str().unwrap().to_lowercase().contains("space")), "{told:?}");
    let during = world.status().unwrap();
    for unit in ["web.1.1", "web.1.2", "cache"] {
        assert_eq!(crate::world::pid_of(&before, unit), crate::world::pid_of(&during, unit), "{unit} was restarted");
    }
    let refused = world.run(&["restart", "web"]);
    println!("  restart: {:?} {}", refused.code, refused.err.trim());
    let begun = steady();
    world.down();
    tell("full disk: down", steady().saturating_sub(begun));
    // What ended made room.
    disk.fill();
    let full = world.run(&["up", "--wait", "5s"]);
    println!("  up on a full disk: {:?} {}", full.code, full.err.trim());
    // Its log is on that disk too.
    assert!(full.err.contains("is full: make room there"), "{}", full.err);
    assert!(full.err.to_lowercase().contains("no space left"), "{}", full.err);
    disk.free();
    let begun = steady();
    world.up();
    tell("space again: ready", steady().saturating_sub(begun));
    let after = page(&world).written;
    assert!((written + stored..=written + 1).contains(&after), "{after} after {written} and {stored}");
    world.down();
    drop((disk, world));
}
