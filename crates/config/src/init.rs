//! Writes a first `mainstay.yaml` from what a folder holds.
//!
//! Start reading at [`init`]. The folder comes in as a listing; what is guessed is said in the file's
//! comments, so that its reader can put it right.

mod compose;
mod dependency;
mod detect;
mod manifest;
mod pages;
mod procfile;
mod write;

use std::collections::BTreeMap;

/// Names of the files whose text helps; of others the path is enough.
pub const READ_FOR_INIT: &[&str] = &[
    "Cargo.toml",
    "Dockerfile",
    "Gemfile",
    "Procfile",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "go.mod",
    "package.json",
    "pyproject.toml",
    "requirements.txt",
];

/// Folders whose files tell what the folder is that holds them.
pub const PARTS_OF_PROGRAMS: &[&str] = &["prisma", "src"];

/// What a folder holds, as far as its first file is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folder's own name.
    pub folder: String,
    /// Paths relative to the folder, with `/`, of its files, of those in the folders directly in it, and of those in the
    /// [`PARTS_OF_PROGRAMS`] of these; each with its text where the file's name is one of [`READ_FOR_INIT`] and the
    /// file can be read as text.
    pub files: BTreeMap<String, Option<String>>,
}

/// A first file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstFile {
    /// Its text, which `check` accepts.
    pub text: String,
    /// What it was made from, one sentence part each: "`package.json`: a Node.js program".
    pub found: Vec<String>,
    /// What was found and is not in it.
    pub passed_over: Vec<PassedOver>,
}

/// A file that tells of something to start which the first file does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub file: String,
    /// Why not, as a sentence part.
    pub why: String,
    /// What to do about it, as a sentence part.
    pub remedy: &'static str,
}

/// Something found that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    name: String,
    /// Where it was found, and what it is.
    found: String,
    run: String,
    /// Whether it answers requests and so gets a port.
    listens: bool,
    release: Option<String>,
    /// What has to be done before, or put right, as comment lines.
    remarks: Vec<String>,
    database: bool,
    redis: bool,
}

/// A folder of pages, which the edge sends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pages {
    name: String,
    folder: String,
}

/// Data services that something mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mentioned {
    postgres: Option<Version>,
    redis: bool,
    found: Vec<String>,
    left_out: Vec<LeftOut>,
}

/// A service of a Compose file that no data service of ours stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftOut {
    /// The Compose file's name.
    file: &'static str,
    name: String,
    /// What its container is: `built from "."`.
    what: String,
}

/// A major version, if one was mentioned.
type Version = Option<u32>;

/// The first file of a folder.
pub fn init(listing: &Listing) -> FirstFile {
    let mut mentioned = compose::mentioned(listing);
    let mut programs = detect::programs(listing);
    programs.retain(|program| is_command(&program.run));
    for program in &mut programs {
        program.release = program.release.take().filter(|run| is_command(run));
    }
    for program in &mut programs {
        if [write::DATABASE, write::REDIS].contains(&program.name.as_str()) {
            program.name.push_str("-service");
        }
        program.database |= mentioned.postgres.is_some();
        program.redis |= mentioned.redis;
    }
    mentioned.left_out.retain(|service| !programs.iter().any(|program| program.name == service.name));
    let mut pages = detect::pages(listing);
    pages.retain(|pages| !programs.iter().any(|program| program.name == pages.name));
    let mut found: Vec<String> = programs.iter().map(|program| program.found.clone()).collect();
    found.dedup();
    found.extend(pages.iter().map(|pages| format!("`{}/index.html`: a folder of pages", pages.folder)));
    found.extend(mentioned.found.iter().cloned());
    let mut passed_over = manifest::unread(listing);
    // A program of the whole folder's serves its pages itself.
    let kept_back = if detect::is_program(listing) { Vec::new() } else { pages::kept_back(listing) };
    let services = match (programs.is_empty() && pages.is_empty(), kept_back.is_empty()) {
        (false, _) => write::Services::Found { programs: &programs, pages: &pages },
        (true, true) => write::Services::NoProgram,
        (true, false) => write::Services::NoPages,
    };
    passed_over.extend(kept_back);
    let text = write::file(&stack_name(&listing.folder), services, &passed_over, &mentioned);
    FirstFile { text, found, passed_over }
}

/// A list of processes may hold what no command can, such as the character U+0000.
fn is_command(text: &str) -> bool {
    crate::command::split(text).is_ok() && !text.chars().any(crate::tree::is_invisible)
}

/// A name made of the folder's.
fn stack_name(folder: &str) -> String {
    name(folder).unwrap_or_else(|| "product".to_owned())
}

/// The nearest text that is a service's or a stack's name, if there is one.
fn name(text: &str) -> Option<String> {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(fit).take(model::name::NAME_BYTES_MAX).collect();
    let name = name.trim_matches('-');
    (name.parse::<model::ServiceName>().is_ok() && !crate::agreement::is_reserved(name)).then(|| name.to_owned())
}

impl Listing {
    fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}
