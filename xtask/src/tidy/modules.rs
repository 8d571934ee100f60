//! Every module says on line one what it is for, is part of a crate, and has a name that says something.

use super::Finding;
use crate::repository::File;

/// Names that attract whatever has no other place.
const NAMELESS: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types", "stuff", "shared"];

/// Modules without a first line of documentation, forgotten ones, and ones with empty names.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let rust: Vec<&File> = files.iter().filter(|file| file.is_rust()).collect();
    let of_file = |file: &&File| [undocumented(file), nameless(file), forgotten(file, &rust)];
    rust.iter().flat_map(of_file).flatten().collect()
}

fn undocumented(file: &File) -> Option<Finding> {
    let documented = file.text.starts_with("//! ") && file.text.lines().next().is_some_and(|line| line.len() > 12);
    let message = "line one is `//!` and says what this module is for";
    (!documented).then(|| Finding::new(&file.path, 1, message))
}

fn nameless(file: &File) -> Option<Finding> {
    let part = |part: &str| {
        let stem = part.trim_end_matches(".rs");
        NAMELESS.contains(&stem) || stem.ends_with("_util") || stem.ends_with("_utils") || stem.ends_with("_helpers")
    };
    // tests/common/ would be Cargo's own convention, and would attract just the same.
    let message = "name a module after what it knows";
    file.path.split('/').any(part).then(|| Finding::new(&file.path, 1, message))
}

/// A file below `src` that no `mod` line takes in is not compiled, and nobody notices.
fn forgotten(file: &File, rust: &[&File]) -> Option<Finding> {
    let (folder, name) = file.path.rsplit_once('/')?;
    let roots = ["lib.rs", "main.rs", "build.rs"];
    if !format!("{folder}/").contains("/src/") || folder.ends_with("/bin") || roots.contains(&name) {
        return None;
    }
    let (folder, module) = match name {
        "mod.rs" => folder.rsplit_once('/')?,
        name => (folder, name.trim_end_matches(".rs")),
    };
    let parents = ["lib.rs", "main.rs", "mod.rs"].map(|parent| format!("{folder}/{parent}"));
    let is_parent = |other: &&&File| parents.contains(&other.path) || other.path == format!("{folder}.rs");
    let takes_in = |other: &File| other.text.lines().any(|line| line.trim_end().ends_with(&format!("mod {module};")));
    let message = "no `mod` line takes this file in: it is not compiled";
    (!rust.iter().filter(is_parent).any(|parent| takes_in(parent))).then(|| Finding::new(&file.path, 1, message))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::check;
    use crate::tidy::tests::check_text;

    #[test]
    fn a_module_says_what_it_is_for() {
        let files = [
            ("crates/a/src/lib.rs", "//! Starts and restarts.\nmod a;\nmod b;\n    mod c;\n"),
            ("crates/a/src/a.rs", "//! Back-off after failed starts.\n"),
            ("crates/a/src/b.rs", "use std::fmt;\n"),
            ("crates/a/src/c.rs", "//! c\n"),
        ];
        expect![[r#"
            crates/a/src/b.rs:1: line one is `//!` and says what this module is for
            crates/a/src/c.rs:1: line one is `//!` and says what this module is for
        "#]]
        .assert_eq(&check_text(check, &files));
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        let text = "//! Everything else that there is.\n";
        expect![[r#"
            crates/a/tests/net_util.rs:1: name a module after what it knows
            crates/a/tests/common/a.rs:1: name a module after what it knows
        "#]]
        .assert_eq(&check_text(check, &[("crates/a/tests/net_util.rs", text), ("crates/a/tests/common/a.rs", text)]));
    }

    #[test]
    fn a_file_that_is_not_compiled_is_found() {
        let files = [
            ("crates/a/src/main.rs", "//! The program's start.\nmod b;\npub mod c;\n"),
            ("crates/a/src/b.rs", "//! What b knows about.\nmod d;\n"),
            ("crates/a/src/b/d.rs", "//! What d knows about.\n"),
            ("crates/a/src/b/e.rs", "//! What e knows about.\n"),
            ("crates/a/src/c/mod.rs", "//! What c knows about.\n"),
            ("crates/a/src/f.rs", "//! What f knows about.\n"),
            ("crates/a/src/bin/g.rs", "//! Another program's start.\n"),
        ];
        expect![[r#"
            crates/a/src/b/e.rs:1: no `mod` line takes this file in: it is not compiled
            crates/a/src/f.rs:1: no `mod` line takes this file in: it is not compiled
        "#]]
        .assert_eq(&check_text(check, &files));
    }
}
