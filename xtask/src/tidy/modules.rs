//! Every module says on line one what it is for, and none has a name that says nothing.

use super::Finding;
use crate::repository::File;

/// Names that attract whatever has no other place.
const NAMELESS: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types", "stuff", "shared"];

/// Modules without a first line of documentation, and modules with empty names.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(|file| undocumented(file).into_iter().chain(nameless(file)))
        .collect()
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::check;
    use crate::tidy::tests::check_text;

    #[test]
    fn a_module_says_what_it_is_for() {
        let files = [
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
            crates/a/src/net_util.rs:1: name a module after what it knows
            crates/a/src/utils/a.rs:1: name a module after what it knows
        "#]]
        .assert_eq(&check_text(check, &[("crates/a/src/net_util.rs", text), ("crates/a/src/utils/a.rs", text)]));
    }
}
