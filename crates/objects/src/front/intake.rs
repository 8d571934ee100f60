//! Taking a request's body: into the store, block by block, hashed on the way. Start reading at [`Front::take`].

use std::sync::Arc;

use futures_util::StreamExt;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, s3_error};
use sys::tasks;

use super::access::Caller;
use super::digests::{Digested, Digests};
use super::turns::Turn;
use super::{Front, answers};
use crate::store::blob::{BLOCK_BYTES, BlobError, Growing};
use crate::store::record::Sum;
use crate::store::{Store, StoreError};

/// What is held of a body at once: a whole number of blocks.
const BUFFER_BYTES: usize = 4 * BLOCK_BYTES as usize;
/// The longest body, as in S3.
const BODY_BYTES_MAX: u64 = 5 << 30;

/// A body that was taken, not yet durable.
pub(super) struct Taken {
    pub(super) content: Growing,
    /// MD5 in hexadecimal.
    pub(super) md5: String,
    pub(super) checksum: Option<Sum>,
}

/// A content that grows, with its digests.
pub(super) struct Intake {
    store: Arc<Store>,
    content: Growing,
    digests: Digests,
    buffer: Vec<u8>,
    _turn: Turn,
}

impl Front {
    /// Takes a body; what the request says of it must hold.
    pub(super) async fn take(
        &self,
        caller: &Caller,
        body: Option<StreamingBlob>,
        said_bytes: Option<i64>,
        digests: Digests,
    ) -> S3Result<Taken> {
        if said_bytes.and_then(|bytes| u64::try_from(bytes).ok()).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let mut intake = self.begin_intake(caller, digests).await?;
        if let Some(mut body) = body {
            while let Some(bytes) = next_of(&mut body).await? {
                intake = self.feed(intake, &bytes).await?;
            }
        }
        let taken = self.end_intake(intake).await?;
        if said_bytes.is_some_and(|bytes| u64::try_from(bytes) != Ok(taken.content.bytes())) {
            return Err(s3_error!(IncompleteBody, "the body ended at {} bytes", taken.content.bytes()));
        }
        Ok(taken)
    }

    pub(super) async fn begin_intake(&self, caller: &Caller, digests: Digests) -> S3Result<Intake> {
        let _turn = self.memory.take_for_body(caller.id()).await?;
        let content = self.in_store(|store| Ok(store.begin()?)).await?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Intake { store: Arc::clone(&self.store), content, digests, buffer, _turn })
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
            return Err(too_large());
        }
        Ok(intake)
    }

    async fn flush(&self, intake: Intake) -> S3Result<Intake> {
        let flushed = tasks::blocking(move || intake.flushed()).await.map_err(S3Error::internal_error)?;
        flushed.map_err(|error| answers::refusal(&StoreError::Blob(error)))
    }

    pub(super) async fn end_intake(&self, intake: Intake) -> S3Result<Taken> {
        let Intake { content, digests, .. } = self.flush(intake).await?;
        let Digested { md5, checksum } = digests.check()?;
        Ok(Taken { content, md5, checksum })
    }
}

impl Intake {
    /// Writes what the buffer holds. Blocks.
    fn flushed(mut self) -> Result<Self, BlobError> {
        self.digests.update(&self.buffer);
        self.store.append(&mut self.content, &self.buffer)?;
        self.buffer.clear();
        Ok(self)
    }
}

async fn next_of(body: &mut StreamingBlob) -> S3Result<Option<bytes::Bytes>> {
    let next = body.next().await.transpose();
    next.map_err(|error| s3_error!(IncompleteBody, "the body broke off, or is not the one that was signed: {error}"))
}

fn too_large() -> S3Error {
    s3_error!(EntityTooLarge, "a body has 5 GiB at the most: upload the object in parts")
}
