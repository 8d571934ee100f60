//! Whether a service's content asks for a new release. Start reading at [`decide`]; [`decide_site`] is for folders of files.
//!
//! A release is immutable: whatever of its [`Content`] changes makes the next one, and the decision says
//! what changed. A secret's value is never here, only its version.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use model::stack::{CommandLine, Health, Limits, Listen, Volume};
use model::{Digest, ReleaseNumber, ResourceName, SecretName, TimeZoneName, VariableName};

/// Everything that a release runs, whole enough to start its replicas again when the file has moved on.
/// Its JSON form is stored and digested: a new field is left out of it at its default, so that a newer
/// program neither loses nor replaces what runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Content {
    /// What its replicas run.
    pub command: Command,
    /// The folder in which they run.
    pub folder: PathBuf,
    /// What runs once before its replicas start.
    pub hook: Option<Command>,
    /// The environment variables that the file states.
    pub env: BTreeMap<VariableName, String>,
    /// The version of each secret it receives.
    pub secrets: BTreeMap<SecretName, u32>,
    /// The resources whose connection variables it receives.
    pub connections: BTreeMap<ResourceName, ConnectionIdentity>,
    /// Whether its replicas listen.
    pub listen: Listen,
    /// The user that the file states.
    pub user: Option<String>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// What it may take from the machine.
    pub limits: Limits,
    /// How its health is told, and how long it may take to stop.
    pub health: Health,
    /// The zone it is told.
    pub timezone: TimeZoneName,
}

/// Everything that a release of a folder is: the files that the edge sends, and how. Its JSON form is stored like that of
/// [`Content`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Site {
    /// The digest of the files, their names included.
    pub digest: Digest,
    /// How many they are.
    pub files: usize,
    /// Whether a path that no file has is answered with `index.html`.
    pub spa: bool,
}

/// A command line together with the program it stands for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Command {
    /// The words of the file.
    pub line: CommandLine,
    /// The program that its first word leads to.
    pub program: Program,
}

/// A program that runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A copy that nothing changes: building again does not touch what runs.
    Frozen {
        /// The digest of its bytes.
        digest: Digest,
        /// Its file name.
        name: String,
    },
    /// A program that runs from where it is.
    InPlace {
        /// Where.
        path: PathBuf,
        /// Why it is not copied.
        why: InPlace,
        /// The digest of the file, when it is the user's own.
        digest: Option<Digest>,
    },
}

/// Why a program runs from where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InPlace {
    /// It was found in PATH or by an absolute path outside the project's folder.
    Installed,
    /// It is text for an interpreter, which finds its other files by where it lies.
    Script,
    /// It belongs to a Python environment, which it finds by where it lies.
    PythonEnvironment,
}

/// What tells one connection to a resource from another: its user, address and the version of its
/// password, never the password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ConnectionIdentity(pub String);

/// What is to be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// What was released last is what is wanted.
    Keep(ReleaseNumber),
    /// A new release is made.
    Make {
        /// Its number.
        number: ReleaseNumber,
        /// What is new; empty for a service's first release.
        changes: Vec<Change>,
    },
}

/// One thing that differs between two contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The program's bytes.
    Program,
    /// The text of a program that runs from where it is.
    Script,
    /// Where the program lies, or what it is called; its bytes are the same, or nobody looks at them.
    ProgramPath,
    /// The command line.
    CommandLine,
    /// The folder in which they run.
    Folder,
    /// The command that runs before a release's replicas start, or its program.
    Hook,
    /// An environment variable: set, changed or gone.
    Variable(VariableName),
    /// A secret: given, taken away, or of another version.
    Secret(SecretName),
    /// A connection: given, taken away, or leading elsewhere.
    Connection(ResourceName),
    /// Whether and where it listens.
    Listen,
    /// The user it runs as.
    User,
    /// Its volumes.
    Volumes,
    /// What it may take from the machine.
    Limits,
    /// How its health is told.
    Health,
    /// The zone it is told.
    TimeZone,
    /// The files of a folder.
    Files,
    /// What paths are answered with that no file has.
    Fallback,
}

