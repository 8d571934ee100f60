//! Handing out an object's content: a stream that reads from the store only as fast as the client takes it.
//!
//! Start reading at [`Front::hand_out`]. A block further on that turns out damaged ends the stream with an error, which
//! cuts the connection: the client has a length or chunks to tell by that it was not the end.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{iter, unfold};
use futures_util::{Stream, StreamExt};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Result, StdError};
use sys::tasks;

use super::Front;
use crate::store::Content;
use crate::store::blob::BLOCK_BYTES;
use crate::trouble::tell;

/// What is read at once, and held while the client takes it.
pub(super) const CHUNK_BYTES: u64 = 4 * BLOCK_BYTES;

impl Front {
    /// The content as a body. Its beginning is read before anything is answered, so that what is not there is refused.
    pub(super) async fn hand_out(&self, mut content: Content) -> S3Result<StreamingBlob> {
        let left = content.bytes_left();
        let (first, content) = self.in_store(move |_| Ok((content.read(CHUNK_BYTES)?, content))).await?;
        let first = first.map(|chunk| Ok(Bytes::from(chunk)));
        let chunks = iter(first).chain(unfold(Some(content), |content| async { next(content?).await }));
        Ok(StreamingBlob::new(Outlet { chunks: Mutex::new(Box::pin(chunks)), left }))
    }
}

/// The next chunk, and what is left; nothing after an error.
async fn next(mut content: Content) -> Option<(Result<Bytes, StdError>, Option<Content>)> {
    let read = tasks::blocking(move || {
        let chunk = content.read(CHUNK_BYTES);
        (chunk, content)
    });
    match read.await {
        Ok((Ok(chunk), content)) => Some((Ok(Bytes::from(chunk?)), Some(content))),
        Ok((Err(error), _)) => {
            tell("an answer was cut off", &error);
            Some((Err(Box::new(error)), None))
        }
        Err(error) => Some((Err(Box::new(error)), None)),
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, StdError>> + Send>>;

struct Outlet {
    /// Never locked: a body must be `Sync`, and this makes it so.
    chunks: Mutex<Chunks>,
    left: u64,
}

impl Stream for Outlet {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunks = self.chunks.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = chunks.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.left = self.left.saturating_sub(chunk.len() as u64);
        }
        polled
    }
}

impl ByteStream for Outlet {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}
