//! Every `mainstay.yaml` of the examples and every whole file in a page of documentation is accepted by `check`.
//!
//! A whole file is a block of YAML that begins with `stack:`. One marked `yaml invalid` is there to show a problem, and
//! must have one. An example of [`AHEAD`] has the form that its file will have, and nothing wrong but that.

use std::fs;

use config::{RuleId, SourceFile};

use crate::repository::{self, File};

/// Examples whose file asks for what is not supported yet. One that asks for nothing of the kind any more is to be taken
/// off this list.
const AHEAD: &[&str] = &["directory"];

/// What `check` is meant to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    Valid,
    Invalid,
    /// That some of it is not supported yet, and nothing else.
    Ahead,
}

/// A whole file to check.
struct Sample {
    /// Where it stands, as `path:line`.
    place: String,
    text: String,
    meant: Meant,
}

fn samples_of_page(page: &File) -> Vec<Sample> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(page.text.lines());
    while let Some((line, fence)) = lines.next() {
        if !fence.starts_with("```") {
            continue;
        }
        let block = lines.by_ref().map(|(_, text)| text).take_while(|text| !text.starts_with("```"));
        let text: String = block.map(|text| format!("{text}\n")).collect();
        if fence.starts_with("```yaml") && text.starts_with("stack:") {
            let meant = if fence.ends_with("invalid") { Meant::Invalid } else { Meant::Valid };
            found.push(Sample { place: format!("{}:{line}", page.path), text, meant });
        }
    }
    found
}

fn samples_of_examples() -> Vec<Sample> {
    let folders = fs::read_dir(repository::root().join("examples")).into_iter().flatten().flatten();
    let sample = |folder: fs::DirEntry| {
        let path = folder.path().join("mainstay.yaml");
        let ahead = AHEAD.iter().any(|name| folder.file_name() == *name);
        let meant = if ahead { Meant::Ahead } else { Meant::Valid };
        Some(Sample { text: fs::read_to_string(&path).ok()?, place: path.display().to_string(), meant })
    };
    folders.filter_map(sample).collect()
}

/// What is not as it should be about a sample, in words.
fn judge(sample: &Sample) -> Option<String> {
    let checked = config::check(&SourceFile::new("mainstay.yaml", &sample.text), None);
    let of_today = |rule: RuleId| sample.meant != Meant::Ahead || rule != RuleId::NotSupportedYet;
    let problems = checked.problems.iter().filter(|problem| of_today(problem.rule));
    let problems: String = problems.map(|problem| format!("  {problem}\n")).collect();
    match sample.meant {
        Meant::Invalid | Meant::Ahead if checked.problems.is_empty() => {
            Some(format!("{}: `check` finds nothing\n", sample.place))
        }
        Meant::Valid | Meant::Ahead if !problems.is_empty() => Some(format!("{}\n{problems}", sample.place)),
        Meant::Valid | Meant::Invalid | Meant::Ahead => None,
    }
}

#[test]
fn every_sample_is_what_it_is_meant_to_be() {
    let pages = repository::files();
    let in_pages = pages.iter().filter(|file| file.is_page()).flat_map(samples_of_page);
    let samples: Vec<Sample> = in_pages.chain(samples_of_examples()).collect();
    assert!(samples.iter().any(|sample| sample.place.contains("examples")), "the examples were not found");
    let wrong: String = samples.iter().filter_map(judge).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn blocks_are_found_with_their_meaning() {
    let text = "a\n```yaml\nstack: a\n```\n```sh\nstack:\n```\n```yaml invalid\nstack: b\n```\n```yaml\nport: 1\n```\n";
    let page = File { path: "x.md".to_owned(), text: text.to_owned() };
    let found: Vec<(String, String, Meant)> =
        samples_of_page(&page).into_iter().map(|sample| (sample.place, sample.text, sample.meant)).collect();
    let sample = |place: &str, text: &str, meant| (place.to_owned(), text.to_owned(), meant);
    assert_eq!(found, [sample("x.md:2", "stack: a\n", Meant::Valid), sample("x.md:8", "stack: b\n", Meant::Invalid)]);
}

#[test]
fn an_example_that_is_ahead_is_wrong_in_that_alone() {
    let judged = |text: &str, meant| judge(&Sample { place: "x".to_owned(), text: text.to_owned(), meant });
    let ahead = "stack: a\nservices: { web: { image: x } }\n";
    assert_eq!(judged(ahead, Meant::Ahead), None);
    assert!(judged(ahead, Meant::Valid).is_some());
    assert!(judged("stack: a\nservices: { web: { image: x, prot: 1 } }\n", Meant::Ahead).is_some());
    assert!(judged("stack: a\nservices: { web: { run: bin/web } }\n", Meant::Ahead).is_some());
}