/// Whether `wanted` is what was `last` released, or makes a release of its own.
pub fn decide(last: Option<(ReleaseNumber, &Content)>, wanted: &Content) -> Decision {
    let Some((number, content)) = last else {
        return Decision::Make { number: ReleaseNumber(1), changes: Vec::new() };
    };
    let changes = changes(content, wanted);
    match changes.is_empty() {
        true => Decision::Keep(number),
        false => Decision::Make { number: number.next(), changes },
    }
}

/// The same for a folder.
pub fn decide_site(last: Option<(ReleaseNumber, &Site)>, wanted: &Site) -> Decision {
    let Some((number, site)) = last else {
        return Decision::Make { number: ReleaseNumber(1), changes: Vec::new() };
    };
    let files = (site.digest != wanted.digest).then_some(Change::Files);
    let fallback = (site.spa != wanted.spa).then_some(Change::Fallback);
    let changes: Vec<Change> = files.into_iter().chain(fallback).collect();
    match changes.is_empty() {
        true => Decision::Keep(number),
        false => Decision::Make { number: number.next(), changes },
    }
}

/// What differs between two contents; empty exactly when they are equal.
pub fn changes(old: &Content, new: &Content) -> Vec<Change> {
    // Every field by name: one that is added later must be compared too.
    let Content { command, folder, hook, env, secrets, connections, listen, user, volumes, limits, health, timezone } =
        old;
    let mut found = Vec::new();
    let mut note = |differs: bool, change: Change| found.extend(differs.then_some(change));
    let moved = |from: &Program, to: &Program| from.clone().moved(folder, &new.folder) == *to;
    note(!moved(&command.program, &new.command.program), Change::of_program(&command.program, &new.command.program));
    note(command.line != new.command.line, Change::CommandLine);
    note(*folder != new.folder, Change::Folder);
    note(hook_differs((command, hook.as_ref()), new, moved), Change::Hook);
    differing_keys(env, &new.env).for_each(|name| note(true, Change::Variable(name.clone())));
    differing_keys(secrets, &new.secrets).for_each(|name| note(true, Change::Secret(name.clone())));
    differing_keys(connections, &new.connections).for_each(|name| note(true, Change::Connection(name.clone())));
    note(*listen != new.listen, Change::Listen);
    note(*user != new.user, Change::User);
    note(*volumes != new.volumes, Change::Volumes);
    note(*limits != new.limits, Change::Limits);
    note(*health != new.health, Change::Health);
    note(*timezone != new.timezone, Change::TimeZone);
    found
}

/// Whether the hooks differ in more than a program that both share with the replicas.
fn hook_differs(
    (command, hook): (&Command, Option<&Command>),
    new: &Content,
    moved: impl Fn(&Program, &Program) -> bool,
) -> bool {
    let (Some(from), Some(to)) = (hook, &new.hook) else { return hook != new.hook.as_ref() };
    let shared = from.program == command.program && to.program == new.command.program;
    from.line != to.line || !(shared || moved(&from.program, &to.program))
}

fn differing_keys<'a, K: Ord, V: PartialEq>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    let changed_or_gone = old.iter().filter(|(key, value)| new.get(key) != Some(value)).map(|(key, _)| key);
    let added = new.keys().filter(|key| !old.contains_key(key));
    changed_or_gone.chain(added)
}

impl Program {
    /// The same after all of a folder has moved.
    fn moved(self, from: &Path, to: &Path) -> Self {
        match self {
            Program::InPlace { path, why, digest } => {
                let path = path.strip_prefix(from).map(|below| to.join(below)).unwrap_or(path);
                Program::InPlace { path, why, digest }
            }
            frozen @ Program::Frozen { .. } => frozen,
        }
    }

    const fn digest(&self) -> Option<&Digest> {
        match self {
            Program::Frozen { digest, .. } => Some(digest),
            Program::InPlace { digest, .. } => digest.as_ref(),
        }
    }
}

impl Change {
    /// Whether another program than before may run, rather than another text of the same one.
    pub const fn is_of_other_program(&self) -> bool {
        matches!(self, Change::Program | Change::ProgramPath | Change::CommandLine | Change::Hook)
    }

