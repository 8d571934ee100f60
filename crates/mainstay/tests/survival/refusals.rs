//! What is refused because of what is applied, or of what the machine has: by every command alike.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::Signal;

use crate::processes;
use crate::world::{NOBODY, Ran, World, is_root};

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

/// The hint where the file describes no such environment, and where it does.
const UNDESCRIBED: &str = "mainstay.yaml:1:1: there is no environment `production` (environments: development)";
const DESCRIBED: &str = "give each stack and environment a state directory of its own with --state";

#[track_caller]
fn production_is_refused(world: &World, hint: &str) {
    for words in ABOUT_WHAT_IS_APPLIED {
        let ran = world.run(&[&["--env", "production"], words].concat());
        assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{words:?}");
        assert_eq!(
            ran.err,
            format!(
                "error: this state directory holds hello (development), and production was asked for\nhint: {hint}\n"
            ),
            "{words:?}"
        );
    }
}

/// Each file of a folder with its bytes and when it was changed; a link with where it leads.
fn content(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        let bytes = match about.file_type() {
            kind if kind.is_dir() => {
                found.extend(content(&path));
                Vec::new()
            }
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            kind if kind.is_file() => fs::read(&path).unwrap(),
            _ => Vec::new(),
        };
        found.insert(path, (bytes, about.modified().unwrap()));
    }
    found
}

#[test]
fn another_environment_than_the_applied_one_is_refused_with_a_node_and_without() {
    let world = world("other-environment");
    world.done(&["--env", "production", "events"]);
    assert!(!world.state.exists());
    for ending in [Signal::TERM, Signal::KILL] {
        world.up();
        production_is_refused(&world, UNDESCRIBED);
        world.done(&["--env", "development", "status"]);
        let node = world.node().unwrap();
        processes::send(&node, ending);
        world.wait_for("the node to end", || processes::look(node.pid).is_none().then_some(()));
        // What runs goes on, and writes only what it prints, which is nothing.
        let before = content(&world.state);
        production_is_refused(&world, UNDESCRIBED);
        assert!(world.node().is_none(), "a refused command started a node");
        assert!(content(&world.state) == before, "a refused command changed the state directory");
    }
    let down = world.done(&["--env", "development", "down"]);
    assert!(down.err.starts_with("no node runs: one is started to stop what is left\n"), "{down:?}");
    world.is_down();
}

#[test]
fn a_node_that_begins_or_ends_keeps_nobody_from_asking_what_is_applied() {
    let world = world("begins");
    world.up();
    world.down();
    let lock = fs::File::open(world.state.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    world.write(&format!("{FILE}environments: {{ production: {{}} }}\n"));
    production_is_refused(&world, DESCRIBED);
    assert_eq!(world.run(&["--env", "development", "status"]).code, Some(4));
}

/// A state directory whose lock and records are links to a file that is not its own, and that file.
fn linked(world: &World) -> PathBuf {
    let victim = world.folder.join("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::create_dir(&world.state).unwrap();
    for name in ["lock", "state.redb"] {
        symlink(&victim, world.state.join(name)).unwrap();
    }
    victim
}

#[track_caller]
fn is_refused(ran: &Ran, told: &str) {
    assert_eq!((ran.code, ran.err.contains(told)), (Some(1), true), "{ran:?}");
}

#[test]
fn a_look_follows_no_link() {
    let world = world("linked");
    let victim = linked(&world);
    is_refused(&world.run(&["--env", "production", "status"]), "a link has its name and is not followed");
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
}

/// What is in a state directory, as deep as it is its own.
fn parts(folder: &Path, levels_below: u32) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let with_what_is_in_it = |path: PathBuf| match path.is_dir() && levels_below > 0 {
        true => [parts(&path, levels_below - 1), vec![path]].concat(),
        false => vec![path],
    };
    paths.filter(|path| !path.is_symlink()).flat_map(with_what_is_in_it).collect()
}

/// A project that is taken from elsewhere may bring a state directory with links to what is its user's.
#[test]
fn a_link_in_the_place_of_a_part_of_the_state_directory_is_refused_and_what_it_leads_to_left_as_it_is() {
    let world = world("linked-parts");
    world.write(&FILE.replace("bin/web", "bin/web, volumes: { photos: PHOTOS_DIR }"));
    world.up();
    world.down();
    let [folder, file, aside] = ["photos", "thesis", "aside"].map(|name| world.folder.join(name));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("one"), "untouched").unwrap();
    fs::write(&file, "untouched").unwrap();
    let untouched = || (content(&folder), fs::read(&file).unwrap(), folder.metadata().unwrap().mode());
    let before = untouched();
    let unfinished = [".new-.gitignore", "state.redb.new", "vault.redb.new"].map(|name| world.state.join(name));
    let parts = [parts(&world.state, 2), unfinished.to_vec()].concat();
    assert!(parts.len() > 20, "{parts:?}");
    for part in parts {
        let is_there = part.exists();
        let victim = if part.is_dir() { &folder } else { &file };
        if is_there {
            fs::rename(&part, &aside).unwrap();
        }
        symlink(victim, &part).unwrap();
        let told = format!("cannot use {}: a link has its name and is not followed: remove it, or ", part.display());
        for words in [&["up", "--detach"][..], &["secret", "list"], &["node"]] {
            is_refused(&world.run(words), &told);
        }
        fs::remove_file(&part).unwrap();
        if is_there {
            fs::rename(&aside, &part).unwrap();
        }
        assert!(untouched() == before, "{}", part.display());
    }
    world.up();
    world.down();
}

