//! What remains of a file when the lines are deleted that ask for what is not supported yet.
//!
//! Start reading at [`Remainder::of`].

use std::collections::HashSet;

use crate::overlay;
use crate::problem::Problems;
use crate::source::Place;
use crate::support::{self, Found, Mend};
use crate::tree::{Entry, Mapping, Node, Value};

/// The file and one environment of it, each without such lines.
pub(crate) struct Remainder {
    pub(crate) base: Mapping,
    pub(crate) overlay: Mapping,
}

impl Remainder {
    /// Names every such line of both, and deletes those that are not to be replaced; `None` when nothing is deleted.
    ///
    /// A line that another one hides or joins is found when that one is gone. Each turn takes a line away, so it ends.
    pub(crate) fn of(base: &Mapping, overlay: &Mapping, problems: &mut Problems<'_>) -> Option<Self> {
        let mut remainder: Option<Self> = None;
        loop {
            let (base, overlay) = remainder.as_ref().map_or((base, overlay), |left| (&left.base, &left.overlay));
            let merged = overlay::merge(base, overlay, &mut problems.apart());
            let found = support::find(&merged);
            found.iter().for_each(|found| found.report(problems));
            let deleted = deleted(&found);
            if deleted.is_empty() {
                return remainder;
            }
            remainder = Some(Self { base: without(&deleted, base), overlay: without(&deleted, overlay) });
        }
    }

    /// The same without the keys at these places; `None` when none is at any of them. A `null` adds nothing and stays.
    pub(crate) fn without(&self, places: &HashSet<Place>) -> Option<Self> {
        let keys: HashSet<Place> =
            [&self.base, &self.overlay].into_iter().flat_map(|layer| adding(layer, places)).collect();
        (!keys.is_empty()).then(|| Self { base: without(&keys, &self.base), overlay: without(&keys, &self.overlay) })
    }
}

/// What is carried out of an environment's tree.
pub(crate) fn carried_out(merged: &Mapping) -> Mapping {
    without(&deleted(&support::find(merged)), merged)
}

/// Where the keys stand that are to be deleted.
fn deleted(found: &[Found<'_>]) -> HashSet<Place> {
    found.iter().filter(|found| found.mend() == Mend::Delete).map(Found::key_place).collect()
}

/// The keys at these places that have a value.
fn adding(mapping: &Mapping, places: &HashSet<Place>) -> Vec<Place> {
    let entries = mapping.entries.iter().filter(|entry| !matches!(entry.value.value, Value::Null));
    let with_those_below = |entry: &Entry| {
        let below = adding_below(&entry.value, places);
        places.get(&entry.key_place).copied().into_iter().chain(below).collect::<Vec<_>>()
    };
    entries.flat_map(with_those_below).collect()
}

fn adding_below(node: &Node, places: &HashSet<Place>) -> Vec<Place> {
    match &node.value {
        Value::Map(below) => adding(below, places),
        Value::List(items) => items.iter().flat_map(|item| adding_below(item, places)).collect(),
        Value::Null | Value::Scalar(_) | Value::Broken => Vec::new(),
    }
}

fn without(keys: &HashSet<Place>, mapping: &Mapping) -> Mapping {
    let kept = mapping.entries.iter().filter(|entry| !keys.contains(&entry.key_place));
    let less = |entry: &Entry| Entry {
        key: entry.key.clone(),
        key_place: entry.key_place,
        value: node_without(keys, &entry.value),
    };
    Mapping { entries: kept.map(less).collect() }
}

/// An item of a list stays, with less in it.
fn node_without(keys: &HashSet<Place>, node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(below) => Value::Map(without(keys, below)),
        Value::List(items) => Value::List(items.iter().map(|item| node_without(keys, item)).collect()),
        Value::Null | Value::Scalar(_) | Value::Broken => return node.clone(),
    };
    Node { place: node.place, value }
}
