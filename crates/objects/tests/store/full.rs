//! A disk that fills up: what is new is refused, what was acknowledged stays, and deleting makes room again.

use std::path::Path;
use std::process::Command;

use objects::store::record::Versioning;
use objects::store::{Condition, Store, StoreError, blob::BlobError};

use crate::scratch::{Scratch, bucket, current, noise, now, place, try_put};

/// A small file system of its own; `None` where only root could make one.
struct Mounted<'s>(&'s Path);

impl<'s> Mounted<'s> {
    fn new(at: &'s Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(at).output();
        mount.ok().filter(|output| output.status.success()).map(|_| Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let scratch = Scratch::new();
    let Some(_mounted) = Mounted::new(scratch.path()) else {
        println!("not run: a file system cannot be mounted here");
        return;
    };
    let store = Store::open(scratch.path()).unwrap();
    let photos = bucket(&store, "photos");
    let mut kept = 0;
    let refused = loop {
        let at = place(photos, &format!("{kept}"));
        match try_put(&store, &at, &noise(kept, 300_000), Condition::default(), Versioning::Off) {
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
        store.delete(place(photos, &format!("{number}")), Condition::default(), Versioning::Off, now()).unwrap();
    }
    try_put(&store, &place(photos, "again"), b"fits", Condition::default(), Versioning::Off).unwrap();
}
