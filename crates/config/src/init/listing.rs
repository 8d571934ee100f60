//! What a folder holds, as far as its first file is concerned. Whoever lists it finds here what to look at, and how far.

use std::collections::{BTreeMap, BTreeSet};

use model::ByteSize;

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

/// The largest of these that is read.
pub const READ_FOR_INIT_MAX: ByteSize = ByteSize::mebibytes(1);

/// Folders whose files tell what the folder is that holds them.
pub const PARTS_OF_PROGRAMS: &[&str] = &["prisma", "src"];

/// Folders that are there for pages. Of these everything is listed, at every depth, since a server of one shows it all.
pub const FOLDERS_OF_PAGES: &[&str] = &["_site", "build", "dist", "htdocs", "html", "out", "public", "site", "www"];

/// Most that is listed of one of these.
pub const PAGES_LISTED_MAX: usize = 10_000;

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folder's own name.
    pub folder: String,
    /// By its path relative to the folder, with `/`: what is directly in the folder, in the folders directly in it and
    /// in the [`PARTS_OF_PROGRAMS`] of these, and what is anywhere in the [`FOLDERS_OF_PAGES`].
    pub entries: BTreeMap<String, Listed>,
    /// Folders that hold too much for all of it to be listed: of the [`FOLDERS_OF_PAGES`] those with more than
    /// [`PAGES_LISTED_MAX`]; the empty path, where there is too much in the project's folder and its programs'.
    pub cut: BTreeSet<String>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A file of which the path is enough.
    File,
    /// A file whose name is one of [`READ_FOR_INIT`], with its text.
    Text(String),
    /// Likewise, larger than [`READ_FOR_INIT_MAX`].
    TooLarge,
    /// Likewise, not to be read as text.
    Unreadable,
    /// A folder.
    Folder,
    /// A folder that cannot be looked into, and why.
    Closed(String),
    /// A symbolic link, wherever it leads.
    Link,
    /// A socket, a pipe or a device.
    Other,
}

impl Listing {
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.entries.get(path)?.text()
    }

    /// Whether there is a file at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.entries.get(path).is_some_and(Listed::is_file)
    }

    /// What is listed at a path, and everything below it, in the order of its paths.
    pub(super) fn at_and_below(&self, folder: &str) -> impl Iterator<Item = (&str, &Listed)> {
        let within = format!("{folder}/");
        let from = self.entries.range(within.clone()..);
        let below = from.take_while(move |(path, _)| path.starts_with(&within));
        self.entries.get_key_value(folder).into_iter().chain(below).map(|(path, listed)| (path.as_str(), listed))
    }
}

impl Listed {
    /// The text, without the mark that some editors of Windows begin one with.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
            _ => None,
        }
    }

    fn is_file(&self) -> bool {
        matches!(self, Self::File | Self::Text(_) | Self::TooLarge | Self::Unreadable)
    }
}
