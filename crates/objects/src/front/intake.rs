//! Taking a request's body: into the store, block by block, hashed on the way. Start reading at [`Front::take`].

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, s3_error};
use sys::tasks;

use super::checksums::Wanted;
use super::{Front, answers};
use crate::reports::add;
use crate::store::blob::{BLOCK_BYTES, BlobError, Growing};
use crate::store::record::Sum;
use crate::store::{Store, StoreError};

/// What is held of a body at once: a whole number of blocks.
const BUFFER_BYTES: usize = 4 * BLOCK_BYTES as usize;
/// How long a body may stand still.
const BODY_IDLE_MAX: Duration = Duration::from_secs(60);
/// The longest body, as in S3.
const BODY_BYTES_MAX: u64 = 5 << 30;

/// A body that was taken, not yet durable.
pub(super) struct Taken {
    pub(super) content: Growing,
    /// MD5 in hexadecimal.
    pub(super) md5: String,
    pub(super) checksum: Option<Sum>,
}

/// What a request says of its body.
pub(super) struct Said {
    pub(super) checksum: Wanted,
    /// Base64.
    pub(super) md5: Option<String>,
    pub(super) bytes: Option<i64>,
}

/// A content that grows, with its hashes.
pub(super) struct Intake {
    store: Arc<Store>,
    content: Growing,
    md5: Md5,
    sums: ChecksumHasher,
    buffer: Vec<u8>,
}

impl Front {
    /// Takes a body; what the request says of it must hold.
    pub(super) async fn take(&self, body: Option<StreamingBlob>, said: Said) -> S3Result<Taken> {
        if said.bytes.and_then(|bytes| u64::try_from(bytes).ok()).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Err(s3_error!(EntityTooLarge, "a body has 5 GiB at the most: upload the object in parts"));
        }
        let turn = self.intakes.acquire().await.map_err(S3Error::internal_error)?;
        let mut intake = self.begin_intake(&said.checksum).await?;
        if let Some(mut body) = body {
            while let Some(bytes) = next_of(&mut body).await? {
                add(&self.reports.bytes_in, bytes.len() as u64);
                intake = self.feed(intake, &bytes).await?;
            }
        }
        let taken = self.end_intake(intake, said.checksum).await?;
        drop(turn);
        if said.bytes.is_some_and(|bytes| u64::try_from(bytes) != Ok(taken.content.bytes())) {
            return Err(s3_error!(IncompleteBody, "the body ended at {} bytes", taken.content.bytes()));
        }
        check_md5(said.md5.as_deref(), &taken.md5)?;
        Ok(taken)
    }

    pub(super) async fn begin_intake(&self, checksum: &Wanted) -> S3Result<Intake> {
        let sums = checksum.hasher();
        let store = Arc::clone(&self.store);
        let begun = self.in_store(|store| Ok(store.begin()?)).await?;
        Ok(Intake { store, content: begun, md5: Md5::new(), sums, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Adds bytes of any number.
    pub(super) async fn feed(&self, mut intake: Intake, mut bytes: &[u8]) -> S3Result<Intake> {
        while !bytes.is_empty() {
            let room = BUFFER_BYTES - intake.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            intake.buffer.extend_from_slice(now);
            bytes = later;
            if intake.buffer.len() == BUFFER_BYTES {
                intake = self.flush(intake).await?;
            }
        }
        if intake.content.bytes() > BODY_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "a body has 5 GiB at the most: upload the object in parts"));
        }
        Ok(intake)
    }

    async fn flush(&self, intake: Intake) -> S3Result<Intake> {
        let flushed = tasks::blocking(move || intake.flushed()).await.map_err(S3Error::internal_error)?;
        flushed.map_err(|error| answers::refusal(&StoreError::Blob(error), &self.reports))
    }

    pub(super) async fn end_intake(&self, intake: Intake, checksum: Wanted) -> S3Result<Taken> {
        let Intake { content, md5, sums, .. } = self.flush(intake).await?;
        Ok(Taken { content, md5: hex(md5.finalize().as_ref()), checksum: checksum.check(sums)? })
    }
}

impl Intake {
    /// Writes what the buffer holds. Blocks.
    fn flushed(mut self) -> Result<Self, BlobError> {
        self.md5.update(&self.buffer);
        self.sums.update(&self.buffer);
        self.store.append(&mut self.content, &self.buffer)?;
        self.buffer.clear();
        Ok(self)
    }
}

async fn next_of(body: &mut StreamingBlob) -> S3Result<Option<bytes::Bytes>> {
    let next = tokio::time::timeout(BODY_IDLE_MAX, body.next()).await;
    let next = next.map_err(|_| s3_error!(RequestTimeout, "the body stood still for {BODY_IDLE_MAX:?}"))?;
    next.transpose()
        .map_err(|error| s3_error!(IncompleteBody, "the body broke off, or is not the one that was signed: {error}"))
}

fn check_md5(said: Option<&str>, computed: &str) -> S3Result<()> {
    let Some(said) = said else { return Ok(()) };
    let said = STANDARD.decode(said).ok().filter(|bytes| bytes.len() == 16);
    let said = said.ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the Base64 of 16 bytes"))?;
    match hex(&said) == computed {
        true => Ok(()),
        false => Err(s3_error!(BadDigest, "Content-MD5 says {}, and the body has {computed}", hex(&said))),
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
