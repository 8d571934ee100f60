//! The append-only journal of one state directory: who did what, when and why.
//!
//! Start reading at [`Journal::append`] and [`page`]. Stored form: a folder of segments, each named by the
//! number of its first entry (`000000000001.jsonl`), each line one [`model::Entry`] as JSON. An entry is on
//! disk when `append` returns. A line that a dying node left without its line feed was never acknowledged,
//! and the next node cuts it off; nothing else is ever changed or removed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::event::Evidence;
use model::{Actor, Entry, EntryId, Happening, Timestamp};
use tokio::sync::watch;

use crate::files;
use crate::system::{FileError, FileTrouble};

/// A segment is closed once it holds so many bytes.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// Longest entry in bytes; a reason or evidence that would make it longer was not bounded by its writer.
pub const ENTRY_BYTES_MAX: usize = 256 << 10;
/// Bytes set aside, so that the last entries before a full disk, which say that it is full, still fit.
const RESERVE_BYTES: u64 = 1 << 20;
const RESERVE: &str = "reserve";
/// What is read through to find an entry; where there is more, the place is halved first.
const SCAN_BYTES: u64 = 64 << 10;

/// The journal's writer: one per state directory, held by whoever holds its lock.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    segment: File,
    segment_bytes: u64,
    newest: watch::Sender<EntryId>,
    reserve: bool,
}

/// An entry that is to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub what: Happening,
    /// Why, as a sentence.
    pub reason: String,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// The entry that led to it.
    pub cause: Option<EntryId>,
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that was acknowledged does not read back.
    #[error("the journal {} is damaged at line {line}: move it away to go on with a new one", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// An entry is longer than [`ENTRY_BYTES_MAX`].
    #[error("a journal entry has {found} bytes, and at most {ENTRY_BYTES_MAX} are kept")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
}

impl Journal {
    /// Opens the journal of a folder, or begins one, and cuts off what a dying writer left half done.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        files::make_folder(folder).map_err(|error| failed("make", folder, &error))?;
        let first = segments(folder)?.last().copied().unwrap_or(EntryId(1));
        let path = segment_path(folder, first);
        let segment = open_segment(&path)?;
        let (newest, whole) = repair(&path, &segment, first)?;
        let mut journal = Self {
            folder: folder.to_owned(),
            segment,
            segment_bytes: whole,
            newest: watch::Sender::new(newest),
            reserve: folder.join(RESERVE).exists(),
        };
        journal.set_aside();
        Ok(journal)
    }

    /// Writes an entry and returns its number. When this returns it is on disk; after an error it is not in
    /// the journal.
    pub fn append(&mut self, at: Timestamp, draft: Draft) -> Result<EntryId, JournalError> {
        let id = EntryId(self.newest.borrow().0 + 1);
        let Draft { actor, what, reason, evidence, cause } = draft;
        let entry = Entry { id, at, actor, what, reason, evidence, cause };
        let mut line = serde_json::to_vec(&entry).map_err(|error| failed("write", &self.folder, &error.into()))?;
        line.push(b'\n');
        if line.len() > ENTRY_BYTES_MAX {
            return Err(JournalError::TooLong { found: line.len() });
        }
        if self.segment_bytes >= SEGMENT_BYTES {
            self.begin_segment(id)?;
        }
        match self.write(&line) {
            Err(JournalError::File(FileError { trouble: FileTrouble::NoSpace, .. })) if self.reserve => {
                self.spend_reserve()?;
                self.write(&line)?;
            }
            written => written?,
        }
        self.newest.send_replace(id);
        self.set_aside();
        Ok(id)
    }

    /// The newest entry's number, 0 while there is none, and a way to wait for the next.
    pub fn newest(&self) -> watch::Receiver<EntryId> {
        self.newest.subscribe()
    }

    fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let written = self.segment.write_all(line).and_then(|()| self.segment.sync_data());
        if let Err(error) = written {
            // What is there of the line must not stand before the next one.
            let cut = self.segment.set_len(self.segment_bytes).and_then(|()| self.segment.seek(SeekFrom::End(0)));
            return Err(failed("write", &self.folder, cut.as_ref().err().unwrap_or(&error)).into());
        }
        self.segment_bytes += u64::try_from(line.len()).unwrap_or(0);
        Ok(())
    }

    fn begin_segment(&mut self, first: EntryId) -> Result<(), JournalError> {
        self.segment = open_segment(&segment_path(&self.folder, first))?;
        self.segment_bytes = 0;
        Ok(())
    }

    /// Makes the reserve again once there is room for it.
    fn set_aside(&mut self) {
        if !self.reserve {
            let path = self.folder.join(RESERVE);
            let zeros = vec![0; usize::try_from(RESERVE_BYTES).unwrap_or(0)];
            self.reserve = files::replace(&path, &zeros).is_ok();
        }
    }

    fn spend_reserve(&mut self) -> Result<(), JournalError> {
        self.reserve = false;
        Ok(files::remove(&self.folder.join(RESERVE))?)
    }
}

