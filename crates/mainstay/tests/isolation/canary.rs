//! Values that are easy to find are given to a stack in every way there is; everything is done to it that prints or
//! writes something; then they are looked for everywhere.
//!
//! Start reading at [`check`]. A value may be in what `secret get` prints and in the environment of the services that
//! list it, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Ran, World, unit};
use crate::{is_root, plain_user, processes};

const FILE: &str = "\
stack: mine
services:
  keeper:
    run: sh -c 'echo up; exec sleep 1000000'
    uses: [db, cache, photos]
    secrets: [SET_KEY, IMPORTED_KEY, MADE_KEY]
    release: { run: sh -c 'echo migrated' }
  crasher:
    run: sh -c 'echo about to crash; kill -SEGV $$'
    uses: [db]
    secrets: [SET_KEY, MADE_KEY]
  stranger:
    run: sleep 1000000
resources:
  db: { type: postgres, memory: 64MiB }
  cache: { type: redis, memory: 16MiB }
  photos: { type: objects, buckets: [photos] }
secrets:
  SET_KEY: set
  IMPORTED_KEY: set
  MADE_KEY: { generate: 24B }
";

/// Files that one `grep` is given.
const FILES_AT_ONCE: usize = 500;

/// One stack and all that was printed about it.
struct Mine {
    world: World,
    printed: Vec<(String, Ran)>,
    /// Each value by what it is.
    values: BTreeMap<String, String>,
}

impl Mine {
    /// Runs a command and keeps what it prints.
    fn run(&mut self, arguments: &[&str]) -> &Ran {
        let ran = self.world.run(arguments);
        self.printed.push((arguments.join(" "), ran));
        &self.printed.last().unwrap().1
    }

    /// Both ways of printing.
    fn run_both(&mut self, arguments: &[&str]) {
        self.run(arguments);
        self.run(&[arguments, &["--output", "json"]].concat());
    }

    /// Runs a command that reads a text.
    fn feed(&mut self, arguments: &[&str], text: &str) -> Option<i32> {
        let mut command = self.world.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that refuses may not read to the end.
        drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
        let ran: Ran = child.wait_with_output().unwrap().into();
        let code = ran.code;
        self.printed.push((arguments.join(" "), ran));
        code
    }

    /// Makes up a value that is nowhere else.
    fn value(&mut self, what: &str) -> String {
        let mut random = [0; 12];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let mut value = "canary".to_owned();
        random.iter().for_each(|byte| write!(value, "{byte:02x}").unwrap());
        self.values.insert(what.to_owned(), value.clone());
        value
    }
}

