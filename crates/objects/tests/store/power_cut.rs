//! The power goes while objects are written: whatever was acknowledged before is whole afterwards.
//!
//! A second process writes to a store on an ext4 file system of its own, in an image. At a random moment it is stopped,
//! and the image is copied as the kernel would leave it: what was not synced is not in it. Two copies one after the other
//! that are equal are one moment of the image. Each copy is mounted, and its store is opened and read. The same is done
//! with the process killed instead, on its own file system.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use objects::store::record::{BucketId, Upload, Versioning};
use objects::store::{Completion, Condition, NewPart, PartName, Store, StoreError};

use crate::scratch::{Scratch, bucket, current, grow, noise, now, place, put};

/// Tells the process that writes where.
const WRITE_TO: &str = "MAINSTAY_OBJECTS_WRITE_TO";
/// How many cuts; 20 where nobody says otherwise.
const CUTS: &str = "MAINSTAY_OBJECTS_CUTS";
const WRITERS: u64 = 3;
const KEYS: u64 = 12;
const POLL: Duration = Duration::from_millis(1);

/// Writes until it is killed. It says `KEY ?SEED` before it begins a write, and `KEY SEED` once that is acknowledged;
/// 0 stands for a deletion.
#[test]
fn writer() {
    #[expect(clippy::disallowed_methods, reason = "the parent test says so")]
    let Ok(folder) = std::env::var(WRITE_TO) else { return };
    let store = Store::open(Path::new(&folder)).unwrap();
    let photos = bucket(&store, "photos");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || (1..u64::MAX).for_each(|round| write_one(store, photos, writer, round)));
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn write_one(store: &Store, photos: BucketId, writer: u64, round: u64) {
    let key = format!("{writer}-{}", round * 7 % KEYS);
    let deletes = round % 5 == 4;
    let seed = if deletes { 0 } else { writer * 1_000_000 + round };
    let at = place(photos, &key);
    say(&format!("ack {key} ?{seed}"));
    match round % 5 {
        4 => drop(store.delete(at, Condition::default(), Versioning::Off, now()).unwrap()),
        3 => {
            let upload = Upload { begun: now(), headers: Default::default(), checksum: None };
            let id = store.begin_upload(at.clone(), upload).unwrap();
            let part = NewPart { etag: "part".to_owned(), checksum: None };
            store.put_part(at.clone(), id, 1, part, grow(store, &content(seed)).unwrap(), now()).unwrap();
            let completion = Completion {
                id,
                parts: vec![PartName { number: 1, etag: "part".to_owned(), checksum: None }],
                bytes: None,
                condition: Condition::default(),
                whole: Box::new(|_, _| Ok(("whole".to_owned(), None))),
            };
            store.complete_upload(at, completion, Versioning::Off, now()).unwrap();
        }
        _ => drop(put(store, &at, &content(seed), Versioning::Off)),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    /// The last acknowledged seed; 0 for none.
    seed: u64,
    /// What has been begun since.
    begun: Option<u64>,
}

struct Writer {
    child: Child,
    said: Arc<Mutex<Acknowledged>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["power_cut::writer", "--exact", "--nocapture"])
            .env(WRITE_TO, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Acknowledged::new()));
        let heard = Arc::clone(&said);
        #[expect(clippy::disallowed_methods, reason = "a thread of a test, joined when the writer is gone")]
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test harness begins the first line with words of its own.
                let Some((_, said)) = line.split_once("ack ") else { continue };
                let Some((key, seed)) = said.split_once(' ') else { continue };
                let mut heard = heard.lock().unwrap();
                let entry = heard.entry(key.to_owned()).or_insert(Said { seed: 0, begun: None });
                match seed.strip_prefix('?') {
                    Some(seed) => entry.begun = Some(seed.parse().unwrap()),
                    None => *entry = Said { seed: seed.parse().unwrap(), begun: None },
                }
            }
        });
        Self { child, said, reader: Some(reader) }
    }

    fn heard(&self) -> Acknowledged {
        self.said.lock().unwrap().clone()
    }

    fn acknowledged(&self) -> u64 {
        self.heard().values().map(|said| said.seed).filter(|seed| *seed > 0).count() as u64
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

/// Opens a store that was cut off, and reads everything that was acknowledged.
fn check(folder: &Path, acknowledged: &Acknowledged) {
    let store = Store::open(folder).unwrap();
    let photos = bucket(&store, "photos");
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
    }
    for folder in 0..=u8::MAX {
        store.sweep(folder).unwrap();
    }
    put(&store, &place(photos, "after"), b"after", Versioning::Off);
}

/// A moment that differs from cut to cut.
fn pause(cut: u64) {
    let micros = u64::from_le_bytes(noise(cut + 1, 8).try_into().unwrap()) % 40_000;
    let poll = Duration::from_micros(micros);
    let until = sys::clock::now().steady + poll;
    while sys::clock::now().steady < until {
        std::thread::sleep(POLL);
    }
}

fn wait_for_first(writer: &Writer) {
    while writer.acknowledged() < 5 {
        std::thread::sleep(POLL);
    }
}

fn cuts() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says how long")]
    std::env::var(CUTS).ok().map_or(20, |count| count.parse().unwrap())
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let scratch = Scratch::new();
    let mut acknowledged = Acknowledged::new();
    for cut in 0..cuts().min(50) {
        let mut writer = Writer::start(scratch.path());
        wait_for_first(&writer);
        pause(cut);
        writer.kill();
        acknowledged.extend(writer.heard());
        check(scratch.path(), &acknowledged);
    }
}

/// A file system in an image, mounted.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-o", "loop"]).arg(image).arg(at).output().ok()?;
        mount.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
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
    let image = scratch.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
    let made =
        Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output().is_ok_and(|made| made.status.success());
    let mounted = made.then(|| Mounted::new(&image, &scratch.path().join("disk"))).flatten();
    let Some(mounted) = mounted else {
        println!("not run: an image cannot be made or mounted here");
        return;
    };
    let mut writer = Writer::start(&mounted.0.join("store"));
    wait_for_first(&writer);
    let mut differ = std::collections::BTreeSet::new();
    for cut in 0..cuts() {
        pause(cut);
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
        let again = Mounted::new(&copy, &scratch.path().join("again")).unwrap();
        check(&again.0.join("store"), &settled);
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
        let said = before.get(key).copied().unwrap_or(Said { seed: 0, begun: None });
        let begun = [later.begun, said.begun, Some(later.seed)].into_iter().flatten().find(|seed| *seed != said.seed);
        (key.clone(), Said { seed: said.seed, begun })
    };
    after.iter().map(settled).collect()
}
