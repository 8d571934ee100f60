//! What the compiler does not check. Each module is one question, a function from files to findings.
//!
//! `cargo test` runs all of them over the repository, so a finding is a failed test.

mod edges;
mod purity;

mod modules;
mod ratchet;

mod test_habits;

mod pages;
mod words;

use std::fmt;

use crate::repository;

/// Something to mend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, from the repository's root.
    pub(crate) path: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Everything there is to mend in the repository.
pub(crate) fn findings() -> Vec<Finding> {
    let files = repository::files();
    ratchet::lower_if_asked(&files);
    let manifests = edges::manifests();
    [
        edges::check(&manifests),
        purity::check_manifests(&manifests),
        purity::check_sources(&files),
        modules::check(&files),
        ratchet::check(&files, &ratchet::recorded()),
        test_habits::check(&files),
        pages::check(&files),
        words::check(&files),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{Finding, findings};
    use crate::repository::File;

    /// The findings of one check over files given as `path: text` pairs, one line each.
    pub(super) fn check_text(check: fn(&[File]) -> Vec<Finding>, files: &[(&str, &str)]) -> String {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        let files: Vec<File> = files.iter().map(file).collect();
        check(&files).iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn the_repository_is_tidy() {
        let findings: String = findings().iter().map(|finding| format!("{finding}\n")).collect();
        assert!(findings.is_empty(), "\n{findings}");
    }
}
