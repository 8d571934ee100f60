//! Lists a project's folder for `init`: as deep, and as much, as the reader of the listing asks for. No link is followed.

use std::collections::VecDeque;
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config::{
    FOLDERS_OF_PAGES, Listed, Listing, PAGES_LISTED_MAX, PARTS_OF_PROGRAMS, READ_FOR_INIT, READ_FOR_INIT_MAX,
};

use super::failure::Failure;

/// Most that is listed outside the folders of pages; a folder with more is not a project's root.
const LISTED_MAX: usize = 5000;
/// Folders whose content was not written by the project's authors.
const FOREIGN_FOLDERS: [&str; 3] = ["node_modules", "target", "vendor"];

/// What a project's folder holds.
pub(super) fn of_project(project: &Path) -> Result<Listing, Failure> {
    let name = project.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut listing = Listing { folder: name, ..Listing::default() };
    let mut budget = Budget::of(LISTED_MAX);
    let project = Folder { place: project.to_owned(), path: String::new() };
    let folders = list(&project, &mut listing, &mut budget)
        .map_err(|error| Failure::doing(format!("cannot look into {}", project.place.display()), &error))?;
    for folder in folders {
        if FOLDERS_OF_PAGES.contains(&folder.name()) {
            list_pages(folder, &mut listing);
        } else if !folder.name().starts_with('.') && !FOREIGN_FOLDERS.contains(&folder.name()) {
            list_program(&folder, &mut listing, &mut budget);
        }
    }
    if budget.is_exceeded {
        listing.cut.insert(String::new());
    }
    Ok(listing)
}

/// A folder to look into.
struct Folder {
    place: PathBuf,
    /// Its path in the listing; empty for the project's own.
    path: String,
}

impl Folder {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_in_another(&self) -> bool {
        self.path.contains('/')
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }
}

/// How much more is listed.
struct Budget {
    left: usize,
    /// Whether there was more than that.
    is_exceeded: bool,
}

impl Budget {
    fn of(left: usize) -> Self {
        Self { left, is_exceeded: false }
    }

    /// Takes one from it, where there is one.
    fn takes_one(&mut self) -> bool {
        self.is_exceeded |= self.left == 0;
        self.left = self.left.saturating_sub(1);
        !self.is_exceeded
    }
}

/// Lists a folder that may be a program's, and those parts of it that tell what it is.
fn list_program(folder: &Folder, listing: &mut Listing, budget: &mut Budget) {
    for part in list_or_close(folder, listing, budget) {
        if PARTS_OF_PROGRAMS.contains(&part.name()) {
            list_or_close(&part, listing, budget);
        }
    }
}

/// Lists everything in a folder of pages. What is nearest comes first, so that `.git` is seen however much it holds.
fn list_pages(folder: Folder, listing: &mut Listing) {
    let name = folder.path.clone();
    let mut budget = Budget::of(PAGES_LISTED_MAX);
    let mut waiting = VecDeque::from([folder]);
    while let Some(folder) = waiting.pop_front().filter(|_| !budget.is_exceeded) {
        waiting.extend(list_or_close(&folder, listing, &mut budget));
    }
    if budget.is_exceeded {
        listing.cut.insert(name);
    }
}

/// Lists a folder, or that it is closed, which the first file says.
fn list_or_close(folder: &Folder, listing: &mut Listing, budget: &mut Budget) -> Vec<Folder> {
    list(folder, listing, budget).unwrap_or_else(|error| {
        listing.entries.insert(folder.path.clone(), Listed::Closed(error.to_string()));
        Vec::new()
    })
}

/// Lists what is directly in a folder, and returns the folders among it.
fn list(folder: &Folder, listing: &mut Listing, budget: &mut Budget) -> io::Result<Vec<Folder>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&folder.place)? {
        let entry = entry?;
        if !budget.takes_one() {
            break;
        }
        let name = name(&entry);
        let is_read = READ_FOR_INIT.contains(&name.as_str()) && !folder.is_in_another();
        let path = folder.path_of(&name);
        let kind = entry.file_type()?;
        let listed = match () {
            () if kind.is_dir() => Listed::Folder,
            () if kind.is_symlink() => Listed::Link,
            () if !kind.is_file() => Listed::Other,
            () if is_read => text(&entry.path()),
            () => Listed::File,
        };
        if listed == Listed::Folder {
            folders.push(Folder { place: entry.path(), path: path.clone() });
        }
        listing.entries.insert(path, listed);
    }
    Ok(folders)
}

/// An entry's name; of one that is no text, the bytes that are none are escaped, so that no two names become one.
fn name(entry: &DirEntry) -> String {
    let escaped = |name: std::ffi::OsString| name.as_encoded_bytes().escape_ascii().to_string();
    entry.file_name().into_string().unwrap_or_else(escaped)
}

/// A file with its text, or why it has none, which the first file says.
fn text(path: &Path) -> Listed {
    let most = READ_FOR_INIT_MAX.as_bytes();
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > most => Listed::TooLarge,
        Ok(_) => String::from_utf8(bytes).map_or(Listed::Unreadable, Listed::Text),
        Err(_) => Listed::Unreadable,
    }
}
