//! `mainstay init`: a first stack file from what a folder holds.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use config::{Listing, PARTS_OF_PROGRAMS, PassedOver, READ_FOR_INIT};

use super::failure::Failure;
use super::session::{FILE_NAME, Session};
use crate::terminal::{human, printable};

/// Writes a first stack file from what the current folder holds
///
/// It looks for programs and data services (package.json, Cargo.toml, Dockerfile, compose.yaml, index.html
/// and more), here and one folder down, and writes mainstay.yaml with comments. A file that is there is never
/// replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Files that are looked at; a folder with more is not a project's root.
const FILES_MAX: usize = 5000;
/// The largest file whose text is read.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Folders whose content was not written by the project's authors.
const FOREIGN_FOLDERS: [&str; 3] = ["node_modules", "target", "vendor"];
/// Most files that are told of as found and not used; the file that is written names more.
const NOT_USED_SHOWN_MAX: usize = 10;

/// Looks and writes.
pub(crate) fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let folder = session.folder();
    let first = config::init(&listing(folder)?);
    let path = folder.join(FILE_NAME);
    let file = File::create_new(&path);
    let written = file.and_then(|mut file| file.write_all(first.text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("there is a {FILE_NAME} in {} already", folder.display()))
            .with_hint("change it and look at it with `mainstay check`; `mainstay init` replaces nothing"),
        _ => Failure::doing(format!("cannot write {}", path.display()), &error),
    })?;
    let found = match (first.found.is_empty(), first.passed_over.is_empty()) {
        (true, true) => "nothing was recognised, so it holds an example".to_owned(),
        (true, false) => "nothing was found that can be started as it is, so it holds an example".to_owned(),
        (false, _) => format!("found {}", human::list(&first.found)),
    };
    session.terminal.note(&format!("wrote {FILE_NAME}: {}", printable(&found)));
    for PassedOver { file, why, remedy } in first.passed_over.iter().take(NOT_USED_SHOWN_MAX) {
        session.terminal.note(&printable(&format!("not used: `{file}`: {why} ({remedy})")));
    }
    session.terminal.note("next: read it, then `mainstay check` and `mainstay up`");
    Ok(ExitCode::SUCCESS)
}

/// The files of a folder, of the folders directly in it, and of those parts of these that tell what they are.
fn listing(folder: &Path) -> Result<Listing, Failure> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut listing = Listing { folder: name, files: std::collections::BTreeMap::new() };
    let mut below = Vec::new();
    list(folder, "", &mut listing, &mut below)?;
    for name in below {
        let mut parts = Vec::new();
        list(&folder.join(&name), &format!("{name}/"), &mut listing, &mut parts)?;
        for part in parts.iter().filter(|part| PARTS_OF_PROGRAMS.contains(&part.as_str())) {
            list(&folder.join(&name).join(part), &format!("{name}/{part}/"), &mut listing, &mut Vec::new())?;
        }
    }
    Ok(listing)
}

fn list(folder: &Path, prefix: &str, listing: &mut Listing, folders: &mut Vec<String>) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::doing(format!("cannot look into {}", folder.display()), &error);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(cannot)?;
        if kind.is_dir() && !name.starts_with('.') && !FOREIGN_FOLDERS.contains(&name.as_str()) {
            folders.push(name);
        } else if kind.is_file() && listing.files.len() < FILES_MAX {
            let text = match READ_FOR_INIT.contains(&name.as_str()) {
                true => text(&entry.path()),
                false => None,
            };
            listing.files.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}

/// A file's text; none where it cannot be had, which the first file says.
fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(TEXT_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}
