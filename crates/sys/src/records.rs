//! Small typed records of one state directory in `state.redb`: what was applied, releases, user ids, schedules.
//!
//! Start reading at [`Records`]. A record is stored under its kind and key as a JSON envelope with the
//! version of its form: `{"version":1,"record":…}`. Every write is one transaction that is on disk when the
//! call returns; [`Records::change`] writes several, all or none. An older version is handed to the
//! record's own [`Stored::migrate`]; a newer one is refused. [`look`] reads one record and leaves the file as it is,
//! whoever has it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition};

use crate::clock;
use crate::database::{DatabaseError, DatabaseFile, opening};
use crate::files::open_itself;

/// The largest file that is looked into: it is held in memory, twice. One of a stack with thousands of releases is far
/// smaller.
const LOOKED_INTO_BYTES_MAX: u64 = 128 << 20;
/// How long a look waits for a moment in which the file is not written.
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);
/// How long it waits before it reads the file again.
const LOOK_PAUSE: Duration = Duration::from_millis(3);

const TABLE: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");
type Table = ReadOnlyTable<(&'static str, &'static str), &'static [u8]>;

/// Something that is kept as a record.
pub trait Stored: serde::Serialize + serde::de::DeserializeOwned {
    /// The kind: records of one kind are listed together.
    const KIND: &'static str;
    /// The version of the form that is written.
    const VERSION: u32;

    /// Brings a record of an older version to the form of the next one; called once per version in between.
    /// A kind that has had one version only never is.
    fn migrate(version: u32, record: serde_json::Value) -> Option<serde_json::Value> {
        let _never_written = (version, record);
        None
    }
}

/// The open records of a state directory.
#[derive(Debug)]
pub struct Records(DatabaseFile);

