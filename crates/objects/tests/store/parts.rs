//! Uploads in parts.

use objects::store::listing::{After, Span};
use objects::store::record::{Place, Sequence};
use objects::store::uploads::{UPLOAD_HOURS_MAX, UploadPage};
use objects::store::{Completion, Condition, NewPart, PartName, Store, StoreError};

use crate::scratch::{Scratch, begin, bucket, content_files, current, grow, noise, now, place};

const MIB: usize = 1 << 20;

fn add(store: &Store, at: &Place, id: Sequence, number: u16, content: &[u8]) -> Result<(), StoreError> {
    let part = NewPart { etag: format!("{number}-{}", content.len()), checksum: None };
    store.put_part(at.clone(), id, number, part, grow(store, content)?, now()).map(drop)
}

fn complete(store: &Store, at: &Place, id: Sequence, parts: &[(u16, &str)]) -> Result<Vec<u8>, String> {
    let parts =
        parts.iter().map(|(number, etag)| PartName { number: *number, etag: (*etag).to_owned(), checksum: None });
    let completion = Completion {
        id,
        parts: parts.collect(),
        bytes: None,
        condition: Condition::default(),
        whole: Box::new(|_, parts| Ok((format!("{} parts", parts.len()), None))),
    };
    let completed = store.complete_upload(at.clone(), completion, now());
    completed.map_err(|error| error.to_string())?;
    current(store, at).map_err(|error| error.to_string())
}

#[test]
fn parts_become_one_object_in_their_order() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "film");
    let id = begin(&store, &at);
    let (first, last) = (noise(1, 5 * MIB), noise(2, 100));
    add(&store, &at, id, 7, &last).unwrap();
    add(&store, &at, id, 3, b"replaced").unwrap();
    add(&store, &at, id, 3, &first).unwrap();
    add(&store, &at, id, 5, b"not named").unwrap();
    assert!(matches!(current(&store, &at), Err(StoreError::NoObject)));
    let whole = complete(&store, &at, id, &[(3, "3-5242880"), (7, "7-100")]).unwrap();
    assert!(whole == [first, last].concat());
    assert_eq!(content_files(scratch.path()).len(), 2);
    assert!(matches!(store.list_parts(&at, id, 0, 1), Err(StoreError::NoUpload)));
}

#[test]
fn a_completion_that_is_refused_changes_nothing() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "film");
    let id = begin(&store, &at);
    add(&store, &at, id, 1, b"small").unwrap();
    add(&store, &at, id, 2, b"last").unwrap();
    let refused = |parts: &[(u16, &str)]| complete(&store, &at, id, parts).unwrap_err();
    assert_eq!(refused(&[(1, "1-5"), (2, "2-4")]), "part 1 is smaller than 5 MiB, and not the last");
    assert_eq!(refused(&[(2, "2-4"), (1, "1-5")]), "parts must be named in ascending order");
    assert_eq!(refused(&[(1, "1-6")]), "part 1 is not there, or was replaced since");
    assert_eq!(refused(&[(3, "3-1")]), "part 3 is not there, or was replaced since");
    assert_eq!(store.list_parts(&at, id, 0, 9).unwrap().1.len(), 2);
    assert_eq!(complete(&store, &at, id, &[(2, "2-4")]).unwrap(), b"last");
}

#[test]
fn what_is_aborted_or_too_old_goes_with_its_parts() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "film");
    store.pass_hour().unwrap();
    let (aborted, stale) = (begin(&store, &at), begin(&store, &at));
    add(&store, &at, aborted, 1, b"x").unwrap();
    add(&store, &at, stale, 1, b"y").unwrap();
    store.abort_upload(at.clone(), aborted).unwrap();
    assert!(matches!(add(&store, &at, aborted, 2, b"late"), Err(StoreError::NoUpload)));
    assert_eq!(content_files(scratch.path()).len(), 1);
    for _ in 0..UPLOAD_HOURS_MAX {
        store.pass_hour().unwrap();
    }
    assert_eq!(store.abort_stale_uploads().unwrap(), 0);
    drop(store);
    let store = Store::open(scratch.path()).unwrap();
    store.pass_hour().unwrap();
    assert_eq!((store.abort_stale_uploads().unwrap(), store.abort_stale_uploads().unwrap()), (1, 0));
    assert_eq!(content_files(scratch.path()).len(), 0);
    let everything = Span { prefix: String::new(), delimiter: None, after: After::Nothing, max: 10 };
    assert_eq!(store.list_uploads(at.bucket, &everything).unwrap(), UploadPage::default());
}
