//! Where a section of lines ends: found once, however many reads it takes, and with every line ending in CRLF.

use memchr::memchr;

use crate::Refusal;

/// Searches for the empty line that ends a head or a trailer section. Looks at no byte twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scanner {
    /// Where the current line begins.
    line: usize,
    /// How far the current line was searched.
    searched: usize,
}

impl Scanner {
    /// The length of the section, once its empty line is there. `section` begins at its first line and only grows from
    /// call to call.
    pub(crate) fn end(&mut self, section: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(found) = section.get(self.searched..).and_then(|rest| memchr(b'\n', rest)) {
            let lf = self.searched + found;
            if lf == self.line || section[lf - 1] != b'\r' {
                return Err(Refusal::BareLf);
            }
            let empty = lf == self.line + 1;
            self.line = lf + 1;
            self.searched = self.line;
            if empty {
                return Ok(Some(self.line));
            }
        }
        self.searched = section.len();
        Ok(None)
    }

    /// Whether no line has ended yet.
    pub(crate) fn in_first_line(&self) -> bool {
        self.line == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Scanner;
    use crate::Refusal;

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let bytes = b"a: b\r\nc: d\r\n\r\nrest";
        for split in 0..bytes.len() {
            let mut scanner = Scanner::default();
            let early = scanner.end(&bytes[..split]);
            assert_eq!(early, Ok((split >= 14).then_some(14)), "{split}");
            if early == Ok(None) {
                assert_eq!(scanner.end(bytes), Ok(Some(14)), "{split}");
            }
        }
    }

    #[test]
    fn an_empty_section_is_its_empty_line() {
        assert_eq!(Scanner::default().end(b"\r\nx"), Ok(Some(2)));
    }

    #[test]
    fn a_line_feed_alone_is_refused_before_the_end_is_there() {
        assert_eq!(Scanner::default().end(b"a: b\n"), Err(Refusal::BareLf));
        assert_eq!(Scanner::default().end(b"\n"), Err(Refusal::BareLf));
        assert_eq!(Scanner::default().end(b"a: b\r\n\n"), Err(Refusal::BareLf));
    }
}
