//! A disk that says once that it could not write: nothing is written from then on, until the store is opened anew.

use std::io::Write;
use std::process::Command;

use objects::store::blob::BlobError;
use objects::store::{Condition, IndexError, Store, StoreError};

use crate::mounted::Mounted;
use crate::scratch::{Scratch, bucket, current, noise, now, place, put, try_put};

#[test]
fn after_a_sync_that_failed_nothing_is_written_until_the_store_is_opened_anew() {
    let scratch = Scratch::new();
    // An ext4 of which only as much can be written as the memory below it has room for.
    let below = Mounted::in_memory(&scratch.path().join("below"), 24);
    let Some(below) = below else {
        println!("not run: a file system cannot be mounted here");
        return;
    };
    let image = below.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(80 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(&image).output();
    let disk = made.is_ok_and(|made| made.status.success());
    let disk = disk.then(|| Mounted::image(&image, &scratch.path().join("disk"))).flatten();
    let Some(disk) = disk else {
        println!("not run: an image cannot be made or mounted here");
        return;
    };
    let folder = disk.path().join("store");
    let store = Store::open(&folder).unwrap();
    let at = place(bucket(&store, "photos"), "before");
    put(&store, &at, b"before");
    let filler = below.path().join("filler");
    let mut filling = std::fs::File::create(&filler).unwrap();
    while filling.write_all(&[0; 4096]).is_ok() {}
    drop(filling);
    let after = place(at.bucket, "after");
    let refused = try_put(&store, &after, &noise(1, 300_000), Condition::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Blob(BlobError::File { doing: "finish", .. })), "{refused:?}");
    // From here on the disk would sync again, over what it never wrote.
    std::fs::remove_file(&filler).unwrap();
    let refused = try_put(&store, &after, b"x", Condition::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Blob(BlobError::Sync(_))), "{refused:?}");
    let refused = store.delete(at.clone(), Condition::default(), now()).unwrap_err();
    assert!(matches!(refused, StoreError::Index(IndexError::Sync(_))), "{refused:?}");
    assert!(store.check_disk().is_err());
    assert_eq!(current(&store, &at).unwrap(), b"before");
    drop(store);
    let store = Store::open(&folder).unwrap();
    bucket(&store, "photos");
    put(&store, &after, b"again");
    assert_eq!(current(&store, &at).unwrap(), b"before");
    drop(store);
    drop(disk);
}
