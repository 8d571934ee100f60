//! Programs of every kind in a folder of the test's own.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A project folder, a PATH folder and a folder of copies, removed with the value.
struct World(PathBuf);

impl World {
    fn new() -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("mainstay-artefact-{}-{number}", std::process::id()));
        for folder in ["project/target", "bin", "artefacts"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self(root.canonicalize().unwrap())
    }

    fn search(&self) -> Search {
        Search { project: self.0.join("project"), path: vec!["relative".into(), self.0.join("bin")] }
    }

    fn write(&self, path: &str, bytes: &[u8], mode: u32) {
        fs::write(self.0.join(path), bytes).unwrap();
        fs::set_permissions(self.0.join(path), Permissions::from_mode(mode)).unwrap();
    }

    fn find(&self, word: &str) -> Result<Found, FindError> {
        find(word, &self.search())
    }

    /// The error's text with this world's folder left out.
    fn error(&self, word: &str) -> String {
        self.shown(&self.find(word).unwrap_err())
    }

    fn shown(&self, error: &FindError) -> String {
        error.to_string().replace(&self.0.display().to_string(), "")
    }

    fn artefacts(&self) -> PathBuf {
        self.0.join("artefacts")
    }

    fn copies(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.artefacts())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const NATIVE_BYTES: &[u8] = b"\x7fELF and more";

fn frozen(found: &Found) -> (Digest, String) {
    match &found.program {
        Program::Frozen { digest, name } => (*digest, name.clone()),
        Program::InPlace { .. } => panic!("{found:?} is not frozen"),
    }
}

fn in_place(found: Found) -> (PathBuf, InPlace, bool) {
    match found.program {
        Program::InPlace { path, why, digest } => (path, why, digest.is_some()),
        Program::Frozen { .. } => panic!("{found:?} is frozen"),
    }
}

#[test]
fn a_native_program_of_the_project_is_copied_once_and_stays() {
    let world = World::new();
    world.write("project/target/api", NATIVE_BYTES, 0o750);
    let found = world.find("target/api").unwrap();
    let (digest, name) = frozen(&found);
    assert_eq!(digest, Digest(Sha256::digest(NATIVE_BYTES).into()));
    keep(&found, &world.artefacts()).unwrap();
    let copy = path_of(&world.artefacts(), digest, &name);
    let about = fs::metadata(&copy).unwrap();
    assert_eq!((about.mode() & 0o777, fs::read(&copy).unwrap()), (0o555, NATIVE_BYTES.to_vec()));
    assert_eq!(fs::metadata(copy.parent().unwrap()).unwrap().mode() & 0o777, 0o755);

    world.write("project/target/api", b"\x7fELF built again", 0o750);
    assert_eq!(fs::read(&copy).unwrap(), NATIVE_BYTES);
    keep(&found, &world.artefacts()).unwrap();
    assert_eq!(world.copies(), [digest.to_string()]);
}

#[test]
fn the_same_bytes_under_two_names_are_two_copies_that_both_stay() {
    let world = World::new();
    world.write("project/target/api", NATIVE_BYTES, 0o755);
    symlink("api", world.0.join("project/target/worker")).unwrap();
    let found = ["target/api", "target/worker"].map(|word| world.find(word).unwrap());
    let inode = |found: &Found| {
        let (digest, name) = frozen(found);
        fs::metadata(path_of(&world.artefacts(), digest, &name)).unwrap().ino()
    };
    keep(&found[0], &world.artefacts()).unwrap();
    let first = inode(&found[0]);
    found.iter().for_each(|it| keep(it, &world.artefacts()).unwrap());
    assert!(found.iter().all(|it| is_kept(it, &world.artefacts())));
    assert_eq!(inode(&found[0]), first, "what may be running is not touched");
    assert_eq!(world.copies(), [frozen(&found[0]).0.to_string()]);
}

