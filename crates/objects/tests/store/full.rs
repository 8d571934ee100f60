//! A disk that fills up: what is new is refused, what was acknowledged stays, and deleting makes room again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use objects::store::listing::{After, Span};
use objects::store::record::{BucketId, Place, Sequence};
use objects::store::uploads::UploadPage;
use objects::store::{Condition, NewUpload, Store, StoreError, blob::BlobError};

use crate::mounted::Mounted;
use crate::scratch::{Scratch, arrange, bucket, current, noise, now, place, try_put};

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let scratch = Scratch::new();
    let Some(disk) = Mounted::in_memory(&scratch.path().join("disk"), 40) else {
        println!("not run: a file system cannot be mounted here");
        return;
    };
    let store = Store::open(disk.path()).unwrap();
    let photos = bucket(&store, "photos");
    let mut kept = 0;
    let refused = loop {
        let at = place(photos, &format!("{kept}"));
        match try_put(&store, &at, &noise(kept, 300_000), Condition::default()) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Blob(BlobError::Full)), "{refused}");
    assert!((5..40).contains(&kept), "{kept}");
    for number in 0..kept {
        assert_eq!(current(&store, &place(photos, &format!("{number}"))).unwrap(), noise(number, 300_000));
    }
    for number in 0..3 {
        store.delete(place(photos, &format!("{number}")), Condition::default(), now()).unwrap();
    }
    try_put(&store, &place(photos, "again"), b"fits", Condition::default()).unwrap();
}

/// Threads that write at once, and so share transactions.
const WRITERS: u64 = 64;

/// Begins an upload whose row is about 3 KiB long.
fn begin_wide(store: &Store, bucket: BucketId, number: u64) -> Result<(Place, Sequence), StoreError> {
    let at = place(bucket, &format!("{number:01000}"));
    let mut upload = NewUpload { headers: Default::default(), checksum: None };
    upload.headers.cache_control = Some("x".repeat(2000));
    Ok((at.clone(), store.begin_upload(at, upload, now())?))
}

/// Begins uploads until one is refused.
fn fill_index(store: &Store, buckets: &[BucketId]) -> (Vec<(Place, Sequence)>, StoreError) {
    let (next, refused) = (AtomicU64::new(0), Mutex::new(None));
    let fill = || {
        let mut taken = Vec::new();
        while refused.lock().unwrap().is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            match begin_wide(store, buckets[number as usize % buckets.len()], number) {
                Ok(upload) => taken.push(upload),
                Err(error) => *refused.lock().unwrap() = Some(error),
            }
        }
        taken
    };
    let taken = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(fill)).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    (taken, refused.into_inner().unwrap().unwrap())
}

#[test]
fn a_large_index_can_still_be_changed_when_the_disk_is_full() {
    let scratch = Scratch::new();
    let disk = Mounted::new_image(&scratch.path().join("image"), &scratch.path().join("disk"), 56);
    let Some(disk) = disk else {
        println!("not run: an image cannot be made or mounted here");
        return;
    };
    let store = Store::open(&disk.path().join("store")).unwrap();
    let names: Vec<String> = (0..16).map(|number| format!("bucket-{number}")).collect();
    let buckets: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), false)).collect();
    let (taken, refused) = fill_index(&store, &arrange(&store, &buckets));
    assert!(matches!(refused, StoreError::Blob(BlobError::Full)), "{refused:?}");
    assert!(taken.len() > 1000, "{}", taken.len());
    std::thread::scope(|scope| {
        let abort = |(at, id): &(Place, Sequence)| store.abort_upload(at.clone(), *id).unwrap();
        for share in taken.chunks(taken.len().div_ceil(WRITERS as usize)) {
            scope.spawn(move || share.iter().for_each(abort));
        }
    });
    let everything = Span { prefix: String::new(), delimiter: None, after: After::Nothing, max: 10 };
    assert_eq!(store.list_uploads(taken[0].0.bucket, &everything).unwrap(), UploadPage::default());
}
