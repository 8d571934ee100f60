//! The JSON Schema (draft 2020-12) of the file, made from its shape.

use serde_json::{Map, Value, json};

use crate::shape::file::FILE;
use crate::shape::{Key, Presence, Record, Shape, Tagged};
use crate::support;

/// The JSON Schema of `mainstay.yaml`, for editors. It knows forms and keys; what the parts of a file
/// have to do with each other only `check` knows.
pub fn schema() -> Value {
    let mut schema = record(&FILE, "", Completeness::Base);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".to_owned(), json!("mainstay.yaml"));
        fields.insert("description".to_owned(), json!("A whole stack in one file."));
    }
    schema
}

/// Which needed keys are demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completeness {
    /// All: items of lists are replaced whole by environments, never merged.
    Whole,
    /// Those at the top: the rest may be left to the environments.
    Base,
    /// None, and `null` deletes.
    Overlay,
}

fn record(record: &Record, path: &str, completeness: Completeness) -> Value {
    let mut properties = Map::new();
    for key in record.keys {
        properties.insert(key.name.to_owned(), self::key(key, path, completeness));
    }
    let mut schema = closed(&Value::Object(properties));
    let needed: Vec<&str> =
        record.keys.iter().filter(|key| matches!(key.presence, Presence::Needed)).map(|key| key.name).collect();
    let demanded = match completeness {
        Completeness::Whole => true,
        Completeness::Base => path.is_empty(),
        Completeness::Overlay => false,
    };
    if demanded && !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    schema
}

/// A mapping with these keys and those that start with `x-`.
fn closed(properties: &Value) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    })
}

fn key(key: &Key, path: &str, completeness: Completeness) -> Value {
    let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
    // Everything below `environments.NAME` has the paths of the top of the file.
    let (below, completeness) = match path == "environments" {
        true => (String::new(), Completeness::Overlay),
        false => (path.clone(), completeness),
    };
    let mut schema = shape(&key.shape, &below, completeness);
    if completeness == Completeness::Overlay && path != "environments" {
        schema = json!({ "anyOf": [schema, { "type": "null" }] });
    }
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".to_owned(), json!(description(key, &path)));
        if let Presence::Default(default) = key.presence
            && let Some(value) = default_value(&key.shape, &default())
        {
            fields.insert("default".to_owned(), value);
        }
    }
    schema
}

fn description(key: &Key, path: &str) -> String {
    match support::of_key(path).or_else(|| support::of_values(path)) {
        Some(row) => format!("{} ({}.)", key.doc, support::message(row)),
        None => key.doc.to_owned(),
    }
}

/// A default as a JSON value, where it is a single one of the form's type.
fn default_value(shape: &Shape, text: &str) -> Option<Value> {
    match shape {
        Shape::One(form) => match form.schema()["type"].as_str() {
            Some("boolean") => text.parse::<bool>().ok().map(Value::from),
            Some("integer") => text.parse::<u64>().ok().map(Value::from),
            _ => Some(json!(text.trim_matches('"'))),
        },
        _ => None,
    }
}

fn shape(shape: &Shape, path: &str, completeness: Completeness) -> Value {
    match shape {
        Shape::One(form) => form.schema(),
        Shape::List { item, distinct } => {
            json!({ "type": "array", "items": self::shape(item, path, Completeness::Whole), "uniqueItems": distinct })
        }
        Shape::Named { name, value } => {
            let below = if path.is_empty() { String::new() } else { format!("{path}.*") };
            let mut value = self::shape(value, &below, completeness);
            if completeness == Completeness::Overlay && !path.is_empty() {
                value = json!({ "anyOf": [value, { "type": "null" }] });
            }
            json!({
                "type": "object",
                "patternProperties": { "^x-": true },
                "propertyNames": { "anyOf": [{ "pattern": "^x-" }, { "pattern": name.pattern() }] },
                "additionalProperties": value,
            })
        }
        Shape::Record(record) => self::record(record, path, completeness),
        Shape::Tagged(tagged) => self::tagged(tagged, path, completeness),
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|shape| self::shape(shape, path, completeness)).collect();
            json!({ "anyOf": any })
        }
        Shape::Unsettled => json!({ "type": "object" }),
    }
}

/// One alternative for each word; in an environment the word may be the file's own, above.
fn tagged(tagged: &Tagged, path: &str, completeness: Completeness) -> Value {
    let tag_path = format!("{path}.{}", tagged.key);
    let variant = |variant: &crate::shape::Variant| {
        let mut schema = record(&variant.record, path, completeness);
        let doc = match support::of_word(&tag_path, variant.word) {
            Some(row) => format!("{} ({}.)", variant.doc, support::message(row)),
            None => variant.doc.to_owned(),
        };
        schema["properties"][tagged.key] = json!({ "const": variant.word, "description": doc });
        if completeness == Completeness::Whole {
            let mut needed = vec![json!(tagged.key)];
            needed.extend(schema["required"].as_array().cloned().unwrap_or_default());
            schema["required"] = Value::Array(needed);
        }
        schema
    };
    let any: Vec<Value> = tagged.variants.iter().map(variant).collect();
    json!({ "anyOf": any, "description": tagged.doc })
}

#[cfg(test)]
mod tests;
