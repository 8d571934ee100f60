//! S3, as clients see it: what each operation reads from a request, asks of the store, and answers.
//!
//! A request passes [`admission`], the protocol layer's own reading of it, [`access`], and then one of [`operations`].
//! Start reading at [`Front`]. Invariant: what is not carried out is refused as `NotImplemented`, never accepted and
//! ignored; [`fields`] lists what requests may say.

mod access;
mod admission;
mod answers;
mod buckets;
mod checksums;
mod chunks;
mod conditions;
mod copying;
mod deleting;
mod digests;
mod fields;
mod incoming;
mod intake;
mod listing;
mod memory;
mod multipart;
mod operations;
mod outlet;
mod query;
mod reading;
mod signature;
mod tagging;
mod tags;
mod turns;
mod uploading;
mod writing;

use std::sync::Arc;

use s3s::{S3Error, S3Result, s3_error};
use sys::tasks;
use tokio::sync::watch;

use crate::live::{Live, LiveBucket};
use crate::store::record::{KeyError, Place};
use crate::store::{Store, StoreError};

pub(crate) use access::Access;
pub(crate) use admission::admit;
pub(crate) use memory::{DOCUMENT_BYTES_MAX, Memory};
pub(crate) use turns::Turn;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Front {
    store: Arc<Store>,
    live: watch::Receiver<Arc<Live>>,
    memory: Arc<Memory>,
}

impl Front {
    pub(crate) fn new(store: Arc<Store>, live: watch::Receiver<Arc<Live>>, memory: Arc<Memory>) -> Self {
        Self { store, live, memory }
    }

    /// The settings as they are now.
    fn settings(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    fn bucket(&self, name: &str) -> S3Result<LiveBucket> {
        self.settings()
            .buckets
            .get(name)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchBucket, "there is no bucket {name}: buckets are those of the stack's file"))
    }

    fn place(&self, bucket: &str, key: String) -> S3Result<Place> {
        place_in(&self.bucket(bucket)?, key)
    }

    /// Does work of the store, which blocks, in a thread of its own. It is done to its end also when the client is gone.
    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        let done = tasks::blocking(move || work(&store)).await.map_err(S3Error::internal_error)?;
        done.map_err(|error| answers::refusal(&error))
    }
}

fn place_in(bucket: &LiveBucket, key: String) -> S3Result<Place> {
    Place::new(bucket.id, key).map_err(|error| match error {
        KeyError::Empty => s3_error!(InvalidArgument, "{error}"),
        KeyError::TooLong => s3_error!(KeyTooLongError, "{error}"),
    })
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
