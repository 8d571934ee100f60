//! Pages: a folder of them is served where it holds what is for visitors and nothing else. The project's own folder
//! never is: whoever asks would be shown its `.env`, `mainstay.yaml` and `.mainstay`.

use super::listing::{FOLDERS_OF_PAGES, Listed, Listing, PAGES_LISTED_MAX};
use super::{OPEN_FOLDER, PassedOver, detect};

/// Those of the folders of pages that tools write, where nothing but pages is looked for.
const WRITTEN_BY_TOOLS: [&str; 4] = ["_site", "build", "dist", "out"];
/// Names of hidden files that hold no secret. A folder of such a name may hold anything.
const HARMLESS_FILES: [&str; 3] = [".gitignore", ".gitkeep", ".nojekyll"];
/// The hidden name of what is there for visitors.
const FOR_VISITORS: &str = ".well-known";
const PAGE: &str = "index.html";

/// Whether a folder holds what a tool wrote, so that no program of the project's is in it.
pub(super) fn are_written_by_tools_in(folder: &str) -> bool {
    WRITTEN_BY_TOOLS.contains(&folder)
}

/// Whether the pages of a folder may be shown to visitors with all else that is in it.
pub(super) fn may_be_served(listing: &Listing, folder: &str) -> bool {
    FOLDERS_OF_PAGES.contains(&folder) && has_page(listing, folder) && objection(listing, folder).is_none()
}

/// The folders of pages that may not be, and the pages in the project's own folder.
pub(super) fn kept_back(listing: &Listing) -> Vec<PassedOver> {
    let folders = FOLDERS_OF_PAGES.iter().filter(|folder| may_hold_pages(listing, folder));
    let objected_to = folders.filter_map(|folder| {
        let Objection { why, remedy } = objection(listing, folder)?;
        Some(PassedOver { file: (*folder).to_owned(), why, remedy })
    });
    objected_to.chain(among_the_project(listing)).collect()
}

/// Whether a page was seen in a folder, or may be where nothing was looked for. A program's folder is the program's to
/// serve, and one that is closed is told of with the manifests.
fn may_hold_pages(listing: &Listing, folder: &str) -> bool {
    match listing.entries.get(folder) {
        Some(Listed::Closed(_)) => false,
        Some(Listed::Link) => true,
        _ => (has_page(listing, folder) || listing.cut.contains(folder)) && !detect::holds_program(listing, folder),
    }
}

/// The page in the project's own folder, where none is known to be in a folder of pages. Whether one was seen in a
/// folder that was not listed to its end is chance.
fn among_the_project(listing: &Listing) -> Option<PassedOver> {
    let holds_pages = |folder: &&str| has_page(listing, folder) && !listing.cut.contains(*folder);
    (is_page(listing, PAGE) && !FOLDERS_OF_PAGES.iter().any(holds_pages)).then(|| PassedOver {
        file: PAGE.to_owned(),
        why: "visitors would be shown .env, mainstay.yaml and .mainstay as well".to_owned(),
        remedy: "move the pages into a folder of their own, such as public, and serve that",
    })
}

fn has_page(listing: &Listing, folder: &str) -> bool {
    is_page(listing, &format!("{folder}/{PAGE}"))
}

/// Also where it is a link, which is then objected to by its name.
fn is_page(listing: &Listing, path: &str) -> bool {
    listing.has(path) || listing.entries.get(path) == Some(&Listed::Link)
}

/// Why a folder is not to be shown to visitors.
struct Objection {
    /// With the path that is objected to, where it is one thing.
    why: String,
    remedy: &'static str,
}

/// The first objection to a folder. One that was not listed to its end is objected to in any case.
fn objection(listing: &Listing, folder: &str) -> Option<Objection> {
    let to_what_is_there = listing.at_and_below(folder).find_map(|(path, listed)| objection_to(path, listed));
    to_what_is_there.or_else(|| {
        listing.cut.contains(folder).then(|| Objection {
            why: format!("it holds more than {PAGES_LISTED_MAX} files and folders, too many to be looked at"),
            remedy: "see that none of them is secret, and write the service by hand",
        })
    })
}

fn objection_to(path: &str, listed: &Listed) -> Option<Objection> {
    if let Some(hidden) = hidden(path, listed) {
        let why = format!("visitors would be shown {hidden} as well");
        return Some(Objection { why, remedy: "move that out of the folder, or serve another folder" });
    }
    let (why, remedy) = match listed {
        Listed::Link => (
            format!("{path} is a link, and visitors would be shown what it leads to"),
            "put a copy in its place, or serve another folder",
        ),
        Listed::Closed(error) => (format!("{path} cannot be looked into: {error}"), OPEN_FOLDER),
        Listed::Other => (format!("{path} is neither a file nor a folder"), "remove it, or serve another folder"),
        Listed::File | Listed::Text(_) | Listed::TooLarge | Listed::Unreadable | Listed::Folder => return None,
    };
    Some(Objection { why, remedy })
}

/// The part of a path down to what its author meant nobody to see: `public/.git` of `public/.git/config`.
fn hidden<'p>(path: &'p str, listed: &Listed) -> Option<&'p str> {
    path.match_indices("/.").find_map(|(slash, _)| {
        let name = path[slash + 1..].split('/').next()?;
        let (down_to_it, below) = path.split_at(slash + 1 + name.len());
        let is_folder = !below.is_empty() || matches!(listed, Listed::Folder | Listed::Closed(_));
        let is_harmless = name == FOR_VISITORS || !is_folder && HARMLESS_FILES.contains(&name);
        (!is_harmless).then_some(down_to_it)
    })
}
