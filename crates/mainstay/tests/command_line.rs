//! The built program from the outside, where no node runs: exit codes, both formats, what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::needless_pass_by_value, reason = "an expectation is written where it is used")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect};

/// A folder of one test's own.
struct World {
    folder: PathBuf,
}

/// What a run of the program came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mainstay-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder: folder.canonicalize().unwrap() }
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn with_link(self, name: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.folder.join(name)).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command.env("HOME", &self.folder).env("XDG_RUNTIME_DIR", &self.folder);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(self.command(arguments).output().unwrap())
    }

    /// The folder's own name is another one each time.
    fn ran(&self, output: Output) -> Ran {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            socketless(&text.replace(&*self.folder.to_string_lossy(), "FOLDER"))
        };
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What is in the folder now, in order.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A text with the path of the control socket, which differs by user and folder, replaced.
fn socketless(text: &str) -> String {
    let words = text.split_inclusive(' ').map(|word| match word.find("/control.sock") {
        Some(at) => format!("(SOCKET{}", &word[at + "/control.sock".len()..]),
        None => word.to_owned(),
    });
    words.collect()
}

#[track_caller]
fn check(ran: &Ran, code: i32, out: Expect, err: Expect) {
    out.assert_eq(&ran.out);
    err.assert_eq(&ran.err);
    assert_eq!(ran.code, Some(code));
}

const FIVE_PROBLEMS: &str = include_str!("samples/five-problems.yaml");
const GOOD: &str = "stack: shop\nservices:\n  api: { run: ./api }\n";

