//! The text that is read, and places in it.

use std::fmt;

use crate::problem::Problem;
use crate::rule::RuleId;

/// A file's name and text, as the caller read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name shown in problems.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A source from its name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// A source from its name and the bytes that were read.
    pub fn of_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<NotText>> {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(Box::new(NotText::new(name, error.as_bytes(), error.utf8_error().valid_up_to()))),
        }
    }
}

/// A file whose bytes are no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// The file with `�` in place of what cannot be read: to be shown, never to be used.
    pub legible: SourceFile,
    /// What is wrong, at the first byte that cannot be read.
    pub problem: Problem,
}

impl NotText {
    fn new(name: String, bytes: &[u8], readable: usize) -> Self {
        let legible = SourceFile { name, text: String::from_utf8_lossy(bytes).into_owned() };
        let place = Place::of_character(&legible.text, readable);
        let byte = bytes.get(readable).copied().unwrap_or_default();
        let problem = Problem {
            rule: RuleId::YamlSyntax,
            severity: RuleId::YamlSyntax.severity(),
            file: legible.name.clone(),
            place,
            marked: place.marked(&legible.text).to_owned(),
            message: format!("the byte 0x{byte:02X} here is part of no UTF-8 character"),
            hint: Some("save the file as UTF-8".to_owned()),
        };
        Self { legible, problem }
    }
}

/// A line and column, each counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A stretch of the text: its bytes from `from` up to, not including, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The first byte.
    pub from: usize,
    /// The byte after the last.
    pub to: usize,
    /// Where it starts.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
}

impl Place {
    /// The very start of a text.
    pub const START: Place =
        Place { from: 0, to: 0, start: Position { line: 1, column: 1 }, end: Position { line: 1, column: 1 } };

    /// The character that starts at this byte.
    pub(crate) fn of_character(text: &str, byte: usize) -> Self {
        let (before, rest) = text.split_at(byte);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let start = Position { line, column };
        Place { from: byte, to: byte + rest.chars().next().map_or(0, char::len_utf8), start, end: start }
    }

    /// From the start of this place to the end of a later one.
    #[must_use]
    pub fn until(self, later: Place) -> Place {
        Place { to: later.to.max(self.from), end: later.end.max(self.start), ..self }
    }

    /// The first line of what stands here, without blanks around it.
    pub fn marked(self, text: &str) -> &str {
        text.get(self.from..self.to).and_then(|stretch| stretch.lines().next()).unwrap_or("").trim()
    }
}

/// Turns the parser's character counts into bytes.
pub(crate) struct CharacterIndex {
    /// The byte at which each character starts; empty for ASCII text, where the two are the same.
    bytes: Vec<usize>,
    length: usize,
    /// The last place there is: the parser counts a line more at the end of the text.
    end: Position,
}

impl CharacterIndex {
    pub(crate) fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        let line = text.matches('\n').count() + 1;
        let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Self { bytes, length: text.len(), end: Position { line, column } }
    }

    fn byte(&self, character: usize) -> usize {
        match self.bytes.is_empty() {
            true => character.min(self.length),
            false => self.bytes.get(character).copied().unwrap_or(self.length),
        }
    }

    pub(crate) fn place(&self, start: &saphyr_parser::Marker, end: &saphyr_parser::Marker) -> Place {
        let from = self.byte(start.index());
        let to = self.byte(end.index()).max(from);
        let position = |marker: &saphyr_parser::Marker| match self.byte(marker.index()) >= self.length {
            true => self.end,
            false => Position { line: marker.line().max(1), column: marker.col() + 1 },
        };
        Place { from, to, start: position(start), end: position(end).max(position(start)) }
    }
}
