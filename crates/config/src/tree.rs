//! The file as a tree of values that know their places.
//!
//! Start reading at [`read`]. What the file may not use (anchors, tags, …) is reported here and leaves
//! a [`Value::Broken`] behind, so that everything else is still checked.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::problem::Problems;
use crate::rule::RuleId;
use crate::source::{CharacterIndex, Place, SourceFile};

/// Longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 32;
/// Most values, keys not counted.
pub const NODES_MAX: usize = 20_000;
/// Longest key, in bytes: a path of keys is kept for every value below it.
pub const KEY_BYTES_MAX: usize = 256;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Mapping),
    /// Something that was already reported.
    Broken,
}

/// A single value as it is written, escapes of quotes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it stands without quotes, so that `12` is a number and `true` is not a text.
    pub(crate) plain: bool,
}

/// Keys and values in the file's order. Keys that start with `x-` are not kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

impl Mapping {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    pub(crate) fn map(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Map(mapping) => Some(mapping),
            _ => None,
        }
    }

    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }
}

/// The tree of a text; `None` when the text as a whole cannot be read, which is then reported.
pub(crate) fn read(source: &SourceFile, problems: &mut Problems<'_>) -> Option<Node> {
    if source.text.len() > TEXT_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {TEXT_BYTES_MAX} are read", source.text.len());
        let hint = "write only what the stack is made of: see that this is the right file";
        problems.report_with(RuleId::TooLarge, Place::START, message, hint);
        return None;
    }
    if !only_text(&source.text, problems) {
        return None;
    }
    let mut builder = Builder::new(source, problems);
    for event in Parser::new_from_str(&source.text) {
        match event {
            Ok((event, span)) => {
                let place = builder.index.place(&span.start, &span.end);
                if !builder.event(event, place) {
                    return None;
                }
            }
            Err(error) => {
                let place = builder.index.place(error.marker(), error.marker());
                syntax_error(&source.text, place, error.info(), builder.problems);
                return None;
            }
        }
    }
    builder.finish()
}

/// Refuses what the parser would read as the end of the text or hide from an editor.
fn only_text(text: &str, problems: &mut Problems<'_>) -> bool {
    let Some((byte, character)) = text.char_indices().find(|(_, c)| is_invisible(*c)) else {
        return true;
    };
    let place = Place::of_character(text, byte);
    problems.report_with(
        RuleId::YamlSyntax,
        place,
        format!("the invisible character U+{:04X} stands here", u32::from(character)),
        "save the file as UTF-8 text without a byte order mark, and delete this character",
    );
    false
}

/// Whether a character may not stand in a file.
pub(crate) fn is_invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || c == '\u{feff}'
}

fn syntax_error(text: &str, place: Place, what: &str, problems: &mut Problems<'_>) {
    let (place, hint) = match indenting_tab(text, place.start.line) {
        Some(tab) => (tab, "indent with spaces: YAML does not take tabs"),
        None if what.contains("mapping values are not allowed") => {
            (place, "put a text that holds ': ' in quotes, and check the indentation of this line")
        }
        None => (place, "check indentation, brackets and quotes on this line and the one before it"),
    };
    problems.report_with(RuleId::YamlSyntax, place, format!("this cannot be read as YAML: {what}"), hint);
}

/// The first tab by which a line is indented.
fn indenting_tab(text: &str, line: usize) -> Option<Place> {
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let indented = text[start..].trim_start_matches(' ');
    indented.starts_with('\t').then(|| Place::of_character(text, text.len() - indented.len()))
}

/// Folds the parser's events into a tree.
struct Builder<'a, 's> {
    index: CharacterIndex,
    problems: &'a mut Problems<'s>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

/// A list or mapping whose end has not come yet.
enum Open {
    List {
        start: Place,
        items: Vec<Node>,
    },
    Map {
        start: Place,
        mapping: Mapping,
        /// The line on which each key stands.
        seen: HashMap<String, usize>,
        key: Option<Key>,
    },
}

/// A key whose value has not come yet.
struct Key {
    text: String,
    place: Place,
    /// Whether the entry is kept: not for `x-` keys and those already reported.
    kept: bool,
}

impl<'a, 's> Builder<'a, 's> {
    fn new(source: &SourceFile, problems: &'a mut Problems<'s>) -> Self {
        let index = CharacterIndex::new(&source.text);
        Self { index, problems, open: Vec::new(), root: None, nodes: 0, documents: 0 }
    }