#[test]
fn another_users_state_directory_is_refused_and_left_as_it_is() {
    if !is_root() {
        return;
    }
    let world = world("foreign");
    let victim = linked(&world);
    chown(&world.state, Some(NOBODY), Some(NOBODY)).unwrap();
    let told =
        format!("{} belongs to uid {NOBODY}, not to this user (uid 0): run this as that user", world.state.display());
    for words in ABOUT_WHAT_IS_APPLIED {
        is_refused(&world.run(&[&["--env", "production"], words].concat()), &told);
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    chown(&world.state, Some(0), Some(0)).unwrap();
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

/// Fails where a program that is missing hides a folder that is, or one of them is told by one command alone.
#[test]
fn all_that_is_missing_is_told_at_once() {
    let world = world("missing");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.write(&format!(
        "stack: hello\nservices: {{ web: {{ run: bin/absent }}, pages: {{ static: dist }} }}\n\
         edge: {{ listen: {{ http: {port} }}, routes: [{{ host: shop.example, to: pages }}] }}\n"
    ));
    for words in [&["plan"] as &[&str], &["up", "--detach"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(1), "{words:?}: {ran:?}");
        for problem in ["services.web.run: there is no program ", "services.pages.static: there is no folder "] {
            assert!(ran.err.contains(problem), "{words:?}: {ran:?}");
        }
    }
    world.is_down();
}

/// Root's services run as users of their own.
#[test]
fn what_a_services_user_cannot_reach_is_refused_before_anything_starts() {
    if !is_root() {
        println!("only a node that runs as root gives services users of their own");
        return;
    }
    let world = world("closed");
    let refused = |what: &str| {
        for command in [&["plan"][..], &["up", "--detach"]] {
            let ran = world.run(command);
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.err.contains("some of what the file names is not there or cannot be used"), "{ran:?}");
            assert!(ran.err.contains("services.web"), "{ran:?}");
            assert!(ran.err.contains(what), "{ran:?}");
        }
    };
    let (folder, program) = (&world.folder, world.folder.join("bin/web"));
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&program, 0o700);
    refused(&format!("may not read and run {}: run `chmod o+rx` on it", program.display()));
    allow(&program, 0o755);
    allow(folder, 0o700);
    refused(&format!("it may not enter {} (chmod o+x, or move it)", folder.display()));
    allow(folder, 0o755);
    world.done(&["up", "--detach", "--wait"]);
    world.down();
}
