//! Columns of text. A table knows widths and colours, never what it shows.

use super::{Terminal, Tone};

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in the colour of its meaning.
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: super::printable(&text.into()), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A line of the table.
#[derive(Debug, Clone)]
enum Line {
    Cells(Vec<Cell>),
    /// A sentence below the line before it, indented, over the whole width.
    Note(usize, Cell),
}

/// A table with one heading line.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    lines: Vec<Line>,
}

const GAP: &str = "  ";

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), lines: Vec::new() }
    }

    /// Adds a line of cells; missing ones are empty.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.lines.push(Line::Cells(cells));
    }

    /// Adds a sentence about the line before, `indent` columns in, wrapped to the width.
    pub(crate) fn note(&mut self, indent: usize, cell: Cell) {
        self.lines.push(Line::Note(indent, cell));
    }

    /// Whether there is anything below the heading.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The table as text. A column that is empty in every line is left out.
    pub(crate) fn render(&self, terminal: &Terminal) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let heading = self.columns.iter().map(|(name, _)| Cell::toned(Tone::Strong, *name)).collect();
        let mut text = self.line(&Line::Cells(heading), &widths, terminal);
        for line in &self.lines {
            text.push_str(&self.line(line, &widths, terminal));
        }
        text
    }

    /// The width of a column; 0 when no line has anything in it.
    fn width(&self, column: usize) -> usize {
        let cells = self.lines.iter().filter_map(|line| match line {
            Line::Cells(cells) => cells.get(column),
            Line::Note(..) => None,
        });
        match cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0) {
            0 => 0,
            widest => widest.max(self.columns[column].0.chars().count()),
        }
    }

    fn line(&self, line: &Line, widths: &[usize], terminal: &Terminal) -> String {
        match line {
            Line::Note(indent, cell) => note(*indent, cell, terminal),
            Line::Cells(cells) => self.cells(cells, widths, terminal),
        }
    }

    fn cells(&self, cells: &[Cell], widths: &[usize], terminal: &Terminal) -> String {
        let mut text = String::new();
        let mut pending = 0;
        for (index, width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
            let Some(cell) = cells.get(index).filter(|cell| !cell.text.is_empty()) else {
                pending += width + GAP.len();
                continue;
            };
            let padding = width.saturating_sub(cell.text.chars().count());
            let (before, after) = match self.columns[index].1 {
                Align::Left => (0, padding),
                Align::Right => (padding, 0),
            };
            text.push_str(&" ".repeat(pending + before));
            text.push_str(&terminal.paint(cell.tone, &cell.text));
            pending = after + GAP.len();
        }
        text.push('\n');
        text
    }
}

fn note(indent: usize, cell: &Cell, terminal: &Terminal) -> String {
    wrap(&cell.text, terminal.width().saturating_sub(indent).max(20))
        .iter()
        .map(|line| format!("{}{}\n", " ".repeat(indent), terminal.paint(cell.tone, line)))
        .collect()
}

/// Breaks a text at spaces so that no line is wider than `width`, save for a single longer word.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = line.chars().count() + usize::from(!line.is_empty()) + word.chars().count();
        if needed > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::new(&[("NAME", Align::Left), ("UNUSED", Align::Left), ("MEMORY", Align::Right)]);
        table.row(vec!["api".into(), "".into(), "44 MiB".into()]);
        table.row(vec!["a-longer-name".into(), "".into(), "1 MiB".into()]);
        table.note(2, "status 503 from /readyz".into());
        table.row(vec!["bare".into()]);
        expect![[r#"
            NAME           MEMORY
            api            44 MiB
            a-longer-name   1 MiB
              status 503 from /readyz
            bare
        "#]]
        .assert_eq(&table.render(&Terminal::plain()));
    }

    #[test]
    fn long_sentences_wrap() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable-word x", 5), ["unbreakable-word", "x"]);
        assert!(wrap("  ", 5).is_empty());
    }
}
