//! Pages: a folder of them is served where it holds what is for visitors and nothing else. The project's own folder
//! never is: whoever asks would be shown its `.env`, `mainstay.yaml` and `.mainstay`.

use super::{Listing, PassedOver};

/// Folders that are there for pages.
const FOLDERS: [&str; 9] = ["_site", "build", "dist", "htdocs", "html", "out", "public", "site", "www"];
/// Those of them that tools write, where nothing but pages is looked for.
const WRITTEN_BY_TOOLS: [&str; 4] = ["_site", "build", "dist", "out"];
/// Hidden files that hold no secret.
const HARMLESS: [&str; 3] = [".gitignore", ".gitkeep", ".nojekyll"];
const PAGE: &str = "index.html";

/// Whether a folder holds what a tool wrote, so that no program of the project's is in it.
pub(super) fn are_written_by_tools_in(folder: &str) -> bool {
    WRITTEN_BY_TOOLS.contains(&folder)
}

/// Whether the pages of a folder may be shown to visitors with all else that is in it.
pub(super) fn may_be_served(listing: &Listing, folder: &str) -> bool {
    FOLDERS.contains(&folder) && has_page(listing, folder) && hidden_file(listing, folder).is_none()
}

/// The pages that may not be.
pub(super) fn kept_back(listing: &Listing) -> Vec<PassedOver> {
    let beside_hidden = FOLDERS.into_iter().filter(|folder| has_page(listing, folder)).filter_map(|folder| {
        Some(PassedOver {
            file: format!("{folder}/{PAGE}"),
            why: format!("visitors would be shown {} as well", hidden_file(listing, folder)?),
            remedy: "move that file out of the folder, or serve another folder",
        })
    });
    let is_apart = FOLDERS.into_iter().any(|folder| has_page(listing, folder));
    let among_the_project = (listing.has(PAGE) && !is_apart).then(|| PassedOver {
        file: PAGE.to_owned(),
        why: "visitors would be shown .env, mainstay.yaml and .mainstay as well".to_owned(),
        remedy: "move the pages into a folder of their own, such as public, and serve that",
    });
    beside_hidden.chain(among_the_project).collect()
}

fn has_page(listing: &Listing, folder: &str) -> bool {
    listing.has(&format!("{folder}/{PAGE}"))
}

/// A file directly in a folder that its author meant nobody to see.
fn hidden_file<'l>(listing: &'l Listing, folder: &str) -> Option<&'l str> {
    listing.files.keys().map(String::as_str).find(|path| {
        path.split_once('/').is_some_and(|(within, file)| {
            within == folder && file.starts_with('.') && !file.contains('/') && !HARMLESS.contains(&file)
        })
    })
}
