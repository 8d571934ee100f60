//! Merges what an environment says over the rest of the file, places kept.
//!
//! Mappings merge; a list, a single value or a value of another kind replaces; a mapping whose tag
//! changes (`type`, `strategy`, or another of keys that exclude each other, such as `run` and `image`)
//! is replaced whole; `null` deletes, and has to have something to delete. A mapping that only deletes adds
//! nothing.

use std::collections::HashMap;

use crate::conform::Trail;
use crate::problem::{Problems, closest};
use crate::rule::RuleId;
use crate::shape::file::MERGED;
use crate::shape::{Record, Shape};
use crate::source::Place;
use crate::tree::{Entry, Mapping, Node, Value};

/// The tree that an environment sees.
pub(crate) fn merge(base: &Mapping, overlay: &Mapping, problems: &mut Problems<'_>) -> Mapping {
    mapping(base, overlay, Known::Record(&MERGED), Trail::TOP, problems)
}

/// What is known of the keys of a mapping.
#[derive(Clone, Copy)]
enum Known {
    Record(&'static Record),
    Shape(&'static Shape),
    /// Nothing: the key is unknown, which is reported elsewhere.
    Nothing,
}

impl Known {
    fn of(shape: &'static Shape) -> Known {
        match shape {
            Shape::Record(record) => Known::Record(record),
            Shape::Either(shapes) => {
                let mapped = |s: &&Shape| matches!(s, Shape::Record(_) | Shape::Tagged(_) | Shape::Named { .. });
                shapes.iter().find(mapped).map_or(Known::Nothing, Known::of)
            }
            _ => Known::Shape(shape),
        }
    }

    fn below(self, key: &str, base: &Mapping, overlay: &Mapping) -> Known {
        let shape = match self {
            Known::Record(record) => record.key(key).map(|key| &key.shape),
            Known::Shape(Shape::Named { value, .. }) => Some(*value),
            Known::Shape(Shape::Tagged(tagged)) => {
                let word = |mapping: &Mapping| mapping.get(tagged.key).and_then(|e| e.value.scalar().cloned());
                let variant = word(overlay).or_else(|| word(base)).and_then(|tag| tagged.variant(&tag.text));
                variant.and_then(|variant| variant.record.key(key)).map(|key| &key.shape)
            }
            Known::Shape(_) | Known::Nothing => None,
        };
        shape.map_or(Known::Nothing, Known::of)
    }

    /// Whether the overlay makes another kind of thing of what the base says.
    fn changes_kind(self, base: &Mapping, overlay: &Mapping) -> bool {
        let present = |mapping: &Mapping, keys: &[&str]| {
            mapping
                .entries
                .iter()
                .find_map(|e| keys.iter().position(|key| *key == e.key && !matches!(e.value.value, Value::Null)))
        };
        match self {
            Known::Record(record) => record.one_of.is_some_and(|one_of| {
                let (before, after) = (present(base, one_of.keys), present(overlay, one_of.keys));
                after.is_some() && before.is_some() && before != after
            }),
            Known::Shape(Shape::Tagged(tagged)) => {
                let word = |mapping: &Mapping| Some(mapping.get(tagged.key)?.value.scalar()?.text.clone());
                let (before, after) = (word(base), word(overlay));
                after.is_some() && before.is_some() && before != after
            }
            Known::Shape(_) | Known::Nothing => false,
        }
    }
}

fn mapping(base: &Mapping, overlay: &Mapping, known: Known, trail: Trail<'_>, problems: &mut Problems<'_>) -> Mapping {
    let (before, after) = (by_key(base), by_key(overlay));
    let mut entries = Vec::with_capacity(base.entries.len() + overlay.entries.len());
    for entry in &base.entries {
        match after.get(entry.key.as_str()).copied() {
            None => entries.push(entry.clone()),
            Some(Entry { value: Node { value: Value::Null, .. }, .. }) => {}
            Some(over) => {
                let below = known.below(&entry.key, base, overlay);
                entries.push(merged_entry(entry, over, below, trail.to(&entry.key), problems));
            }
        }
    }
    for over in &overlay.entries {
        if before.contains_key(over.key.as_str()) {
            continue;
        }
        match over.value.value {
            Value::Null => nothing_to_delete(base, over, trail, problems),
            _ => {
                let below = known.below(&over.key, base, overlay);
                entries.extend(entry_alone(over, &Mapping::default(), below, trail.to(&over.key), problems));
            }
        }
    }
    Mapping { entries }
}

fn by_key(mapping: &Mapping) -> HashMap<&str, &Entry> {
    mapping.entries.iter().map(|entry| (entry.key.as_str(), entry)).collect()
}

fn merged_entry(base: &Entry, over: &Entry, known: Known, trail: Trail<'_>, problems: &mut Problems<'_>) -> Entry {
    match (base.value.map(), over.value.map()) {
        (Some(before), Some(after)) if !known.changes_kind(before, after) => {
            let merged = mapping(before, after, known, trail, problems);
            let value = Node { place: base.value.place, value: Value::Map(merged) };
            Entry { key: base.key.clone(), key_place: base.key_place, value }
        }
        (before, _) => {
            let before = before.cloned().unwrap_or_default();
            entry_alone(over, &before, known, trail, problems).unwrap_or_else(|| base.clone())
        }
    }
}

/// An entry of the overlay that merges with nothing: it adds or replaces; `None` when all it does is delete. What
/// it replaces, `before`, is there to be deleted from.
fn entry_alone(
    over: &Entry,
    before: &Mapping,
    known: Known,
    trail: Trail<'_>,
    problems: &mut Problems<'_>,
) -> Option<Entry> {
    let Value::Map(after) = &over.value.value else {
        return Some(over.clone());
    };
    let said = by_key(after);
    let is_deleted =
        |entry: &&Entry| said.get(entry.key.as_str()).is_some_and(|over| matches!(over.value.value, Value::Null));
    let deleted = Mapping { entries: before.entries.iter().filter(is_deleted).cloned().collect() };
    let added = mapping(&deleted, after, known, trail, problems);
    if added.entries.is_empty() && !after.entries.is_empty() {
        return None;
    }
    let value = Node { place: over.value.place, value: Value::Map(added) };
    Some(Entry { key: over.key.clone(), key_place: over.key_place, value })
}

fn nothing_to_delete(base: &Mapping, over: &Entry, trail: Trail<'_>, problems: &mut Problems<'_>) {
    if problems.is_full() {
        return;
    }
    let message = format!("{} deletes nothing: the file does not set it above", trail.to(&over.key));
    let hint = match closest(&over.key, base.entries.iter().map(|entry| entry.key.as_str())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "delete the line".to_owned(),
    };
    let place: Place = over.key_place;
    problems.report_with(RuleId::DeletesNothing, place, message, hint);
}
