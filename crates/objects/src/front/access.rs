//! Who may do what: signatures of version 4 by a key that is served, on that key's buckets. Start reading at [`Access`].

use std::sync::Arc;

use async_trait::async_trait;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::CopySource;
use s3s::{S3Request, S3Result, s3_error};
use tokio::sync::watch;

use super::checksums::Wanted;
use super::digests::Digests;
use super::fields;
use super::incoming::Notes;
use super::memory::Memory;
use crate::live::{Live, LiveKey};
use crate::places::{Crowded, Guest};

/// Asks the settings as they are now.
#[derive(Clone)]
pub(crate) struct Access {
    live: watch::Receiver<Arc<Live>>,
    memory: Arc<Memory>,
}

/// The key that signed a request.
#[derive(Clone)]
pub(super) struct Caller {
    id: String,
    key: LiveKey,
}

impl Access {
    pub(crate) fn new(live: watch::Receiver<Arc<Live>>, memory: Arc<Memory>) -> Self {
        Self { live, memory }
    }

    fn key(&self, id: &str) -> Option<LiveKey> {
        self.live.borrow().keys.get(id).cloned()
    }
}

#[async_trait]
impl S3Auth for Access {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        if self.live.borrow().number == 0 {
            return Err(s3_error!(
                ServiceUnavailable,
                "the object store has not been told its settings yet: try again"
            ));
        }
        let key = self.key(id).ok_or_else(|| s3_error!(InvalidAccessKeyId, "there is no key of this id"))?;
        Ok(SecretKey::from(key.secret.expose()))
    }
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let id = request.credentials().map(|credentials| credentials.access_key.clone()).unwrap_or_default();
        let key = self.key(&id).ok_or_else(|| s3_error!(AccessDenied, "every request must be signed by a key"))?;
        let caller = Caller { id, key };
        let (guest, notes): (Arc<Guest>, Notes) = (of_request(request)?, of_request(request)?);
        guest.vouch().map_err(|crowded: Crowded| s3_error!(SlowDown, "{crowded}"))?;
        if let Some(bucket) = request.s3_path().get_bucket_name() {
            caller.check(bucket)?;
        }
        let operation = request.s3_op().name();
        fields::check(operation, request.headers())?;
        notes.hold(self.memory.take(operation, request.headers(), &caller.id).await?);
        if fields::has_xml(operation) {
            let wanted = match fields::sums_its_xml(operation) {
                true => Wanted::of(request.headers(), None, None)?,
                false => Wanted::computed(None),
            };
            let digests = Digests::of(request.headers(), wanted);
            notes.expect(digests);
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// What was noted where the request was taken.
fn of_request<T: Clone + Send + Sync + 'static>(request: &mut S3AccessContext<'_>) -> S3Result<T> {
    request.extensions_mut().get().cloned().ok_or_else(|| s3_error!(InternalError, "the request was not admitted"))
}

impl Caller {
    /// The key that signed this request.
    pub(super) fn of<T>(request: &S3Request<T>) -> S3Result<Self> {
        request
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| s3_error!(AccessDenied, "every request must be signed by a key"))
    }

    /// The key's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn check(&self, bucket: &str) -> S3Result<()> {
        match self.may_use(bucket) {
            true => Ok(()),
            false => Err(s3_error!(AccessDenied, "this key may not use the bucket {bucket}")),
        }
    }

    pub(super) fn may_use(&self, bucket: &str) -> bool {
        self.key.buckets.iter().any(|name| name == bucket)
    }

    /// Where a copy is taken from: bucket, key and version.
    pub(super) fn source<'s>(&self, source: &'s CopySource) -> S3Result<(&'s str, &'s str, Option<&'s str>)> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "a copy is taken from a bucket, not from an access point"));
        };
        self.check(bucket)?;
        Ok((bucket, key, version_id.as_deref()))
    }
}
