//! The shape of the file: every key, what it takes, its default and what it is for, in one place.
//!
//! The check of the structure, the JSON Schema and the reference page are all made from it.
//! Start reading at [`file::FILE`]. Invariant: nothing else in this crate lists the file's keys.

pub(crate) mod edge;
pub(crate) mod file;
pub(crate) mod resource;
pub(crate) mod service;
pub(crate) mod upkeep;

use crate::form::{Form, NameKind};

/// What a place in the file may hold.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A single value.
    One(Form),
    /// A list of such values.
    List { item: &'static Shape, distinct: bool },
    /// A mapping from names that the user chooses.
    Named { name: NameKind, value: &'static Shape },
    /// A mapping with known keys.
    Record(&'static Record),
    /// A mapping whose other keys depend on the word at one of them.
    Tagged(&'static Tagged),
    /// One of several, told apart by what kind of value stands there.
    Either(&'static [Shape]),
    /// A mapping whose keys are not settled yet. Only below something that is not supported yet.
    Unsettled,
}

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Record {
    /// What it describes, with its article.
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [Key],
    /// Keys that exclude each other, and whether one of them has to be there.
    pub(crate) one_of: Option<OneOf>,
}

/// Keys that exclude each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneOf {
    pub(crate) keys: &'static [&'static str],
    pub(crate) needed: bool,
}

/// A key of a record.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
    /// What it is for: sentences for the reference page and the JSON Schema.
    pub(crate) doc: &'static str,
}

/// Whether a key has to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence {
    /// Always.
    Needed,
    /// No, and this is what its absence means.
    Absent(&'static str),
    /// No, and this is the value then, from `defaults`.
    Default(fn() -> String),
}

/// A mapping that comes in several kinds.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub(crate) what: &'static str,
    /// The key whose word says which kind it is.
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) variants: &'static [Variant],
}

/// One kind of a tagged mapping.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) word: &'static str,
    pub(crate) doc: &'static str,
    /// Its keys besides the tag.
    pub(crate) record: Record,
}

impl Record {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Tagged {
    /// The kind that has this key.
    pub(crate) fn with_key(&self, key: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.record.key(key).is_some())
    }

    pub(crate) fn variant(&self, word: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.word == word)
    }
}

impl Shape {
    /// What is wanted here, in a few words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Shape::One(form) => form.describe(),
            Shape::List { .. } => "a list".to_owned(),
            Shape::Named { name, .. } => format!("a mapping from the name of {}", name.what()),
            Shape::Record(record) => format!("a mapping ({})", record.what),
            Shape::Tagged(tagged) => format!("a mapping ({})", tagged.what),
            Shape::Either(shapes) => shapes.iter().map(Shape::describe).collect::<Vec<_>>().join(", or "),
            Shape::Unsettled => "a mapping".to_owned(),
        }
    }
}
