//! Where in the text each value of an environment stands, by its dotted path.

use std::collections::BTreeMap;

use crate::source::Place;
use crate::tree::{Mapping, Node, Value};

/// The places of one environment's values: `services.api.replicas`, `edge.routes.0.to`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    found: BTreeMap<String, Located>,
}

/// Where a key and its value stand. For an item of a list both are the item's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The key.
    pub key: Place,
    /// The value.
    pub value: Place,
}

impl Places {
    pub(crate) fn of(root: &Mapping) -> Self {
        let mut places = Self::default();
        places.mapping("", root);
        places
    }

    fn mapping(&mut self, path: &str, mapping: &Mapping) {
        for entry in &mapping.entries {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            self.node(&path, entry.key_place, &entry.value);
        }
    }

    fn node(&mut self, path: &str, key: Place, node: &Node) {
        self.found.insert(path.to_owned(), Located { key, value: node.place });
        match &node.value {
            Value::Map(mapping) => self.mapping(path, mapping),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(&format!("{path}.{index}"), item.place, item);
                }
            }
            Value::Null | Value::Scalar(_) | Value::Broken => {}
        }
    }

    /// Where exactly this path stands.
    pub fn get(&self, path: &str) -> Option<Located> {
        self.found.get(path).copied()
    }

    /// Every path that stands in the file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.found.keys().map(String::as_str)
    }

    /// What to mark for this path: its value where that is on one line, else its key; when the path does
    /// not stand in the file, the key of the nearest thing around it that does.
    pub fn nearest(&self, path: &str) -> Place {
        if let Some(located) = self.get(path) {
            let one_line = located.value.start.line == located.value.end.line;
            return if one_line { located.value } else { located.key };
        }
        let mut path = path;
        while let Some((around, _)) = path.rsplit_once('.') {
            if let Some(located) = self.get(around) {
                return located.key;
            }
            path = around;
        }
        Place::START
    }
}
