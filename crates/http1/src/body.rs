//! Bodies: cut into pieces of the buffer they arrive in.

use crate::framing::Body;
use crate::limits::{CHUNK_EXTENSIONS_EXCESS_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX};
use crate::scan::Scanner;
use crate::{Limits, Refusal, Trailers};

/// Cuts the body of one message.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    limits: Limits,
    /// How many bytes of chunks or of a body without length may still come.
    allowance: u64,
    /// How many bytes of chunk extensions may still come. Every byte of data permits another.
    extensions: u64,
}

#[derive(Debug)]
enum State {
    Length { left: u64 },
    UntilClose,
    Chunks(Chunk),
    Finished,
}

/// Where in a chunked body the next byte is.
#[derive(Debug)]
enum Chunk {
    Size { digits: u8, size: u64 },
    Extension { bytes: u16, size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers(Scanner),
}

impl Chunk {
    const START: Self = Self::Size { digits: 0, size: 0 };
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the body, at least one.
    Data(&'a [u8]),
    /// The trailers. A body has them once at most, and they end it.
    Trailers(Trailers<'a>),
    /// Nothing. Unless the body has ended, present what is left of the buffer again with more behind it.
    NeedMore,
}

/// A piece, and how many bytes to take out of the buffer once it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What was found.
    pub piece: Piece<'a>,
    /// Bytes of the buffer that are done with, those of the piece included.
    pub consumed: usize,
}

impl BodyDecoder {
    /// A decoder for a body of at most `bytes_max` bytes. A length that is announced beyond that is refused at once.
    pub fn new(body: Body, limits: Limits, bytes_max: u64) -> Result<Self, Refusal> {
        let state = match body {
            Body::None | Body::Length(0) => State::Finished,
            Body::Length(length) if length > bytes_max => return Err(Refusal::BodyTooLarge),
            Body::Length(left) => State::Length { left },
            Body::Chunked => State::Chunks(Chunk::START),
            Body::UntilClose => State::UntilClose,
        };
        Ok(Self { state, limits, allowance: bytes_max, extensions: CHUNK_EXTENSIONS_EXCESS_BYTES_MAX })
    }

    /// Whether the body has ended. What the buffer holds then belongs to the next message.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// The next piece of a body that has not ended.
    pub fn decode<'a>(&mut self, buffer: &'a [u8]) -> Result<Decoded<'a>, Refusal> {
        match &mut self.state {
            State::Finished => Ok(Decoded { piece: Piece::NeedMore, consumed: 0 }),
            State::UntilClose => {
                spend(&mut self.allowance, buffer.len())?;
                Ok(data(buffer, buffer.len()))
            }
            State::Length { left } => {
                let (piece, rest) = take(buffer, *left);
                match rest {
                    0 => self.state = State::Finished,
                    rest => *left = rest,
                }
                Ok(data(piece, piece.len()))
            }
            State::Chunks(_) => self.decode_chunks(buffer),
        }
    }

    /// The connection has ended: refused unless that ends the body.
    pub fn end(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::UntilClose | State::Finished => {
                self.state = State::Finished;
                Ok(())
            }
            State::Length { .. } | State::Chunks(_) => Err(Refusal::TruncatedBody),
        }
    }

    fn decode_chunks<'a>(&mut self, buffer: &'a [u8]) -> Result<Decoded<'a>, Refusal> {
        let mut consumed = 0;
        while let (State::Chunks(chunk), Some(rest)) = (&mut self.state, buffer.get(consumed..)) {
            match (chunk, rest) {
                (Chunk::Trailers(scanner), section) => {
                    let Some(end) = trailers_end(scanner, section, &self.limits)? else { break };
                    let trailers = Trailers::read(&section[..end], &self.limits)?;
                    self.state = State::Finished;
                    // An empty section is no piece.
                    let piece = if end == 2 { Piece::NeedMore } else { Piece::Trailers(trailers) };
                    return Ok(Decoded { piece, consumed: consumed + end });
                }
                (_, []) => break,
                (Chunk::Data { left }, rest) => {
                    let (piece, left) = take(rest, *left);
                    spend(&mut self.allowance, piece.len())?;
                    self.extensions = self.extensions.saturating_add(piece.len() as u64);
                    self.state = State::Chunks(if left == 0 { Chunk::DataCr } else { Chunk::Data { left } });
                    return Ok(data(piece, consumed + piece.len()));
                }
                (chunk, [byte, ..]) => {
                    let next = chunk.after(*byte, &self.limits)?;
                    if matches!(next, Chunk::Extension { .. }) {
                        self.extensions = self.extensions.checked_sub(1).ok_or(Refusal::ChunkExtensionTooLong)?;
                    }
                    self.state = State::Chunks(next);
                    consumed += 1;
                }
            }
        }
        Ok(Decoded { piece: Piece::NeedMore, consumed })
    }
}

