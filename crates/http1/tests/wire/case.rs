//! The corpus: text files of messages with what is to become of them, one file a theme.
//!
//! A case is a line `--- request: WHY`, the message as [`escape`](crate::escape) writes it, and one line `=> …` for each
//! message that is read or refused. `--- response: WHY` is what an upstream sends; `--- response to HEAD: WHY` says what
//! had been asked. Lines that begin with `#` are remarks. `UPDATE=1` rewrites the `=>` lines: review the difference.

use std::path::PathBuf;

use crate::escape::unescape;

/// One case of the corpus.
pub(crate) struct Case {
    /// Its file, without `.txt`.
    pub(crate) theme: String,
    /// `request`, `response`, or `response to …`.
    pub(crate) kind: String,
    /// What it is about, or why it is refused.
    pub(crate) why: String,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// The text that `bytes` were written as.
    source: String,
    /// One line for each message.
    pub(crate) verdict: String,
}

impl Case {
    /// Whether a client sends it.
    pub(crate) fn is_request(&self) -> bool {
        self.kind == "request"
    }

    /// Whether something in it is refused.
    pub(crate) fn is_hostile(&self) -> bool {
        self.refusal().is_some()
    }

    /// The code it is refused with.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.verdict.lines().last()?.strip_prefix("refused: ")
    }

    /// For messages of failed tests.
    pub(crate) fn name(&self) -> String {
        format!("{}.txt, {}: {}", self.theme, self.kind, self.why)
    }
}

/// Every case, in the order of the files' names.
pub(crate) fn all() -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(read).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn read(file: &PathBuf) -> Vec<Case> {
    let theme = file.file_stem().unwrap().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let parts = text.split("\n--- ").skip(1);
    parts.map(|part| read_case(&theme, part)).collect()
}

fn read_case(theme: &str, part: &str) -> Case {
    let (title, rest) = part.split_once('\n').unwrap();
    let (kind, why) = title.split_once(": ").unwrap();
    let lines = rest.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (verdict, source): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("=>"));
    let verdict = verdict.iter().map(|line| format!("{}\n", line[2..].trim())).collect();
    let source: String = source.iter().map(|line| format!("{line}\n")).collect();
    Case {
        theme: theme.to_owned(),
        kind: kind.to_owned(),
        why: why.to_owned(),
        bytes: unescape(&source),
        source,
        verdict,
    }
}

/// Writes the `=>` lines of every file again. Remarks within a file go; those before its first case stay.
pub(crate) fn rewrite(cases: &[(Case, String)]) {
    for themed in cases.chunk_by(|(a, _), (b, _)| a.theme == b.theme) {
        let file = folder().join(format!("{}.txt", themed[0].0.theme));
        let old = std::fs::read_to_string(&file).unwrap();
        let mut text = old.split("\n--- ").next().unwrap().to_owned();
        for (case, verdict) in themed {
            text += &format!("\n--- {}: {}\n{}", case.kind, case.why, case.source);
            text.extend(verdict.lines().map(|line| format!("=> {line}\n")));
        }
        std::fs::write(&file, text).unwrap();
    }
}
