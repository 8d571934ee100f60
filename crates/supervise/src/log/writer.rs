//! The shim's side of a log: bytes of the child in, lines in files out, without ever waiting for space.
//!
//! When the disk is full, lines are dropped and counted, and a line that says how many is written once
//! there is space again. A write that only half succeeded is taken back, so that files hold whole lines.
//!
//! Start reading at [`Writer::feed`]. Invariant: memory is bounded by two unfinished lines, one batch and
//! the [`LAST_LINES_MAX`] lines that are kept for the exit report.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use model::UnitId;
use sys::Now;
use sys::files::is_full;

use super::{LINE_BYTES_MAX, Line, Stream, file_path, numbers};
use crate::launch::LogPolicy;

/// Lines kept for the exit report.
pub const LAST_LINES_MAX: usize = 20;
/// Bytes kept of each of them: 20 such lines fit a protocol message even when every byte is escaped.
pub const LAST_LINE_BYTES_MAX: usize = 400;
/// Bytes gathered for one write at most, but for the line that passes it.
const BATCH_BYTES_MAX: usize = 128 << 10;
/// From one attempt to open or write a file after a failure to the next.
pub const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Writes one unit's log.
#[derive(Debug)]
pub struct Writer {
    unit: UnitId,
    policy: LogPolicy,
    number: u32,
    file: Option<File>,
    size: u64,
    unfinished: [Vec<u8>; 2],
    batch: Vec<u8>,
    batch_lines: u64,
    dropped: Dropped,
    last: VecDeque<String>,
}

/// What was lost, and until when no attempt is made to write more.
#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    reason: String,
    quiet_until: Option<Duration>,
}

impl Writer {
    /// Goes on in the unit's newest file, or begins its first. A full disk is no error: lines are counted
    /// until there is space. A folder that cannot be written for any other reason is one.
    pub fn open(unit: UnitId, policy: LogPolicy, now: Now) -> io::Result<Self> {
        let mut writer = Self {
            unit,
            policy,
            number: 1,
            file: None,
            size: 0,
            unfinished: [Vec::new(), Vec::new()],
            batch: Vec::new(),
            batch_lines: 0,
            dropped: Dropped::default(),
            last: VecDeque::new(),
        };
        match writer.reopen() {
            Err(error) if is_full(&error) => writer.failed(now, &error),
            other => other?,
        }
        Ok(writer)
    }

