//! The node killed at each of its steps: of a first `up`, of a later one, of a change, of `down`.
//!
//! The steps are counted by the journal: the node is killed as soon as the n-th new entry is there, for n = 1 and so
//! on until a run ends before its n-th entry. Start reading at [`Killed::at`].

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::processes::{self, Process};
use crate::site::{FILE, addresses, note, page};
use crate::world::{Ran, World, ended, pid_of, steady, tell};

/// From one look at the journal to the next.
const LOOK_POLL: Duration = Duration::from_micros(300);
/// More steps than any of this has.
const STEPS_MAX: u64 = 100;

/// What a command came to whose node was killed under it.
struct Killed {
    /// What the command said.
    ran: Ran,
    /// What ran when the node was dead, by unit.
    left: BTreeMap<String, Process>,
}

impl Killed {
    /// Runs a command and kills the node at the n-th new entry; the command's end where it never comes.
    fn at(world: &World, n: u64, arguments: &[&str]) -> Result<Self, Ran> {
        let before = world.newest_entry();
        let mut command = world.begin(arguments);
        match kill_at(world, before + n, &mut command) {
            false => Err(ended(command)),
            true => {
                let ran = ended(command);
                Ok(Self { ran, left: processes::children(&world.state) })
            }
        }
    }
}

/// Runs a command and kills the node at the n-th new entry; whether there was one before the command's end.
pub(crate) fn killed_at(world: &World, n: u64, arguments: &[&str]) -> bool {
    Killed::at(world, n, arguments).is_ok()
}

/// Whether the entry came before the command's end, and the node is dead.
fn kill_at(world: &World, entry: u64, command: &mut Child) -> bool {
    loop {
        if world.newest_entry() >= entry
            && let Some(node) = world.node()
        {
            processes::kill(&node);
            world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
            return true;
        }
        if command.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(LOOK_POLL); // POLL of its own: entries come within milliseconds.
    }
}

/// The next `up` converges, and what ran through the node's death has the process that it had.
#[track_caller]
fn converges(world: &World, killed: &Killed, n: u64) {
    let status = world.up();
    for (unit, process) in &killed.left {
        if let Some(now) = pid_of(&status, unit) {
            assert_eq!(now, process.pid, "step {n}: {unit} was restarted\n{}", world.events());
        }
    }
}

/// A copy of a folder with owners, modes and links as they are.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// The stack with one note in it, stopped, and a copy of its state directory beside it.
fn stopped(name: &str) -> World {
    let world = World::new(name, FILE);
    world.up();
    assert!(note(addresses(&world)[0], "kept"));
    world.down();
    copy(&world.state, &world.folder.join("copy"));
    world
}

/// Puts the state directory back to how the copy has it. There is one at every moment: the user ids of one that is
/// gone are given to other stacks.
fn restore(world: &World) {
    let fresh = world.folder.join("fresh");
    copy(&world.folder.join("copy"), &fresh);
    renameat_with(CWD, &fresh, CWD, &world.state, RenameFlags::EXCHANGE).unwrap();
    std::fs::remove_dir_all(&fresh).unwrap();
}

/// Goes through the steps of something, until one run has no n-th entry. Says how many there were.
pub(crate) fn each_step(what: &str, try_step: impl Fn(u64) -> bool) {
    let begun = steady();
    let steps = (1..STEPS_MAX).take_while(|n| try_step(*n)).count();
    tell(format!("{what}: killed at each of {steps} steps"), steady().saturating_sub(begun));
    assert!((5..90).contains(&steps), "{steps} steps");
}

#[test]
fn the_first_up_killed_at_every_step() {
    let world = World::new("first-up", FILE);
    each_step("first up", |n| {
        match Killed::at(&world, n, &["up", "--wait", "100s"]) {
            Err(ran) => {
                assert_eq!(ran.code, Some(0), "{}", ran.err);
                return false;
            }
            Ok(killed) => {
                assert!(killed.ran.code != Some(0) || n > 20, "step {n}: {}", killed.ran.err);
                // A person either goes on or gives up.
                match n % 2 {
                    0 => {}
                    _ => converges(&world, &killed, n),
                }
            }
        }
        world.down();
        std::fs::remove_dir_all(&world.state).unwrap();
        true
    });
    assert_eq!(page(&world).written, 0);
    world.down();
}

#[test]
fn a_later_up_killed_at_every_step() {
    let world = stopped("later-up");
    each_step("later up", |n| {
        match Killed::at(&world, n, &["up", "--wait", "100s"]) {
            Err(ran) => {
                assert_eq!(ran.code, Some(0), "{}", ran.err);
                return false;
            }
            Ok(killed) => converges(&world, &killed, n),
        }
        assert_eq!(page(&world).written, 1, "step {n}");
        world.down();
        restore(&world);
        true
    });
}

#[test]
fn a_change_killed_at_every_step() {
    let world = stopped("change");
    let changed = FILE.replace("COLOUR: blue", "COLOUR: green");
    each_step("change", |n| {
        world.write(FILE);
        world.up();
        world.write(&changed);
        match Killed::at(&world, n, &["up", "--wait", "100s"]) {
            Err(ran) => {
                assert_eq!(ran.code, Some(0), "{}", ran.err);
                return false;
            }
            Ok(killed) => {
                let status = world.up();
                for unit in ["db", "cache", "worker.1.1"] {
                    let now = pid_of(&status, unit);
                    assert_eq!(now, Some(killed.left[unit].pid), "step {n}: {unit} was restarted");
                }
                let web = &status["services"][0];
                assert_eq!((&web["release"], &web["ready"]), (&2.into(), &2.into()), "step {n}: {web:#}");
            }
        }
        assert_eq!(page(&world).written, 1, "step {n}");
        world.down();
        restore(&world);
        true
    });
}

#[test]
fn down_killed_at_every_step() {
    let world = stopped("down");
    each_step("down", |n| {
        world.up();
        match Killed::at(&world, n, &["down"]) {
            Err(ran) => {
                assert_eq!(ran.code, Some(0), "{}", ran.err);
                return false;
            }
            Ok(killed) => match n % 2 {
                0 => {
                    world.run(&["down"]);
                    world.is_down();
                    world.up();
                }
                _ => drop((world.up(), killed)),
            },
        }
        assert_eq!(page(&world).written, 1, "step {n}");
        world.down();
        true
    });
    world.is_down();
    world.up();
    assert_eq!(page(&world).written, 1);
    world.down();
}
