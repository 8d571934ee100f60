//! Shows that the simulation can fail: applies each mutation of `crates/testkit/mutations.txt` to a copy of
//! the workspace and runs the seeds over it.
//!
//! Start reading at [`run`]. The working tree is never changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::repository;

/// Where the mutations are kept.
const LIST: &str = "crates/testkit/mutations.txt";
/// Longest part of what was broken that is printed, in characters.
const BROKEN_CHARS_MAX: usize = 110;

/// Why the mutations could not be tried, or that some went uncaught.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MutationsError {
    /// A file of the copy.
    #[error("cannot copy or change {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        source: io::Error,
    },
    /// A program that is needed could not be started.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: &'static str,
        source: io::Error,
    },
    /// An entry of the list lacks a line.
    #[error("{LIST}: {0:?} lacks one of name, file, find, replace")]
    Entry(String),
    /// What is to be replaced does not stand in the file once.
    #[error("{name}: {find:?} stands {count} times in {file}")]
    Find {
        /// The mutation.
        name: String,
        /// What is sought.
        find: String,
        /// In which file.
        file: String,
        /// How often it is there.
        count: usize,
    },
    /// The simulation passed although the code was broken, or did not even compile.
    #[error("not caught: {0}")]
    Uncaught(String),
}

struct Mutation {
    name: String,
    file: String,
    find: String,
    replace: String,
}

/// Tries the mutations whose name holds one of the parts of `only`, which commas divide, and prints who
/// caught each.
pub(crate) fn run(only: &str) -> Result<(), MutationsError> {
    let root = repository::root();
    let list = root.join(LIST);
    let text = fs::read_to_string(&list).map_err(|source| MutationsError::File { path: list, source })?;
    let copy = std::env::temp_dir().join(format!("mainstay-mutations-{}", std::process::id()));
    copy_workspace(&root, &copy)?;
    let mut uncaught = Vec::new();
    let asked = |mutation: &&Mutation| only.split(',').any(|part| mutation.name.contains(part));
    for mutation in read(&text)?.iter().filter(asked) {
        let caught = try_one(&root, &copy, mutation)?;
        println!("{}: {}", mutation.name, caught.as_deref().unwrap_or("NOT CAUGHT"));
        if caught.is_none() {
            uncaught.push(mutation.name.clone());
        }
    }
    fs::remove_dir_all(&copy).map_err(|source| MutationsError::File { path: copy, source })?;
    match uncaught.is_empty() {
        true => Ok(()),
        false => Err(MutationsError::Uncaught(uncaught.join(", "))),
    }
}

fn read(text: &str) -> Result<Vec<Mutation>, MutationsError> {
    let entries = text.split("\n\n").filter(|entry| entry.lines().any(|line| line.starts_with("name: ")));
    entries
        .map(|entry| {
            let field = |name: &str| {
                let value = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.map(str::to_owned).ok_or_else(|| MutationsError::Entry(entry.to_owned()))
            };
            Ok(Mutation {
                name: field("name")?,
                file: field("file")?,
                find: field("find")?,
                replace: field("replace")?,
            })
        })
        .collect()
}

/// Every file of the working tree that git does not ignore.
fn copy_workspace(root: &Path, copy: &Path) -> Result<(), MutationsError> {
    let listed =
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root).output();
    let listed = listed.map_err(|source| MutationsError::Run { program: "git", source })?;
    for name in String::from_utf8_lossy(&listed.stdout).lines() {
        let (from, to) = (root.join(name), copy.join(name));
        if !from.is_file() {
            continue;
        }
        let made = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&from, &to));
        made.map_err(|source| MutationsError::File { path: from, source })?;
    }
    Ok(())
}

fn try_one(root: &Path, copy: &Path, mutation: &Mutation) -> Result<Option<String>, MutationsError> {
    let path = copy.join(&mutation.file);
    let file = |source| MutationsError::File { path: path.clone(), source };
    let code = fs::read_to_string(&path).map_err(file)?;
    fs::write(&path, mutated(&code, mutation)?).map_err(file)?;
    let output = Command::new("cargo")
        .args(["test", "--quiet", "--package", "testkit", "--test", "simulation", "--", "--nocapture"])
        .env("CARGO_TARGET_DIR", root.join("target").join("mutations"))
        .current_dir(copy)
        .output()
        .map_err(|source| MutationsError::Run { program: "cargo", source })?;
    fs::write(&path, code).map_err(file)?;
    Ok(caught(&output))
}

/// The code with the one line changed.
fn mutated(code: &str, mutation: &Mutation) -> Result<String, MutationsError> {
    let count = code.matches(&mutation.find).count();
    if count != 1 {
        let (name, find, file) = (mutation.name.clone(), mutation.find.clone(), mutation.file.clone());
        return Err(MutationsError::Find { name, find, file, count });
    }
    Ok(code.replace(&mutation.find, &mutation.replace))
}

/// The lowest seed that failed, and what it found broken. `None` when none did.
fn caught(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    let failing = lines.windows(2).filter_map(|pair| {
        let seed = pair[0].strip_prefix("replay: MAINSTAY_SEED=")?.split(' ').next()?.parse::<u64>().ok()?;
        Some((seed, pair[1].trim().chars().take(BROKEN_CHARS_MAX).collect::<String>()))
    });
    failing.min().map(|(seed, broken)| format!("seed {seed}: {broken}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_still_has_its_line() {
        let root = repository::root();
        for mutation in read(&fs::read_to_string(root.join(LIST)).unwrap()).unwrap() {
            let code = fs::read_to_string(root.join(&mutation.file)).unwrap();
            assert_ne!(mutated(&code, &mutation).unwrap(), code, "{}", mutation.name);
        }
    }
}