    /// Takes bytes that the child wrote. Whole lines go to the file at once.
    pub fn feed(&mut self, now: Now, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(now, stream, &rest[..end]);
            self.finish_line(now, stream, false);
            rest = &rest[end + 1..];
            if self.batch.len() >= BATCH_BYTES_MAX {
                self.flush(now);
            }
        }
        self.extend(now, stream, rest);
        self.flush(now);
    }

    /// Writes what has no line feed yet: the child wrote its last byte.
    pub fn finish(&mut self, now: Now) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.unfinished(stream).is_empty() {
                self.finish_line(now, stream, false);
            }
        }
        self.dropped.quiet_until = None;
        self.flush(now);
    }

    /// Writes a line of the shim's own.
    pub fn say(&mut self, now: Now, text: &str) {
        self.push(&Line {
            at: now.wall,
            unit: self.unit.clone(),
            stream: Stream::Shim,
            line: text.to_owned(),
            cut: false,
        });
        self.flush(now);
    }

    /// The last lines of output, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    fn unfinished(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.unfinished[usize::from(stream == Stream::Err)]
    }

    fn extend(&mut self, now: Now, stream: Stream, mut bytes: &[u8]) {
        loop {
            let room = LINE_BYTES_MAX - self.unfinished(stream).len();
            if bytes.len() <= room {
                self.unfinished(stream).extend_from_slice(bytes);
                return;
            }
            self.unfinished(stream).extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            self.finish_line(now, stream, true);
        }
    }

    fn finish_line(&mut self, now: Now, stream: Stream, cut: bool) {
        let unit = self.unit.clone();
        let mut bytes = std::mem::take(self.unfinished(stream));
        // A piece ends between characters where there is one to end between.
        let carried = if cut { incomplete_tail(&bytes) } else { 0 };
        let tail = bytes.split_off(bytes.len() - carried);
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").filter(|_| !cut).unwrap_or(&bytes)).into_owned();
        self.keep_last(&text);
        self.push(&Line { at: now.wall, unit, stream, line: text, cut });
        bytes.clear();
        bytes.extend_from_slice(&tail);
        *self.unfinished(stream) = bytes;
    }

    fn keep_last(&mut self, text: &str) {
        if self.last.len() == LAST_LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(text[..text.floor_char_boundary(LAST_LINE_BYTES_MAX)].to_owned());
    }

    fn push(&mut self, line: &Line) {
        // Writing JSON into memory does not fail.
        if serde_json::to_writer(&mut self.batch, line).is_ok() {
            self.batch.push(b'\n');
            self.batch_lines += 1;
        }
    }

    /// Hands the batch to the file.
    fn flush(&mut self, now: Now) {
        if self.batch.is_empty() {
            return;
        }
        match self.try_flush(now) {
            Ok(()) => self.dropped = Dropped::default(),
            Err(error) => self.failed(now, &error),
        }
        self.batch.clear();
        self.batch_lines = 0;
        // A burst's memory is given back.
        self.batch.shrink_to(2 * LINE_BYTES_MAX);
    }

    fn try_flush(&mut self, now: Now) -> io::Result<()> {
        if self.dropped.quiet_until.is_some_and(|until| now.steady < until) {
            return Err(io::Error::other(self.dropped.reason.clone()));
        }
        if self.file.is_none() || self.size >= self.policy.file_max.as_bytes() {
            self.reopen()?;
        }
        let mut bytes = Vec::new();
        if self.dropped.lines > 0 {
            let text = format!("{} lines dropped: {}", self.dropped.lines, self.dropped.reason);
            let line = Line { at: now.wall, unit: self.unit.clone(), stream: Stream::Shim, line: text, cut: false };
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        self.write_whole(&bytes)?;
        self.dropped.lines = 0;
        let batch = std::mem::take(&mut self.batch);
        let written = self.write_whole(&batch);
        self.batch = batch;
        written
    }

    /// Writes all of it or, as far as the file's length tells, none of it.
    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        match file.write_all(bytes) {
            Ok(()) => {
                self.size += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // If even this fails, the reader passes the torn line over.
                drop(file.set_len(self.size));
                Err(error)
            }
        }
    }

    fn failed(&mut self, now: Now, error: &io::Error) {
        self.dropped.lines += self.batch_lines;
        if self.dropped.quiet_until.is_none_or(|until| until <= now.steady) {
            self.dropped.reason =
                if is_full(error) { "no space left on the device".to_owned() } else { error.to_string() };
            self.dropped.quiet_until = Some(now.steady + TRY_AGAIN);
        }
    }

    /// Opens the newest file that still has room, or the next one, and removes the oldest.
    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        if !self.policy.folder.is_dir() {
            fs::create_dir_all(&self.policy.folder)?;
        }
        let existing = numbers(&self.policy.folder, &self.unit)?;
        self.number = existing.last().copied().unwrap_or(1);
        let keep_from = |number: u32, max: u32| number.saturating_sub(max);
        let mut file = self.open_number()?;
        self.size = end_whole(&mut file)?;
        if self.size >= self.policy.file_max.as_bytes() {
            // Before the new file: on a full disk this is what makes room for it.
            for old in existing.iter().filter(|old| **old < keep_from(self.number + 1, self.policy.files_max)) {
                fs::remove_file(file_path(&self.policy.folder, &self.unit, *old))?;
            }
            self.number += 1;
            file = self.open_number()?;
            self.size = end_whole(&mut file)?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn open_number(&self) -> io::Result<File> {
        let path = file_path(&self.policy.folder, &self.unit, self.number);
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
    }
}

/// The file's length, after a torn last line got its line feed.
fn end_whole(file: &mut File) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    if size > 0 {
        let mut last = [0_u8];
        file.seek(SeekFrom::Start(size - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            return Ok(size + 1);
        }
    }
    Ok(size)
}

