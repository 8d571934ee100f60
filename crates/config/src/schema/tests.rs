//! What `check` accepts, the JSON Schema accepts; what the schema's words are for, it refuses.

use serde_json::{Value as Json, json};

use super::schema;
use crate::problem::Problems;
use crate::source::SourceFile;
use crate::tree::{self, Node, Value};

/// A tree as JSON, plain values as YAML's core schema reads them.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null | Value::Broken => Json::Null,
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(mapping) => mapping.entries.iter().map(|e| (e.key.clone(), json_of(&e.value))).collect(),
        Value::Scalar(scalar) if scalar.plain => match serde_json::from_str::<Json>(&scalar.text) {
            Ok(value @ (Json::Bool(_) | Json::Number(_))) => value,
            _ => json!(scalar.text),
        },
        Value::Scalar(scalar) => json!(scalar.text),
    }
}

/// The first place at which a value does not fit, by the keywords that the schema uses; patterns of
/// texts aside.
fn misfit(value: &Json, schema: &Json, path: &str) -> Option<String> {
    if let Some(any) = schema["anyOf"].as_array() {
        let misfits: Vec<String> = any.iter().filter_map(|one| misfit(value, one, path)).collect();
        return (misfits.len() == any.len()).then(|| misfits.join(" | "));
    }
    let complain = |what: &str| Some(format!("{path}: {what}"));
    if schema.get("const").is_some_and(|only| only != value) {
        return complain("const");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return complain("enum");
    }
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_u64() => "integer",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let fits = |wanted: &Json| wanted == kind || (wanted == "number" && kind == "integer");
    let typed = match &schema["type"] {
        Json::Null => true,
        Json::Array(several) => several.iter().any(fits),
        one => fits(one),
    };
    if !typed {
        return complain("type");
    }
    let number = value.as_f64().unwrap_or_default();
    if schema["minimum"].as_f64().is_some_and(|min| number < min)
        || schema["maximum"].as_f64().is_some_and(|max| number > max)
    {
        return complain("bounds");
    }
    match value {
        Json::Array(items) => items.iter().find_map(|item| misfit(item, &schema["items"], &format!("{path}[]"))),
        Json::Object(fields) => object_misfit(fields, schema, path),
        _ => None,
    }
}

fn object_misfit(fields: &serde_json::Map<String, Json>, schema: &Json, path: &str) -> Option<String> {
    let needed = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = needed.filter_map(Json::as_str).find(|key| !fields.contains_key(*key)) {
        return Some(format!("{path}: lacks {missing}"));
    }
    fields.iter().find_map(|(key, value)| {
        let path = format!("{path}.{key}");
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(known), _) => misfit(value, known, &path),
            (None, Some(Json::Bool(false))) => Some(format!("{path}: unknown")),
            (None, Some(other @ Json::Object(_))) => misfit(value, other, &path),
            _ => None,
        }
    })
}

fn fit(name: &str, text: &str) -> Result<(), String> {
    let source = SourceFile::new(name, text);
    let root = tree::read(&source, &mut Problems::new(&source)).unwrap();
    misfit(&json_of(&root), &schema(), "").map_or(Ok(()), Err)
}

#[test]
fn samples_fit_the_schema() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let mut seen = 0;
    for folder in [folder.to_owned(), format!("{folder}/valid")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(fit("sample", &text), Ok(()), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4);
    assert_eq!(fit("annotated", crate::ANNOTATED_EXAMPLE), Ok(()));
}

#[test]
fn slips_do_not_fit() {
    let check = |text: &str, misfit: &str| assert_eq!(fit("slip", text), Err(misfit.to_owned()));
    check("services: {}\n", ": lacks stack");
    check("stack: a\nservice: {}\n", ".service: unknown");
    check("stack: a\nservices: { b: { run: c, replica: 2 } }\n", ".services.b.replica: unknown");
    check("stack: a\nservices: { b: { run: c, limits: { tasks: 0 } } }\n", ".services.b.limits.tasks: bounds");
    check("stack: a\nservices: { b: { run: 5 } }\n", ".services.b.run: type");
    check(
        "stack: a\nresources: { c: { type: redis, version: 15 } }\n",
        ".resources.c.type: const | .resources.c.version: unknown | .resources.c.type: const | .resources.c.type: const",
    );
}
