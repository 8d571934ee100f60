//! The OpenAPI 3.1 document, made from the table of endpoints and the schemas of the bodies.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::bodies::ErrorBody;
use super::endpoints::{Answer, Endpoint, Parameter, table};

/// The whole document.
pub(crate) fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for endpoint in table() {
        let operation = operation(&endpoint, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.verb.as_str()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mainstay control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Served on a unix socket to root and to the node's own user, by peer credentials. \
                Sizes are bytes, times RFC 3339, spans milliseconds.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Error": {
                    "description": "Refused (403), not found (404), invalid (422), busy (503) or failed (500).",
                    "content": { "application/json": { "schema": error } },
                },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let (media, shape) = match endpoint.answer {
        Answer::Json(shape) => ("application/json", shape),
        Answer::Lines(shape) => ("application/x-ndjson", shape),
    };
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.about,
        "responses": {
            "200": { "description": "Done or accepted.", "content": { media: { "schema": shape(generator) } } },
            "default": { "$ref": "#/components/responses/Error" },
        },
    });
    if !endpoint.parameters.is_empty() {
        operation["parameters"] = endpoint.parameters.iter().map(parameter).collect();
    }
    if let Some(shape) = endpoint.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": shape(generator) } } });
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": if parameter.in_path { "path" } else { "query" },
        "required": parameter.in_path,
        "description": parameter.about,
        "schema": { "type": parameter.kind },
    })
}
