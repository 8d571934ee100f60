//! A store in a folder of its own, and the shortest way to put something into it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::Timestamp;
use objects::store::blob::BLOCK_BYTES;
use objects::store::record::{BucketId, Place, Sequence, VersionId};
use objects::store::{Condition, Found, NewObject, NewUpload, Store, StoreError, Which};

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A folder that goes when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mainstay-objects-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The moment at which everything happens, unless a test says otherwise.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

/// Serves one bucket, and no other.
pub(crate) fn bucket(store: &Store, name: &str) -> BucketId {
    arrange(store, &[(name, false)]).remove(0)
}

/// Serves these buckets, each with or without versions, and no others.
pub(crate) fn arrange(store: &Store, buckets: &[(&str, bool)]) -> Vec<BucketId> {
    let wanted = buckets.iter().map(|(name, versioned)| ((*name).to_owned(), *versioned)).collect();
    store.arrange(wanted, now()).unwrap().into_iter().map(|arranged| arranged.bucket.id).collect()
}

pub(crate) fn place(bucket: BucketId, key: &str) -> Place {
    Place::new(bucket, key.to_owned()).unwrap()
}

pub(crate) fn new_object(etag: &str) -> NewObject {
    NewObject { etag: etag.to_owned(), headers: Default::default(), checksum: None }
}

/// Puts content, whose entity tag is its length.
pub(crate) fn put(store: &Store, at: &Place, content: &[u8]) -> VersionId {
    try_put(store, at, content, Condition::default()).unwrap()
}

pub(crate) fn try_put(
    store: &Store,
    at: &Place,
    content: &[u8],
    condition: Condition,
) -> Result<VersionId, StoreError> {
    let object = new_object(&content.len().to_string());
    store.put(at.clone(), object, grow(store, content)?, condition, now())
}

/// Begins an upload in parts.
pub(crate) fn begin(store: &Store, at: &Place) -> Sequence {
    store.begin_upload(at.clone(), NewUpload { headers: Default::default(), checksum: None }, now()).unwrap()
}

pub(crate) fn grow(store: &Store, content: &[u8]) -> Result<objects::store::blob::Growing, StoreError> {
    let mut growing = store.begin()?;
    for chunk in content.chunks(4 * BLOCK_BYTES as usize) {
        store.append(&mut growing, chunk)?;
    }
    Ok(growing)
}

/// All of an object's content.
pub(crate) fn read(store: &Store, at: &Place, which: Which) -> Result<(Found, Vec<u8>), StoreError> {
    let (found, mut content) = store.open_object(at, which)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = content.read(100_000)? {
        bytes.extend(chunk);
    }
    Ok((found, bytes))
}

pub(crate) fn current(store: &Store, at: &Place) -> Result<Vec<u8>, StoreError> {
    read(store, at, Which::Current).map(|(_, bytes)| bytes)
}

/// Bytes that differ from those of any other seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// Every file below `data/`.
pub(crate) fn content_files(folder: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(folder.join("data")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}
