//! S3, as clients see it: what each operation reads from a request, asks of the store, and answers.
//!
//! Start reading at [`Front`]. Invariant: what is not carried out is refused as `NotImplemented`, never accepted and
//! ignored.

mod access;
mod answers;
mod buckets;
mod checksums;
mod conditions;
mod copying;
mod deleting;
mod intake;
mod listing;
mod multipart;
mod operations;
mod outlet;
mod reading;
mod tagging;
mod tags;
mod unsupported;
mod uploading;
mod writing;

use std::sync::Arc;

use s3s::{S3Error, S3Result, s3_error};
use sys::tasks;
use tokio::sync::{Semaphore, watch};

use crate::live::{Live, LiveBucket};
use crate::reports::Reports;
use crate::store::record::Place;
use crate::store::{Store, StoreError};

pub(crate) use access::Access;

/// Bodies that are being taken at once; the others wait for their turn. Each holds one buffer of [`intake`].
const INTAKES_MAX: usize = 64;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Front {
    pub(super) store: Arc<Store>,
    pub(super) live: watch::Receiver<Arc<Live>>,
    pub(super) reports: Arc<Reports>,
    pub(super) intakes: Arc<Semaphore>,
}

impl Front {
    pub(crate) fn new(store: Arc<Store>, live: watch::Receiver<Arc<Live>>, reports: Arc<Reports>) -> Self {
        Self { store, live, reports, intakes: Arc::new(Semaphore::new(INTAKES_MAX)) }
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

    fn place(&self, bucket: &str, key: String) -> S3Result<(LiveBucket, Place)> {
        let bucket = self.bucket(bucket)?;
        if key.is_empty() {
            return Err(s3_error!(InvalidArgument, "a key has at least one byte"));
        }
        let place = Place { bucket: bucket.id, key };
        Ok((bucket, place))
    }

    /// Does work of the store, which blocks, in a thread of its own. It is done to its end also when the client is gone.
    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        let done = tasks::blocking(move || work(&store)).await.map_err(S3Error::internal_error)?;
        done.map_err(|error| answers::refusal(&error, &self.reports))
    }
}