/// How many bytes at the end begin a character that they do not finish.
fn incomplete_tail(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use model::ByteSize;

    use super::*;

    fn at(millis: u64) -> Now {
        let zero: model::Timestamp = "2026-11-20T17:00:00Z".parse().unwrap();
        Now { wall: zero.after(Duration::from_millis(millis)), steady: Duration::from_millis(millis) }
    }

    /// Feeds pieces to a fresh writer and shows its files, long lines shortened.
    fn check(name: &str, file_max: u64, files_max: u32, pieces: &[(Stream, &[u8])], expected: &Expect) {
        let folder = std::env::temp_dir().join(format!("mainstay-log-{name}-{}", std::process::id()));
        let policy = LogPolicy { folder: folder.clone(), file_max: ByteSize::bytes(file_max), files_max };
        let mut writer = Writer::open("api.3.1".parse().unwrap(), policy, at(0)).unwrap();
        for (millis, (stream, bytes)) in pieces.iter().enumerate() {
            writer.feed(at(millis as u64), *stream, bytes);
        }
        writer.finish(at(100));
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut text = String::new();
        for path in names {
            text.push_str(&format!("{}\n", path.file_name().unwrap().to_str().unwrap()));
            for line in fs::read_to_string(&path).unwrap().lines() {
                let line: Line = serde_json::from_str(line).unwrap();
                let shown: String = line.line.chars().take(20).collect();
                let cut = if line.cut { " cut" } else { "" };
                text.push_str(&format!("  {} {:?} {:?} {}{cut}\n", line.at, line.stream, shown, line.line.len()));
            }
        }
        text.push_str(&format!("last: {}\n", writer.last_lines().len()));
        fs::remove_dir_all(&folder).unwrap();
        expected.assert_eq(&text);
    }

    #[test]
    fn lines_of_both_streams_are_kept_apart() {
        check(
            "streams",
            10_000,
            3,
            &[
                (Stream::Out, b"one\ntw"),
                (Stream::Err, b"bad\r\n"),
                (Stream::Out, b"o\n\n"),
                (Stream::Out, b"caf\xc3\xa9 \xff"),
            ],
            &expect![[r#"
                api.3.1.000001.log
                  2026-11-20T17:00:00.000Z Out "one" 3
                  2026-11-20T17:00:00.001Z Err "bad" 3
                  2026-11-20T17:00:00.002Z Out "two" 3
                  2026-11-20T17:00:00.002Z Out "" 0
                  2026-11-20T17:00:00.100Z Out "café �" 9
                last: 5
            "#]],
        );
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let mut long = vec![b'x'; LINE_BYTES_MAX - 1];
        long.extend_from_slice("éabc\n".as_bytes());
        check(
            "long",
            100_000,
            3,
            &[(Stream::Out, &long)],
            &expect![[r#"
            api.3.1.000001.log
              2026-11-20T17:00:00.000Z Out "xxxxxxxxxxxxxxxxxxxx" 16383 cut
              2026-11-20T17:00:00.000Z Out "éabc" 5
            last: 2
        "#]],
        );
    }

    #[test]
    fn files_are_rotated_and_the_oldest_removed() {
        let pieces = [(Stream::Out, b"0123456789\n".as_slice()); 6];
        check(
            "rotate",
            150,
            2,
            &pieces,
            &expect![[r#"
            api.3.1.000001.log
              2026-11-20T17:00:00.000Z Out "0123456789" 10
              2026-11-20T17:00:00.001Z Out "0123456789" 10
            api.3.1.000002.log
              2026-11-20T17:00:00.002Z Out "0123456789" 10
              2026-11-20T17:00:00.003Z Out "0123456789" 10
            api.3.1.000003.log
              2026-11-20T17:00:00.004Z Out "0123456789" 10
              2026-11-20T17:00:00.005Z Out "0123456789" 10
            last: 6
        "#]],
        );
    }

    #[test]
    fn the_newest_file_is_gone_on_with_and_a_torn_line_ended() {
        let folder = std::env::temp_dir().join(format!("mainstay-log-torn-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("db.000007.log");
        fs::write(&path, "{\"at\":").unwrap();
        let policy = LogPolicy { folder: folder.clone(), file_max: ByteSize::bytes(1000), files_max: 1 };
        let mut writer = Writer::open("db".parse().unwrap(), policy, at(0)).unwrap();
        writer.say(at(1), "hello");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"at\":\n{\"at\":\"2026-11-20T17:00:00.001Z\",\"unit\":\"db\",\"stream\":\"shim\",\"line\":\"hello\"}\n"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
