//! A database in a file of its own: used until it is in doubt what its disk holds, and on again by itself once a full disk has
//! room.
//!
//! Start reading at [`DatabaseFile::with`]. A database gets its name once it can be opened and holds what it is to begin with.
//! Opening one reads all of it, from the disk itself: what an earlier process could not write is in no memory then. Invariant: its
//! caller holds the lock of the folder that it is in, so nobody else has it open.

mod disk;

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use self::disk::{Disk, Refusals};
use crate::files::{ask_the_disk, create_anew, open_itself, sync_folder_of};

/// Memory for pages of one database: they are small, and read rarely.
const CACHE_BYTES: usize = 4 << 20;

/// An open database.
pub struct DatabaseFile {
    path: PathBuf,
    file: File,
    refusals: Arc<Refusals>,
    /// Absent after a refusal of the disk, until it is opened anew: redb takes nothing more after one.
    database: Mutex<Option<Database>>,
}

/// A database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It could not be opened, read or written.
    #[error("cannot {doing} {}", path.display())]
    Refused {
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
}

impl DatabaseError {
    /// Says what was being done to which file when redb refused.
    pub fn when<E: Into<redb::Error>>(doing: &'static str, path: &Path) -> impl Fn(E) -> Self {
        move |error| match error.into() {
            redb::Error::Corrupted(_) | redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => {
                broken(path)
            }
            // Not a database at all.
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => broken(path),
            source => Self::Refused { doing, path: path.to_owned(), source: Box::new(source) },
        }
    }
}

fn broken(path: &Path) -> DatabaseError {
    DatabaseError::Broken { path: path.to_owned() }
}

impl DatabaseFile {
    /// Opens the database in this file, and reads all of it once; `None` when there is no such file. It is readable for the owner
    /// only.
    pub fn open(path: &Path) -> Result<Option<Self>, DatabaseError> {
        let failed = DatabaseError::when("open", path);
        let file = match open_itself(OpenOptions::new().read(true).write(true), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(&failed)?,
        };
        file.set_permissions(Permissions::from_mode(0o600)).map_err(DatabaseError::when("protect", path))?;
        // Whoever made it may have been killed before its name was on the disk.
        sync_folder_of(path).and_then(|()| ask_the_disk(&file)).map_err(&failed)?;
        if file.metadata().map_err(&failed)?.len() == 0 {
            // redb would make another one of it.
            return Err(broken(path));
        }
        let opened = Self::over(path, file);
        opened.check()?;
        Ok(Some(opened))
    }

    /// Makes a database of what `fill` writes. It gets its name once that is on disk: a kill leaves none that cannot be opened, and
    /// who looks beside sees none before. One that exists is never replaced.
    pub fn make<T, E: From<DatabaseError>>(
        path: &Path,
        fill: impl FnOnce(&Database) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let failed = DatabaseError::when("make", path);
        if fs::symlink_metadata(path).is_ok() {
            return Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)).into());
        }
        let unfinished = path.with_extension("redb.new");
        let made = Self::over(path, create_anew(&unfinished).map_err(&failed)?);
        let filled = made.with(fill)?;
        fs::rename(&unfinished, path).and_then(|()| sync_folder_of(path)).map_err(failed)?;
        Ok((made, filled))
    }

    fn over(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file, refusals: Arc::default(), database: Mutex::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Works with the database, one caller at a time. After a refusal of the disk it is opened anew the next time, unless it is in
    /// doubt what the disk holds.
    pub fn with<T, E: From<DatabaseError>>(&self, work: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        let mut kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = self.refusals.doubt() {
            return Err(DatabaseError::Doubtful { path: self.path.clone(), why: why.to_owned() }.into());
        }
        let database = match kept.take() {
            Some(database) => database,
            None => self.open_database()?,
        };
        let done = work(&database);
        if !self.refusals.are_any() {
            *kept = Some(database);
        }
        done
    }

    /// Reads all of it.
    fn check(&self) -> Result<(), DatabaseError> {
        let mut database = self.open_database()?;
        opening(|| database.check_integrity())
            .ok_or_else(|| broken(&self.path))?
            .map_err(DatabaseError::when("open", &self.path))?;
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(())
    }

    /// What was not closed is mended by redb as it is opened.
    fn open_database(&self) -> Result<Database, DatabaseError> {
        let failed = DatabaseError::when("open", &self.path);
        self.refusals.begin();
        let file = self.file.try_clone().map_err(DatabaseError::when("open", &self.path))?;
        let disk = Disk { file: FileBackend::new(file).map_err(&failed)?, refusals: Arc::clone(&self.refusals) };
        opening(|| Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(disk))
            .ok_or_else(|| broken(&self.path))?
            .map_err(failed)
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseFile({})", self.path.display())
    }
}