    /// Takes in one event; false when reading on makes no sense.
    fn event(&mut self, event: Event<'_>, place: Place) -> bool {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document starts here";
                    self.problems.report_with(RuleId::YamlFeature, place, message, "the file is one document");
                    return false;
                }
            }
            Event::Alias(_) => {
                self.refuse(place, "an alias", "write the value out; `environments` holds what differs");
                self.put(Node { place, value: Value::Broken });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let refused = self.refuse_marks(anchor, tag.is_some(), place);
                let plain = style == ScalarStyle::Plain;
                let value = match text.as_ref() {
                    _ if refused => Value::Broken,
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    _ => Value::Scalar(Scalar { text: text.into_owned(), plain }),
                };
                self.put(Node { place, value });
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(anchor, tag.is_some(), place);
                self.open.push(Open::List { start: place, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(anchor, tag.is_some(), place);
                let (mapping, seen) = (Mapping::default(), HashMap::new());
                self.open.push(Open::Map { start: place, mapping, seen, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place),
        }
        self.within_bounds(place)
    }

    fn within_bounds(&mut self, place: Place) -> bool {
        if self.open.len() > DEPTH_MAX {
            let message = format!("values are nested more than {DEPTH_MAX} levels deep here");
            let hint = "no key takes so many: see that every bracket and indentation above is meant";
            self.problems.report_with(RuleId::TooLarge, place, message, hint);
            return false;
        }
        if self.nodes > NODES_MAX {
            let message = format!("the file holds more than {NODES_MAX} values");
            let hint = "keep long lists in files that your services read";
            self.problems.report_with(RuleId::TooLarge, place, message, hint);
            return false;
        }
        true
    }

    fn refuse(&mut self, place: Place, what: &str, hint: &str) {
        self.problems.report_with(RuleId::YamlFeature, place, format!("{what} cannot be used here"), hint);
    }

    fn refuse_marks(&mut self, anchor: usize, tagged: bool, place: Place) -> bool {
        if anchor > 0 {
            self.refuse(place, "an anchor", "write the value out; `environments` holds what differs");
        }
        if tagged {
            self.refuse(place, "a tag", "delete it; put a value in quotes to make it a text");
        }
        anchor > 0 || tagged
    }

    fn close(&mut self, end: Place) {
        let node = match self.open.pop() {
            Some(Open::List { start, items }) => {
                let last = items.last().map_or(start, |item| item.place);
                Node { place: start.until(if end.to > end.from { end } else { last }), value: Value::List(items) }
            }
            Some(Open::Map { start, mapping, .. }) => {
                let last = mapping.entries.last().map_or(start, |entry| entry.key_place.until(entry.value.place));
                Node { place: start.until(if end.to > end.from { end } else { last }), value: Value::Map(mapping) }
            }
            None => return,
        };
        self.put(node);
    }

    /// Puts a finished node where it belongs: as key, value, item or root.
    fn put(&mut self, node: Node) {
        let is_key = matches!(self.open.last(), Some(Open::Map { key: None, .. }));
        self.nodes += usize::from(!is_key);
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { mapping, key: waiting @ Some(_), .. }) => {
                if let Some(Key { text, place, kept: true }) = waiting.take() {
                    mapping.entries.push(Entry { key: text, key_place: place, value: node });
                }
            }
            Some(Open::Map { seen, key, .. }) => {
                let place = node.place;
                let complaint = match node.value {
                    Value::Scalar(Scalar { text, .. }) if text.len() > KEY_BYTES_MAX => {
                        *key = Some(Key { text: String::new(), place, kept: false });
                        let message = format!("this key has {} bytes; at most {KEY_BYTES_MAX} are read", text.len());
                        Some((RuleId::TooLarge, message, "shorten it"))
                    }
                    Value::Scalar(Scalar { text, .. }) if text != "<<" => {
                        let first = seen.get(&text).copied();
                        let message = first
                            .map(|line| format!("`{text}` stands here a second time: the first is on line {line}"));
                        seen.entry(text.clone()).or_insert(place.start.line);
                        let kept = first.is_none() && !text.starts_with("x-");
                        *key = Some(Key { text, place, kept });
                        message.map(|m| (RuleId::DuplicateKey, m, "delete one of the two"))
                    }
                    Value::Scalar(_) => {
                        *key = Some(Key { text: String::new(), place, kept: false });
                        let hint = "write the keys out; `environments` holds what differs";
                        Some((RuleId::YamlFeature, "a merge key cannot be used here".to_owned(), hint))
                    }
                    Value::Broken => {
                        *key = Some(Key { text: String::new(), place, kept: false });
                        None
                    }
                    Value::Null | Value::List(_) | Value::Map(_) => {
                        *key = Some(Key { text: String::new(), place, kept: false });
                        let hint = "put it in quotes if it is meant as a name";
                        Some((RuleId::YamlFeature, "a key is a single text".to_owned(), hint))
                    }
                };
                if let Some((rule, message, hint)) = complaint {
                    self.problems.report_with(rule, place, message, hint);
                }
            }
        }
    }

    fn finish(self) -> Option<Node> {
        if self.root.is_none() {
            let hint = "`mainstay init` writes a first file";
            self.problems.report_with(RuleId::MissingKey, Place::START, "the file is empty", hint);
        }
        self.root
    }
}