#[test]
fn check_shows_every_problem_at_its_place() {
    let world = World::new("check").with("mainstay.yaml", FIVE_PROBLEMS);
    check(
        &world.run(&["check"]),
        1,
        expect![[r#"
        error[command-syntax]: `|` means something to a shell, and no shell is run
         --> mainstay.yaml:6:10
          |
        6 |     run: ./api serve | tee log
          |          ^^^^^^^^^^^^^^^^^^^^^
          |
          = hint: quote it if it is meant as text, or ask for a shell: sh -c '…'

        error[wrong-kind]: `two` is not a whole number
         --> mainstay.yaml:7:15
          |
        7 |     replicas: two
          |               ^^^

        error[unknown-reference]: there is no resource `bd`
         --> mainstay.yaml:8:12
          |
        8 |     uses: [bd]
          |            ^^
          |
          = hint: did you mean `db`?

        unsupported[not-supported-yet]: not supported yet: containers
          --> mainstay.yaml:10:5
           |
        10 |     image: nginx
           |     ^^^^^
           |
           = hint: start the program itself with `run`

        error[unknown-key]: `services.web`, a service, has no key `prot`
          --> mainstay.yaml:11:5
           |
        11 |     prot: 8080
           |     ^^^^
           |
           = hint: did you mean `port`?

        the file cannot be used: 4 errors and 1 unsupported line
    "#]],
        expect![[r#""#]],
    );
}

#[test]
fn check_prints_problems_for_programs() {
    let world = World::new("check-json").with("mainstay.yaml", FIVE_PROBLEMS);
    let ran = world.run(&["check", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["accepted"], false);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 5);
    expect![[r#"
        {
          "column": 10,
          "file": "mainstay.yaml",
          "hint": "quote it if it is meant as text, or ask for a shell: sh -c '…'",
          "line": 6,
          "marked": "./api serve | tee log",
          "message": "`|` means something to a shell, and no shell is run",
          "rule": "command-syntax",
          "severity": "error"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&problems[0]).unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
}

#[test]
fn a_file_that_is_no_text_is_a_problem_at_its_first_bad_byte() {
    let world = World::new("latin-1").with("mainstay.yaml", b"stack: shop\n# caf\xe9\n");
    check(
        &world.run(&["check"]),
        1,
        expect![[r#"
        error[yaml-syntax]: the byte 0xE9 here is part of no UTF-8 character
         --> mainstay.yaml:2:6
          |
        2 | # caf�
          |      ^
          |
          = hint: save the file as UTF-8

        the file cannot be used: 1 error
    "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["check", "--output", "json"]),
        1,
        expect![[r#"
        {
          "accepted": false,
          "problems": [
            {
              "severity": "error",
              "rule": "yaml-syntax",
              "file": "mainstay.yaml",
              "line": 2,
              "column": 6,
              "marked": "�",
              "message": "the byte 0xE9 here is part of no UTF-8 character",
              "hint": "save the file as UTF-8"
            }
          ]
        }
    "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["plan"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: mainstay.yaml is not text
          mainstay.yaml:2:6: error[yaml-syntax]: the byte 0xE9 here is part of no UTF-8 character
            hint: save the file as UTF-8
    "#]],
    );
}

#[test]
fn a_good_file_is_found_from_a_folder_below() {
    let world = World::new("below").with("mainstay.yaml", GOOD).with("src/deep/x", "");
    let mut command = world.command(&["check"]);
    command.current_dir(world.folder.join("src/deep"));
    check(
        &world.ran(command.output().unwrap()),
        0,
        expect![[r#"
        FOLDER/mainstay.yaml is good for development
    "#]],
        expect![[r#""#]],
    );
}

#[test]
fn without_a_file_it_says_what_to_do() {
    let world = World::new("nofile");
    check(
        &world.run(&["check"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: there is no mainstay.yaml in FOLDER or any folder above it
        hint: write one with `mainstay init`, or name one with --file
    "#]],
    );
    check(
        &world.run(&["status"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: there is no mainstay.yaml in FOLDER or any folder above it
        hint: name a stack file with --file or a state directory with --state
    "#]],
    );
}

#[test]
fn without_a_node_it_says_how_to_start_one() {
    let world = World::new("nonode").with("mainstay.yaml", GOOD);
    let no_node = "error: no node runs for this stack (SOCKET)\nhint: start it with `mainstay up`\n";
    for arguments in [&["status"][..], &["restart", "api"], &["run", "api", "--", "true"]] {
        let ran = world.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(4), no_node), "{arguments:?}");
    }
    let ran = world.run(&["down"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), "nothing runs, and no node does\n"));
}

#[test]
fn what_cannot_be_understood_ends_with_2() {
    let world = World::new("usage");
    let ran = world.run(&["upp"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("unrecognized subcommand"), "{}", ran.err);
    let ran = world.run(&["restart", "Api"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("'A' cannot stand here"), "{}", ran.err);
    assert_eq!(world.run(&[]).code, Some(2));
    assert_eq!(world.run(&["--help"]).code, Some(0));
}

#[test]
fn init_writes_a_file_that_check_accepts_and_replaces_none() {
    let world = World::new("init").with(
        "package.json",
        r#"{"name":"shop","scripts":{"start":"node server.js"},"dependencies":{"express":"4","pg":"8"}}"#,
    );
    let first = world.run(&["init"]);
    assert_eq!((first.code, first.out.as_str()), (Some(0), ""), "{}", first.err);
    assert!(first.err.starts_with("wrote mainstay.yaml: found `package.json`"), "{}", first.err);
    let checked = world.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
    check(
        &world.run(&["init"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: there is a mainstay.yaml in FOLDER already
        hint: change it and look at it with `mainstay check`; `mainstay init` replaces nothing
    "#]],
    );
}

#[test]
fn init_serves_pages_with_what_is_meant_for_visitors() {
    let world = World::new("init-pages")
        .with("public/index.html", "")
        .with("public/.well-known/security.txt", "")
        .with("public/docs/.gitkeep", "");
    check(
        &world.run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
            wrote mainstay.yaml: found `public/index.html`: a folder of pages
            next: read it, then `mainstay check` and `mainstay up`
        "#]],
    );
}

/// Whoever serves a folder shows all of it, and what its links lead to.
#[test]
fn init_serves_no_pages_that_hold_something_else() {
    let world = World::new("init-hidden")
        .with(".env", "KEY=secret")
        .with("build/index.html", "")
        .with("build/.git/config", "")
        .with("dist/index.html", "")
        .with("dist/docs/v2/.env", "KEY=secret")
        .with("html/index.html", "")
        .with("html/deep/er/page.html", "")
        .with_link("html/deep/er/project", "../../..")
        .with("out/page.html", "")
        .with_link("out/index.html", "page.html")
        .with_link("public", "/etc");
    check(
        &world.run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
            wrote mainstay.yaml: nothing was found that can be started as it is, so it holds an example
            not used: `build`: visitors would be shown build/.git as well (move that out of the folder, or serve another folder)
            not used: `dist`: visitors would be shown dist/docs/v2/.env as well (move that out of the folder, or serve another folder)
            not used: `html`: html/deep/er/project is a link, and visitors would be shown what it leads to (put a copy in its place, or serve another folder)
            not used: `out`: out/index.html is a link, and visitors would be shown what it leads to (put a copy in its place, or serve another folder)
            not used: `public`: public is a link, and visitors would be shown what it leads to (put a copy in its place, or serve another folder)
            next: read it, then `mainstay check` and `mainstay up`
        "#]],
    );
}

#[test]
fn init_serves_no_pages_that_it_could_not_look_through() {
    let mut world = World::new("init-cut").with("public/index.html", "");
    for page in 0..config::PAGES_LISTED_MAX {
        world = world.with(&format!("public/pages/{page}"), "").with(&format!("site/{page}.html"), "");
    }
    world = world.with("site/last.html", "");
    check(
        &world.run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
            wrote mainstay.yaml: nothing was found that can be started as it is, so it holds an example
            not used: `public`: it holds more than 10000 files and folders, too many to be looked at (see that none of them is secret, and write the service by hand)
            not used: `site`: it holds more than 10000 files and folders, too many to be looked at (see that none of them is secret, and write the service by hand)
            next: read it, then `mainstay check` and `mainstay up`
        "#]],
    );
}

/// 5000 is as much as is listed outside the folders of pages.
#[test]
fn init_says_that_it_did_not_look_at_everything() {
    let mut world = World::new("init-much");
    for row in 0..5000 {
        world = world.with(&format!("{row}"), "");
    }
    assert!(!world.run(&["init"]).err.contains("not used"));
    std::fs::remove_file(world.folder.join("mainstay.yaml")).unwrap();
    check(
        &world.with("5000", "").run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
        wrote mainstay.yaml: nothing was found that can be started as it is, so it holds an example
        not used: `.`: it holds too much for all of it to be looked at (write by hand what is missing)
        next: read it, then `mainstay check` and `mainstay up`
    "#]],
    );
}

#[test]
fn init_says_which_manifest_is_a_link() {
    let world = World::new("init-link").with("shared.json", "{}").with_link("package.json", "shared.json");
    check(
        &world.run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
            wrote mainstay.yaml: nothing was found that can be started as it is, so it holds an example
            not used: `package.json`: it is a link, and no link is followed (put a copy in its place, or write the service by hand)
            next: read it, then `mainstay check` and `mainstay up`
        "#]],
    );
}

#[test]
fn init_says_which_manifest_is_too_large_to_be_read() {
    let largest = usize::try_from(config::READ_FOR_INIT_MAX.as_bytes()).unwrap();
    let package = r#"{"scripts":{"start":"node ."}}"#;
    let of_length = |bytes: usize| format!("{package}{}", " ".repeat(bytes - package.len()));
    let world = World::new("init-large")
        .with("api/package.json", of_length(largest))
        .with("web/package.json", of_length(largest + 1));
    check(
        &world.run(&["init"]),
        0,
        expect![[r#""#]],
        expect![[r#"
        wrote mainstay.yaml: found `api/package.json`: a Node.js program
        not used: `web/package.json`: it is larger than 1MiB, too large to be looked at (write its service by hand)
        next: read it, then `mainstay check` and `mainstay up`
    "#]],
    );
}

#[test]
fn logs_and_events_are_read_without_a_node() {
    let line = "{\"at\":\"2026-11-20T17:00:00.000Z\",\"unit\":\"api.1.1\",\"stream\":\"out\",\"line\":\"hello\"}\n";
    let entry = "{\"id\":1,\"at\":\"2026-11-20T17:00:00.000Z\",\"actor\":\"node\",\"what\":{\"kind\":\"node_stopped\"},\"reason\":\"asked\",\"evidence\":[],\"cause\":null}\n";
    let world = World::new("files")
        .with("mainstay.yaml", format!("{GOOD}  worker: {{ run: ./worker }}\n"))
        .with(".mainstay/logs/api.1.1/api.1.1.000001.log", line)
        .with(".mainstay/journal/000000000001.jsonl", entry);
    check(
        &world.run(&["logs"]),
        0,
        expect![[r#"
        2026-11-20T17:00:00.000Z api.1.1      hello
    "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["logs", "--output", "json"]),
        0,
        expect![[r#"
        {"at":"2026-11-20T17:00:00.000Z","unit":"api.1.1","stream":"out","line":"hello","cut":false}
    "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["logs", "worker"]),
        0,
        expect![[r#""#]],
        expect![[r#"
        no such lines; no node runs: `mainstay up` starts one
    "#]],
    );
    check(
        &world.run(&["logs", "web"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: nothing here is called web
        hint: there are api, worker
    "#]],
    );
    check(
        &world.run(&["events"]),
        0,
        expect![[r#"
            1     2026-11-20T17:00:00.000Z node     the node stopped: asked
        "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["explain", "1"]),
        0,
        expect![[r#"
        entry 1: the node stopped
          who         node
          when        2026-11-20T17:00:00.000Z
          why         asked
    "#]],
        expect![[r#""#]],
    );
    check(
        &world.run(&["explain", "2"]),
        1,
        expect![[r#""#]],
        expect![[r#"
        error: the journal has no entry 2
        hint: `mainstay events` lists them
    "#]],
    );
}

#[test]
fn completions_and_manual_pages_come_out() {
    let world = World::new("pages");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = world.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.out.contains("mainstay"), "{shell}");
    }
    assert_eq!(world.run(&["man", "pages"]).code, Some(0));
    let page = std::fs::read_to_string(world.folder.join("pages/mainstay-check.1")).unwrap();
    assert!(page.contains("Checks the stack file"), "{page}");
}

#[test]
fn the_schema_is_json() {
    let ran = World::new("schema").run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_worth_words() {
    let world = World::new("pipe");
    let mut command = world.command(&["schema"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn colour_is_only_where_it_is_asked_for() {
    let world = World::new("colour").with("mainstay.yaml", FIVE_PROBLEMS);
    assert!(!world.run(&["check"]).out.contains('\u{1b}'));
    assert!(world.run(&["check", "--color", "always"]).out.contains('\u{1b}'));
}

#[test]
fn looking_for_secrets_makes_nothing() {
    let world = World::new("nosecrets").with("mainstay.yaml", GOOD);
    let list = world.run(&["secret", "list"]);
    let none = "there are no secrets, since FOLDER/.mainstay is not there yet; `mainstay secret set NAME` makes one\n";
    assert_eq!((list.code, list.err.as_str()), (Some(0), none));
    assert_eq!(world.run(&["secret", "list", "--output", "json"]).out, "[]\n");
    for action in ["get", "remove"] {
        let ran = world.run(&["secret", action, "KEY"]);
        let told = "error: there is no secret KEY: FOLDER/.mainstay is not there yet\n\
                    hint: `mainstay secret set` makes it, and so does `mainstay up`\n";
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), told), "{action}");
    }
    assert_eq!(world.names(), ["mainstay.yaml"]);
}

#[test]
fn a_plan_makes_nothing_where_nothing_was_kept() {
    let world = World::new("planonly").with("mainstay.yaml", "stack: shop\nservices:\n  api: { run: /bin/sh }\n");
    std::fs::create_dir(world.folder.join(".mainstay")).unwrap();
    let plan = world.run(&["plan"]);
    assert_eq!(plan.code, Some(0), "{}\n{}", plan.out, plan.err);
    assert_eq!(world.names(), [".mainstay", "mainstay.yaml"], "no key was made");
    std::fs::remove_dir(world.folder.join(".mainstay")).expect("nothing is in it");
    let occupied = World::new("planoccupied").with("mainstay.yaml", GOOD).with(".mainstay/theirs", "");
    let refused = occupied.run(&["plan"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("FOLDER/.mainstay"), "{}", refused.err);
}

#[test]
fn a_value_that_is_given_up_leaves_the_terminal_as_it_was() {
    // Ctrl-C reaches the shell too, which goes on.
    const SCRIPT: &str = "trap : INT; \"$PROGRAM\" secret set KEY; echo ended $?; stty -a";
    let world = World::new("givenup").with("mainstay.yaml", GOOD).with("steps", SCRIPT);
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", "sh steps", "/dev/null"]).current_dir(&world.folder);
    command.env("PROGRAM", env!("CARGO_BIN_EXE_mainstay")).env("HOME", &world.folder).env("SHELL", "/bin/sh");
    command.env("NO_COLOR", "1");
    let mut terminal = match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        // util-linux has it, which not every machine has.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        started => started.unwrap(),
    };
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while !shown.ends_with(b"value of KEY: ") {
        screen.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    keys.write_all(b"half a val\x03").unwrap();
    screen.read_to_end(&mut shown).unwrap();
    terminal.wait().unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("error: KEY was not set: no value was given\r\nended 1\r\n"), "{shown}");
    assert!(!shown.contains("half"), "{shown}");
    let modes: Vec<&str> = shown.split_ascii_whitespace().collect();
    assert!(["echo", "isig", "icanon"].iter().all(|mode| modes.contains(mode)), "{shown}");
}

/// TERM=dumb is what an editor's shell and a serial console say of themselves: they show escape sequences as they are.
#[test]
fn a_terminal_without_escape_sequences_gets_none() {
    let world = World::new("dumb");
    for (term, sequences) in [("dumb", false), ("xterm", true)] {
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", "\"$PROGRAM\" check", "/dev/null"]).current_dir(&world.folder);
        command.env("PROGRAM", env!("CARGO_BIN_EXE_mainstay")).env("SHELL", "/bin/sh").env("TERM", term);
        let output = match command.env_remove("NO_COLOR").stdin(Stdio::null()).output() {
            // util-linux has it, which not every machine has.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            ended => ended.unwrap(),
        };
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("error:"), "{shown}");
        assert_eq!(shown.contains('\u{1b}'), sequences, "{term}: {shown:?}");
    }
}

#[test]
fn an_empty_secret_is_refused_however_it_comes() {
    let world = World::new("emptysecret").with("mainstay.yaml", GOOD).with("secrets.env", "KEY=x\nEMPTY=\n");
    let rule = "the value is empty: a secret that has none is left out, or removed with `mainstay secret remove`";
    let set = world.run(&["secret", "set", "EMPTY"]);
    assert_eq!((set.code, set.err), (Some(1), format!("error: {rule}\n")));
    let import = world.run(&["secret", "import", "secrets.env"]);
    assert_eq!(import.code, Some(1));
    let rule = "line 2: the value after '=' is empty, and no secret's is: write a value, or take the line out";
    assert!(import.err.contains(rule), "{}", import.err);
    assert_eq!(world.names(), ["mainstay.yaml", "secrets.env"], "nothing was made for it");
}
