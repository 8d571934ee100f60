//! Files as the node keeps them: replaced whole and durable, or not at all.
//!
//! Start reading at [`replace`]. Invariant: no function here leaves a half-written file under its final name, or writes
//! through a link that has it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};
use rustix::io::Errno;

use crate::system::{FileError, FileTrouble};

/// Whether the disk is full, or a quota used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl FileTrouble {
    /// What an error of the operating system means to callers.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_full(error) => FileTrouble::NoSpace,
            io::ErrorKind::PermissionDenied => FileTrouble::Denied,
            _ => FileTrouble::Other(error.to_string()),
        }
    }
}

/// Which folder this is, whatever its name: one that is renamed keeps its identity, a copy of it has another. It
/// holds within one boot, since devices may be numbered anew in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FolderIdentity {
    /// The device it is on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

impl FolderIdentity {
    /// The identity of the folder at this path, links followed; `None` when none can be seen there.
    pub fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
        Some(Self { device: about.dev(), inode: about.ino() })
    }
}

impl fmt::Display for FolderIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

/// Gives an error its verb and path.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError { doing, path: path.clone(), trouble: FileTrouble::of(&error) }
}

/// What a look found; `None` when what was looked at is gone, or not this user's to look at. Any other error, such as
/// the want of a descriptor to look with, says nothing about what is there.
pub(crate) fn if_there<T>(doing: &'static str, path: &Path, found: io::Result<T>) -> Result<Option<T>, FileError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(None),
            _ => Err(failed(doing, path)(error)),
        },
    }
}

/// Opens a file where it must be itself, not a link to one: what a link leads to is another's to name. Never waits, as for
/// the other end of a pipe.
pub fn open_itself(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = options.custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("a link has its name and is not followed: put the file itself there"),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("something has its name that is no file")),
    }
}

/// Opens a folder where it must be itself, not a link to one.
pub fn open_folder_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// The links in a folder, and in those down to so many levels below it. What is gone meanwhile, or not this user's to list, is
/// passed over.
pub fn links(folder: &Path, levels_below: u32) -> Result<Vec<PathBuf>, FileError> {
    let mut links = Vec::new();
    let Some(entries) = if_there("list", folder, fs::read_dir(folder))? else { return Ok(links) };
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        let path = entry.path();
        match if_there("look at", &path, entry.file_type())? {
            Some(kind) if kind.is_symlink() => links.push(path),
            Some(kind) if kind.is_dir() && levels_below > 0 => links.extend(self::links(&path, levels_below - 1)?),
            _ => {}
        }
    }
    Ok(links)
}

/// A file's bytes; `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Replaces a file whole: temporary file, fsync, rename, fsync of the folder. Missing folders are made.
/// Mode 0600. After an error the old content stands, or the new one where only the folder could not be synced: that is then not
/// known to outlive a power cut.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = failed("write", path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder).map_err(&failed)?;
    let temporary = temporary_beside(path);
    let written =
        write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // The error that led here is the one to report; the next attempt removes a left-over temporary file.
        drop(fs::remove_file(&temporary));
    }
    written.map_err(&failed)
}

/// Waits until everything that was written so far to the file system of a file is on its disk, its folders and names
/// included: one wait, however many files were written. Fails where anything of it could not be written since the file
/// was opened, so it is opened first; Linux tells that since 5.8. What others write there is waited for too.
pub fn sync_file_system(of: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(of)?)
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".new-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_anew(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file that is made here and now, readable for the owner only: what an earlier attempt left at this place is removed, and a
/// link to another's file too.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path),
    }
}

/// Makes the name of a file durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Makes later reads of a file come from the disk: an earlier process may have left pages in memory that the kernel could
/// not write, and calls clean.
pub fn ask_the_disk(file: &File) -> io::Result<()> {
    file.sync_data()?;
    match fadvise(file, 0, None, Advice::DontNeed) {
        // Where there is no disk below, as in tmpfs, there is nothing to ask.
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a folder and those above it, each made durable in its parent.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => File::open(parent)?.sync_all()?,
        }
    }
    Ok(())
}

/// The names in a folder, sorted; empty when there is no such folder. A name that is not UTF-8 is not ours
/// and is passed over.
pub fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("list", folder))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !name.starts_with(".new-")));
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file or a folder with what is in it; an absent one is no error.
pub fn remove(path: &Path) -> Result<(), FileError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_replaced_listed_and_removed() {
        let base = std::env::temp_dir().join(format!("mainstay-files-{}", std::process::id()));
        let path = base.join("a/b/record.json");
        assert_eq!(read(&path), Ok(None));
        assert_eq!(names(&base), Ok(vec![]));
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path), Ok(Some(b"two".to_vec())));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(base.join("a/b/.new-record.json"), b"left over").unwrap();
        assert_eq!(names(&base.join("a/b")), Ok(vec!["record.json".to_owned()]));
        remove(&base).unwrap();
        remove(&base).unwrap();
        assert_eq!(read(&path), Ok(None));
    }

    #[test]
    fn no_link_is_written_through_and_all_of_them_are_found() {
        let base = std::env::temp_dir().join(format!("mainstay-files-links-{}", std::process::id()));
        fs::create_dir_all(base.join("a/b/c")).unwrap();
        let victim = base.join("victim");
        fs::write(&victim, "untouched").unwrap();
        let links = ["a/record.json", "a/.new-record.json", "a/b/deep"].map(|name| base.join(name));
        links.iter().for_each(|link| std::os::unix::fs::symlink(&victim, link).unwrap());
        std::os::unix::fs::symlink(&victim, base.join("a/b/c/deeper")).unwrap();
        let mut found = super::links(&base, 2).unwrap();
        found.sort_unstable();
        assert_eq!(found, [&links[1], &links[2], &links[0]].map(Clone::clone));
        assert_eq!(super::links(&base.join("none"), 2), Ok(vec![]));
        replace(&links[0], b"one").unwrap();
        assert_eq!((read(&links[0]), read(&victim)), (Ok(Some(b"one".to_vec())), Ok(Some(b"untouched".to_vec()))));
        assert!(links[0].symlink_metadata().unwrap().is_file());
        remove(&base).unwrap();
    }

    #[test]
    fn an_error_names_the_path() {
        let error = replace(Path::new("/proc/none/record.json"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("cannot write /proc/none/record.json: "), "{error}");
    }
}
