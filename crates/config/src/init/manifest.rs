//! Manifests that tell of a program and cannot be read: their author is told, since the program is missing from the
//! first file.

use super::{Listing, PassedOver, READ_FOR_INIT, pages};

/// The files that are to be read and cannot be.
pub(super) fn unread(listing: &Listing) -> Vec<PassedOver> {
    listing.files.iter().filter_map(|(path, text)| broken(path, text.as_deref())).collect()
}

fn broken(path: &str, text: Option<&str>) -> Option<PassedOver> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = path.strip_suffix(name)?.trim_end_matches('/');
    if !READ_FOR_INIT.contains(&name) || folder.contains('/') || pages::are_written_by_tools_in(folder) {
        return None;
    }
    let (why, remedy) = match (name, text) {
        (_, None) => ("it cannot be read as text".to_owned(), "look at its mode and its content"),
        ("package.json", Some(text)) => {
            let error = serde_json::from_str::<serde_json::Value>(text).err()?;
            (format!("it is not JSON: {error}"), "correct it, or write the service by hand")
        }
        ("Cargo.toml", Some(text)) if !is_workspace(text) && package(text).is_none() => {
            ("it names neither a package nor a workspace".to_owned(), "correct it, or write the service by hand")
        }
        _ => return None,
    };
    Some(PassedOver { file: path.to_owned(), why, remedy })
}

/// The name of a `Cargo.toml`'s package.
pub(super) fn package(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("[package]")).skip(1);
    let entry = lines.by_ref().take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then_some(value)
    });
    entry?.split('"').nth(1)
}

/// Whether a `Cargo.toml` is that of a workspace, whose members are built into its own `target`.
pub(super) fn is_workspace(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("[workspace"))
}
