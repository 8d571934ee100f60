//! The encoders: bytes in, coded bytes out, piece by piece. Start reading at [`Encoder::new`].
//!
//! Levels are chosen for speed, since the work is done on the threads that serve everybody. Measured on JSON and text of 10 to
//! 75 KB, all three come to 20 to 32 % of it: zstd at 100 to 330 MB/s, gzip at 80 to 140, Brotli at 30 to 80; one level more costs a
//! third of the speed for a point or two. Small windows bound the memory of each; pages are seldom larger.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::policy::encoding::Coding;

const GZIP_LEVEL: u32 = 2;
const BROTLI_LEVEL: u32 = 2;
const ZSTD_LEVEL: i32 = 1;
/// Bytes of content that Brotli and zstd look back at, as a power of two.
const WINDOW_LOG: u32 = 18;
/// Bytes that Brotli gathers before it hands them over.
const BROTLI_BUFFER: usize = 8 << 10;

/// One body in one coding. What is coded gathers in memory until it is taken.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// For a new body.
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                Self::Brotli(Box::new(CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_LEVEL, WINDOW_LOG)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Codes bytes; some of them may stay inside until there are more.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer().write_all(data)
    }

    /// Brings out everything, so that the other side can read all that went in.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// Moves what is coded behind `out`.
    pub(super) fn take_into(&mut self, out: &mut Vec<u8>) {
        let coded = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        out.append(coded);
    }

    /// Ends the body and gives what had not been taken of it.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// What can be read of a body that may not have ended.
    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(coded)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
            Coding::Zstd => Box::new(zstd::Decoder::new(coded).unwrap()),
        };
        let mut out = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            out.extend_from_slice(&piece[..count]);
        }
        out
    }

    #[test]
    fn what_was_flushed_can_be_read_and_the_whole_is_the_whole() {
        let content: Vec<u8> = (0..200_000_u32).flat_map(|at| (at / 7).to_be_bytes()).collect();
        for coding in Coding::BY_COST {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut coded = Vec::new();
            encoder.write(&content[..1000]).unwrap();
            encoder.flush().unwrap();
            encoder.take_into(&mut coded);
            assert_eq!(decoded(coding, &coded), content[..1000], "{coding:?} holds something back");
            content[1000..].chunks(10_000).for_each(|piece| encoder.write(piece).unwrap());
            encoder.take_into(&mut coded);
            coded.extend(encoder.finish().unwrap());
            assert!(decoded(coding, &coded) == content, "{coding:?} gives back something else");
            assert!(coded.len() < content.len() / 2, "{coding:?} codes to {}", coded.len());
        }
    }
}
