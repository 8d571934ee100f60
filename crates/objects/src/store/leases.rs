//! Contents that are being read stay on disk until their readers are done, also when nothing names them any more.
//!
//! Start reading at [`Leases::take`]. A reader takes its lease and then looks whether the index still names what it
//! leased; whoever changed the index asks for leases afterwards. So one of the two always sees the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob::{BlobId, Blobs};

/// Who reads which contents.
#[derive(Debug)]
pub(super) struct Leases {
    blobs: Arc<Blobs>,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    readers: BTreeMap<BlobId, usize>,
    /// Read now, and to be removed by whoever is last.
    unused: BTreeSet<BlobId>,
}

impl Leases {
    pub(super) fn new(blobs: Arc<Blobs>) -> Self {
        Self { blobs, ledger: Mutex::default() }
    }

    /// Keeps contents until the lease is dropped.
    pub(super) fn take(self: &Arc<Self>, blobs: Vec<BlobId>) -> Lease {
        let mut ledger = self.ledger();
        for blob in &blobs {
            *ledger.readers.entry(*blob).or_default() += 1;
        }
        Lease { leases: Arc::clone(self), blobs }
    }

    /// Removes contents that the index no longer names, at once or when their readers are done.
    pub(super) fn remove(&self, unused: Vec<BlobId>) {
        let mut ledger = self.ledger();
        let (read, free): (Vec<_>, Vec<_>) = unused.into_iter().partition(|blob| ledger.readers.contains_key(blob));
        ledger.unused.extend(read);
        drop(ledger);
        self.remove_files(free);
    }

    fn give_back(&self, blobs: &[BlobId]) {
        let mut ledger = self.ledger();
        let mut free = Vec::new();
        for blob in blobs {
            let Some(readers) = ledger.readers.get_mut(blob) else { continue };
            *readers -= 1;
            if *readers == 0 {
                ledger.readers.remove(blob);
                free.extend(ledger.unused.take(blob));
            }
        }
        drop(ledger);
        self.remove_files(free);
    }

    fn remove_files(&self, blobs: Vec<BlobId>) {
        for blob in blobs {
            // The object is gone all the same; a file that cannot be removed now is swept at the next start.
            drop(self.blobs.remove(blob));
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Contents that stay while this lives.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Arc<Leases>,
    blobs: Vec<BlobId>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.give_back(&self.blobs);
    }
}