    /// What differs between two programs that are not the same.
    fn of_program(old: &Program, new: &Program) -> Self {
        match (old, new) {
            (Program::InPlace { .. }, Program::InPlace { .. }) if old.digest() == new.digest() => Change::ProgramPath,
            (Program::InPlace { .. }, Program::InPlace { .. }) => Change::Script,
            _ if old.digest() == new.digest() => Change::ProgramPath,
            _ => Change::Program,
        }
    }
}

impl Decision {
    /// The release that is wanted.
    pub const fn number(&self) -> ReleaseNumber {
        match self {
            Decision::Keep(number) | Decision::Make { number, .. } => *number,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Program => f.write_str("a new build"),
            Change::Script => f.write_str("another text of its script"),
            Change::ProgramPath => f.write_str("its program lies elsewhere"),
            Change::CommandLine => f.write_str("another command"),
            Change::Folder => f.write_str("another folder to run in"),
            Change::Hook => f.write_str("another command before the release"),
            Change::Variable(name) => write!(f, "variable {name}"),
            Change::Secret(name) => write!(f, "secret {name}"),
            Change::Connection(name) => write!(f, "connection to {name}"),
            Change::Listen => f.write_str("another port"),
            Change::User => f.write_str("another user"),
            Change::Volumes => f.write_str("other volumes"),
            Change::Limits => f.write_str("other limits"),
            Change::Health => f.write_str("other health settings"),
            Change::TimeZone => f.write_str("another time zone"),
            Change::Files => f.write_str("other files"),
            Change::Fallback => f.write_str("another answer where there is no file"),
        }
    }
}

