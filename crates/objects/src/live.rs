//! The settings that the server works by now, as one immutable value. Start reading at [`Live`].

use std::collections::BTreeMap;

use model::Timestamp;

use crate::settings::{Secret, Settings, SettingsError};
use crate::store::record::{BucketId, Versioning};
use crate::store::{Arranged, Store, StoreError};

/// What requests are answered by.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// The settings' number; 0 before the first.
    pub(crate) number: u64,
    pub(crate) region: String,
    pub(crate) buckets: BTreeMap<String, LiveBucket>,
    pub(crate) keys: BTreeMap<String, LiveKey>,
}

/// A bucket that is served.
#[derive(Debug, Clone)]
pub(crate) struct LiveBucket {
    pub(crate) id: BucketId,
    pub(crate) created: Timestamp,
    pub(crate) versioning: Versioning,
}

/// A key that is served.
#[derive(Debug, Clone)]
pub(crate) struct LiveKey {
    pub(crate) secret: Secret,
    pub(crate) buckets: Vec<String>,
}

/// Settings were not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeOverError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the buckets cannot be made")]
    Store(#[source] StoreError),
}

impl Live {
    /// Makes the buckets that are missing, and what requests are answered by from now on. Blocks.
    pub(crate) fn of(settings: Settings, store: &Store, now: Timestamp) -> Result<Self, TakeOverError> {
        settings.check()?;
        let wanted = settings.buckets.iter().map(|bucket| (bucket.name.clone(), bucket.versioning)).collect();
        let arranged = store.arrange(wanted, now).map_err(TakeOverError::Store)?;
        let served = arranged.into_iter().map(|Arranged { name, bucket, versioning }| {
            (name, LiveBucket { id: bucket.id, created: bucket.created, versioning })
        });
        let buckets = served.collect();
        let keys = settings.keys.into_iter();
        let keys = keys.map(|key| (key.id, LiveKey { secret: key.secret, buckets: key.buckets })).collect();
        Ok(Self { number: settings.number, region: settings.region, buckets, keys })
    }
}
