//! Small typed records of one state directory in `state.redb`: what was applied, releases, user ids, schedules.
//!
//! Start reading at [`Records`]. A record is stored under its kind and key as a JSON envelope with the
//! version of its form: `{"version":1,"record":…}`. Every write is one transaction that is on disk when the
//! call returns; [`Records::change`] writes several, all or none. An older version is handed to the
//! record's own [`Stored::migrate`]; a newer one is refused. [`look`] reads one record and leaves the file as it is,
//! whoever has it.

mod disk;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition};

use self::disk::{Disk, Doubt};
use crate::clock;
use crate::files::{create_anew, open_itself};

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
pub struct Records {
    path: PathBuf,
    file: File,
    doubt: Doubt,
    /// Absent after an error, until it is opened anew: redb takes nothing more after one.
    database: Option<Database>,
}

/// The records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database could not be opened, read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// The disk failed before, so that it is not known what is on it.
    #[error(
        "{} is not used any more, since its disk failed ({why}): see to the disk, then end the node and start it anew, which \
         leaves everything running",
        path.display()
    )]
    Doubtful {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        why: String,
    },
    /// The file's structure is damaged.
    #[error("{} is damaged: put it back from a copy, or move it away to begin anew", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
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
    pub fn put<T: Stored>(&mut self, key: &str, record: &T) {
        // Records are structures with text keys: they always have a JSON form, and an empty value is refused
        // on reading as damaged rather than believed.
        let bytes = serde_json::to_vec(&Envelope { version: T::VERSION, record }).unwrap_or_default();
        self.writes.push((T::KIND, key.to_owned(), Some(bytes)));
    }

    /// Removes a record; an absent one is no error.
    pub fn remove<T: Stored>(&mut self, key: &str) {
        self.writes.push((T::KIND, key.to_owned(), None));
    }
}

impl Records {
    /// Opens the records in this file, or makes it, readable for the owner only. Reads all of it once. Its caller holds the
    /// lock of the state directory.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match open_itself(&mut options, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            opened => opened.map_err(|error| io_error("open", path, error))?,
        };
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| io_error("protect", path, error))?;
        let mut records = Self { path: path.to_owned(), file, doubt: Doubt::default(), database: None };
        let database = unless_broken(path, || checked(path, records.open_database()?))?;
        records.database = Some(database);
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
        change.put(key, record);
        self.change(change)
    }

    /// Carries out several writes, all or none.
    pub fn change(&mut self, change: Change) -> Result<(), RecordsError> {
        self.with(|path, database| write(path, database, change))
    }

    /// Works with the database. After an error of it, it is opened anew the next time, unless it is in doubt what the disk holds.
    fn with<T>(&mut self, work: impl FnOnce(&Path, &Database) -> Result<T, RecordsError>) -> Result<T, RecordsError> {
        if let Some(why) = self.doubt.get() {
            return Err(RecordsError::Doubtful { path: self.path.clone(), why: why.clone() });
        }
        let database = match self.database.take() {
            Some(database) => database,
            None => unless_broken(&self.path, || self.open_database())?,
        };
        let done = work(&self.path, &database);
        if !matches!(done, Err(RecordsError::Database { .. })) {
            self.database = Some(database);
        }
        done
    }

    /// What was not closed is mended by redb as it is opened.
    fn open_database(&self) -> Result<Database, RecordsError> {
        let failed = |error| database_error("open", &self.path, error);
        let file = self.file.try_clone().map_err(|error| io_error("open", &self.path, error))?;
        let disk = Disk { file: FileBackend::new(file).map_err(failed)?, doubt: self.doubt.clone() };
        Builder::new().create_with_backend(disk).map_err(failed)
    }
}

/// Makes a file without records. It gets its name once it can be opened: a kill leaves none that cannot, and a look beside sees
/// none before.
fn make(path: &Path) -> Result<File, RecordsError> {
    let failed = |error| io_error("make", path, error);
    let unfinished = path.with_extension("redb.new");
    let file = create_anew(&unfinished).map_err(failed)?;
    let database = Builder::new().create_file(file.try_clone().map_err(failed)?);
    let database = database.map_err(|error| database_error("make", path, error))?;
    write(path, &database, Change::default())?;
    drop(database);
    fs::rename(&unfinished, path).map_err(failed)?;
    File::open(path.parent().unwrap_or(Path::new("/"))).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(file)
}