/// The entries after `after`, oldest first, at most `count`. Reads the files only, so it serves beside a
/// writer and without one; an entry that is being written is not in the answer.
pub fn page(folder: &Path, after: EntryId, count: usize) -> Result<Vec<Entry>, JournalError> {
    let firsts = segments(folder)?;
    let begin = firsts.iter().rposition(|first| first.0 <= after.0 + 1).unwrap_or(0);
    let mut entries = Vec::new();
    for first in firsts.iter().skip(begin) {
        let path = segment_path(folder, *first);
        let mut lines = Lines::open(&path, *first)?;
        lines.skip_near(after)?;
        while entries.len() < count {
            match lines.next()? {
                Some(entry) => entries.extend((entry.id > after).then_some(entry)),
                None => break,
            }
        }
    }
    Ok(entries)
}

/// One entry by its number.
pub fn entry(folder: &Path, id: EntryId) -> Result<Option<Entry>, JournalError> {
    let before = EntryId(id.0.saturating_sub(1));
    Ok(page(folder, before, 1)?.into_iter().find(|entry| entry.id == id))
}

/// The whole lines of one segment. A last line without a line feed is not an entry.
struct Lines<'a> {
    path: &'a Path,
    /// The segment's first entry.
    first: EntryId,
    reader: BufReader<File>,
    /// The line that is read next, from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path, first: EntryId) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|error| failed("read", path, &error))?;
        Ok(Self { path, first, reader: BufReader::new(file), number: 1 })
    }

    /// The next entry; none when what follows is no whole line.
    fn next(&mut self) -> Result<Option<Entry>, JournalError> {
        let line = self.line()?;
        if line.last() != Some(&b'\n') && line.len() <= ENTRY_BYTES_MAX {
            return Ok(None);
        }
        let damaged = |_| JournalError::Damaged { path: self.path.to_owned(), line: self.number };
        let entry = serde_json::from_slice(&line).map_err(damaged)?;
        self.number += 1;
        Ok(Some(entry))
    }

    /// What is left of the line at which the file stands, as far as a line may go.
    fn line(&mut self) -> Result<Vec<u8>, FileError> {
        let mut line = Vec::new();
        let limit = u64::try_from(ENTRY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
        read.map_err(|error| failed("read", self.path, &error))?;
        Ok(line)
    }

    /// Goes on to a line not far before the first entry after `after`. Entries are numbered in order, so the
    /// place is found by halving, and a page costs the same wherever it begins.
    fn skip_near(&mut self, after: EntryId) -> Result<(), JournalError> {
        let (mut begin, mut number) = (0, 1);
        let mut end = self.go_to(SeekFrom::End(0))?;
        while end - begin > SCAN_BYTES {
            let middle = begin + (end - begin) / 2;
            match self.entry_behind(middle)? {
                Some((at, id)) if at < end && self.first <= id && id <= after => {
                    begin = at;
                    number = usize::try_from(id.0 - self.first.0).unwrap_or(usize::MAX).saturating_add(1);
                }
                // A line that cannot be read is found, and named, by whoever reads up to it.
                _ => end = middle,
            }
        }
        self.number = number;
        self.go_to(SeekFrom::Start(begin))?;
        Ok(())
    }

    /// Where the first line begins that begins behind an offset, and its entry's number.
    fn entry_behind(&mut self, offset: u64) -> Result<Option<(u64, EntryId)>, FileError> {
        self.go_to(SeekFrom::Start(offset))?;
        self.line()?;
        let at = self.go_to(SeekFrom::Current(0))?;
        let line = self.line()?;
        // None behind the last entry; of a line that cannot be read in between, its reader is told.
        Ok(serde_json::from_slice::<Entry>(&line).ok().map(|entry| (at, entry.id)))
    }

    fn go_to(&mut self, place: SeekFrom) -> Result<u64, FileError> {
        self.reader.seek(place).map_err(|error| failed("read", self.path, &error))
    }
}