impl fmt::Display for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InPlace::Installed => "installed on this machine",
            InPlace::Script => "a script, which may need files beside it",
            InPlace::PythonEnvironment => "part of a Python environment",
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use model::stack::Check;
    use model::{ByteSize, Port, Span};

    use super::*;

    fn command(text: &str, digest: u8) -> Command {
        Command {
            line: CommandLine::new(text.split(' ').map(str::to_owned).collect()).unwrap(),
            program: Program::Frozen { digest: Digest([digest; 32]), name: "api".to_owned() },
        }
    }

    fn content() -> Content {
        Content {
            command: command("./api serve", 1),
            folder: "/srv/shop".into(),
            hook: Some(command("./api migrate", 1)),
            env: [("LEVEL".parse().unwrap(), "info".to_owned()), ("GONE".parse().unwrap(), "1".to_owned())].into(),
            secrets: [("KEY".parse().unwrap(), 1)].into(),
            connections: [("db".parse().unwrap(), ConnectionIdentity("api@127.0.0.1:5432#1".to_owned()))].into(),
            listen: Listen::Chosen,
            user: None,
            volumes: Vec::new(),
            limits: Limits::default(),
            health: Health { ready: None, live: None, drain: Span::secs(30) },
            timezone: TimeZoneName::utc(),
        }
    }

    fn check(change: impl FnOnce(&mut Content), expected: &Expect) {
        let mut wanted = content();
        change(&mut wanted);
        let text = match decide(Some((ReleaseNumber(3), &content())), &wanted) {
            Decision::Keep(number) => format!("keep {number}"),
            Decision::Make { number, changes } => {
                let names: Vec<String> = changes.iter().map(Change::to_string).collect();
                format!("make {number}: {}", names.join(", "))
            }
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn the_first_release_is_1_and_changes_nothing() {
        assert_eq!(decide(None, &content()), Decision::Make { number: ReleaseNumber(1), changes: Vec::new() });
    }

    #[test]
    fn a_folder_is_released_anew_with_other_files_or_another_fallback() {
        let site = |byte: u8, spa: bool| Site { digest: Digest([byte; 32]), files: 2, spa };
        let decided = |wanted: &Site| decide_site(Some((ReleaseNumber(3), &site(1, true))), wanted);
        let made = |changes| Decision::Make { number: ReleaseNumber(4), changes };
        assert_eq!(decided(&site(1, true)), Decision::Keep(ReleaseNumber(3)));
        assert_eq!(decided(&site(2, true)), made(vec![Change::Files]));
        assert_eq!(decided(&site(2, false)), made(vec![Change::Files, Change::Fallback]));
        assert_eq!(decide_site(None, &site(1, true)).number(), ReleaseNumber(1));
    }

    #[test]
    fn the_same_content_is_kept() {
        check(|_| (), &expect!["keep 3"]);
    }

    #[test]
    fn every_part_makes_a_release_and_is_named() {
        check(|it| it.command.program = command("x", 2).program, &expect!["make 4: a new build"]);
        check(|it| it.command.line = command("./api serve -v", 1).line, &expect!["make 4: another command"]);
        check(|it| it.folder = "/srv/moved".into(), &expect!["make 4: another folder to run in"]);
        check(|it| it.hook = None, &expect!["make 4: another command before the release"]);
        check(
            |it| {
                it.env =
                    [("LEVEL".parse().unwrap(), "debug".to_owned()), ("NEW".parse().unwrap(), "1".to_owned())].into()
            },
            &expect!["make 4: variable GONE, variable LEVEL, variable NEW"],
        );
        check(|it| it.secrets = [("KEY".parse().unwrap(), 2)].into(), &expect!["make 4: secret KEY"]);
        check(|it| it.connections.clear(), &expect!["make 4: connection to db"]);
        check(|it| it.listen = Listen::Fixed(Port::new(8080).unwrap()), &expect!["make 4: another port"]);
        check(|it| it.user = Some("root".to_owned()), &expect!["make 4: another user"]);
        let volume = Volume { name: "files".parse().unwrap(), variable: "FILES".parse().unwrap() };
        check(|it| it.volumes.push(volume), &expect!["make 4: other volumes"]);
        check(|it| it.limits.memory = Some(ByteSize::mebibytes(64)), &expect!["make 4: other limits"]);
        check(|it| it.health.ready = Some(Check::Tcp), &expect!["make 4: other health settings"]);
        check(|it| it.timezone = "Europe/Berlin".parse().unwrap(), &expect!["make 4: another time zone"]);
    }

    fn script(path: &str, digest: u8) -> Command {
        let program = Program::InPlace { path: path.into(), why: InPlace::Script, digest: Some(Digest([digest; 32])) };
        Command { program, ..command("./api serve", 1) }
    }

    #[test]
    fn a_script_project_that_moved_is_told_as_moved() {
        let at = |folder: &str, digest: u8| {
            let path = format!("{folder}/api");
            let hook = Some(script(&path, digest));
            Content { folder: folder.into(), command: script(&path, digest), hook, ..content() }
        };
        let told =
            |wanted: Content| changes(&at("/srv/shop", 1), &wanted).iter().map(Change::to_string).collect::<Vec<_>>();
        assert_eq!(told(at("/srv/moved", 1)), ["another folder to run in"]);
        assert_eq!(told(at("/srv/moved", 2)), ["another text of its script", "another folder to run in"]);
        assert_eq!(told(at("/srv/shop", 2)), ["another text of its script"]);
        let elsewhere = Content { command: script("/opt/api", 1), hook: at("/srv/shop", 1).hook, ..at("/srv/shop", 1) };
        assert_eq!(told(elsewhere), ["its program lies elsewhere"]);
    }

    #[test]
    fn a_build_that_the_hook_runs_too_is_one_change() {
        let mut wanted = content();
        wanted.command = command("./api serve", 2);
        wanted.hook = Some(command("./api migrate", 2));
        assert_eq!(changes(&content(), &wanted), [Change::Program]);
        wanted.command = command("./api serve", 1);
        assert_eq!(changes(&content(), &wanted), [Change::Hook]);
    }

    #[test]
    fn several_changes_are_all_named() {
        check(
            |it| {
                it.command.program = command("x", 2).program;
                it.env.clear();
                it.health.drain = Span::secs(5);
            },
            &expect!["make 4: a new build, variable GONE, variable LEVEL, other health settings"],
        );
    }
}
