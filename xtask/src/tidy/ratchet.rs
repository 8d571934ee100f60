//! Long files and long functions may get shorter, never longer.
//!
//! What is over a limit is recorded in `xtask/ratchet.txt` with its length. Growing beyond the record is
//! a finding, and so is a record that is higher than need be: `UPDATE=1 cargo test -p xtask` lowers records and drops
//! those no longer needed, and never raises or adds one. Tests do not count.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::Finding;
use crate::repository::{self, File};

/// Lines of code that a file may have without a record.
const FILE_LINES: usize = 500;
/// Lines that a function may have without a record, its signature and closing brace included.
const FUNCTION_LINES: usize = 60;

const HEADER: &str =
    "# Longer than xtask/src/tidy/ratchet.rs wants, and by how much at most. Only ever lower a number.\n";

/// The recorded lengths: a path, or a path and a function, with its lines.
pub(super) type Records = BTreeMap<String, usize>;

fn records_file() -> PathBuf {
    repository::root().join("xtask/ratchet.txt")
}

/// What `xtask/ratchet.txt` says.
pub(super) fn recorded() -> Records {
    let text = fs::read_to_string(records_file()).unwrap_or_default();
    parse(&text)
}

fn parse(text: &str) -> Records {
    let record = |line: &str| {
        let (what, lines) = line.rsplit_once(' ')?;
        Some((what.to_owned(), lines.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(record).collect()
}

/// What is longer than its limit and its record, and records that are too high.
pub(super) fn check(files: &[File], recorded: &Records) -> Vec<Finding> {
    let actual: Vec<Length> = files.iter().filter(|file| file.is_rust()).flat_map(lengths).collect();
    let needed: Records = actual.iter().map(|length| (length.what(), length.lines)).collect();
    let grown = actual.iter().filter(|length| recorded.get(&length.what()).is_none_or(|&max| length.lines > max));
    let high = recorded.iter().filter(|(what, max)| needed.get(*what).is_none_or(|lines| lines < *max));
    grown
        .map(|length| Finding::new(&length.path, length.line, length.message(recorded.get(&length.what()))))
        .chain(high.map(|(what, _)| {
            let message = format!("`{what}` got shorter: record it with UPDATE=1 cargo test -p xtask");
            Finding::new("xtask/ratchet.txt", 1, message)
        }))
        .collect()
}

/// Lowers the records to what the files need, when asked to by `UPDATE=1`.
pub(super) fn lower_if_asked(files: &[File]) {
    #[expect(
        clippy::disallowed_methods,
        reason = "UPDATE=1 is how every test here is asked to rewrite what it expects"
    )]
    let asked = std::env::var("UPDATE").is_ok();
    if asked {
        let lowered = lowered(files, &recorded());
        if let Err(error) = fs::write(records_file(), lowered) {
            eprintln!("xtask/ratchet.txt was not lowered: {error}");
        }
    }
}

fn lowered(files: &[File], recorded: &Records) -> String {
    let actual = files.iter().filter(|file| file.is_rust()).flat_map(lengths);
    let needed: Records = actual.map(|length| (length.what(), length.lines)).collect();
    let keep = recorded.iter().filter_map(|(what, max)| needed.get(what).map(|lines| (what, lines.min(max))));
    let records: String = keep.map(|(what, lines)| format!("{what} {lines}\n")).collect();
    format!("{HEADER}{records}")
}

/// A file or a function that is over its limit.
struct Length {
    path: String,
    /// The function; absent for the whole file.
    function: Option<String>,
    line: usize,
    lines: usize,
}

impl Length {
    fn what(&self) -> String {
        match &self.function {
            Some(function) => format!("{} {function}", self.path),
            None => self.path.clone(),
        }
    }

    fn message(&self, record: Option<&usize>) -> String {
        let (what, limit) = match &self.function {
            Some(function) => (format!("function `{function}`"), FUNCTION_LINES),
            None => ("file".to_owned(), FILE_LINES),
        };
        let limit = record.copied().unwrap_or(limit);
        format!("{what} has {} lines, over {limit}: split it by what it is about", self.lines)
    }
}

fn lengths(file: &File) -> Vec<Length> {
    let over = |function: Option<String>, line, lines| Length { path: file.path.clone(), function, line, lines };
    let whole = (file.code_lines() > FILE_LINES).then(|| over(None, 1, file.code_lines()));
    let long = functions(file).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_LINES);
    whole.into_iter().chain(long.map(|(name, line, lines)| over(Some(name), line, lines))).collect()
}