thread_local! {
    /// Whether a database is being opened here, whose damage is told by an error and not by a panic's words.
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Opens a database, or reads it for the first time; `None` where it is damaged, of which redb asserts that it is not.
pub fn opening<T>(open: impl FnOnce() -> T) -> Option<T> {
    tell_no_panic_of_openings();
    let before = OPENING.replace(true);
    let opened = catch_unwind(AssertUnwindSafe(open));
    OPENING.set(before);
    opened.ok()
}

fn tell_no_panic_of_openings() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !OPENING.get() {
                tell(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<u32, u32> = TableDefinition::new("numbers");

    fn check(name: &str, test: impl FnOnce(&Path)) {
        let path = std::env::temp_dir().join(format!("mainstay-database-{name}-{}.redb", std::process::id()));
        crate::files::remove(&path).unwrap();
        test(&path);
        crate::files::remove(&path).unwrap();
    }

    fn make(path: &Path) -> DatabaseFile {
        DatabaseFile::make(path, |database| write(path, database, 1)).unwrap().0
    }

    fn write(path: &Path, database: &Database, number: u32) -> Result<(), DatabaseError> {
        let write = database.begin_write().map_err(DatabaseError::when("write", path))?;
        write
            .open_table(TABLE)
            .map_err(DatabaseError::when("write", path))?
            .insert(number, number)
            .map_err(DatabaseError::when("write", path))?;
        write.commit().map_err(DatabaseError::when("write", path))
    }

    fn put(file: &DatabaseFile, number: u32) -> Result<(), DatabaseError> {
        file.with(|database| write(&file.path, database, number))
    }

    fn has(file: &DatabaseFile, number: u32) -> Result<bool, DatabaseError> {
        let failed = |error: redb::Error| DatabaseError::when("read", &file.path)(error);
        file.with(|database| {
            let table = database.begin_read().map_err(|error| failed(error.into()))?.open_table(TABLE);
            let found = table.map_err(|error| failed(error.into()))?.get(number);
            Ok(found.map_err(|error| failed(error.into()))?.is_some())
        })
    }

    #[test]
    fn after_a_refusal_of_the_disk_it_is_opened_anew() {
        check("anew", |path| {
            let file = make(path);
            file.refusals.note_lack_of_room();
            put(&file, 2).unwrap();
            assert!(file.database.lock().unwrap().is_none(), "redb takes nothing more");
            put(&file, 3).unwrap();
            assert!(file.database.lock().unwrap().is_some());
            assert!((1..=3).all(|number| has(&file, number).unwrap()));
        });
    }

    #[test]
    fn nothing_is_done_any_more_once_the_disk_failed() {
        check("doubt", |path| {
            let mut file = make(path);
            // As of a disk that lets nothing be written.
            (file.file, file.database) = (File::open(path).unwrap(), Mutex::default());
            let refused = put(&file, 2).unwrap_err();
            assert!(matches!(refused, DatabaseError::Refused { .. }), "{refused}");
            let why = "Bad file descriptor (os error 9)";
            let told = format!("{} is not used any more, since its disk failed ({why}): ", path.display());
            let (put, read) = (put(&file, 2).unwrap_err().to_string(), has(&file, 1).unwrap_err().to_string());
            assert!(put.starts_with(&told) && read == put, "{put}\n{read}");
            drop(file);
            let file = DatabaseFile::open(path).unwrap().unwrap();
            assert_eq!((has(&file, 1).unwrap(), has(&file, 2).unwrap()), (true, false));
        });
    }

    #[test]
    fn what_is_no_database_is_damaged_and_left_as_it_is() {
        check("foreign", |path| {
            for bytes in [vec![], vec![7; 8192], vec![0; 8192]] {
                fs::write(path, &bytes).unwrap();
                let refused = DatabaseFile::open(path).unwrap_err();
                assert!(matches!(refused, DatabaseError::Broken { .. }), "{refused}");
                assert!(fs::read(path).unwrap() == bytes);
            }
        });
    }

    #[test]
    fn one_that_exists_is_never_replaced() {
        check("twice", |path| {
            put(&make(path), 2).unwrap();
            let refused = DatabaseFile::make(path, |database| write(path, database, 1)).unwrap_err();
            assert_eq!(refused.to_string(), format!("cannot make {}", path.display()));
            assert!(has(&DatabaseFile::open(path).unwrap().unwrap(), 2).unwrap());
        });
    }
}
