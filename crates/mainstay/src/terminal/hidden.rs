//! A line that is typed without being shown.
//!
//! Start reading at [`ask`]. Invariant: once it is read or given up, the terminal is as it was before. So Ctrl-C, which
//! would end this program in between, is read here as a way to give up.

use std::io::{self, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// What a terminal hands over of a line at most, its line feed included; it drops the rest without a word.
const LINE_BYTES_MAX: usize = 4096;

/// Asks for a line on the terminal that is standard input, and reads it without its line feed; `None` when it was given
/// up.
pub(crate) fn ask(what: &str) -> io::Result<Option<Zeroizing<String>>> {
    let mut err = io::stderr().lock();
    let quiet = Quiet::new()?;
    write!(err, "{what}: ").and_then(|()| err.flush())?;
    let mut bytes = Zeroizing::new([0; LINE_BYTES_MAX]);
    let count = rustix::io::read(io::stdin(), &mut *bytes);
    let keys = quiet.keys_to_give_up();
    drop(quiet);
    writeln!(err)?;
    line(&bytes[..count?], &keys)
}

fn line(typed: &[u8], keys_to_give_up: &[u8]) -> io::Result<Option<Zeroizing<String>>> {
    let unusable = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if typed.iter().any(|byte| keys_to_give_up.contains(byte)) {
        return Ok(None);
    }
    if typed.len() >= LINE_BYTES_MAX {
        return unusable("a terminal takes no line this long whole: pass it on standard input");
    }
    match std::str::from_utf8(typed.strip_suffix(b"\n").unwrap_or(typed)) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => unusable("it is not UTF-8 text"),
    }
}

/// A terminal that shows nothing of what is typed and sends no signal, until this is dropped.
struct Quiet {
    before: Termios,
}

/// The keys that would send a signal.
const SIGNAL_KEYS: [SpecialCodeIndex; 3] = [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSUSP];

impl Quiet {
    fn new() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.local_modes.insert(LocalModes::ICANON);
        // Two keys more may end a line at once. Ctrl-Z, the third, is seen at the line's end.
        quiet.special_codes[SpecialCodeIndex::VEOL] = before.special_codes[SpecialCodeIndex::VINTR];
        quiet.special_codes[SpecialCodeIndex::VEOL2] = before.special_codes[SpecialCodeIndex::VQUIT];
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }

    /// A key of number 0 is none.
    fn keys_to_give_up(&self) -> Vec<u8> {
        SIGNAL_KEYS.iter().map(|key| self.before.special_codes[*key]).filter(|key| *key != 0).collect()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that went away has no echo to restore.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_whole_or_not_at_all() {
        let taken = |typed: &[u8]| match line(typed, b"\x03\x1c\x1a") {
            Ok(taken) => Ok(taken.map(|text| text.to_string())),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(taken(b"a value \n"), Ok(Some("a value ".to_owned())));
        assert_eq!(taken(b"ended by Ctrl-D"), Ok(Some("ended by Ctrl-D".to_owned())));
        assert_eq!(taken(b""), Ok(Some(String::new())));
        for given_up in [&b"\x03"[..], b"half\x03", b"half\x1c", b"ha\x1alf\n"] {
            assert_eq!(taken(given_up), Ok(None), "{given_up:?}");
        }
        assert!(taken(&[b'x'; LINE_BYTES_MAX]).unwrap_err().contains("standard input"));
        assert!(taken(b"\xff\n").unwrap_err().contains("UTF-8"));
    }
}