#[track_caller]
fn check(name: &str, uid: Option<u32>) {
    let begun = sys::clock::now().wall.as_millis() / 1000;
    let mut mine = Mine { world: World::of(name, FILE, uid), printed: Vec::new(), values: BTreeMap::new() };
    given_without_a_node(&mut mine);
    mine.run(&["up", "--detach"]);
    given_to_a_node(&mut mine);
    mine.world.wait_for("the services to run and crash", || {
        let status = mine.world.status()?;
        let state = |id: &str| Some(unit(&status, id)?["state"].as_str()?.to_owned());
        let crashed = matches!(state("crasher.1.1")?.as_str(), "backing off" | "crash loop");
        (crashed && state("keeper.1.1")? == "ready" && state("stranger.1.1")? == "ready").then_some(())
    });
    taken_from_the_service(&mut mine);
    refused(&mut mine);
    everything_is_printed(&mut mine);

    let keeper = mine.world.child("keeper.1.1");
    let limits = fs::read_to_string(format!("/proc/{}/limits", keeper.pid)).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    // One byte, unless this test was itself allowed none.
    assert!(matches!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0" | "1", "0" | "1", "bytes"]), "{core}");
    look_everywhere(&mine, begun);

    // With the dump that a crash of the service would leave, where the kernel would leave it.
    dumped(&keeper);
    mine.world.wait_for("the service to run again", || {
        let status = mine.world.status()?;
        let again = unit(&status, "keeper.1.1")?;
        (again["state"] == "ready" && again["pid"] != keeper.pid).then_some(())
    });
    everything_is_printed(&mut mine);
    mine.run_both(&["down"]);
    look_everywhere(&mine, begun);
}

fn given_without_a_node(mine: &mut Mine) {
    let value = mine.value("set before the node ran");
    assert_eq!(mine.feed(&["secret", "set", "SET_KEY"], &value), Some(0));
    let value = mine.value("imported before the node ran");
    assert_eq!(mine.feed(&["secret", "import", "-"], &format!("IMPORTED_KEY=\"{value}\"\n")), Some(0));
    mine.run_both(&["secret", "list"]);
}

fn given_to_a_node(mine: &mut Mine) {
    mine.world.wait_for("the node", || mine.world.status());
    let value = mine.value("set while the node ran");
    assert_eq!(mine.feed(&["secret", "set", "LATER_KEY"], &value), Some(0));
    let value = mine.value("imported while the node ran");
    assert_eq!(mine.feed(&["secret", "import", "-"], &format!("# mine\nexport ANOTHER_KEY='{value}'\n")), Some(0));
}

/// The values that nobody typed: generated ones, and the passwords of the resources.
fn taken_from_the_service(mine: &mut Mine) {
    let told = mine.world.done(&["secret", "get", "MADE_KEY"]).out;
    let pid = mine.world.child("keeper.1.1").pid;
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let variables: BTreeMap<&str, &str> = environment.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(variables["MADE_KEY"], told.trim_end());
    assert_eq!(variables["SET_KEY"], mine.values["set before the node ran"]);
    for name in ["MADE_KEY", "DB_PASSWORD", "CACHE_PASSWORD", "PHOTOS_SECRET_KEY"] {
        assert!(variables[name].len() > 20, "{name}");
        mine.values.insert(name.to_owned(), variables[name].to_owned());
    }
}

/// Values in places that are refused must not be repeated either.
fn refused(mine: &mut Mine) {
    let value = mine.value("in a line that is no assignment");
    assert_eq!(mine.feed(&["secret", "import", "-"], &format!("{value}\n")), Some(1));
    let value = mine.value("in a quote that is never closed");
    assert_eq!(mine.feed(&["secret", "import", "-"], &format!("SET_KEY=\"{value}\n")), Some(1));
    let value = mine.value("after a name that is none");
    assert_eq!(mine.feed(&["secret", "import", "-"], &format!("not-a-name={value}\n")), Some(1));
    let value = mine.value("with a byte that no variable can hold");
    assert_eq!(mine.feed(&["secret", "set", "SET_KEY"], &format!("{value}\0")), Some(1));
    let value = mine.value("too long");
    assert_eq!(mine.feed(&["secret", "set", "SET_KEY"], &value.repeat(40_000)), Some(1));
    let value = mine.value("on the command line");
    let ran = mine.world.run(&["secret", "set", "SET_KEY", &value]);
    assert_eq!(ran.code, Some(1));
    mine.printed.push(("secret set with a value".to_owned(), ran));
    assert_eq!(mine.feed(&["secret", "get", "NOT_THERE"], ""), Some(1));
    fs::write(mine.world.folder.join("wrong.yaml"), FILE.replace("secrets: [SET_KEY", "secrets: [SAT_KEY")).unwrap();
    assert_eq!(mine.run(&["--file", "wrong.yaml", "check"]).code, Some(1));
    mine.run(&["--file", "wrong.yaml", "up"]);
    assert_eq!(mine.run(&["run", "keeper", "--", "no-such-program"]).code, Some(127));
}

fn everything_is_printed(mine: &mut Mine) {
    for command in [
        &["status"][..],
        &["plan"],
        &["check"],
        &["events"],
        &["logs"],
        &["logs", "keeper"],
        &["logs", "crasher"],
        &["secret", "list"],
        &["run", "keeper", "--", "true"],
        &["run", "keeper", "--", "sh", "-c", "exit 3"],
        &["schema"],
    ] {
        mine.run_both(command);
    }
    for entry in 1..=mine.world.newest_entry() {
        mine.run_both(&["explain", &entry.to_string()]);
    }
}

/// Ends a service as a bug in it would.
fn dumped(process: &processes::Process) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
    assert_eq!(processes::look(process.pid).as_ref(), Some(process));
    rustix::process::kill_process(pid, rustix::process::Signal::SEGV).unwrap();
}