/// The record under this key as the file has it now; `None` also where there is no such file. Makes and writes nothing and
/// takes no lock: what a killed program left unfinished is mended in memory alone.
pub fn look<T: Stored>(path: &Path, key: &str) -> Result<Option<T>, RecordsError> {
    let Some(bytes) = content(path).map_err(|error| io_error("read", path, error))? else { return Ok(None) };
    unless_broken(path, || {
        let memory = in_memory(&bytes).map_err(|error| io_error("read", path, error))?;
        let database =
            Builder::new().create_with_backend(memory).map_err(|error| database_error("read", path, error))?;
        record(path, &checked(path, database)?, key)
    })
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

fn in_memory(bytes: &[u8]) -> io::Result<InMemoryBackend> {
    let memory = InMemoryBackend::new();
    memory.set_len(u64::try_from(bytes.len()).map_err(io::Error::other)?)?;
    memory.write(0, bytes)?;
    Ok(memory)
}

/// A database all of which was read.
fn checked(path: &Path, mut database: Database) -> Result<Database, RecordsError> {
    database.check_integrity().map_err(|error| database_error("open", path, error))?;
    Ok(database)
}

/// Writes in one transaction, which is on disk when this returns.
fn write(path: &Path, database: &Database, change: Change) -> Result<(), RecordsError> {
    let failed = |error: redb::Error| database_error("write", path, error);
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
    write.commit().map_err(|error| failed(error.into()))
}

fn table(path: &Path, database: &Database) -> Result<Table, RecordsError> {
    let read = database.begin_read().map_err(|error| database_error("read", path, error))?;
    read.open_table(TABLE).map_err(|error| database_error("read", path, error))
}

fn record<T: Stored>(path: &Path, database: &Database, key: &str) -> Result<Option<T>, RecordsError> {
    let found = table(path, database)?.get((T::KIND, key)).map_err(|error| database_error("read", path, error))?;
    found.map(|bytes| decode(path, key, bytes.value())).transpose()
}

fn all<T: Stored>(path: &Path, database: &Database) -> Result<Vec<(String, T)>, RecordsError> {
    let failed = |error| database_error("read", path, error);
    let table = table(path, database)?;
    let mut found = Vec::new();
    for row in table.range((T::KIND, "")..).map_err(failed)? {
        let (key, bytes) = row.map_err(failed)?;
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

/// Opens a database: redb asserts what a damaged one breaks.
fn unless_broken<T>(path: &Path, open: impl FnOnce() -> Result<T, RecordsError>) -> Result<T, RecordsError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(RecordsError::Broken { path: path.to_owned() }))
}

fn io_error(doing: &'static str, path: &Path, error: io::Error) -> RecordsError {
    database_error(doing, path, redb::Error::Io(error))
}

fn database_error(doing: &'static str, path: &Path, source: impl Into<redb::Error>) -> RecordsError {
    RecordsError::Database { doing, path: path.to_owned(), source: Box::new(source.into()) }
}

#[cfg(test)]
mod tests {
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
            change.put("b", &note("two"));
            change.remove::<Note>("a");
            records.change(change).unwrap();
            drop(records);
            let mut records = Records::open(path).unwrap();
            assert_eq!(records.get::<Note>("a").unwrap(), None);
            assert_eq!(records.list::<Note>().unwrap(), [("b".to_owned(), note("two"))]);
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
    fn records_are_opened_anew_after_an_error_unless_it_is_in_doubt_what_the_disk_holds() {
        check("anew", |path| {
            let mut records = Records::open(path).unwrap();
            records.put("a", &note("one")).unwrap();
            let failing = |_: &Path, _: &Database| -> Result<(), RecordsError> {
                Err(io_error("write", path, io::ErrorKind::StorageFull.into()))
            };
            records.with(failing).unwrap_err();
            records.put("b", &note("two")).unwrap();
            assert_eq!(records.get("a").unwrap(), Some(note("one")));
            records.doubt.set("Input/output error".to_owned()).unwrap();
            let told = format!("{} is not used any more, since its disk failed (Input/output error): ", path.display());
            let put = records.put("c", &note("three")).unwrap_err().to_string();
            let read = records.get::<Note>("a").unwrap_err().to_string();
            assert!(put.starts_with(&told) && read == put, "{put} {read}");
            drop(records);
            let kept = Records::open(path).unwrap().list::<Note>().unwrap();
            assert_eq!(kept, [("a".to_owned(), note("one")), ("b".to_owned(), note("two"))]);
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
            let told = format!("{}: I/O error: a link has its name", path.display());
            let opened = Records::open(path).unwrap_err().to_string();
            assert!(opened.starts_with(&format!("cannot open {told}")), "{opened}");
            let looked = look::<Note>(path, "a").unwrap_err().to_string();
            assert!(looked.starts_with(&format!("cannot read {told}")), "{looked}");
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
                let looked = look::<Note>(path, "a").ok();
                let opened = Records::open(path).and_then(|mut records| records.get("a")).ok();
                assert_eq!(looked, opened, "at {at}");
                refused += u32::from(opened.is_none());
            }
            assert!(refused > 0);
        });
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        check("foreign", |path| {
            std::fs::write(path, vec![7; 8192]).unwrap();
            let error = Records::open(path).unwrap_err().to_string();
            assert!(error.starts_with("cannot open "), "{error}");
        });
    }
}
