//! What becomes of objects in buckets that keep versions, never did, or no longer do.

use objects::store::record::{KeyError, Place, VersionId, Versioning};
use objects::store::{Condition, Store, StoreError, Tag, Unmet, Which};

use crate::scratch::{
    Scratch, arrange, bucket, content_files, current, grow, new_object, now, place, put, read, try_put,
};

#[test]
fn a_bucket_without_versions_keeps_one() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    assert_eq!(put(&store, &at, b"one"), VersionId::Null);
    put(&store, &at, b"three");
    assert_eq!(current(&store, &at).unwrap(), b"three");
    assert_eq!(content_files(scratch.path()).len(), 1);
    assert_eq!(store.delete(at.clone(), Condition::default(), now()).unwrap(), None);
    assert!(matches!(current(&store, &at), Err(StoreError::NoObject)));
    assert_eq!(content_files(scratch.path()).len(), 0);
}

#[test]
fn a_bucket_with_versions_loses_nothing_until_a_version_is_named() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(arrange(&store, &[("docs", true)])[0], "a");
    let first = put(&store, &at, b"first");
    let second = put(&store, &at, b"second");
    let marker = store.delete(at.clone(), Condition::default(), now()).unwrap().unwrap();
    assert!(matches!(current(&store, &at), Err(StoreError::Deleted)));
    for (id, content) in [(first, b"first".as_slice()), (second, b"second")] {
        assert_eq!(read(&store, &at, Which::Version(id)).unwrap().1, content);
    }
    assert!(store.delete_version(at.clone(), marker).unwrap().unwrap().object.is_none());
    assert_eq!(current(&store, &at).unwrap(), b"second");
    assert!(store.delete_version(at.clone(), second).unwrap().is_some());
    assert!(store.delete_version(at.clone(), second).unwrap().is_none());
    assert_eq!(current(&store, &at).unwrap(), b"first");
    assert_eq!(content_files(scratch.path()).len(), 1);
}

#[test]
fn a_bucket_that_no_longer_keeps_versions_replaces_only_what_it_wrote_since() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(arrange(&store, &[("docs", true)])[0], "a");
    let kept = put(&store, &at, b"kept");
    arrange(&store, &[("docs", false)]);
    assert_eq!(put(&store, &at, b"one"), VersionId::Null);
    put(&store, &at, b"two");
    assert_eq!(content_files(scratch.path()).len(), 2);
    assert_eq!(read(&store, &at, Which::Version(VersionId::Null)).unwrap().1, b"two");
    let marker = store.delete(at.clone(), Condition::default(), now()).unwrap();
    assert_eq!(marker, Some(VersionId::Null));
    assert!(matches!(current(&store, &at), Err(StoreError::Deleted)));
    assert_eq!(read(&store, &at, Which::Version(kept)).unwrap().1, b"kept");
}

#[test]
fn a_bucket_remembers_that_it_kept_versions() {
    let scratch = Scratch::new();
    let arranged = |versioned: bool| {
        let store = Store::open(scratch.path()).unwrap();
        let arranged = store.arrange(vec![("docs".to_owned(), versioned)], now()).unwrap().remove(0);
        (arranged.bucket.id, arranged.versioning)
    };
    let (id, first) = arranged(false);
    assert_eq!(first, Versioning::Off);
    assert_eq!(arranged(true), (id, Versioning::On));
    assert_eq!(arranged(false), (id, Versioning::Suspended));
}

#[test]
fn whether_versions_are_kept_is_decided_when_a_change_is_made() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "docs"), "a");
    put(&store, &at, b"before");
    let content = grow(&store, b"taken in before, written after").unwrap();
    arrange(&store, &[("docs", true)]);
    let id = store.put(at.clone(), new_object("x"), content, Condition::default(), now()).unwrap();
    assert!(matches!(id, VersionId::Kept(_)), "{id}");
    assert_eq!(read(&store, &at, Which::Version(VersionId::Null)).unwrap().1, b"before");
}

#[test]
fn nothing_changes_in_a_bucket_that_is_no_longer_served() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "docs"), "a");
    put(&store, &at, b"kept");
    bucket(&store, "photos");
    assert!(matches!(try_put(&store, &at, b"late", Condition::default()), Err(StoreError::NoBucket)));
    assert!(matches!(store.delete(at.clone(), Condition::default(), now()), Err(StoreError::NoBucket)));
    assert_eq!(content_files(scratch.path()).len(), 1);
    assert_eq!(current(&store, &at).unwrap(), b"kept");
}

#[test]
fn a_key_has_1_to_1024_bytes() {
    let scratch = Scratch::new();
    let docs = bucket(&Store::open(scratch.path()).unwrap(), "docs");
    assert_eq!(Place::new(docs, String::new()), Err(KeyError::Empty));
    assert!(Place::new(docs, "ä".repeat(512)).is_ok());
    assert_eq!(Place::new(docs, "ä".repeat(512) + "a"), Err(KeyError::TooLong));
}

#[test]
fn conditions_are_decided_against_what_is_there() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    let is = |etag: &str| Condition { if_match: Some(Tag::Is(etag.to_owned())), if_none_match: None };
    let absent = Condition { if_match: None, if_none_match: Some(Tag::Any) };
    let unmet = |condition: &Condition| match try_put(&store, &at, b"four", condition.clone()) {
        Err(StoreError::Unmet(unmet)) => Some(unmet),
        other => other.map(|_| None).unwrap(),
    };
    assert_eq!(unmet(&is("4")), Some(Unmet::NoObject));
    assert_eq!(unmet(&absent), None);
    assert_eq!(unmet(&absent), Some(Unmet::Otherwise));
    assert_eq!(unmet(&is("5")), Some(Unmet::Otherwise));
    assert_eq!(unmet(&is("4")), None);
}

#[test]
fn of_many_that_create_at_once_one_does() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let photos = bucket(&store, "photos");
    for round in 0..8 {
        let at = place(photos, &format!("{round}"));
        let absent = Condition { if_match: None, if_none_match: Some(Tag::Any) };
        let create = || try_put(&store, &at, b"mine", absent.clone()).is_ok();
        let created = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|created| *created).count()
        });
        assert_eq!(created, 1);
    }
    assert_eq!(content_files(scratch.path()).len(), 8);
}