#[test]
fn scripts_and_installed_programs_run_from_where_they_are() {
    let world = World::new();
    world.write("project/start.sh", b"#!/bin/sh\n", 0o755);
    world.write("bin/node", NATIVE_BYTES, 0o755);
    assert_eq!(in_place(world.find("./start.sh").unwrap()), (world.0.join("project/start.sh"), InPlace::Script, true));
    assert_eq!(in_place(world.find("node").unwrap()), (world.0.join("bin/node"), InPlace::Installed, false));
    let absolute = world.0.join("bin/node");
    assert_eq!(in_place(world.find(absolute.to_str().unwrap()).unwrap()).1, InPlace::Installed);
    symlink(&absolute, world.0.join("project/node")).unwrap();
    assert_eq!(in_place(world.find("./node").unwrap()).1, InPlace::Installed);
    let kept = keep(&world.find("node").unwrap(), &world.artefacts());
    assert!(matches!(kept, Ok(())), "{kept:?}");
    assert_eq!(world.copies(), [""; 0]);
}

#[test]
fn who_may_not_run_what_is_not_copied_is_told() {
    let world = World::new();
    world.write("project/start.sh", b"#!/bin/sh\n", 0o751);
    world.write("project/target/api", NATIVE_BYTES, 0o700);
    let found = |word: &str, uid: u32| {
        let search = world.search();
        find_for(word, &search, Some(UserIds { uid, gid: uid })).map(drop).map_err(|error| world.shown(&error))
    };
    let refused = "user id 54321 may not read and run /project/start.sh: run `chmod o+rx` on it".to_owned();
    assert_eq!(found("./start.sh", 54321), Err(refused));
    assert_eq!(
        (found("./start.sh", 0), found("target/api", 54321)),
        (Ok(()), Ok(())),
        "root may, and a copy may be run"
    );
    world.write("project/start.sh", b"#!/bin/sh\n", 0o755);
    assert_eq!(found("./start.sh", 54321), Ok(()));
}

#[test]
fn a_python_environment_is_not_torn_apart() {
    let world = World::new();
    fs::create_dir_all(world.0.join("project/.venv/bin")).unwrap();
    world.write("project/.venv/pyvenv.cfg", b"", 0o644);
    world.write("project/.venv/bin/python", NATIVE_BYTES, 0o755);
    assert_eq!(in_place(world.find(".venv/bin/python").unwrap()).1, InPlace::PythonEnvironment);
}

#[test]
fn what_cannot_run_is_refused_with_what_to_do() {
    let world = World::new();
    world.write("project/plain", b"text", 0o644);
    world.write("bin/unstartable", b"text", 0o644);
    let cases = [
        ("target/missing", "there is no program /project/target/missing: build it first, or mend its path"),
        ("./plain", "/project/plain is not executable: run `chmod +x` on it"),
        ("./target", "/project/target is not a file"),
        ("plain", "plain is in none of the folders of PATH (/bin); write ./plain to run the file of the project"),
        (
            "unstartable",
            "unstartable is in none of the folders of PATH (/bin): install it, or write a path with a / in it",
        ),
    ];
    for (word, expected) in cases {
        assert_eq!(world.error(word), expected);
    }
}

#[test]
fn a_program_that_changes_while_it_is_copied_is_not_kept() {
    let world = World::new();
    world.write("project/target/api", NATIVE_BYTES, 0o755);
    let found = world.find("target/api").unwrap();
    world.write("project/target/api", b"\x7fELF other", 0o755);
    let error = keep(&found, &world.artefacts()).unwrap_err();
    assert!(matches!(error, KeepError::Changed { .. }), "{error}");
    assert_eq!(world.copies(), [""; 0]);
}

