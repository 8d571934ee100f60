//! Every `mainstay.yaml` of the examples and every whole file in a page of documentation is accepted by `check`.
//!
//! A whole file is a block of YAML that begins with `stack:`. One marked `yaml invalid` is there to show a problem, and
//! must have one.

use std::fs;

use config::SourceFile;

use crate::repository::{self, File};

/// What `check` is meant to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    Valid,
    Invalid,
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
        let text = fs::read_to_string(&path).ok()?;
        Some(Sample { text, place: path.display().to_string(), meant: Meant::Valid })
    };
    folders.filter_map(sample).collect()
}

/// What is not as it should be about a sample, in words.
fn judge(sample: &Sample) -> Option<String> {
    let checked = config::check(&SourceFile::new("mainstay.yaml", &sample.text), None);
    let problems: String = checked.problems.iter().map(|problem| format!("  {problem}\n")).collect();
    match sample.meant {
        Meant::Invalid if problems.is_empty() => Some(format!("{}: `check` finds nothing\n", sample.place)),
        Meant::Valid if !problems.is_empty() => Some(format!("{}\n{problems}", sample.place)),
        Meant::Valid | Meant::Invalid => None,
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
