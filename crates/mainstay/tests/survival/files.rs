//! What a stack does while the node is at the files of its project: they may be many, and on a slow disk.
//!
//! Start reading at [`Held`], which makes one of them as slow as a test needs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::processes;
use crate::world::{World, ended};

const FILE: &str = "stack: files\nservices:\n  web: { run: sleep 600 }\n";

/// Takes a lease on a file (fcntl(2), F_SETLEASE), says when somebody waits to open it, and lets go when told.
const LEASE: &str = "
import fcntl, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
signal.sigwait([signal.SIGIO])
print('asked', flush=True)
sys.stdin.read()
";

/// A file that whoever opens it waits for, until this lets go. The kernel itself lets go after 45 s.
struct Held {
    holder: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Held {
    fn take(file: &Path) -> Self {
        let mut command = Command::new("python3");
        command.arg("-c").arg(LEASE).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let said = BufReader::new(holder.stdout.take().unwrap());
        let mut held = Self { holder, said };
        assert_eq!(held.line(), "held\n");
        held
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// Waits until somebody waits for the file.
    fn is_asked_for(&mut self) {
        assert_eq!(self.line(), "asked\n");
    }

    fn let_go(mut self) {
        drop(self.holder.stdin.take());
        assert!(self.holder.wait().unwrap().success());
    }
}

/// A stack that runs, with a file that would add a service whose program is held.
fn with_a_held_program(name: &str) -> (World, Held) {
    let world = World::new(name, FILE);
    world.up();
    world.script("slow", "#!/bin/sh\nexec sleep 600\n");
    world.write(&format!("{FILE}  slow: {{ run: bin/slow }}\n"));
    let held = Held::take(&world.folder.join("bin/slow"));
    (world, held)
}

/// Fails where the node's loop looks at programs.
#[test]
fn what_runs_is_looked_after_while_a_program_is_read() {
    let (world, mut held) = with_a_held_program("files-read");
    let web = world.child("web.1.1");
    let mut ups = [world.begin(&["up", "--wait", "100s"]), world.begin(&["up", "--wait", "100s"])];
    held.is_asked_for();
    processes::kill(&web);
    world.replaced("web.1.1", &web);
    for up in &mut ups {
        assert_eq!(up.try_wait().unwrap(), None, "it ended before the program was read");
    }
    held.let_go();
    for ran in ups.map(ended) {
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    assert_eq!(world.status().unwrap()["services"].as_array().unwrap().len(), 2);
    world.down();
}

/// Fails where `down` waits for what an `up` has begun, where the node that ends does, or where that is applied
/// nonetheless.
#[test]
fn down_does_not_wait_for_a_program_that_is_read() {
    let (world, mut held) = with_a_held_program("files-down");
    let up = world.begin(&["up", "--wait", "100s"]);
    held.is_asked_for();
    world.down();
    let ran = ended(up);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("the node is ending"), "{}", ran.err);
    held.let_go();
    assert_eq!(world.up()["services"].as_array().unwrap().len(), 2);
    world.down();
}

/// More than are copied in the time of one question.
const PAGES: usize = 20_000;

/// Fails where the node's loop copies, or where what a node that was killed had begun to copy stays.
#[test]
fn the_node_answers_while_a_folder_is_copied() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::new("files-copied", FILE);
    world.up();
    fs::create_dir(world.folder.join("dist")).unwrap();
    (0..PAGES).for_each(|page| fs::write(world.folder.join(format!("dist/{page}.html")), "page").unwrap());
    world.write(&format!(
        "{FILE}  pages: {{ static: dist }}\n\
         edge: {{ listen: {{ http: {port} }}, routes: [{{ host: shop.example, to: pages }}] }}\n"
    ));
    let is_copying = || {
        let names = sys::files::names(&world.state.join("artefacts")).unwrap();
        names.iter().any(|name| name.starts_with(".incoming"))
    };
    let up = world.begin(&["up", "--wait", "100s"]);
    world.wait_for("the folder to be copied", || is_copying().then_some(()));
    assert!(world.status().is_some());
    assert!(is_copying(), "it was copied before the node answered");
    processes::kill(&world.node().unwrap());
    assert_ne!(ended(up).code, Some(0));
    assert!(is_copying());
    world.write(FILE);
    world.up();
    assert!(!is_copying());
    world.down();
}
