//! The power goes while objects are written: whatever was acknowledged before is whole afterwards.
//!
//! A second process writes to a store on an ext4 file system of its own, in an image. At a random moment it is stopped,
//! and the image is copied as the kernel would leave it: what was not synced is not in it. Two copies one after the other
//! that are equal are one moment of the image. Each copy is mounted, and its store is opened and read. The same is done
//! with the process killed instead, on its own file system.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use objects::store::record::BucketId;
use objects::store::{Completion, Condition, NewPart, NewUpload, OpenError, PartName, Store, StoreError};

use sys::lock::LockError;

use crate::mounted::Mounted;
use crate::scratch::{Scratch, bucket, current, grow, noise, now, place, put};

/// Tells the process that writes where.
const WRITE_TO: &str = "MAINSTAY_OBJECTS_WRITE_TO";
/// Tells it which round it is: what one round writes, no other does.
const ROUND: &str = "MAINSTAY_OBJECTS_ROUND";
/// How many cuts; 20 where nobody says otherwise.
const CUTS: &str = "MAINSTAY_OBJECTS_CUTS";
/// What the moments of the cuts are drawn from; another each time where nobody says.
const SEED: &str = "MAINSTAY_OBJECTS_SEED";
const WRITERS: u64 = 3;
const KEYS: u64 = 12;
/// What a writer writes in a round, at the most.
const WRITES_OF_ROUND_MAX: u64 = 1_000_000;
/// How long the lock of a store may be held by nobody who uses it.
const FREE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// Writes until it is killed. It says `KEY ?SEED` before it begins a write, and `KEY SEED` once that is acknowledged;
/// 0 stands for a deletion.
#[test]
fn writer() {
    let Some(folder) = told(WRITE_TO) else { return };
    let first = told(ROUND).unwrap().parse::<u64>().unwrap() * WRITES_OF_ROUND_MAX;
    let store = open_when_free(Path::new(&folder));
    let photos = bucket(&store, "photos");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                (1..WRITES_OF_ROUND_MAX).for_each(|write| write_one(store, photos, writer, first + write))
            });
        }
    });
}

/// The parent has let go of the store. What it has begun for another test meanwhile may hold the lock for a moment, until it
/// is the program that it is to be.
fn open_when_free(folder: &Path) -> Store {
    let deadline = sys::clock::now().steady + FREE_MAX;
    loop {
        match Store::open(folder) {
            Err(OpenError::Lock(LockError::Held { .. })) if sys::clock::now().steady < deadline => {
                std::thread::sleep(POLL);
            }
            opened => return opened.unwrap(),
        }
    }
}

/// What whoever runs the test says.
fn told(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says it so")]
    std::env::var(name).ok()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn write_one(store: &Store, photos: BucketId, writer: u64, number: u64) {
    let key = format!("{writer}-{}", number * 7 % KEYS);
    let deletes = number % 5 == 4;
    let seed = if deletes { 0 } else { number * WRITERS + writer };
    let at = place(photos, &key);
    say(&format!("ack {key} ?{seed}"));
    match number % 5 {
        4 => drop(store.delete(at, Condition::default(), now()).unwrap()),
        3 => {
            let upload = NewUpload { headers: Default::default(), checksum: None };
            let id = store.begin_upload(at.clone(), upload, now()).unwrap();
            let part = NewPart { etag: "part".to_owned(), checksum: None };
            store.put_part(at.clone(), id, 1, part, grow(store, &content(seed)).unwrap(), now()).unwrap();
            let completion = Completion {
                id,
                parts: vec![PartName { number: 1, etag: "part".to_owned(), checksum: None }],
                bytes: None,
                condition: Condition::default(),
                whole: Box::new(|_, _| Ok(("whole".to_owned(), None))),
            };
            store.complete_upload(at, completion, now()).unwrap();
        }
        _ => drop(put(store, &at, &content(seed))),
    }
    say(&format!("ack {key} {seed}"));
}

/// The content says its own seed, so that a reader can tell it whole.
fn content(seed: u64) -> Vec<u8> {
    let mut bytes = seed.to_be_bytes().to_vec();
    bytes.extend(noise(seed, (seed * 7919 % 90_000) as usize));
    bytes
}

/// What the writer has said of each key, last.
type Acknowledged = BTreeMap<String, Said>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    /// The last acknowledged seed; 0 for none.
    seed: u64,
    /// What has been begun since.
    begun: Option<u64>,
}

struct Writer {
    child: Child,
    said: Arc<Mutex<Acknowledged>>,
    /// Acknowledgements of this round.
    count: Arc<AtomicU64>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// `said` is what was settled before.
    fn start(folder: &Path, round: u64, said: Acknowledged) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["power_cut::writer", "--exact", "--nocapture"])
            .env(WRITE_TO, folder)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (said, count) = (Arc::new(Mutex::new(said)), Arc::new(AtomicU64::new(0)));
        let (heard, counted) = (Arc::clone(&said), Arc::clone(&count));
        #[expect(clippy::disallowed_methods, reason = "a thread of a test, joined when the writer is gone")]
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test harness begins the first line with words of its own.
                let Some((_, said)) = line.split_once("ack ") else { continue };
                let Some((key, seed)) = said.split_once(' ') else { continue };
                let mut heard = heard.lock().unwrap();
                let entry = heard.entry(key.to_owned()).or_default();
                match seed.strip_prefix('?') {
                    Some(seed) => entry.begun = Some(seed.parse().unwrap()),
                    None => {
                        *entry = Said { seed: seed.parse().unwrap(), begun: None };
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Self { child, said, count, reader: Some(reader) }
    }

    fn heard(&self) -> Acknowledged {
        self.said.lock().unwrap().clone()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.kill();
        }
    }
}