impl Chunk {
    /// Where the byte after this one is: a size line or the end of a chunk, byte by byte.
    fn after(&self, byte: u8, limits: &Limits) -> Result<Self, Refusal> {
        match (self, byte) {
            (Self::Size { digits, size }, byte) if byte.is_ascii_hexdigit() => match digits {
                &CHUNK_SIZE_DIGITS_MAX => Err(Refusal::ChunkSizeTooLong),
                digits => Ok(Self::Size { digits: digits + 1, size: size << 4 | hex_value(byte) }),
            },
            (Self::Size { digits: 1.., size }, b'\r') => Ok(Self::SizeLf { size: *size }),
            (Self::Size { digits: 1.., size }, b';') => Ok(Self::Extension { bytes: 0, size: *size }),
            (Self::Size { digits: 1.., .. } | Self::Extension { .. }, b'\n') => Err(Refusal::BareLf),
            (Self::Size { .. }, _) => Err(Refusal::BadChunkSize),
            (Self::Extension { size, .. }, b'\r') => Ok(Self::SizeLf { size: *size }),
            (Self::Extension { bytes, .. }, _) if *bytes >= limits.chunk_extension_bytes => {
                Err(Refusal::ChunkExtensionTooLong)
            }
            (Self::Extension { bytes, size }, b'\t' | b' '..=b'~') => {
                Ok(Self::Extension { bytes: bytes + 1, size: *size })
            }
            (Self::Extension { .. }, _) => Err(Refusal::BadChunkExtension),
            (Self::SizeLf { size: 0 }, b'\n') => Ok(Self::Trailers(Scanner::default())),
            (Self::SizeLf { size }, b'\n') => Ok(Self::Data { left: *size }),
            (Self::SizeLf { .. }, _) => Err(Refusal::BareCr),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::START),
            (Self::DataCr | Self::DataLf | Self::Data { .. } | Self::Trailers(_), _) => Err(Refusal::BadChunkEnd),
        }
    }
}

/// Where the trailer section ends, once it is whole.
fn trailers_end(scanner: &mut Scanner, section: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
    let limit = usize::from(limits.trailer_bytes);
    let window = &section[..section.len().min(limit)];
    match scanner.end(window)? {
        None if window.len() == limit => Err(Refusal::TrailersTooLarge),
        end => Ok(end),
    }
}

/// As much of the buffer as is left of a body, and what is left then.
fn take(buffer: &[u8], left: u64) -> (&[u8], u64) {
    let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    (&buffer[..size], left - size as u64)
}

fn data(piece: &[u8], consumed: usize) -> Decoded<'_> {
    Decoded { piece: if piece.is_empty() { Piece::NeedMore } else { Piece::Data(piece) }, consumed }
}

fn spend(allowance: &mut u64, bytes: usize) -> Result<(), Refusal> {
    *allowance = allowance.checked_sub(bytes as u64).ok_or(Refusal::BodyTooLarge)?;
    Ok(())
}

fn hex_value(digit: u8) -> u64 {
    match digit {
        b'0'..=b'9' => u64::from(digit - b'0'),
        digit => u64::from(digit.to_ascii_lowercase() - b'a') + 10,
    }
}
