//! One line that says what is being waited for. On a terminal it is written over; elsewhere each change is
//! a line of its own. Nothing is shown for what takes less than a second.

use std::io::Write;
use std::time::Duration;

use super::{Terminal, Tone, human, printable};

/// What takes less than this shows no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A progress line. It is wiped when dropped.
pub(crate) struct Progress<'t> {
    terminal: &'t Terminal,
    shown: bool,
    last: String,
}

impl<'t> Progress<'t> {
    /// Nothing yet.
    pub(crate) fn new(terminal: &'t Terminal) -> Self {
        Self { terminal, shown: false, last: String::new() }
    }

    /// Shows what is being waited for, `elapsed` into the wait.
    pub(crate) fn show(&mut self, what: &str, elapsed: Duration) {
        if elapsed < SHOWN_AFTER {
            return;
        }
        let text = printable(what);
        match self.terminal.is_live() {
            true => self.write_over(&format!("{text} ({})", human::span(elapsed))),
            false if text != self.last => self.terminal.note(&text),
            false => {}
        }
        self.last = text;
    }

    /// Takes the line away, before something else is written.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut err = std::io::stderr().lock();
            // Progress is a courtesy: a terminal that went away must not fail the work.
            drop(write!(err, "\r\u{1b}[K").and_then(|()| err.flush()));
        }
    }

    fn write_over(&mut self, text: &str) {
        let room = self.terminal.width().saturating_sub(1);
        let fitting: String = text.chars().take(room).collect();
        let line = self.terminal.paint_note(Tone::Quiet, &fitting);
        let mut err = std::io::stderr().lock();
        drop(write!(err, "\r\u{1b}[K{line}").and_then(|()| err.flush()));
        self.shown = true;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}
