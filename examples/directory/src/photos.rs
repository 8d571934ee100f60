//! Photos and their small copies: objects in a bucket, or files in a folder for who has no object store.
//!
//! `TENANT/PERSON/PHOTO/original` and `…/thumbnail`. Each upload is a photo of its own, so an object never changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use image::Limits;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::person::{PersonId, PhotoId};
use crate::tenant::TenantId;

/// How often a request to the object store is tried again.
const TRIES_AGAIN_MAX: usize = 2;
/// How long a request may take with all its tries.
const PATIENCE: Duration = Duration::from_secs(10);
/// The region that is signed for. A store of one's own has none, and takes this one.
const REGION: &str = "us-east-1";

/// The widest and highest photo, in pixels. What it takes to read one is bounded by it.
pub(crate) const SIDE_MAX: u32 = 6000;

/// What reading a photo may take, with so many bytes of memory.
pub(crate) fn limits(memory: u64) -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(memory);
    limits
}

/// The photo store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the photo store cannot be used")]
    Open(#[source] object_store::Error),
    #[error("cannot make the folder {}", .0.display())]
    Folder(PathBuf, #[source] std::io::Error),
    #[error("the photo store")]
    Store(#[from] object_store::Error),
}

/// Where photos are kept.
pub(crate) enum Place {
    Bucket { endpoint: String, bucket: String, access_key: String, secret_key: String },
    Folder(PathBuf),
}

/// One of the two sizes of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Original,
    Thumbnail,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => "original",
            Self::Thumbnail => "thumbnail",
        })
    }
}

/// A file format of photos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
}

impl Format {
    /// The format that the first bytes show.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// Keeps photos.
#[derive(Clone)]
pub(crate) struct Photos {
    store: Arc<dyn ObjectStore>,
}

impl Photos {
    pub(crate) fn open(place: Place) -> Result<Self, Error> {
        let store: Arc<dyn ObjectStore> = match place {
            Place::Bucket { endpoint, bucket, access_key, secret_key } => {
                Arc::new(self::bucket(endpoint, bucket, access_key, secret_key)?)
            }
            Place::Folder(folder) => {
                std::fs::create_dir_all(&folder).map_err(|source| Error::Folder(folder.clone(), source))?;
                Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(Error::Open)?.with_fsync(true))
            }
        };
        Ok(Self { store })
    }

    /// Stores a photo. It is safe once this returns `Ok`.
    pub(crate) async fn put(&self, name: &Name<'_>, size: Size, bytes: Bytes) -> Result<(), Error> {
        self.store.put(&name.path(size), bytes.into()).await?;
        Ok(())
    }

    /// A photo, if it is stored.
    pub(crate) async fn get(&self, name: &Name<'_>, size: Size) -> Result<Option<Bytes>, Error> {
        match self.store.get(&name.path(size)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes both sizes of a photo, if they are there.
    pub(crate) async fn remove(&self, name: &Name<'_>) -> Result<(), Error> {
        for size in [Size::Thumbnail, Size::Original] {
            match self.store.delete(&name.path(size)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn bucket(endpoint: String, bucket: String, access_key: String, secret_key: String) -> Result<impl ObjectStore, Error> {
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: TRIES_AGAIN_MAX, retry_timeout: PATIENCE };
    AmazonS3Builder::new()
        // The store of the same machine is reached without TLS; any other is given as https.
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(PATIENCE))
        .with_endpoint(endpoint)
        .with_bucket_name(bucket)
        .with_access_key_id(access_key)
        .with_secret_access_key(secret_key)
        .with_region(REGION)
        .with_retry(retry)
        .build()
        .map_err(Error::Open)
}

/// Which photo.
pub(crate) struct Name<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) person: PersonId,
    pub(crate) photo: &'a PhotoId,
}

impl Name<'_> {
    fn path(&self, size: Size) -> Path {
        let (person, size) = (self.person.to_string(), size.to_string());
        Path::from_iter([self.tenant.as_str(), &person, self.photo.as_str(), &size])
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Name, Size};
    use crate::person::{PersonId, PhotoId};

    #[test]
    fn the_first_bytes_tell_the_format() {
        assert_eq!(Format::of(b"\xff\xd8\xff\xe0rest"), Some(Format::Jpeg));
        assert_eq!(Format::of(b"\x89PNG\r\n\x1a\nrest"), Some(Format::Png));
        assert_eq!(Format::of(b"<svg onload=alert(1)>"), None);
        assert_eq!(Format::of(b""), None);
    }

    #[test]
    fn a_name_stays_below_its_tenant() {
        let tenant = "acme".parse().unwrap();
        let photo = PhotoId::new();
        let name = Name { tenant: &tenant, person: PersonId(7), photo: &photo };
        assert_eq!(name.path(Size::Original).to_string(), format!("acme/7/{}/original", photo.as_str()));
    }
}
