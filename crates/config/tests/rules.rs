//! Every rule has samples that keep it and break it, with the exact text that is printed.
//!
//! `rules/ID.txt` holds parts that start with a line `--- valid`, `--- invalid` or `--- problems`, the
//! last two in pairs; `--- invalid staging` checks that environment. With `UPDATE=1` in the environment
//! the problems are rewritten: review the difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::path::PathBuf;

use config::{Problem, RuleId, SourceFile};

/// Found by the objectives' own code, with the places of this crate; tested there.
const FOUND_ELSEWHERE: [RuleId; 1] = [RuleId::Objective];

struct Part {
    title: String,
    text: String,
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("--- "), parts.last_mut()) {
            (Some(title), _) => parts.push(Part { title: title.trim().to_owned(), text: String::new() }),
            (None, Some(part)) => part.text.push_str(line),
            (None, None) => panic!("a rule's file starts with a line `--- valid`"),
        }
    }
    parts
}

/// What is wrong with a sample, in which `\u{0}`, `\t` and `\xE9` stand for characters and bytes that no editor shows.
fn problems(title: &str, text: &str) -> Vec<Problem> {
    let environment = title.split_once(' ').map(|(_, name)| name.parse().unwrap());
    let text = text.replace("\\u{0}", "\0").replace("\\t", "\t");
    let bytes = text.split("\\xE9").map(str::as_bytes).collect::<Vec<_>>().join(&0xe9);
    match SourceFile::of_bytes("mainstay.yaml", bytes) {
        Ok(source) => config::check(&source, environment.as_ref()).problems,
        Err(not_text) => vec![not_text.problem],
    }
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut shown, problem| {
        writeln!(shown, "{problem}").unwrap();
        shown
    })
}

fn path(rule: RuleId) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(format!("{rule}.txt"))
}

#[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok()
}

#[test]
fn every_rule_is_kept_and_broken_by_its_samples() {
    let mut wrong = Vec::new();
    for rule in RuleId::ALL.iter().copied().filter(|rule| !FOUND_ELSEWHERE.contains(rule)) {
        let Ok(text) = std::fs::read_to_string(path(rule)) else {
            wrong.push(format!("{rule}: no file {}", path(rule).display()));
            continue;
        };
        let (rewritten, complaints) = run(rule, &text);
        wrong.extend(complaints);
        if rewritten != text {
            match updating() {
                true => std::fs::write(path(rule), &rewritten).unwrap(),
                false => wrong.push(format!("{rule}: the problems are now\n{rewritten}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The file with its problems as they are now, and what is wrong with the samples themselves.
fn run(rule: RuleId, text: &str) -> (String, Vec<String>) {
    let (mut rewritten, mut wrong) = (String::new(), Vec::new());
    let (mut valid, mut invalid) = (0, 0);
    for part in parts(text) {
        match part.title.split(' ').next() {
            Some("valid") => {
                valid += 1;
                let problems = shown(&problems(&part.title, &part.text));
                if !problems.is_empty() {
                    wrong.push(format!("{rule}: the valid sample has problems\n{problems}"));
                }
                write!(rewritten, "--- {}\n{}", part.title, part.text).unwrap();
            }
            Some("invalid") => {
                invalid += 1;
                let problems = problems(&part.title, &part.text);
                if !problems.iter().any(|problem| problem.rule == rule) {
                    wrong.push(format!("{rule}: an invalid sample does not break it\n{}", part.text));
                }
                write!(rewritten, "--- {}\n{}--- problems\n{}", part.title, part.text, shown(&problems)).unwrap();
            }
            Some("problems") => {}
            _ => wrong.push(format!("{rule}: no part is called {:?}", part.title)),
        }
    }
    if valid == 0 || invalid == 0 {
        wrong.push(format!("{rule}: a rule has at least one valid and one invalid sample"));
    }
    (rewritten, wrong)
}

#[test]
fn every_file_belongs_to_a_rule() {
    let folder = path(RuleId::UnknownKey).parent().unwrap().to_owned();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(RuleId::ALL.iter().any(|rule| format!("{rule}.txt") == name), "{name} is no rule's");
    }
}

#[test]
fn ids_are_distinct() {
    let ids: std::collections::BTreeSet<&str> = RuleId::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(ids.len(), RuleId::ALL.len());
}
