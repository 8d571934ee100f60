//! The framing `aws-chunked` of a body, followed on its way to the protocol layer, which holds each chunk whole in memory
//! before it hands out a byte of it. Start reading at [`Chunks::pass`].
//!
//! A chunk that is signed by itself must stay as it is, and may have [`SIGNED_CHUNK_BYTES_MAX`] bytes. One that is not is
//! cut into chunks of what arrives at once: some clients send a whole object as one.

use bytes::{Buf, Bytes};

/// The most bytes of a chunk with a signature. Clients send 64 or 128 KiB.
pub(super) const SIGNED_CHUNK_BYTES_MAX: u64 = 1 << 20;
/// The longest line before a chunk.
const HEAD_BYTES_MAX: usize = 256;
/// The most digits of a chunk's length: the protocol layer reads no more.
const LENGTH_DIGITS_MAX: usize = 8;

/// A body is not framed as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("a signed chunk of a body has {SIGNED_CHUNK_BYTES_MAX} bytes at the most: send smaller chunks")]
    TooLong,
    #[error("the body is not framed as aws-chunked")]
    Malformed,
}

/// How the chunks of a body are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealing {
    /// Each with a signature of its own.
    Signed,
    /// Without.
    Unsigned,
}

/// Where in the framing the body is.
#[derive(Debug)]
enum At {
    /// In the line before a chunk.
    Head(Vec<u8>),
    /// In a chunk, with so many bytes to come.
    Content(u64),
    /// In the line end behind a chunk, with so many bytes of it to come.
    End(usize),
    /// Behind the last chunk.
    Trailers,
}

/// Follows the framing of one body.
#[derive(Debug)]
pub(super) struct Chunks {
    sealing: Sealing,
    at: At,
}

impl Chunks {
    /// The framing that a request says its body has in `x-amz-content-sha256`; `None` where it has none.
    pub(super) fn of(content_sha256: &str) -> Option<Self> {
        let sealing = match content_sha256 {
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Sealing::Unsigned,
            signed if signed.starts_with("STREAMING-") => Sealing::Signed,
            _ => return None,
        };
        Some(Self { sealing, at: At::Head(Vec::new()) })
    }

    /// What the protocol layer is given for bytes of the body.
    pub(super) fn pass(&mut self, mut bytes: Bytes) -> Result<Vec<Bytes>, ChunkError> {
        let mut passed = Vec::new();
        while !bytes.is_empty() {
            self.step(&mut bytes, &mut passed)?;
        }
        Ok(passed)
    }

    fn step(&mut self, bytes: &mut Bytes, passed: &mut Vec<Bytes>) -> Result<(), ChunkError> {
        match &mut self.at {
            At::Head(line) => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(&bytes.split_to(end.map_or(bytes.len(), |end| end + 1)));
                if line.len() > HEAD_BYTES_MAX {
                    return Err(ChunkError::Malformed);
                }
                if end.is_some() {
                    let line = std::mem::take(line);
                    self.begin_chunk(line, passed)?;
                }
            }
            At::Content(left) => {
                let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= length as u64;
                let content = bytes.split_to(length);
                if *left == 0 {
                    self.at = At::End(LINE_END.len());
                }
                match self.sealing {
                    Sealing::Signed => passed.push(content),
                    Sealing::Unsigned => {
                        passed.push(Bytes::from(format!("{length:x}\r\n")));
                        passed.push(content);
                        passed.push(Bytes::from_static(LINE_END));
                    }
                }
            }
            At::End(left) => {
                let expected = &LINE_END[LINE_END.len() - *left..];
                let length = expected.len().min(bytes.len());
                if bytes[..length] != expected[..length] {
                    return Err(ChunkError::Malformed);
                }
                *left -= length;
                if *left == 0 {
                    self.at = At::Head(Vec::new());
                }
                match self.sealing {
                    Sealing::Signed => passed.push(bytes.split_to(length)),
                    Sealing::Unsigned => bytes.advance(length),
                }
            }
            At::Trailers => passed.push(bytes.split_to(bytes.len())),
        }
        Ok(())
    }

    fn begin_chunk(&mut self, line: Vec<u8>, passed: &mut Vec<Bytes>) -> Result<(), ChunkError> {
        let length = length_of(&line).ok_or(ChunkError::Malformed)?;
        if self.sealing == Sealing::Signed && length > SIGNED_CHUNK_BYTES_MAX {
            return Err(ChunkError::TooLong);
        }
        self.at = if length == 0 { At::Trailers } else { At::Content(length) };
        if self.sealing == Sealing::Signed || length == 0 {
            passed.push(Bytes::from(line));
        }
        Ok(())
    }
}

const LINE_END: &[u8] = b"\r\n";

fn length_of(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(LINE_END)?;
    let digits = line.split(|byte| *byte == b';').next()?;
    if digits.len() > LENGTH_DIGITS_MAX || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    // Of digits only, and so of characters.
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    const UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

    /// A body that arrives so many bytes at a time.
    fn passed(content_sha256: &str, body: &[u8], at_once: usize) -> Result<String, ChunkError> {
        let mut chunks = Chunks::of(content_sha256).unwrap();
        let mut all = Vec::new();
        for bytes in body.chunks(at_once) {
            for bytes in chunks.pass(Bytes::copy_from_slice(bytes))? {
                all.extend_from_slice(&bytes);
            }
        }
        Ok(String::from_utf8(all).unwrap())
    }

    #[test]
    fn signed_chunks_pass_as_they_are() {
        let body = "5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:x\r\n\r\n";
        for at_once in 1..=body.len() {
            assert_eq!(passed(SIGNED, body.as_bytes(), at_once).as_deref(), Ok(body), "{at_once}");
        }
    }

    #[test]
    fn unsigned_chunks_are_cut_to_what_arrives() {
        let body = b"a\r\nhelloworld\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n";
        let behind = "0\r\nx-amz-checksum-crc32:x\r\n\r\n";
        let whole = passed(UNSIGNED, body, body.len()).unwrap();
        assert_eq!(whole, format!("a\r\nhelloworld\r\n{behind}"));
        let cut = passed(UNSIGNED, body, 4).unwrap();
        assert_eq!(cut, format!("1\r\nh\r\n4\r\nello\r\n4\r\nworl\r\n1\r\nd\r\n{behind}"));
    }

    #[test]
    fn what_is_too_long_or_no_framing_is_refused_before_any_of_it_is_held() {
        let head = |bytes: u64| format!("{bytes:x};chunk-signature=ab\r\nx").into_bytes();
        assert!(passed(SIGNED, &head(SIGNED_CHUNK_BYTES_MAX), 9).is_ok());
        assert_eq!(passed(SIGNED, &head(SIGNED_CHUNK_BYTES_MAX + 1), 9), Err(ChunkError::TooLong));
        let malformed: [&[u8]; 6] = [b"g\r\n", b"1\n", b"1\r\nxy\r\n", b"000000001\r\n", b"-1\r\n", &[b'0'; 300]];
        for body in malformed {
            assert_eq!(passed(UNSIGNED, body, 2), Err(ChunkError::Malformed), "{body:?}");
        }
    }
}
