//! Listing against a model that is a sorted map, page by page.

use std::collections::{BTreeMap, BTreeSet};

use objects::store::Store;
use objects::store::listing::{After, Entry, Query};
use objects::store::record::{BucketId, Versioning};
use proptest::prelude::*;

use crate::scratch::{Scratch, bucket, now, place, put};

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

/// All pages of a list, one after the other.
fn pages(
    store: &Store,
    bucket: BucketId,
    prefix: &str,
    delimiter: Option<&str>,
    after: &After,
    max: usize,
) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = after.clone();
    loop {
        let query = Query {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(ToOwned::to_owned),
            after,
            max,
            every_version: false,
        };
        let page = store.list(bucket, &query).unwrap();
        assert!(page.entries.len() <= max);
        all.extend(page.entries.iter().map(shown));
        match page.next {
            Some(next) => after = next,
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
        let here = bucket(&store, &name);
        // A neighbour's keys must never show.
        put(&store, &place(bucket(&store, &format!("{name}-next")), "a"), b"", Versioning::Off);
        let mut live = keys.clone();
        for key in &keys {
            put(&store, &place(here, key), b"", Versioning::On);
        }
        for key in deleted {
            store.delete(place(here, &key), Default::default(), Versioning::On, now()).unwrap();
            live.remove(&key);
        }
        for (prefix, letters, delimited, after, max) in asked {
            let prefix: String = prefix.chars().take(letters).collect();
            let delimiter = delimited.then_some("/");
            let behind = after.clone().map_or(After::Nothing, After::Key);
            let listed = pages(&store, here, &prefix, delimiter, &behind, max);
            prop_assert_eq!(listed, model(&live, &prefix, delimiter, after.as_deref()));
        }
    });
}

#[test]
fn versions_are_listed_newest_first_and_once() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let here = bucket(&store, "docs");
    let mut written: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for key in ["a", "b", "a", "a", "b"] {
        let id = put(&store, &place(here, key), b"", Versioning::On);
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
            let query = Query { prefix: String::new(), delimiter: None, after: from, max, every_version: true };
            let page = store.list(here, &query).unwrap();
            for entry in &page.entries {
                let Entry::Version { key, sequence, latest, version } = entry else { panic!("{entry:?}") };
                listed.push(format!("{key} {} {latest}", version.id(*sequence)));
            }
            after = page.next;
        }
        assert_eq!(listed, expected, "{max} a page");
    }
}
