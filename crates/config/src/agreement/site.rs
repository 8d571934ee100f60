//! A service that is a folder has files and nothing that runs: what only makes sense for what runs is refused, and so
//! is a folder in which more lies than is meant for visitors.
//!
//! Paths are judged as they are written. Links, and paths that lead to the file's folder by its name, are for those to
//! judge who look into the folder.

use std::path::{Component, Path, PathBuf};

use crate::draft::Draft;
use crate::problem::Problems;
use crate::rule::RuleId;

/// What stands under a folder.
const KEYS: [&str; 2] = ["static", "spa"];

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    for service in &draft.services {
        let Some((folder, place)) = service.folder() else { continue };
        let name = &service.name.value;
        if let Some(around) = around_the_file(folder) {
            let message = format!("{folder:?} is {around}: all of it would be sent to whoever asks");
            let hint = "put what is for visitors into a folder of its own, such as `public`, and write that";
            problems.report_with(RuleId::ExposedFolder, place, message, hint);
        }
        // What carries a service otherwise is reported as a conflict of its own.
        let carries = |key: &str| crate::shape::service::SOURCES.contains(&key) || KEYS.contains(&key);
        for key in service.keys.iter().filter(|key| !carries(&key.value)) {
            let message = format!("`{name}` is a folder, so `{}` means nothing for it", key.value);
            problems.report_with(RuleId::ConflictingKeys, key.place, message, format!("delete `{}`", key.value));
        }
        let is_routed = draft.routes().iter().any(|route| route.to.as_ref().is_some_and(|to| to.value == *name));
        if !is_routed {
            let message = format!("no route leads to `{name}`, so nobody is sent its files");
            problems.report_with(RuleId::Disagreement, service.name.place, message, "add one to `edge.routes`");
        }
    }
    let folder = |name| draft.service(name).is_some_and(|service| service.folder().is_some());
    for needed in draft.services.iter().flat_map(|service| &service.needs).filter(|needed| folder(&needed.value)) {
        let message = format!("`{}` is a folder: it never starts, so nothing can wait for it", needed.value);
        problems.report_with(RuleId::Disagreement, needed.place, message, format!("delete `{}`", needed.value));
    }
}

/// What a folder is in which the file itself lies; `None` for every other, as far as its path tells.
fn around_the_file(folder: &Path) -> Option<&'static str> {
    let folder = shortest(folder);
    match folder.components().all(|part| matches!(part, Component::ParentDir | Component::RootDir)) {
        true if folder.as_os_str().is_empty() => Some("the folder of this file"),
        true => Some("a folder above this file"),
        false => None,
    }
}

/// The path without `.` and without what it enters only to leave it again.
fn shortest(path: &Path) -> PathBuf {
    let mut shortest = PathBuf::new();
    for part in path.components() {
        match (part, shortest.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(shortest.pop()),
            _ => shortest.push(part),
        }
    }
    shortest
}
