//! A content that is not what was written is noticed before any of it is handed out; ranges are exact.

use objects::store::blob::BLOCK_BYTES;
use objects::store::{Store, Which};
use proptest::prelude::*;

use crate::scratch::{Scratch, bucket, content_files, current, noise, place, put};

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    put(&store, &at, &noise(1, 150_000));
    let file = content_files(scratch.path()).remove(0);
    let whole = std::fs::read(&file).unwrap();
    for at_byte in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at_byte] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = current(&store, &at).unwrap_err().to_string();
        assert!(error.contains(" is damaged in block "), "{at_byte}: {error}");
    }
    for length in [0, 10, 16, 5000, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert!(current(&store, &at).is_err(), "cut at {length}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(current(&store, &at).unwrap(), noise(1, 150_000));
}

#[test]
fn a_damaged_block_spoils_only_what_lies_in_it() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    let content = noise(1, 200_000);
    put(&store, &at, &content);
    let file = content_files(scratch.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let second_block = 16 + BLOCK_BYTES as usize + 8;
    bytes[second_block] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (_, mut reading) = store.open_object(&at, Which::Current).unwrap();
    assert_eq!(reading.read(BLOCK_BYTES).unwrap().unwrap(), content[..BLOCK_BYTES as usize]);
    assert!(reading.read(1).is_err());
}

#[test]
fn the_content_of_another_object_is_noticed() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let photos = bucket(&store, "photos");
    put(&store, &place(photos, "a"), b"mine");
    put(&store, &place(photos, "b"), b"hers");
    let files = content_files(scratch.path());
    std::fs::copy(&files[1], &files[0]).unwrap();
    let read: Vec<bool> = ["a", "b"].map(|key| current(&store, &place(photos, key)).is_ok()).to_vec();
    assert_eq!(read, [false, true]);
}

#[test]
fn ranges_are_exact() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let photos = bucket(&store, "photos");
    let content = noise(7, 3 * BLOCK_BYTES as usize + 5);
    let at = place(photos, "a");
    put(&store, &at, &content);
    let near_a_block = |block: u64, off: u64| (block * BLOCK_BYTES + off).saturating_sub(3);
    proptest!(ProptestConfig::with_cases(256), |(
        first in (0_u64..4, 0_u64..8), more in prop_oneof![0_u64..10, 60_000_u64..200_000], step in 1_u64..90_000,
    )| {
        let start = near_a_block(first.0, first.1);
        let (_, mut reading) = store.open_object(&at, Which::Current).unwrap();
        reading.narrow(start..start + more);
        let mut read = Vec::new();
        while let Some(chunk) = reading.read(step).unwrap() {
            prop_assert!(chunk.len() as u64 <= step && !chunk.is_empty());
            read.extend(chunk);
        }
        let end = (start + more).min(content.len() as u64);
        prop_assert_eq!(&read[..], &content[start.min(end) as usize..end as usize]);
    });
}

#[test]
fn a_content_that_is_not_there_is_damage_not_a_missing_object() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path()).unwrap();
    let at = place(bucket(&store, "photos"), "a");
    put(&store, &at, &noise(1, 10));
    std::fs::remove_file(content_files(scratch.path()).remove(0)).unwrap();
    let error = current(&store, &at).unwrap_err().to_string();
    assert!(error.ends_with("is gone: restore the object from a backup"), "{error}");
}
