//! What people see: colour, tables, sizes and ages in words, problems of the file, progress, questions.
//!
//! Start reading at [`Terminal`]. It writes and never decides; what is printed for scripts does not pass
//! through [`human`].

pub(crate) mod changes;
pub(crate) mod hidden;
pub(crate) mod human;
pub(crate) mod problem;
pub(crate) mod progress;
pub(crate) mod table;

use std::io::{self, IsTerminal, Write};

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: sizes in bytes, times as RFC 3339, spans in milliseconds.
    Json,
}

/// What the terminal, if there is one, is said to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// Colour, and lines that are written over.
    Usual,
    /// No colour.
    WithoutColour,
    /// Nothing but text: escape sequences are shown as they are.
    Dumb,
}

/// What a word means, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// Of less interest.
    Quiet,
    /// As it should be.
    Good,
    /// Needs attention, or is on its way.
    Caution,
    /// Wrong.
    Bad,
}

/// The two output streams and what they can show.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    /// How data is printed.
    pub(crate) format: Format,
    out_colour: bool,
    err_colour: bool,
    live: bool,
    width: usize,
}

/// The width that text is made for where there is no terminal to ask.
const WIDTH: usize = 80;
/// The narrowest width that tables are squeezed into.
const WIDTH_MIN: usize = 40;

impl Terminal {
    /// The process's own output streams.
    pub(crate) fn new(format: Format, colour: Colour, screen: Screen) -> Self {
        let wanted = |is_terminal: bool| match colour {
            Colour::Auto => is_terminal && screen == Screen::Usual,
            Colour::Always => true,
            Colour::Never => false,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        Self {
            format,
            out_colour: wanted(out),
            err_colour: wanted(err),
            live: err && screen != Screen::Dumb,
            width: if columns == 0 { WIDTH } else { columns.max(WIDTH_MIN) },
        }
    }

    /// A terminal without colour, 80 columns wide.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { format: Format::Text, out_colour: false, err_colour: false, live: false, width: WIDTH }
    }

    /// Whether data is printed for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether somebody watches standard error, so that a line may be written over.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// How many columns text may take.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Whether standard output shows colour.
    pub(crate) fn has_colour(&self) -> bool {
        self.out_colour
    }

    /// Whether standard error shows colour.
    pub(crate) fn notes_have_colour(&self) -> bool {
        self.err_colour
    }

    /// A text for standard output in the colour of its meaning.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.out_colour, tone, text)
    }

    /// A text for standard error in the colour of its meaning.
    pub(crate) fn paint_note(&self, tone: Tone, text: &str) -> String {
        paint(self.err_colour, tone, text)
    }

    /// Writes what was asked for to standard output.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes a value to standard output as indented JSON.
    pub(crate) fn print_json<T: serde::Serialize>(&self, value: &T) -> io::Result<()> {
        self.print(&serde_json::to_string_pretty(value)?)
    }

    /// Writes a value to standard output as one line of JSON.
    pub(crate) fn print_json_line<T: serde::Serialize>(&self, value: &T) -> io::Result<()> {
        self.print(&serde_json::to_string(value)?)
    }

    /// Tells something beside the data on standard error. A standard error that cannot be written to has
    /// nobody to tell it to.
    pub(crate) fn note(&self, text: &str) {
        let mut err = io::stderr().lock();
        drop(writeln!(err, "{text}"));
    }
}

fn paint(colour: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => "1",
        Tone::Quiet => "2",
        Tone::Good => "32",
        Tone::Caution => "33",
        Tone::Bad => "31",
    };
    match colour && !text.is_empty() {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

/// How a state of a service, a unit, a resource or an objective is coloured.
pub(crate) fn tone_of_state(state: &str) -> Tone {
    match state {
        "ready" | "kept" | "done" | "completed" | "running" => Tone::Good,
        "failing" | "crash loop" | "broken" | "failed" | "unready" => Tone::Bad,
        "scheduled" | "stopped" | "unproven" => Tone::Quiet,
        _ => Tone::Caution,
    }
}

/// Replaces what a terminal would act on (escape sequences, carriage returns, bells) in text that comes
/// from a service or from elsewhere: a log line must not be able to repaint an operator's screen.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_wanted() {
        assert_eq!(paint(false, Tone::Bad, "down"), "down");
        assert_eq!(paint(true, Tone::Bad, "down"), "\u{1b}[31mdown\u{1b}[0m");
        assert_eq!(paint(true, Tone::Plain, "down"), "down");
        assert_eq!(paint(true, Tone::Good, ""), "");
        assert!(Terminal::new(Format::Text, Colour::Always, Screen::Dumb).has_colour());
        assert!(!Terminal::new(Format::Text, Colour::Never, Screen::Usual).has_colour());
    }

    #[test]
    fn control_characters_do_not_reach_the_screen() {
        assert_eq!(printable("a\u{1b}[2Jb\r\tc\u{7}"), "a\u{fffd}[2Jb\u{fffd}\tc\u{fffd}");
    }
}
