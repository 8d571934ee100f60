//! Manifests that tell of a program and cannot be read: their author is told, since the program is missing from the
//! first file.

use super::listing::{FOLDERS_OF_PAGES, Listed, Listing, READ_FOR_INIT, READ_FOR_INIT_MAX};
use super::{OPEN_FOLDER, PassedOver, WRITE_BY_HAND, cargo, pages};

const CORRECT: &str = "correct it, or write the service by hand";

/// The files and folders that are to be read and cannot be, or not to their end.
pub(super) fn unread(listing: &Listing) -> Vec<PassedOver> {
    let not_listed = listing.cut.contains("").then(|| PassedOver {
        file: ".".to_owned(),
        why: "it holds too much for all of it to be looked at".to_owned(),
        remedy: "write by hand what is missing",
    });
    let broken = listing.entries.iter().filter_map(|(path, listed)| broken(path, listed));
    not_listed.into_iter().chain(broken).collect()
}

fn broken(path: &str, listed: &Listed) -> Option<PassedOver> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folder.contains('/') || pages::are_written_by_tools_in(folder) {
        return None;
    }
    let (why, remedy) = match listed {
        Listed::TooLarge => {
            (format!("it is larger than {READ_FOR_INIT_MAX}, too large to be looked at"), WRITE_BY_HAND)
        }
        Listed::Unreadable => ("it cannot be read as text".to_owned(), "look at its mode and its content"),
        Listed::Link if READ_FOR_INIT.contains(&name) => (
            "it is a link, and no link is followed".to_owned(),
            "put a copy in its place, or write the service by hand",
        ),
        // What is closed in a folder of pages is told of with these.
        Listed::Closed(error) if !FOLDERS_OF_PAGES.contains(&folder) => {
            (format!("it cannot be looked into: {error}"), OPEN_FOLDER)
        }
        _ => (fault(name, listed.text()?)?, CORRECT),
    };
    Some(PassedOver { file: path.to_owned(), why, remedy })
}

/// What is wrong with a text, as far as that is certain.
fn fault(name: &str, text: &str) -> Option<String> {
    match name {
        "package.json" => {
            let error = serde_json::from_str::<serde_json::Value>(text).err()?;
            Some(format!("it is not JSON: {error}"))
        }
        "Cargo.toml" if !cargo::is_workspace(text) && cargo::package(text).is_none() => {
            Some("no name of a package and no workspace was found in it".to_owned())
        }
        _ => None,
    }
}