#[test]
fn a_program_that_is_gone_before_it_is_copied_leaves_nothing_behind() {
    let world = World::new();
    world.write("project/target/api", NATIVE_BYTES, 0o755);
    let found = world.find("target/api").unwrap();
    fs::remove_file(world.0.join("project/target/api")).unwrap();
    let error = keep(&found, &world.artefacts()).unwrap_err();
    assert!(matches!(error, KeepError::Io { doing: "read", .. }), "{error}");
    assert_eq!(world.copies(), [""; 0]);
}

#[test]
fn what_an_interrupted_copy_left_is_no_hindrance() {
    let world = World::new();
    world.write("project/target/api", NATIVE_BYTES, 0o755);
    let found = world.find("target/api").unwrap();
    let (digest, name) = frozen(&found);
    fs::create_dir_all(world.artefacts().join(format!("{INCOMING}-{digest}"))).unwrap();
    world.write(&format!("artefacts/{INCOMING}-{digest}/{name}"), b"half", 0o600);
    fs::create_dir_all(world.artefacts().join(digest.to_string())).unwrap();
    keep(&found, &world.artefacts()).unwrap();
    assert_eq!(fs::read(path_of(&world.artefacts(), digest, &name)).unwrap(), NATIVE_BYTES);
    assert_eq!(world.copies(), [digest.to_string()]);
}

#[test]
fn pruning_leaves_what_is_needed_and_what_is_not_ours() {
    let world = World::new();
    let (needed, old) = (Digest([1; 32]), Digest([2; 32]));
    for name in [needed.to_string(), old.to_string(), format!("{INCOMING}-{old}"), "notes".to_owned()] {
        fs::create_dir_all(world.artefacts().join(name)).unwrap();
    }
    assert_eq!(remove_incomplete(&world.artefacts()).unwrap(), 1);
    assert_eq!(world.copies(), [needed.to_string(), old.to_string(), "notes".to_owned()]);
    fs::create_dir(world.artefacts().join(format!("{INCOMING}-{needed}"))).unwrap();
    assert_eq!(prune(&world.artefacts(), &[needed].into()).unwrap(), 2);
    assert_eq!(world.copies(), [needed.to_string(), "notes".to_owned()]);
    assert_eq!(prune(&world.0.join("nowhere"), &BTreeSet::new()).unwrap(), 0);
}

#[test]
fn what_its_user_cannot_reach_is_passed_over() {
    const STRANGER: Option<UserIds> = Some(UserIds { uid: 54_321, gid: 54_321 });
    let world = World::new();
    for folder in ["home/bin", "links", "open"] {
        fs::create_dir_all(world.0.join(folder)).unwrap();
    }
    for (folder, mode) in [(".", 0o755), ("home", 0o700), ("home/bin", 0o755), ("links", 0o755), ("open", 0o755)] {
        fs::set_permissions(world.0.join(folder), Permissions::from_mode(mode)).unwrap();
    }
    world.write("home/bin/python3", NATIVE_BYTES, 0o755);
    symlink(world.0.join("home/bin/python3"), world.0.join("links/python3")).unwrap();
    let path = ["home/bin", "links", "open"].map(|folder| world.0.join(folder)).to_vec();
    let search = Search { project: world.0.join("project"), path };
    let found = |user| find_for("python3", &search, user).map(|found| in_place(found).0);

    let error = world.shown(&found(STRANGER).unwrap_err());
    assert_eq!(
        error,
        "user id 54321 cannot run /home/bin/python3: it may not enter /home, and no other folder of PATH has a python3 \
         that it can reach; install it for all users, or open the folder (chmod o+x)"
    );
    world.write("open/python3", NATIVE_BYTES, 0o755);
    assert_eq!(found(STRANGER).unwrap(), world.0.join("open/python3"));
    // Root, whoever owns the home, and a node that runs everything as itself go where PATH leads first.
    assert_eq!(found(Some(UserIds { uid: 0, gid: 0 })).unwrap(), world.0.join("home/bin/python3"));
    assert_eq!(found(None).unwrap(), world.0.join("home/bin/python3"));
}
