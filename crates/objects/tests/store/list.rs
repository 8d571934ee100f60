//! Listing against a model that is a sorted map, page by page.

use std::collections::{BTreeMap, BTreeSet};

use objects::store::Store;
use objects::store::listing::{After, Entry, Shown, Span};
use objects::store::record::BucketId;
use proptest::prelude::*;

use crate::scratch::{Scratch, arrange, begin, bucket, now, place, put};

/// Keys of few letters, so that they share beginnings, with the delimiter and the ends of Unicode among them.
fn key() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!['a', 'b', '/', '\0', '\u{D7FF}', '\u{E000}', '\u{10FFFF}']);
    prop::collection::vec(letter, 1..6).prop_map(|letters| letters.into_iter().collect())
}

/// What a page shows: `key` or `group…`.
fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Group(group) => format!("{group}…"),
        Entry::Version { key, .. } => key.clone(),
    }
}

fn span(prefix: &str, delimiter: Option<&str>, max: usize) -> Span {
    Span { prefix: prefix.to_owned(), delimiter: delimiter.map(ToOwned::to_owned), after: After::Nothing, max }
}

/// All pages of a list, one after the other. The next page is asked for by where the store says it begins, or, as clients
/// of the older interface do, by the last text of the page.
fn pages(store: &Store, bucket: BucketId, mut span: Span, by_marker: bool) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = store.list(bucket, &span, Shown::Newest).unwrap();
        assert!(page.entries.len() <= span.max);
        all.extend(page.entries.iter().map(shown));
        span = match (page.next, page.entries.last()) {
            (None, _) => return all,
            (Some(_), Some(Entry::Group(text) | Entry::Version { key: text, .. })) if by_marker => {
                span.behind_marker(text)
            }
            (Some(next), _) => Span { after: next, ..span },
        };
    }
}

/// All pages of the uploads.
fn upload_pages(store: &Store, bucket: BucketId, mut span: Span) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = store.list_uploads(bucket, &span).unwrap();
        assert!(page.uploads.len() + page.groups.len() <= span.max);
        let mut shown: Vec<String> = page.uploads.into_iter().map(|upload| upload.key).collect();
        shown.extend(page.groups.iter().map(|group| format!("{group}…")));
        shown.sort();
        all.extend(shown);
        match page.next {
            Some(next) => span.after = next,
            None => return all,
        }
    }
}

/// The same from a sorted set.
fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)) {
        let rest = &key[prefix.len()..];
        let group = delimiter.and_then(|delimiter| Some(&rest[..rest.find(delimiter)? + delimiter.len()]));
        let entry = group.map_or(key.clone(), |group| format!("{prefix}{group}…"));
        if all.last() != Some(&entry) {
            all.push(entry);
        }
    }
    all
}

#[test]
fn lists_are_those_of_a_sorted_set() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let buckets = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() };
    proptest!(config, |(
        keys in prop::collection::btree_set(key(), 0..12),
        deleted in prop::collection::vec(key(), 0..3),
        asked in prop::collection::vec((key(), 0_usize..3, any::<bool>(), prop::option::of(key()), 1_usize..5), 12),
    )| {
        buckets.set(buckets.get() + 1);
        let name = format!("bucket-{}", buckets.get());
        let arranged = arrange(&store, &[(&name, true), (&format!("{name}-next"), false)]);
        let (here, next) = (arranged[0], arranged[1]);
        // A neighbour's keys must never show.
        put(&store, &place(next, "a"), b"");
        begin(&store, &place(next, "a"));
        let mut live = keys.clone();
        for key in &keys {
            put(&store, &place(here, key), b"");
            begin(&store, &place(here, key));
        }
        for key in deleted {
            store.delete(place(here, &key), Default::default(), now()).unwrap();
            live.remove(&key);
        }
        for (prefix, letters, delimited, after, max) in asked {
            let prefix: String = prefix.chars().take(letters).collect();
            let delimiter = delimited.then_some("/");
            let behind = after.clone().map_or(After::Nothing, After::Key);
            let span = Span { after: behind, ..span(&prefix, delimiter, max) };
            for by_marker in [false, true] {
                let listed = pages(&store, here, span.clone(), by_marker);
                prop_assert_eq!(listed, model(&live, &prefix, delimiter, after.as_deref()), "{}", by_marker);
            }
            prop_assert_eq!(upload_pages(&store, here, span), model(&keys, &prefix, delimiter, after.as_deref()));
        }
    });
}

#[test]
fn versions_are_listed_newest_first_and_once() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let here = arrange(&store, &[("docs", true)])[0];
    let mut written: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for key in ["a", "b", "a", "a", "b"] {
        let id = put(&store, &place(here, key), b"");
        written.entry(key).or_default().insert(0, id.to_string());
    }
    let expected: Vec<String> = written
        .iter()
        .flat_map(|(key, ids)| ids.iter().enumerate().map(move |(place, id)| format!("{key} {id} {}", place == 0)))
        .collect();
    for max in 1..7 {
        let mut listed = Vec::new();
        let mut after = Some(After::Nothing);
        while let Some(from) = after {
            let page = store.list(here, &Span { after: from, ..span("", None, max) }, Shown::EveryVersion).unwrap();
            for entry in &page.entries {
                let Entry::Version { key, sequence, latest, version } = entry else { panic!("{entry:?}") };
                listed.push(format!("{key} {} {latest}", version.id(*sequence)));
            }
            after = page.next;
        }
        assert_eq!(listed, expected, "{max} a page");
    }
}

#[test]
fn a_key_that_is_the_prefix_is_not_its_group() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let here = bucket(&store, "docs");
    for key in ["a/", "a/b", "a/c/d"] {
        put(&store, &place(here, key), b"");
        begin(&store, &place(here, key));
    }
    for by_marker in [false, true] {
        assert_eq!(pages(&store, here, span("a/", Some("/"), 1), by_marker), ["a/", "a/b", "a/c/…"], "{by_marker}");
    }
    let behind = store.list_uploads(here, &span("a/", Some("/"), 9).behind_marker("a/")).unwrap();
    assert_eq!((behind.uploads.len(), behind.groups), (1, vec!["a/c/".to_owned()]));
}

#[test]
fn uploads_of_one_key_are_listed_across_pages() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let here = bucket(&store, "docs");
    let begun: Vec<_> = (0..5).map(|_| begin(&store, &place(here, "a"))).collect();
    let mut listed = Vec::new();
    let mut span = span("", None, 2);
    loop {
        let page = store.list_uploads(here, &span).unwrap();
        listed.extend(page.uploads.iter().map(|upload| upload.id));
        match page.next {
            Some(next) => span.after = next,
            None => break,
        }
    }
    assert_eq!(listed, begun);
}
