//! What is never repeated: a text that stands where a file says where a secret's value comes from, since it
//! may well be the value.
//!
//! Start reading at [`places`].

use crate::source::Place;
use crate::tree::{Entry, Mapping, Node, Value};

/// Where such texts stand.
pub(crate) fn places(root: &Node) -> Vec<Place> {
    let Some(file) = root.map() else { return Vec::new() };
    let environments = file.get("environments").and_then(|entry| entry.value.map());
    let overlays = environments.into_iter().flat_map(|all| &all.entries).filter_map(|entry| entry.value.map());
    std::iter::once(file).chain(overlays).flat_map(of_environment).collect()
}

fn of_environment(environment: &Mapping) -> Vec<Place> {
    let declared = environment.get("secrets").map(|entry| match &entry.value.value {
        Value::Map(secrets) => secrets.entries.iter().flat_map(|secret| in_place_of_source(&secret.value)).collect(),
        _ => in_place_of_source(&entry.value),
    });
    let services = environment.get("services").and_then(|entry| entry.value.map());
    let received = services.into_iter().flat_map(|services| &services.entries);
    let received = received.filter_map(|service| service.value.map()?.get("secrets"));
    declared.unwrap_or_default().into_iter().chain(received.flat_map(in_place_of_names)).collect()
}

/// What stands where `set` or `{ generate: … }` belongs.
pub(crate) fn in_place_of_source(source: &Node) -> Vec<Place> {
    match &source.value {
        Value::Null | Value::Broken => Vec::new(),
        Value::Scalar(scalar) if scalar.text == "set" => Vec::new(),
        Value::Scalar(_) | Value::List(_) => vec![source.place],
        Value::Map(mapping) => {
            mapping.entries.iter().filter(|entry| entry.key != "generate").map(|entry| entry.value.place).collect()
        }
    }
}

/// What stands beside the names of the secrets that a service receives.
fn in_place_of_names(received: &Entry) -> Vec<Place> {
    let values = |mapping: &Mapping| mapping.entries.iter().map(|entry| entry.value.place).collect();
    let of_name = |node: &Node| match &node.value {
        Value::Scalar(scalar) if scalar.text.contains('=') => vec![node.place],
        Value::Map(mapping) => values(mapping),
        _ => Vec::new(),
    };
    match &received.value.value {
        Value::List(items) => items.iter().flat_map(of_name).collect(),
        _ => of_name(&received.value),
    }
}

/// The text with these places blotted out. Every line and place stays where it is.
pub(crate) fn blotted(text: &str, places: &[Place]) -> String {
    let mut places = places.to_vec();
    places.sort_by_key(|place| place.from);
    let mut shown = String::with_capacity(text.len());
    for place in places {
        let from = place.from.max(shown.len());
        let to = place.to.max(from);
        shown.push_str(text.get(shown.len()..from).unwrap_or_default());
        for c in text.get(from..to).unwrap_or_default().chars() {
            match c.is_whitespace() {
                true => shown.push(c),
                false => shown.extend(std::iter::repeat_n('*', c.len_utf8())),
            }
        }
    }
    shown.push_str(text.get(shown.len()..).unwrap_or_default());
    shown
}
