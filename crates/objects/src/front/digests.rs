//! Whether a body has the digests that its request says it has. Start reading at [`Digests`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::{S3Result, s3_error};

use super::checksums::Wanted;
use super::{fields, hex};
use crate::store::record::Sum;

/// The digests of one body, computed as it comes.
pub(super) struct Digests {
    md5: Md5,
    said_md5: Option<String>,
    sums: ChecksumHasher,
    wanted: Wanted,
}

/// What a body has.
pub(super) struct Digested {
    /// MD5 in hexadecimal.
    pub(super) md5: String,
    pub(super) checksum: Option<Sum>,
}

impl Digests {
    /// Those that fields of a request say, of which `wanted` is the checksum.
    pub(super) fn of(headers: &HeaderMap, wanted: Wanted) -> Self {
        let said_md5 = fields::text(headers, "content-md5").map(ToOwned::to_owned);
        Self { md5: Md5::new(), said_md5, sums: wanted.hasher(), wanted }
    }

    /// Nothing is said of the body.
    pub(super) fn computed(wanted: Wanted) -> Self {
        Self::of(&HeaderMap::new(), wanted)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sums.update(bytes);
    }

    /// At the body's end: what it has, if that is what the request says.
    pub(super) fn check(self) -> S3Result<Digested> {
        let md5 = hex(self.md5.finalize().as_ref());
        check_md5(self.said_md5.as_deref(), &md5)?;
        Ok(Digested { md5, checksum: self.wanted.check(self.sums)? })
    }
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digests")
    }
}

fn check_md5(said: Option<&str>, computed: &str) -> S3Result<()> {
    let Some(said) = said else { return Ok(()) };
    // Whatever else is wrong with it, it is not the Base64 of 16 bytes.
    let said = STANDARD.decode(said).ok().filter(|bytes| bytes.len() == 16);
    let said = said.ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the Base64 of 16 bytes"))?;
    match hex(&said) == computed {
        true => Ok(()),
        false => Err(s3_error!(BadDigest, "Content-MD5 says {}, and the body has {computed}", hex(&said))),
    }
}