/// Cuts off an unfinished last line. Returns the newest entry's number and the length that is left.
fn repair(path: &Path, segment: &File, first: EntryId) -> Result<(EntryId, u64), JournalError> {
    let mut newest = EntryId(first.0.saturating_sub(1));
    let mut lines = Lines::open(path, first)?;
    while let Some(entry) = lines.next()? {
        newest = entry.id;
    }
    let whole = whole_length(path)?;
    segment.set_len(whole).map_err(|error| failed("repair", path, &error))?;
    Ok((newest, whole))
}

/// The bytes up to and with the last line feed.
fn whole_length(path: &Path) -> Result<u64, JournalError> {
    let mut file = File::open(path).map_err(|error| failed("read", path, &error))?;
    let length = file.metadata().map_err(|error| failed("read", path, &error))?.len();
    let tail = length.min(u64::try_from(ENTRY_BYTES_MAX).unwrap_or(u64::MAX));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length - tail))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(|error| failed("read", path, &error))?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(length - tail + u64::try_from(end).unwrap_or(0))
}

/// Opens a segment, or makes it: its name is on disk before the first entry is.
fn open_segment(path: &Path) -> Result<File, JournalError> {
    let open = || {
        let segment = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(segment)
    };
    open().map_err(|error: io::Error| failed("open", path, &error).into())
}

/// The first entries of the segments, oldest first. A name that is no segment's is not ours.
fn segments(folder: &Path) -> Result<Vec<EntryId>, FileError> {
    let mut firsts: Vec<EntryId> = files::names(folder)?
        .iter()
        .filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok().map(EntryId))
        .collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn segment_path(folder: &Path, first: EntryId) -> PathBuf {
    folder.join(format!("{:012}.jsonl", first.0))
}

