//! The repository's files as values, so that the checks of `tidy` are functions from text to findings.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing written by people.
const SKIPPED: &[&str] = &["target", ".git", ".mainstay", "node_modules", "corpus", "artifacts"];

/// One text file.
pub(crate) struct File {
    /// Its path from the repository's root, with `/` between the parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl File {
    /// Whether it is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is a page of documentation.
    pub(crate) fn is_page(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// The number of lines before its tests: all of them, unless a test module ends it or all of it is a test.
    pub(crate) fn code_lines(&self) -> usize {
        if self.path.split('/').any(|part| part == "tests" || part == "benches") || self.path.ends_with("tests.rs") {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let starts_tests =
            |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
        lines.windows(2).position(starts_tests).unwrap_or(lines.len())
    }

    /// The lines that are no test, with their numbers.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).take(self.code_lines())
    }

    /// The lines that are tests, with their numbers.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).skip(self.code_lines())
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file and every page, in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(&root(), "", &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !SKIPPED.contains(&name.as_str()) => {
                collect(&entry.path(), &format!("{path}/"), found);
            }
            Ok(kind) if kind.is_file() && (name.ends_with(".rs") || name.ends_with(".md")) => {
                // A file that another process removed meanwhile is no concern of this check.
                if let Ok(text) = fs::read_to_string(entry.path()) {
                    found.push(File { path, text });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{File, files};

    #[test]
    fn a_test_module_at_the_end_is_no_code() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n".to_owned();
        let file = File { path: "crates/x/src/x.rs".to_owned(), text };
        assert_eq!(file.code().collect::<Vec<_>>(), [(1, "fn a() {}"), (2, "")]);
        assert_eq!(file.tests().next(), Some((3, "#[cfg(test)]")));
    }

    #[test]
    fn a_file_of_tests_is_no_code_at_all() {
        let file = File { path: "crates/x/tests/x.rs".to_owned(), text: "fn a() {}\n".to_owned() };
        assert_eq!(file.code_lines(), 0);
    }

    #[test]
    fn the_walk_finds_this_file() {
        assert!(files().iter().any(|file| file.path == "xtask/src/repository.rs"));
    }
}
