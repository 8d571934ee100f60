//! Bodies on the way out: each piece in the framing of the side it goes to, without copying it.

use crate::field::Fields;
use crate::framing::Body;
use crate::onward::{self, Withheld};
use crate::{Edits, Trailers};

/// Bytes of the line before a chunk: 16 digits and CRLF.
const SIZE_LINE_BYTES: usize = 18;

/// Frames the body of one message.
#[derive(Debug)]
pub struct BodyEncoder {
    body: Body,
    withheld: Withheld,
}

/// The body is not what its head said. What was written so far cannot be taken back: the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More came than the head announced.
    #[error("the body is longer than its head says")]
    TooLong,
    /// Less came than the head announced.
    #[error("the body is {missing} bytes shorter than its head says")]
    TooShort {
        /// How many bytes are missing.
        missing: u64,
    },
}

/// A piece with what stands around it. Write the parts in order.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    line: [u8; SIZE_LINE_BYTES],
    line_from: usize,
    data: &'a [u8],
    tail: &'static [u8],
}

impl Frame<'_> {
    /// What to write, for one vectored write; parts may be empty.
    pub fn parts(&self) -> [&[u8]; 3] {
        [&self.line[self.line_from..], self.data, self.tail]
    }

    /// What stands before the data: the line of a chunk, or nothing.
    pub fn line(&self) -> &[u8] {
        &self.line[self.line_from..]
    }

    /// What stands behind the data.
    pub fn tail(&self) -> &'static [u8] {
        self.tail
    }
}

impl BodyEncoder {
    /// An encoder for a body with this framing, behind a head with these fields.
    pub(crate) fn new(body: Body, fields: Fields<'_>, edits: &Edits<'_>) -> Self {
        let withheld = match body {
            Body::Chunked => Withheld::of(fields, edits),
            Body::None | Body::Length(_) | Body::UntilClose => Withheld::default(),
        };
        Self { body, withheld }
    }

    /// The next piece, framed. An empty piece yields nothing to write: as a chunk it would end the body.
    pub fn frame<'a>(&mut self, data: &'a [u8]) -> Result<Frame<'a>, EncodeError> {
        let bare = Frame { line: [0; SIZE_LINE_BYTES], line_from: SIZE_LINE_BYTES, data, tail: b"" };
        match &mut self.body {
            _ if data.is_empty() => Ok(bare),
            Body::Chunked => Ok(chunk(data)),
            Body::UntilClose => Ok(bare),
            Body::None => Err(EncodeError::TooLong),
            Body::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(EncodeError::TooLong)?;
                Ok(bare)
            }
        }
    }

    /// Writes the end of the body. Trailers are lost where there are no chunks to carry them, and where the head's field of
    /// that name would not have been passed on.
    pub fn end(self, trailers: Option<Trailers<'_>>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.body {
            Body::Length(missing @ 1..) => return Err(EncodeError::TooShort { missing }),
            Body::None | Body::UntilClose | Body::Length(0) => return Ok(()),
            Body::Chunked => {}
        }
        onward::write_line(&[b"0"], out);
        let passed_on = trailers.iter().flat_map(Trailers::iter).filter(|trailer| !self.withheld.holds(trailer));
        for field in passed_on {
            onward::write_field(field.name(), field.value(), out);
        }
        onward::write_line(&[], out);
        Ok(())
    }
}

/// Writes the field that announces the framing.
pub(crate) fn write_framing(body: Body, out: &mut Vec<u8>) {
    match body {
        Body::Length(length) => {
            let mut digits = [0; DECIMAL_DIGITS];
            onward::write_field(b"Content-Length", decimal(length, &mut digits), out);
        }
        Body::Chunked => onward::write_line(&[b"Transfer-Encoding: chunked"], out),
        Body::None | Body::UntilClose => {}
    }
}

fn chunk(data: &[u8]) -> Frame<'_> {
    let mut line = [0; SIZE_LINE_BYTES];
    line[SIZE_LINE_BYTES - 2..].copy_from_slice(b"\r\n");
    let (mut line_from, mut size) = (SIZE_LINE_BYTES - 2, data.len());
    while size > 0 {
        line_from -= 1;
        line[line_from] = b"0123456789abcdef"[size & 15];
        size >>= 4;
    }
    Frame { line, line_from, data, tail: b"\r\n" }
}

/// Digits of the largest number.
const DECIMAL_DIGITS: usize = 20;

fn decimal(mut number: u64, digits: &mut [u8; DECIMAL_DIGITS]) -> &[u8] {
    let mut from = DECIMAL_DIGITS;
    loop {
        from -= 1;
        digits[from] = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
        if number == 0 {
            return &digits[from..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyEncoder, EncodeError, decimal};
    use crate::Body;
    use crate::onward::Withheld;

    fn encoder(body: Body) -> BodyEncoder {
        BodyEncoder { body, withheld: Withheld::default() }
    }

    fn framed(encoder: &mut BodyEncoder, data: &[u8]) -> Result<Vec<u8>, EncodeError> {
        encoder.frame(data).map(|frame| frame.parts().concat())
    }

    #[test]
    fn chunks_have_their_size_in_front() {
        let mut encoder = encoder(Body::Chunked);
        assert_eq!(framed(&mut encoder, &[b'a'; 26]), Ok(b"1a\r\naaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec()));
        assert_eq!(framed(&mut encoder, b""), Ok(Vec::new()));
        let mut out = Vec::new();
        assert_eq!((encoder.end(None, &mut out), &out[..]), (Ok(()), &b"0\r\n\r\n"[..]));
    }

    #[test]
    fn a_length_is_kept_exactly() {
        let mut encoder = encoder(Body::Length(3));
        assert_eq!(framed(&mut encoder, b"ab"), Ok(b"ab".to_vec()));
        assert_eq!(framed(&mut encoder, b"cd"), Err(EncodeError::TooLong));
        assert_eq!(encoder.end(None, &mut Vec::new()), Err(EncodeError::TooShort { missing: 1 }));
    }

    #[test]
    fn a_message_without_body_takes_none() {
        let mut encoder = encoder(Body::None);
        assert_eq!(framed(&mut encoder, b"a"), Err(EncodeError::TooLong));
        assert_eq!(encoder.end(None, &mut Vec::new()), Ok(()));
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        let written = |number| String::from_utf8(decimal(number, &mut [0; 20]).to_vec()).expect("digits");
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(written(number), number.to_string());
        }
    }
}