/// Opens a store that was cut off, and reads everything that was acknowledged. Returns what it holds now.
fn check(folder: &Path, acknowledged: &Acknowledged) -> Acknowledged {
    let store = Store::open(folder).unwrap();
    let photos = bucket(&store, "photos");
    let mut settled = Acknowledged::new();
    for (key, said) in acknowledged {
        let found = match current(&store, &place(photos, key)) {
            Ok(bytes) => {
                let seed = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                assert!(bytes == content(seed), "{key} is torn");
                seed
            }
            Err(StoreError::NoObject) => 0,
            Err(error) => panic!("{key}: {error:?}"),
        };
        assert!(found == said.seed || Some(found) == said.begun, "{key} holds {found}: {said:?}");
        settled.insert(key.clone(), Said { seed: found, begun: None });
    }
    for folder in 0..=u8::MAX {
        store.sweep(folder).unwrap();
    }
    put(&store, &place(photos, "after"), b"after");
    settled
}

/// What the moments are drawn from. Tests say it, so that the same can be asked for again.
fn seed() -> u64 {
    told(SEED).map_or_else(|| sys::clock::now().wall.as_millis().unsigned_abs(), |seed| seed.parse().unwrap())
}

/// A moment that differs from cut to cut.
fn pause(seed: u64, cut: u64) {
    let micros = u64::from_le_bytes(noise(seed.wrapping_add(cut), 8).try_into().unwrap()) % 40_000;
    let until = sys::clock::now().steady + Duration::from_micros(micros);
    while sys::clock::now().steady < until {
        std::thread::sleep(POLL);
    }
}

/// Waits for more than a writer's threads can have said of one write each.
fn wait_for_first(writer: &mut Writer) {
    while writer.count.load(Ordering::Relaxed) < 2 * WRITERS {
        assert_eq!(writer.child.try_wait().unwrap(), None, "the writer ended by itself");
        std::thread::sleep(POLL);
    }
}

fn cuts() -> u64 {
    told(CUTS).map_or(20, |count| count.parse().unwrap())
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let scratch = Scratch::new();
    let (seed, mut settled) = (seed(), Acknowledged::new());
    println!("{SEED}={seed}");
    for round in 0..cuts() {
        let mut writer = Writer::start(scratch.path(), round, settled.clone());
        wait_for_first(&mut writer);
        pause(seed, round);
        writer.kill();
        settled = check(scratch.path(), &writer.heard());
    }
    println!("{} kills, {} objects left", cuts(), settled.values().filter(|said| said.seed > 0).count());
}

/// The image as it is at one moment: two copies that are equal.
fn copy_of(image: &Path) -> Vec<u8> {
    let mut one = std::fs::read(image).unwrap();
    loop {
        let next = std::fs::read(image).unwrap();
        if next == one {
            return one;
        }
        one = next;
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let scratch = Scratch::new();
    let (seed, image) = (seed(), scratch.path().join("image"));
    let Some(mounted) = Mounted::new_image(&image, &scratch.path().join("disk"), 64) else {
        println!("not run: an image cannot be made or mounted here");
        return;
    };
    println!("{SEED}={seed}");
    let mut writer = Writer::start(&mounted.path().join("store"), 0, Acknowledged::new());
    wait_for_first(&mut writer);
    let mut differ = std::collections::BTreeSet::new();
    for cut in 0..cuts() {
        pause(seed, cut);
        writer.signal(rustix::process::Signal::STOP);
        let acknowledged = writer.heard();
        let copied = copy_of(&image);
        let later = writer.heard();
        writer.signal(rustix::process::Signal::CONT);
        let settled = settled_between(&acknowledged, &later);
        differ.insert(settled.values().map(|said| said.seed).sum::<u64>());
        // Each has a file of its own: the kernel may still have the last one's pages, and its loop device.
        let copy = scratch.path().join(format!("copy-{cut}"));
        std::fs::write(&copy, copied).unwrap();
        let again = Mounted::image(&copy, &scratch.path().join("again")).unwrap();
        check(&again.path().join("store"), &settled);
        drop(again);
        std::fs::remove_file(&copy).unwrap();
    }
    writer.kill();
    assert!(differ.len() as u64 > cuts() / 2, "the cuts were not at different moments: {}", differ.len());
    println!("{} cuts at {} moments", cuts(), differ.len());
}

/// What was said before the stop, and what had been begun by then: it may have been said, and not heard yet.
fn settled_between(before: &Acknowledged, after: &Acknowledged) -> Acknowledged {
    let settled = |(key, later): (&String, &Said)| {
        let said = before.get(key).copied().unwrap_or_default();
        let begun = [later.begun, said.begun, Some(later.seed)].into_iter().flatten().find(|seed| *seed != said.seed);
        (key.clone(), Said { seed: said.seed, begun })
    };
    after.iter().map(settled).collect()
}