/// Name, first line and number of lines of each function. Relies on rustfmt: a function ends where a brace stands
/// as deep as the line that it begins on.
fn functions(file: &File) -> Vec<(String, usize, usize)> {
    let code: Vec<(usize, &str)> = file.code().collect();
    let mut found = Vec::new();
    for (index, (number, line)) in code.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = match one_line {
            true => Some(0),
            false => code[index..].iter().position(|(_, line)| *line == end),
        };
        found.extend(length.map(|length| (name, *number, length + 1)));
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let qualifier = |word: &str| {
        word.starts_with("pub")
            || ["async", "const", "unsafe", "extern", "\"C\"", "in", "self)", "super)"].contains(&word)
    };
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (before.split_whitespace().all(qualifier) && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{FILE_LINES, FUNCTION_LINES, HEADER, check, functions, lowered, parse};
    use crate::repository::File;

    fn file(text: &str) -> File {
        File { path: "crates/a/src/a.rs".to_owned(), text: text.to_owned() }
    }

    fn check_length(text: &str, records: &str, want: &Expect) {
        let found: String =
            check(&[file(text)], &parse(records)).iter().map(|finding| format!("{finding}\n")).collect();
        want.assert_eq(&found);
    }

    fn function_of(lines: usize) -> String {
        format!("pub(crate) async fn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2))
    }

    #[test]
    fn functions_are_measured() {
        let text = "fn a() {}\nimpl A {\n    pub fn b(\n        self,\n    ) {\n        if x {\n        }\n    }\n    fn c();\n}\n";
        let names = |name: &str| name.to_owned();
        assert_eq!(functions(&file(text)), [(names("a"), 1, 1), (names("b"), 3, 6), (names("c"), 9, 1)]);
    }

    #[test]
    fn at_the_limit_is_fine() {
        check_length(&function_of(FUNCTION_LINES), "", &expect![""]);
        check_length(&"//\n".repeat(FILE_LINES), "", &expect![""]);
    }

    #[test]
    fn over_the_limit_is_found() {
        check_length(
            &function_of(FUNCTION_LINES + 1),
            "",
            &expect![[r#"
                crates/a/src/a.rs:1: function `long` has 61 lines, over 60: split it by what it is about
            "#]],
        );
        check_length(
            &"//\n".repeat(FILE_LINES + 1),
            "",
            &expect![[r#"
                crates/a/src/a.rs:1: file has 501 lines, over 500: split it by what it is about
            "#]],
        );
    }

    #[test]
    fn a_record_holds_until_it_is_exceeded() {
        check_length(&function_of(80), "crates/a/src/a.rs long 80\n", &expect![""]);
        check_length(
            &function_of(81),
            "crates/a/src/a.rs long 80\n",
            &expect![[r#"
                crates/a/src/a.rs:1: function `long` has 81 lines, over 80: split it by what it is about
            "#]],
        );
    }

    #[test]
    fn a_record_that_is_too_high_is_found() {
        check_length(
            &function_of(70),
            "crates/a/src/a.rs long 80\n",
            &expect![[r#"
                xtask/ratchet.txt:1: `crates/a/src/a.rs long` got shorter: record it with UPDATE=1 cargo test -p xtask
            "#]],
        );
    }

    #[test]
    fn records_are_lowered_and_dropped_but_never_raised_or_added() {
        let records = parse("crates/a/src/a.rs long 80\ncrates/a/src/gone.rs 600\n");
        assert_eq!(lowered(&[file(&function_of(70))], &records), format!("{HEADER}crates/a/src/a.rs long 70\n"));
        assert_eq!(lowered(&[file(&function_of(90))], &records), format!("{HEADER}crates/a/src/a.rs long 80\n"));
        assert_eq!(lowered(&[file(&function_of(70))], &parse("")), HEADER);
    }
}
