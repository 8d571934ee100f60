//! The node's side of logs: the files of several units, merged by time, from a moment on, filtered, and
//! followed while they are written.
//!
//! Start reading at [`Reader::next`]. Invariants: one line of each unit is in memory at a time, and at most
//! [`OPEN_FILES_MAX`] files are open, however many units there are; whatever does not read as a line (a torn one, a file
//! removed by rotation) is passed over, never an error.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use model::{Timestamp, UnitId};

use super::{LINE_BYTES_MAX, Line, file_path, numbers};

/// Files that one reader has open at a time. A node serves several readers, and the limit of what a process may have
/// open is 1024 on many machines.
pub const OPEN_FILES_MAX: usize = 8;

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

    /// Lets go of the units whose logs are not there any more: whoever follows for weeks meets many units.
    pub fn keep(&mut self, is_there: impl Fn(&UnitId) -> bool) {
        self.cursors.retain(|cursor| is_there(&cursor.unit));
    }

    /// The earliest wanted line of all that are there now; `None` when there is none *yet*: a later call
    /// gives what was written meanwhile. What was written meanwhile is not before what was given.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and goes on after None")]
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            // A unit that had nothing more when it was last looked at has nothing earlier than that. The second look is
            // at those that had nothing when a line of another was printed, a moment ago.
            for _ in 0..2 {
                self.fill(self.earliest())?;
            }
            let next = self.cursors.iter_mut().filter(|it| it.line.is_some()).min_by_key(|it| it.line_at());
            let Some(line) = next.and_then(|cursor| cursor.line.take()) else {
                self.cursors.iter_mut().for_each(|cursor| cursor.looked = None);
                return Ok(None);
            };
            if self.query.wants(&line) {
                return Ok(Some(line));
            }
        }
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.cursors.iter().filter_map(Cursor::line_at).min()
    }

    /// Reads on in each unit that may have a line before this moment.
    fn fill(&mut self, earliest: Option<Timestamp>) -> io::Result<()> {
        for place in 0..self.cursors.len() {
            if self.cursors[place].may_have_before(earliest) {
                self.make_room_for(place);
                self.cursors[place].fill()?;
                debug_assert!(self.open_files() <= OPEN_FILES_MAX, "the limit holds at every moment");
            }
        }
        Ok(())
    }

    /// Closes the file that is needed last, where one more than may be is about to be opened.
    fn make_room_for(&mut self, place: usize) {
        if self.cursors[place].file.is_none() && self.open_files() == OPEN_FILES_MAX {
            let open = self.cursors.iter_mut().filter(|cursor| cursor.file.is_some());
            if let Some(cursor) = open.max_by_key(|cursor| cursor.line_at()) {
                cursor.file = None;
            }
        }
    }

    fn open_files(&self) -> usize {
        self.cursors.iter().filter(|cursor| cursor.file.is_some()).count()
    }
}

/// One unit's place in its files.
#[derive(Debug)]
struct Cursor {
    unit: UnitId,
    folder: PathBuf,
    /// The file that is read, and how far; absent before the first one was found.
    place: Option<Place>,
    /// That file from there on; absent where it was closed meanwhile.
    file: Option<BufReader<File>>,
    partial: Vec<u8>,
    line: Option<Line>,
    /// When it was last seen that there is nothing more.
    looked: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    number: u32,
    read: u64,
}

/// A line with everything escaped, and room for the other keys.
const JSON_BYTES_MAX: usize = LINE_BYTES_MAX * 6 + 512;

impl Cursor {
    fn new(unit: UnitId, folder: PathBuf) -> Self {
        Self { unit, folder, place: None, file: None, partial: Vec::new(), line: None, looked: None }
    }

    fn line_at(&self) -> Option<Timestamp> {
        self.line.as_ref().map(|line| line.at)
    }

    /// Whether a look at its files may find a line before this moment, or any where there is none.
    fn may_have_before(&self, moment: Option<Timestamp>) -> bool {
        self.line.is_none() && self.looked.is_none_or(|looked| moment.is_some_and(|moment| moment >= looked))
    }

    /// Reads on to the next line, or to the end for now. There the file is closed: most units have ended.
    fn fill(&mut self) -> io::Result<()> {
        let now = sys::clock::now().wall;
        while self.line.is_none() {
            if !self.read_on()? && !self.go_to_next_file()? {
                self.looked = Some(now);
                self.file = None;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes in what is there of the file up to the end of a line; false at its end, or where there is no file.
    fn read_on(&mut self) -> io::Result<bool> {
        self.open()?;
        let (Some(place), Some(file)) = (&mut self.place, &mut self.file) else { return Ok(false) };
        let available = file.fill_buf()?;
        let (taken, whole) = match available.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (available.len(), false),
        };
        if self.partial.len() + taken <= JSON_BYTES_MAX {
            self.partial.extend_from_slice(&available[..taken]);
        }
        file.consume(taken);
        place.read = place.read.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        if whole {
            // One that is torn, by a full disk or a loss of power, or too long is passed over.
            self.line = serde_json::from_slice(&self.partial).ok();
            self.partial.clear();
        }
        Ok(taken > 0)
    }

    /// Opens its file where it was left; nothing where rotation has removed it.
    fn open(&mut self) -> io::Result<()> {
        let (None, Some(place)) = (&self.file, self.place) else { return Ok(()) };
        match File::open(file_path(&self.folder, &self.unit, place.number)) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(place.read))?;
                self.file = Some(BufReader::new(file));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Goes to the file after its own, or to the first; false when there is none. Only a file that has a successor is
    /// never written again.
    fn go_to_next_file(&mut self) -> io::Result<bool> {
        let old = self.place.map(|place| place.number);
        let next = numbers(&self.folder, &self.unit)?.into_iter().find(|found| old.is_none_or(|old| *found > old));
        let Some(number) = next else { return Ok(false) };
        if self.read_on()? {
            // Written to between the look at its end and the look at its successor.
            return Ok(true);
        }
        self.partial.clear();
        self.file = None;
        self.place = Some(Place { number, read: 0 });
        Ok(true)
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

        assert_eq!(all.open_files(), 0, "what has ended is closed");
        all.keep(|unit| unit.service().is_none());
        write("api.3.1.000003.log", &json(9, "api.3.1", "nine"));
        write("db.000003.log", &json(9, "db", "later"));
        assert_eq!(drain(&mut all), ["db later"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn many_units_are_merged_with_few_open_files() {
        const UNITS: u32 = 20;
        let folder = std::env::temp_dir().join(format!("mainstay-many-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let unit = |number: u32| format!("job.1.run.{number}");
        for number in 1..=UNITS {
            let text = json(number, &unit(number), "first") + &json(number + UNITS, &unit(number), "second");
            fs::write(folder.join(format!("{}.000001.log", unit(number))), text).unwrap();
        }
        let logs = (1..=UNITS).map(|number| (unit(number).parse().unwrap(), folder.clone()));
        let mut reader = Reader::new(logs, Query::default());
        let mut found = Vec::new();
        // That few are open is asserted where they are opened.
        while let Some(line) = reader.next().unwrap() {
            found.push(format!("{} {}", line.unit, line.line));
        }
        let all = |text: &'static str| (1..=UNITS).map(move |number| format!("{} {text}", unit(number)));
        assert_eq!(found, all("first").chain(all("second")).collect::<Vec<_>>());
        assert_eq!(reader.open_files(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }
}