/// The records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database that they are in refuses.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A record does not read back.
    #[error("the record {kind}/{key} in {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record's kind.
        kind: &'static str,
        /// Its key.
        key: String,
    },
    /// A record has no form in which it could be kept.
    #[error("the record {kind}/{key} cannot be written down, which is a mistake in this program: please report it")]
    Formless {
        /// The record's kind.
        kind: &'static str,
        /// Its key.
        key: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// A record was written by a newer program.
    #[error("the record {kind}/{key} has version {found}, and this program knows {known}: use a newer program")]
    Newer {
        /// The record's kind.
        kind: &'static str,
        /// Its key.
        key: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Envelope<T> {
    version: u32,
    record: T,
}

/// Several writes that happen together.
#[derive(Debug, Default)]
pub struct Change {
    writes: Vec<(&'static str, String, Option<Vec<u8>>)>,
}

impl Change {
    /// Puts a record under a key.
    pub fn put<T: Stored>(&mut self, key: &str, record: &T) -> Result<(), RecordsError> {
        let bytes = serde_json::to_vec(&Envelope { version: T::VERSION, record })
            .map_err(|source| RecordsError::Formless { kind: T::KIND, key: key.to_owned(), source })?;
        self.writes.push((T::KIND, key.to_owned(), Some(bytes)));
        Ok(())
    }

    /// Removes a record; an absent one is no error.
    pub fn remove<T: Stored>(&mut self, key: &str) {
        self.writes.push((T::KIND, key.to_owned(), None));
    }
}

impl Records {
    /// Opens the records in this file, or makes it. Its caller holds the lock of the state directory.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        let file = match DatabaseFile::open(path)? {
            Some(file) => file,
            None => DatabaseFile::make(path, |database| write(path, database, Change::default()))?.0,
        };
        let records = Self(file);
        records.with(|path, database| table(path, database).map(drop))?;
        Ok(records)
    }

    /// A record by its key.
    pub fn get<T: Stored>(&mut self, key: &str) -> Result<Option<T>, RecordsError> {
        self.with(|path, database| record(path, database, key))
    }

    /// All records of a kind, by key.
    pub fn list<T: Stored>(&mut self) -> Result<Vec<(String, T)>, RecordsError> {
        self.with(all)
    }

    /// Puts one record.
    pub fn put<T: Stored>(&mut self, key: &str, record: &T) -> Result<(), RecordsError> {
        let mut change = Change::default();
        change.put(key, record)?;
        self.change(change)
    }

    /// Carries out several writes, all or none.
    pub fn change(&mut self, change: Change) -> Result<(), RecordsError> {
        self.with(|path, database| write(path, database, change))
    }

    fn with<T, E: From<DatabaseError>>(&self, work: impl FnOnce(&Path, &Database) -> Result<T, E>) -> Result<T, E> {
        self.0.with(|database| work(self.0.path(), database))
    }
}

/// The record under this key as the file has it now; `None` also where there is no such file. Makes and writes nothing and
/// takes no lock: what a killed program left unfinished is mended in memory alone.
pub fn look<T: Stored>(path: &Path, key: &str) -> Result<Option<T>, RecordsError> {
    let failed = DatabaseError::when("read", path);
    let Some(bytes) = content(path).map_err(failed)? else { return Ok(None) };
    opening(|| record(path, &from_memory(path, &bytes)?, key))
        .unwrap_or_else(|| Err(DatabaseError::Broken { path: path.to_owned() }.into()))
}

/// The bytes that a file had at one moment, also while it is written: two readings that agree are what it was between them.
/// As after a kill at that moment, it can be opened. `None` when there is no such file.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match open_itself(OpenOptions::new().read(true), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let begun = clock::now().steady;
    loop {
        let (one, next) = (reading(&mut file)?, reading(&mut file)?);
        if one == next {
            return Ok(Some(next));
        }
        if clock::now().steady.saturating_sub(begun) >= LOOK_TIME_MAX {
            return Err(io::Error::other("it is being written all the time: try again"));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

fn reading(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LOOKED_INTO_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= LOOKED_INTO_BYTES_MAX) {
        true => Ok(bytes),
        false => Err(io::Error::other(format!(
            "it is larger than {LOOKED_INTO_BYTES_MAX} bytes, which only a node reads: start the node and ask again"
        ))),
    }
}

/// A database of these bytes, all of which was read.
fn from_memory(path: &Path, bytes: &[u8]) -> Result<Database, DatabaseError> {
    let memory = in_memory(bytes).map_err(DatabaseError::when("read", path))?;
    let mut database = Builder::new().create_with_backend(memory).map_err(DatabaseError::when("read", path))?;
    database.check_integrity().map_err(DatabaseError::when("read", path))?;
    Ok(database)
}

fn in_memory(bytes: &[u8]) -> io::Result<InMemoryBackend> {
    let memory = InMemoryBackend::new();
    memory.set_len(u64::try_from(bytes.len()).map_err(io::Error::other)?)?;
    memory.write(0, bytes)?;
    Ok(memory)
}

/// Writes in one transaction, which is on disk when this returns.
fn write(path: &Path, database: &Database, change: Change) -> Result<(), RecordsError> {
    let failed = DatabaseError::when::<redb::Error>("write", path);
    let write = database.begin_write().map_err(|error| failed(error.into()))?;
    {
        let mut table = write.open_table(TABLE).map_err(|error| failed(error.into()))?;
        for (kind, key, bytes) in change.writes {
            match bytes {
                Some(bytes) => table.insert((kind, key.as_str()), bytes.as_slice()).map(drop),
                None => table.remove((kind, key.as_str())).map(drop),
            }
            .map_err(|error| failed(error.into()))?;
        }
    }
    Ok(write.commit().map_err(|error| failed(error.into()))?)
}

fn table(path: &Path, database: &Database) -> Result<Table, DatabaseError> {
    let read = database.begin_read().map_err(DatabaseError::when("read", path))?;
    read.open_table(TABLE).map_err(DatabaseError::when("read", path))
}

fn record<T: Stored>(path: &Path, database: &Database, key: &str) -> Result<Option<T>, RecordsError> {
    let found = table(path, database)?.get((T::KIND, key)).map_err(DatabaseError::when("read", path))?;
    found.map(|bytes| decode(path, key, bytes.value())).transpose()
}

fn all<T: Stored>(path: &Path, database: &Database) -> Result<Vec<(String, T)>, RecordsError> {
    let failed = DatabaseError::when("read", path);
    let table = table(path, database)?;
    let mut found = Vec::new();
    for row in table.range((T::KIND, "")..).map_err(&failed)? {
        let (key, bytes) = row.map_err(&failed)?;
        let (kind, key) = key.value();
        if kind != T::KIND {
            break;
        }
        found.push((key.to_owned(), decode(path, key, bytes.value())?));
    }
    Ok(found)
}

fn decode<T: Stored>(path: &Path, key: &str, bytes: &[u8]) -> Result<T, RecordsError> {
    let damaged = || RecordsError::Damaged { path: path.to_owned(), kind: T::KIND, key: key.to_owned() };
    let envelope: Envelope<serde_json::Value> = serde_json::from_slice(bytes).map_err(|_| damaged())?;
    if envelope.version > T::VERSION {
        let (found, known) = (envelope.version, T::VERSION);
        return Err(RecordsError::Newer { kind: T::KIND, key: key.to_owned(), found, known });
    }
    let migrated = (envelope.version..T::VERSION)
        .try_fold(envelope.record, |record, version| T::migrate(version, record))
        .ok_or_else(damaged)?;
    serde_json::from_value(migrated).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Note {
        text: String,
    }

    impl Stored for Note {
        const KIND: &'static str = "note";
        const VERSION: u32 = 1;
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct NewerNote {
        words: Vec<String>,
    }

    impl Stored for NewerNote {
        const KIND: &'static str = "note";
        const VERSION: u32 = 2;

        fn migrate(version: u32, mut record: serde_json::Value) -> Option<serde_json::Value> {
            let text = record.get_mut("text").map(serde_json::Value::take)?;
            (version == 1).then(|| serde_json::json!({ "words": [text] }))
        }
    }

    fn check(name: &str, test: impl FnOnce(&Path)) {
        let path = std::env::temp_dir().join(format!("mainstay-records-{name}-{}.redb", std::process::id()));
        crate::files::remove(&path).unwrap();
        test(&path);
        crate::files::remove(&path).unwrap();
    }

    fn note(text: &str) -> Note {
        Note { text: text.to_owned() }
    }

    #[test]
    fn records_read_back_and_several_writes_are_one() {
        check("roundtrip", |path| {
            let mut records = Records::open(path).unwrap();
            records.put("a", &note("one")).unwrap();
            let mut change = Change::default();
            change.put("b", &note("two")).unwrap();
            change.remove::<Note>("a");
            records.change(change).unwrap();
            drop(records);
            let mut records = Records::open(path).unwrap();
            assert_eq!(records.get::<Note>("a").unwrap(), None);
            assert_eq!(records.list::<Note>().unwrap(), [("b".to_owned(), note("two"))]);
        });
    }

    /// JSON has no pairs as keys.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Formless(BTreeMap<(u32, u32), u32>);

    impl Stored for Formless {
        const KIND: &'static str = "formless";
        const VERSION: u32 = 1;
    }

    #[test]
    fn what_cannot_be_written_down_is_refused() {
        check("formless", |path| {
            let mut records = Records::open(path).unwrap();
            let refused = records.put("a", &Formless([((1, 2), 3)].into())).unwrap_err().to_string();
            assert!(refused.starts_with("the record formless/a cannot be written down"), "{refused}");
            assert_eq!(records.list::<Formless>().unwrap().len(), 0);
        });
    }

    #[test]
    fn older_records_migrate_and_newer_ones_are_refused() {
        check("versions", |path| {
            let mut records = Records::open(path).unwrap();
            records.put("a", &note("one")).unwrap();
            let migrated = records.get::<NewerNote>("a").unwrap();
            assert_eq!(migrated, Some(NewerNote { words: vec!["one".to_owned()] }));
            records.put("a", &NewerNote { words: vec![] }).unwrap();
            let error = records.get::<Note>("a").unwrap_err().to_string();
            assert_eq!(error, "the record note/a has version 2, and this program knows 1: use a newer program");
        });
    }

    #[test]
    fn a_look_finds_what_is_there_while_it_is_held_and_after_a_kill_and_leaves_the_file_as_it_was() {
        check("look", |path| {
            assert_eq!(look::<Note>(path, "a").unwrap(), None);
            assert!(!path.exists());
            let mut records = Records::open(path).unwrap();
            assert_eq!(look::<Note>(path, "a").unwrap(), None);
            records.put("a", &note("one")).unwrap();
            assert_eq!(look(path, "a").unwrap(), Some(note("one")));
            // What a kill leaves: redb has not closed it.
            let left = std::fs::read(path).unwrap();
            drop(records);
            for bytes in [std::fs::read(path).unwrap(), left] {
                std::fs::write(path, &bytes).unwrap();
                std::fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
                let modified = || path.metadata().unwrap().modified().unwrap();
                let before = modified();
                assert_eq!(look(path, "a").unwrap(), Some(note("one")));
                assert_eq!((std::fs::read(path).unwrap() == bytes, modified()), (true, before));
                std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
            }
        });
    }

    #[test]
    fn a_look_beside_the_first_open_finds_nothing_or_what_is_there() {
        check("first", |path| {
            std::thread::scope(|scope| {
                let opener = scope.spawn(|| {
                    for _ in 0..20 {
                        crate::files::remove(path).unwrap();
                        Records::open(path).unwrap().put("a", &note("one")).unwrap();
                    }
                });
                while !opener.is_finished() {
                    let found: Option<Note> = look(path, "a").unwrap();
                    assert!(found.is_none_or(|found| found == note("one")));
                }
            });
        });
    }

    #[test]
    fn what_a_kill_left_of_records_that_were_being_made_is_in_nobodys_way() {
        check("unfinished", |path| {
            let unfinished = path.with_extension("redb.new");
            // redb makes a file long before it writes what tells it from others.
            fs::write(&unfinished, vec![0; 1 << 20]).unwrap();
            assert_eq!(look::<Note>(path, "a").unwrap(), None);
            Records::open(path).unwrap().put("a", &note("one")).unwrap();
            assert_eq!(look(path, "a").unwrap(), Some(note("one")));
            assert!(!unfinished.exists());
        });
    }

    #[test]
    fn looks_beside_a_writer_find_one_of_its_writes_each() {
        check("beside", |path| {
            let mut records = Records::open(path).unwrap();
            let text = |number: u32| note(&format!("{number} ").repeat(3000));
            records.put("a", &text(0)).unwrap();
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| (1..=200).for_each(|number| records.put("a", &text(number)).unwrap()));
                while !writer.is_finished() {
                    let found: Note = look(path, "a").unwrap().unwrap();
                    let number = found.text.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(found, text(number));
                }
            });
        });
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        check("link", |path| {
            let victim = path.with_extension("victim");
            std::fs::write(&victim, "").unwrap();
            std::os::unix::fs::symlink(&victim, path).unwrap();
            let told = |error: RecordsError| format!("{error}: {}", std::error::Error::source(&error).unwrap());
            let why = format!("{}: I/O error: a link has its name", path.display());
            let opened = told(Records::open(path).unwrap_err());
            assert!(opened.starts_with(&format!("cannot open {why}")), "{opened}");
            let looked = told(look::<Note>(path, "a").unwrap_err());
            assert!(looked.starts_with(&format!("cannot read {why}")), "{looked}");
            assert_eq!(std::fs::read(&victim).unwrap(), b"");
            std::fs::remove_file(&victim).unwrap();
        });
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic() {
        check("damaged", |path| {
            Records::open(path).unwrap().put("a", &note("one")).unwrap();
            let whole = std::fs::read(path).unwrap();
            let mut refused = 0;
            for at in (0..whole.len()).step_by(whole.len() / 64) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0xff;
                std::fs::write(path, &bytes).unwrap();
                // Which error each of them is differs; that both are one, or none, must not.
                let looked = look::<Note>(path, "a").ok();
                let opened = Records::open(path).and_then(|mut records| records.get("a")).ok();
                assert_eq!(looked, opened, "at {at}");
                refused += u32::from(opened.is_none());
            }
            assert!(refused > 0);
        });
    }

    #[test]
    fn a_database_without_records_is_damaged() {
        check("foreign", |path| {
            drop(Builder::new().create(path).unwrap());
            let told = format!("{} is damaged: put it back from a copy, or move it away to begin anew", path.display());
            assert_eq!(Records::open(path).unwrap_err().to_string(), told);
            assert_eq!(look::<Note>(path, "a").unwrap_err().to_string(), told);
        });
    }
}
