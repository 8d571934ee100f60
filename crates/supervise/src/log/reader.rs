//! The node's side of logs: the files of several units, merged by time, from a moment on, filtered, and
//! followed while they are written.
//!
//! Start reading at [`Reader::next`]. Invariant: one line of each unit is in memory at a time; whatever
//! does not read as a line (a torn one, a file removed by rotation) is passed over, never an error.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use model::{Timestamp, UnitId};

use super::{LINE_BYTES_MAX, Line, file_path, numbers};

/// What is wanted of the logs.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// No line before this moment.
    pub since: Option<Timestamp>,
    /// Only lines that contain this text.
    pub grep: Option<String>,
}

impl Query {
    fn wants(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.grep.as_ref().is_none_or(|text| line.line.contains(text.as_str()))
    }
}

/// Reads the logs of several units as one.
#[derive(Debug)]
pub struct Reader {
    query: Query,
    cursors: Vec<Cursor>,
}

impl Reader {
    /// The logs of these units, each with the folder that its files are in.
    pub fn new(logs: impl IntoIterator<Item = (UnitId, PathBuf)>, query: Query) -> Self {
        let cursors = logs.into_iter().map(|(unit, folder)| Cursor::new(unit, folder)).collect();
        Self { query, cursors }
    }

    /// Adds a unit, one that was started meanwhile. One that is already read is left as it is.
    pub fn add(&mut self, unit: UnitId, folder: PathBuf) {
        if self.cursors.iter().all(|cursor| cursor.unit != unit) {
            self.cursors.push(Cursor::new(unit, folder));
        }
    }

    /// Lets go of the units whose logs are not there any more, and of their open files: whoever follows for weeks
    /// meets many units.
    pub fn keep(&mut self, is_there: impl Fn(&UnitId) -> bool) {
        self.cursors.retain(|cursor| is_there(&cursor.unit));
    }

    /// The earliest wanted line of all that are there now; `None` when there is none *yet*: a later call
    /// gives what was written meanwhile. What was written meanwhile is not before what was given.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and goes on after None")]
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            for cursor in &mut self.cursors {
                cursor.fill()?;
            }
            let earliest = self
                .cursors
                .iter_mut()
                .filter(|cursor| cursor.line.is_some())
                .min_by_key(|cursor| cursor.line.as_ref().map(|line| line.at));
            let Some(line) = earliest.and_then(|cursor| cursor.line.take()) else { return Ok(None) };
            if self.query.wants(&line) {
                return Ok(Some(line));
            }
        }
    }
}

/// One unit's place in its files.
#[derive(Debug)]
struct Cursor {
    unit: UnitId,
    folder: PathBuf,
    open: Option<(u32, BufReader<File>)>,
    partial: Vec<u8>,
    line: Option<Line>,
}

/// A line with everything escaped, and room for the other keys.
const JSON_BYTES_MAX: usize = LINE_BYTES_MAX * 6 + 512;

impl Cursor {
    fn new(unit: UnitId, folder: PathBuf) -> Self {
        Self { unit, folder, open: None, partial: Vec::new(), line: None }
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.line.is_none() {
            if self.open.is_none() && !self.open_next(None)? {
                return Ok(());
            }
            let Some((number, file)) = &mut self.open else { return Ok(()) };
            let number = *number;
            let available = file.fill_buf()?;
            if available.is_empty() {
                // The end, or the end for now: only a file that has a successor is never written again.
                if !self.open_next(Some(number))? {
                    return Ok(());
                }
                continue;
            }
            let (taken, whole) = match available.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (available.len(), false),
            };
            if self.partial.len() + taken <= JSON_BYTES_MAX {
                self.partial.extend_from_slice(&available[..taken]);
            }
            file.consume(taken);
            if whole {
                self.line = serde_json::from_slice(&self.partial).ok();
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Opens the file after `number`, or the first; false when there is none.
    fn open_next(&mut self, number: Option<u32>) -> io::Result<bool> {
        let next = numbers(&self.folder, &self.unit)?.into_iter().find(|found| number.is_none_or(|old| *found > old));
        let Some(next) = next else { return Ok(false) };
        if let (Some(_), Some((_, file))) = (number, &mut self.open)
            && !file.fill_buf()?.is_empty()
        {
            // Written to between the look at its end and the look at its successor.
            return Ok(true);
        }
        match File::open(file_path(&self.folder, &self.unit, next)) {
            Ok(file) => {
                self.partial.clear();
                self.open = Some((next, BufReader::new(file)));
                Ok(true)
            }
            // Removed by rotation in between: the next look finds a later one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_next(Some(next)),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn json(second: u32, unit: &str, text: &str) -> String {
        format!(
            "{{\"at\":\"2026-11-20T17:00:{second:02}.000Z\",\"unit\":\"{unit}\",\"stream\":\"out\",\"line\":\"{text}\"}}\n"
        )
    }

    fn drain(reader: &mut Reader) -> Vec<String> {
        std::iter::from_fn(|| reader.next().unwrap()).map(|line| format!("{} {}", line.unit, line.line)).collect()
    }

    #[test]
    fn units_are_merged_filtered_and_followed() {
        let folder = std::env::temp_dir().join(format!("mainstay-reader-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(folder.join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("api.3.1.000001.log", &(json(1, "api.3.1", "one") + "torn{\n" + &json(4, "api.3.1", "four")));
        write("api.3.1.000002.log", &json(5, "api.3.1", "five"));
        write("db.000003.log", &(json(0, "db", "early") + &json(2, "db", "two")));
        let logs = || ["api.3.1", "db"].map(|unit| (unit.parse().unwrap(), folder.clone()));
        let mut all = Reader::new(logs(), Query::default());
        assert_eq!(drain(&mut all), ["db early", "api.3.1 one", "db two", "api.3.1 four", "api.3.1 five"]);
        let since = Some("2026-11-20T17:00:02Z".parse().unwrap());
        let mut some = Reader::new(logs(), Query { since, grep: Some("o".into()) });
        assert_eq!(drain(&mut some), ["db two", "api.3.1 four"]);

        let next = json(7, "api.3.1", "seven");
        write("api.3.1.000002.log", &next[..10]);
        assert_eq!(drain(&mut all), Vec::<String>::new());
        write("api.3.1.000002.log", &next[10..]);
        write("api.3.1.000003.log", &json(8, "api.3.1", "eight"));
        assert_eq!(drain(&mut all), ["api.3.1 seven", "api.3.1 eight"]);
        assert_eq!(super::super::units(&folder).unwrap().len(), 2);

        all.keep(|unit| unit.service().is_none());
        write("api.3.1.000003.log", &json(9, "api.3.1", "nine"));
        write("db.000003.log", &json(9, "db", "later"));
        assert_eq!(drain(&mut all), ["db later"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
