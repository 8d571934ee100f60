//! What the store's folder must be, and what a start does to it.

use objects::store::{Condition, Store, Tag};

use crate::scratch::{Scratch, bucket, content_files, current, grow, noise, place, put, try_put};

fn refusal(folder: &std::path::Path) -> String {
    let error = Store::open(folder).map(drop).unwrap_err().to_string();
    error.replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_newer_format_is_refused() {
    let scratch = Scratch::new();
    drop(Store::open(scratch.path()).unwrap());
    std::fs::write(scratch.path().join("format"), "2\n").unwrap();
    assert_eq!(refusal(scratch.path()), "FOLDER has format 2, and this program knows 1: use a newer program");
    std::fs::write(scratch.path().join("format"), "soon\n").unwrap();
    assert_eq!(refusal(scratch.path()), "FOLDER does not say its format: restore it from a backup");
}

#[test]
fn a_store_that_lost_its_index_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "kept");
    put(&store, &at, b"kept");
    std::mem::forget(grow(&store, b"in the making").unwrap());
    drop(store);
    let (index, aside) = (scratch.path().join("index.redb"), scratch.path().with_extension("index"));
    std::fs::rename(&index, &aside).unwrap();
    let lost = "FOLDER has no index.redb, or an empty one: restore the folder whole from a backup";
    assert_eq!(refusal(scratch.path()), lost);
    assert!(!index.exists());
    std::fs::write(&index, "").unwrap();
    assert_eq!(refusal(scratch.path()), lost);
    let format = scratch.path().join("format");
    std::fs::remove_file(&format).unwrap();
    assert_eq!(refusal(scratch.path()), "FOLDER does not say its format: restore it from a backup");
    assert_eq!(std::fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 1);
    std::fs::write(&format, "1\n").unwrap();
    std::fs::rename(&aside, &index).unwrap();
    assert_eq!(current(&Store::open(scratch.path()).unwrap(), &at).unwrap(), b"kept");
}

#[test]
fn a_store_whose_making_was_cut_off_is_made_on() {
    let scratch = Scratch::new();
    drop(Store::open(scratch.path()).unwrap());
    std::fs::remove_file(scratch.path().join("format")).unwrap();
    drop(Store::open(scratch.path()).unwrap());
    std::fs::remove_file(scratch.path().join("format")).unwrap();
    std::fs::remove_file(scratch.path().join("index.redb")).unwrap();
    let store = Store::open(scratch.path()).unwrap();
    put(&store, &place(bucket(&store, "photos"), "a"), b"fits");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("letters"), "dear").unwrap();
    assert_eq!(refusal(scratch.path()), "FOLDER is not empty, and no object store: name another folder");
}

#[test]
fn one_process_has_it() {
    let scratch = Scratch::new();
    let _held = Store::open(scratch.path()).unwrap();
    assert_eq!(refusal(scratch.path()), format!("FOLDER is in use by process {}", std::process::id()));
}

#[test]
fn what_a_killed_process_left_over_is_swept_and_nothing_else() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "kept");
    put(&store, &at, b"kept");
    std::mem::forget(grow(&store, &noise(1, 100_000)).unwrap());
    drop(store);
    let kept = content_files(scratch.path());
    // A content of the first run that was durable before the index could name it.
    let orphan = kept[0].with_file_name("0000010000000f00");
    std::fs::copy(&kept[0], &orphan).unwrap();

    let store = Store::open(scratch.path()).unwrap();
    bucket(&store, "photos");
    assert_eq!(std::fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 0);
    put(&store, &place(at.bucket, "new"), b"new");
    let swept: usize = (0..=u8::MAX).map(|folder| store.sweep(folder).unwrap()).sum();
    assert_eq!(swept, 1);
    assert!(!orphan.exists());
    assert_eq!(current(&store, &at).unwrap(), b"kept");
    assert_eq!(current(&store, &place(at.bucket, "new")).unwrap(), b"new");
}

#[test]
fn a_refused_write_leaves_no_file() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "once");
    let once = Condition { if_match: None, if_none_match: Some(Tag::Any) };
    try_put(&store, &at, b"first", once.clone()).unwrap();
    let refused = try_put(&store, &at, b"second", once).unwrap_err().to_string();
    assert_eq!(refused, "a condition of the request does not hold");
    assert_eq!(content_files(scratch.path()).len(), 1);
    assert_eq!(current(&store, &at).unwrap(), b"first");
}

#[test]
fn what_is_read_stays_until_it_is_read() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    let old = noise(1, 200_000);
    put(&store, &at, &old);
    let (_, mut content) = store.open_object(&at, objects::store::Which::Current).unwrap();
    put(&store, &at, b"new");
    assert_eq!(content_files(scratch.path()).len(), 2);
    let mut read = Vec::new();
    while let Some(chunk) = content.read(10_000).unwrap() {
        read.extend(chunk);
    }
    assert_eq!(read, old);
    drop(content);
    assert_eq!(content_files(scratch.path()).len(), 1);
}
