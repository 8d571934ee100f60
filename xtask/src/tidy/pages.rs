//! Every page of the documentation can be reached by links from the README, and no link leads nowhere.

use std::collections::BTreeSet;

use super::Finding;
use crate::repository::{self, File};

/// Where readers start.
const START: &str = "README.md";

/// Pages nobody finds, and links to files that are not there.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let pages: Vec<&File> = files.iter().filter(|file| file.is_page()).collect();
    let reached = reachable(&pages);
    let lost = pages.iter().filter(|page| !reached.contains(&page.path));
    let dead = pages.iter().flat_map(|page| links(page)).filter(|link| !exists(&link.target, &pages));
    lost.map(|page| Finding::new(&page.path, 1, format!("no way leads here by links from {START}")))
        .chain(
            dead.map(|link| {
                Finding::new(&link.page, link.line, format!("links to {}, which is not there", link.target))
            }),
        )
        .collect()
}

struct Link {
    page: String,
    line: usize,
    /// The linked file, from the repository's root.
    target: String,
}

fn exists(target: &str, pages: &[&File]) -> bool {
    pages.iter().any(|page| page.path == target) || repository::root().join(target).exists()
}

fn reachable(pages: &[&File]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![START.to_owned()];
    while let Some(path) = next.pop() {
        let page = pages.iter().find(|page| page.path == path);
        if reached.insert(path) {
            next.extend(page.map(|page| links(page)).into_iter().flatten().map(|link| link.target));
        }
    }
    reached
}

/// The links of a page to files of the repository; code blocks hold none.
fn links(page: &File) -> Vec<Link> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, text) in (1..).zip(page.text.lines()) {
        in_code ^= text.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
        found.extend(local.map(|target| Link { page: page.path.clone(), line, target: resolve(&page.path, target) }));
    }
    found
}

/// A link's target from the root: relative to the page's folder, without its `#fragment`.
fn resolve(page: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::check;
    use crate::tidy::tests::check_text;

    #[test]
    fn lost_pages_and_dead_links_are_found() {
        let files = [
            (
                "README.md",
                "[guide](docs/a.md#start) and [none](docs/none.md), [web](https://example.com/x.md)\n```\n[not](a.md)\n```\n",
            ),
            ("docs/a.md", "[b](./b.md) [home](../README.md)\n"),
            ("docs/b.md", "text\n"),
            ("docs/lost.md", "[b](b.md)\n"),
        ];
        expect![[r#"
            docs/lost.md:1: no way leads here by links from README.md
            README.md:1: links to docs/none.md, which is not there
        "#]]
        .assert_eq(&check_text(check, &files));
    }
}