#[track_caller]
fn look_everywhere(mine: &Mine, since: i64) {
    let mut found = BTreeSet::new();
    let mut look = |place: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let names = mine.values.iter().filter(|(_, value)| text.contains(value.as_str()));
        found.extend(names.map(|(name, _)| format!("{place}: {name}")));
    };
    for (command, ran) in &mine.printed {
        look(&format!("standard output of {command}"), ran.out.as_bytes());
        look(&format!("standard error of {command}"), ran.err.as_bytes());
    }
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids.collect::<Vec<u32>>() {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        look(&format!("command line of {pid}"), &read("cmdline"));
        let environment = read("environ");
        if !entitled(&String::from_utf8_lossy(&environment)) {
            look(&format!("environment of {pid}"), &environment);
        }
    }
    let mut files = Vec::new();
    for folder in [&mine.world.folder, mine.world.socket.parent().unwrap()] {
        below(folder, 0, &mut files);
    }
    assert!(files.len() > 100, "only {} files were looked at", files.len());
    for folder in ["/tmp", "/var/tmp", "/var/log", "/dev/shm", "/run/mainstay"] {
        below(Path::new(folder), since, &mut files);
    }
    // Shows, each time, that this finds what is there.
    let planted = mine.world.folder.join("planted");
    for value in mine.values.values() {
        fs::write(&planted, format!("x{value}x")).unwrap();
        assert_eq!(holding(mine, std::slice::from_ref(&planted)), format!("{}\n", planted.display()));
    }
    fs::remove_file(&planted).unwrap();
    let holding: String = files.chunks(FILES_AT_ONCE).map(|some| holding(mine, some)).collect();
    found.extend(holding.lines().map(str::to_owned));
    assert!(found.is_empty(), "{found:#?}");
}

/// The files in which a value is, one in each line. The values go to `grep` by its standard input.
fn holding(mine: &Mine, files: &[PathBuf]) -> String {
    let mut command = Command::new("grep");
    command.args(["--fixed-strings", "--text", "--files-with-matches", "--no-messages", "--file=-", "--"]).args(files);
    let mut child = command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let values: Vec<&str> = mine.values.values().map(String::as_str).collect();
    child.stdin.take().unwrap().write_all(values.join("\n").as_bytes()).unwrap();
    // A file that is gone meanwhile is no failure.
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Whether a process belongs to one of the services that list the secrets.
fn entitled(environment: &str) -> bool {
    let mark = environment.split('\0').find_map(|variable| variable.strip_prefix("MAINSTAY_UNIT="));
    mark.is_some_and(|folder| folder.contains("/units/keeper.") || folder.contains("/units/crasher."))
}

/// The files below a folder that were changed since a time, without what this test does not concern: the
/// machine's own folders are shared with other programs, whose files are only looked at.
fn below(folder: &Path, since: i64, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let kind = about.file_type();
        if kind.is_dir() {
            below(&entry.path(), since, found);
        } else if kind.is_file() && about.ctime() >= since {
            found.push(entry.path());
        }
    }
}

#[test]
fn values_are_nowhere_as_root() {
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    check("canary-root", None);
}

#[test]
fn values_are_nowhere_as_a_plain_user() {
    check("canary-plain", plain_user());
}
