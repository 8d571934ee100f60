//! The pages, the schema and the annotated example are in step with the shape of the file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;

use config::SourceFile;
use serde_json::Value;

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

#[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok()
}

#[track_caller]
fn in_step(name: &str, text: &str) {
    let path = page(name);
    if updating() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{} is out of step: run UPDATE=1 cargo test -p config", path.display());
}

#[test]
fn the_pages_are_in_step() {
    in_step("mainstay-yaml.md", &config::reference_markdown());
    in_step("check-rules.md", &config::rules_markdown());
    in_step("mainstay.schema.json", &format!("{:#}\n", config::schema()));
}

#[test]
fn the_annotated_example_has_no_problems() {
    for environment in ["development", "production"] {
        let source = SourceFile::new("annotated.yaml", config::ANNOTATED_EXAMPLE);
        let checked = config::check(&source, Some(&environment.parse().unwrap()));
        assert_eq!(checked.problems, [], "{environment}");
        assert_eq!(checked.stack.unwrap().services.len(), 7);
    }
}

/// Only one share can be promised; what a sample promises it has to keep; and the rest only stands below
/// something that is not supported yet.
const NOT_SHOWN: [&str; 17] = [
    "objectives.latency.p50",
    "objectives.latency.p90",
    "objectives.latency.p99",
    "objectives.latency.p99.9",
    "objectives.recovery.rpo",
    "resources.*.buckets",
    "resources.*.versions",
    "services.*.replicas.max",
    "services.*.replicas.min",
    "services.*.replicas.scale_on",
    "services.*.replicas.scale_on.cpu",
    "services.*.replicas.scale_on.memory",
    "services.*.replicas.scale_on.requests",
    "services.*.replicas.scale_on.latency",
    "services.*.rollout.bake",
    "services.*.rollout.approve",
    "services.*.rollout.steps",
];

/// A key that is carried out and does not stand in the example would be without one.
#[test]
fn the_annotated_example_uses_every_supported_key() {
    let source = SourceFile::new("annotated.yaml", config::ANNOTATED_EXAMPLE);
    let check = |name: &str| config::check(&source, Some(&name.parse().unwrap())).places;
    let places = [check("development"), check("production")];
    let written: Vec<&str> = places.iter().flat_map(|places| places.paths()).collect();
    let mut missing = Vec::new();
    supported_keys(&config::schema(), "", &mut |path| {
        if !written.iter().any(|written| matches(path, written)) && !missing.iter().any(|known| known == path) {
            missing.push(path.to_owned());
        }
    });
    missing.retain(|path| !NOT_SHOWN.contains(&path.as_str()));
    assert_eq!(missing, Vec::<String>::new());
}

/// Whether a path has the form of a pattern, in which `*` is any name.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('.'), path.split('.'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (left, right) if left == right => {}
            _ => return false,
        }
    }
}

/// Calls with the path of every key that is not marked as unsupported.
fn supported_keys(schema: &Value, path: &str, found: &mut impl FnMut(&str)) {
    for any in schema["anyOf"].as_array().into_iter().flatten() {
        supported_keys(any, path, found);
    }
    if schema["additionalProperties"].is_object() {
        supported_keys(&schema["additionalProperties"], &format!("{path}.*"), found);
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let unsupported = below["description"].as_str().is_some_and(|doc| doc.contains("not supported yet"));
        if unsupported || name == "environments" {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found(&path);
        supported_keys(below, &path, found);
    }
}