fn failed(doing: &'static str, path: &Path, error: &io::Error) -> FileError {
    FileError { doing, path: path.to_owned(), trouble: FileTrouble::of(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mainstay-journal-{name}-{}", std::process::id()));
            files::remove(&path).unwrap();
            Self(path)
        }

        fn segment(&self) -> PathBuf {
            segment_path(&self.0, EntryId(1))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            files::remove(&self.0).unwrap();
        }
    }

    fn draft(reason: &str) -> Draft {
        Draft { actor: Actor::Node, what: Happening::NodeStopped, reason: reason.into(), evidence: vec![], cause: None }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn reasons(folder: &Folder, after: u64) -> Vec<(u64, String)> {
        page(&folder.0, EntryId(after), 100).unwrap().into_iter().map(|entry| (entry.id.0, entry.reason)).collect()
    }

    #[test]
    fn entries_read_back_in_order_and_numbers_go_on() {
        let folder = Folder::new("order");
        let mut journal = Journal::open(&folder.0).unwrap();
        assert_eq!(journal.append(at(1), draft("a")).unwrap(), EntryId(1));
        assert_eq!(journal.append(at(2), draft("b")).unwrap(), EntryId(2));
        drop(journal);
        let mut journal = Journal::open(&folder.0).unwrap();
        assert_eq!(*journal.newest().borrow(), EntryId(2));
        assert_eq!(journal.append(at(3), draft("c")).unwrap(), EntryId(3));
        assert_eq!(reasons(&folder, 1), [(2, "b".into()), (3, "c".into())]);
        assert_eq!(entry(&folder.0, EntryId(2)).unwrap().map(|entry| entry.at), Some(at(2)));
        assert_eq!(entry(&folder.0, EntryId(9)).unwrap(), None);
    }

    #[test]
    fn an_unfinished_line_is_cut_off() {
        let folder = Folder::new("torn");
        Journal::open(&folder.0).unwrap().append(at(1), draft("a")).unwrap();
        OpenOptions::new().append(true).open(folder.segment()).unwrap().write_all(b"{\"id\":2,\"at").unwrap();
        assert_eq!(reasons(&folder, 0), [(1, "a".into())]);
        let mut journal = Journal::open(&folder.0).unwrap();
        assert_eq!(journal.append(at(2), draft("b")).unwrap(), EntryId(2));
        assert_eq!(reasons(&folder, 0), [(1, "a".into()), (2, "b".into())]);
    }

    #[test]
    fn damage_in_the_middle_is_named() {
        let folder = Folder::new("damage");
        let mut journal = Journal::open(&folder.0).unwrap();
        journal.append(at(1), draft("a")).unwrap();
        journal.append(at(2), draft("b")).unwrap();
        let text = std::fs::read_to_string(folder.segment()).unwrap().replacen("\"a\"", "\"a", 1);
        std::fs::write(folder.segment(), text).unwrap();
        let error = Journal::open(&folder.0).unwrap_err().to_string();
        assert!(error.ends_with("is damaged at line 1: move it away to go on with a new one"), "{error}");
    }

    #[test]
    fn a_full_segment_is_followed_by_the_next() {
        let folder = Folder::new("segments");
        let mut journal = Journal::open(&folder.0).unwrap();
        journal.append(at(1), draft("a")).unwrap();
        journal.segment_bytes = SEGMENT_BYTES;
        journal.append(at(2), draft("b")).unwrap();
        drop(journal);
        assert_eq!(segments(&folder.0).unwrap(), [EntryId(1), EntryId(2)]);
        assert_eq!(*Journal::open(&folder.0).unwrap().newest().borrow(), EntryId(2));
        assert_eq!(reasons(&folder, 0), [(1, "a".into()), (2, "b".into())]);
        assert_eq!(reasons(&folder, 1), [(2, "b".into())]);
    }

    /// Short and long lines in turn, so that halving falls into both.
    fn uneven(journal: &mut Journal, count: u64) {
        for number in 1..=count {
            let length = if number.is_multiple_of(50) { 60_000 } else { 300 };
            journal.append(at(0), draft(&"x".repeat(length))).unwrap();
        }
    }

    #[test]
    fn a_page_begins_behind_any_entry() {
        let folder = Folder::new("pages");
        uneven(&mut Journal::open(&folder.0).unwrap(), 400);
        for after in 0..=400 {
            let ids: Vec<u64> = page(&folder.0, EntryId(after), 3).unwrap().iter().map(|entry| entry.id.0).collect();
            assert_eq!(ids, (after + 1..=400).take(3).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_read_for_a_page_does_not_grow_with_its_segment() {
        let folder = Folder::new("near");
        uneven(&mut Journal::open(&folder.0).unwrap(), 400);
        let path = folder.segment();
        for after in [1, 57, 200, 399] {
            let mut lines = Lines::open(&path, EntryId(1)).unwrap();
            lines.skip_near(EntryId(after)).unwrap();
            let skipped = lines.number;
            let first = lines.next().unwrap().unwrap().id;
            assert_eq!(usize::try_from(first.0).unwrap(), skipped, "lines are counted from the segment's first");
            assert!(first.0 <= after + 1 && after - first.0.min(after) <= SCAN_BYTES / 300, "{first} for {after}");
        }
    }

    #[test]
    fn damage_behind_what_was_skipped_is_named_by_its_line() {
        let folder = Folder::new("late-damage");
        uneven(&mut Journal::open(&folder.0).unwrap(), 400);
        let text = std::fs::read_to_string(folder.segment()).unwrap().replacen("{\"id\":390,", "{\"id\":", 1);
        std::fs::write(folder.segment(), text).unwrap();
        let error = page(&folder.0, EntryId(380), 100).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 390, .. }), "{error}");
    }

    #[test]
    fn what_nobody_bounded_is_refused() {
        let folder = Folder::new("long");
        let mut journal = Journal::open(&folder.0).unwrap();
        let error = journal.append(at(1), draft(&"x".repeat(ENTRY_BYTES_MAX))).unwrap_err();
        assert!(matches!(error, JournalError::TooLong { found } if found > ENTRY_BYTES_MAX), "{error}");
        assert_eq!(*journal.newest().borrow(), EntryId(0));
    }
}
