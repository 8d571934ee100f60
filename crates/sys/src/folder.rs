//! A folder whose files are read by names that come from strangers. Start reading at [`Folder::open`].
//!
//! Invariant: whatever a name says, and whatever links the folder holds, nothing outside of it is opened.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};

use crate::tasks;

/// How often a name is resolved anew when something is renamed meanwhile.
const RACES_MAX: u32 = 4;

/// What is opened for reading. A pipe must not wait for its writer, a terminal must not become ours.
const READING: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// An open folder. A folder that takes its place under its name is another one.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
}

/// What a name stands for.
#[derive(Debug)]
pub enum Entry {
    /// A file with bytes.
    File(OpenFile),
    /// A folder below.
    Folder,
}

/// A file that is open for reading. It stays the same file when another one takes its name.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    about: About,
}

/// What tells one state of a file from another. The time of the last change of anything is no part of it: that is set also when
/// another file takes the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The device it is on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
    /// Its length.
    pub bytes: u64,
    /// When its content changed last, in nanoseconds since 1970.
    pub modified_nanos: i128,
}

impl Folder {
    /// Opens a folder.
    pub fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Opens what a name below this folder stands for. `None` when there is nothing, nothing that can be read as a
    /// file, or only a way out of the folder.
    pub fn open(&self, name: &Path) -> io::Result<Option<Entry>> {
        let opened = match self.open_beneath(name) {
            // The kernel is older than 5.6, or a filter knows of no such call.
            Err(Errno::NOSYS | Errno::PERM) => self.walk(name),
            other => other,
        };
        match opened {
            Ok(opened) => entry(opened),
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::INVAL
                | Errno::NXIO,
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the kernel see to it that the way never leaves the folder; links that stay inside are followed.
    fn open_beneath(&self, name: &Path) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.root, name, READING, Mode::empty(), resolve);
        let mut last = open();
        for _race in 1..RACES_MAX {
            if !matches!(last, Err(Errno::AGAIN)) {
                break;
            }
            last = open();
        }
        last
    }

    /// The same without the kernel's help: name by name, and no link is followed.
    fn walk(&self, name: &Path) -> Result<OwnedFd, Errno> {
        let mut at = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        let mut names = name.components().peekable();
        while let Some(component) = names.next() {
            let Component::Normal(part) = component else { return Err(Errno::XDEV) };
            let flags = match names.peek() {
                Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                None => READING,
            };
            at = rustix::fs::openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }
}

fn entry(opened: OwnedFd) -> io::Result<Option<Entry>> {
    let about = rustix::fs::fstat(&opened)?;
    Ok(match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile => Some(Entry::File(OpenFile { about: About::of(&about), file: File::from(opened) })),
        FileType::Directory => Some(Entry::Folder),
        _ => None,
    })
}

impl About {
    fn of(about: &rustix::fs::Stat) -> Self {
        Self {
            device: about.st_dev,
            inode: about.st_ino,
            bytes: u64::try_from(about.st_size).unwrap_or(0),
            modified_nanos: i128::from(about.st_mtime) * 1_000_000_000 + i128::from(about.st_mtime_nsec),
        }
    }
}

impl OpenFile {
    /// What it was like when it was opened.
    pub fn about(&self) -> About {
        self.about
    }

    /// Whether it is still what it was when it was opened.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(About::of(&rustix::fs::fstat(&self.file)?) == self.about)
    }

    /// Fills a buffer with at most so many bytes from a place on; none at its end. What the system has in memory is
    /// read at once, and what the disk has to bring on a thread for that: the caller's thread never waits for a disk.
    pub async fn read_at(self: &Arc<Self>, mut buffer: Vec<u8>, at: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        buffer.resize(bytes_max, 0);
        if let Some(read) = self.read_from_memory(&mut buffer, at)? {
            buffer.truncate(read);
            return Ok(buffer);
        }
        let file = Arc::clone(self);
        let reading = tasks::blocking(move || {
            let read = file.file.read_at(&mut buffer, at)?;
            buffer.truncate(read);
            Ok(buffer)
        });
        reading.await.map_err(io::Error::other)?
    }

    /// `None` when that would have to wait, or when the file system cannot say.
    fn read_from_memory(&self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut slices, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A folder with a file in it and one beside it, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let place = std::env::temp_dir().join(format!("sys-folder-{name}-{}", std::process::id()));
            fs::create_dir_all(place.join("root/inner")).unwrap();
            fs::write(place.join("root/inner/a"), "inside").unwrap();
            fs::write(place.join("secret"), "outside").unwrap();
            Self(place)
        }

        fn root(&self) -> PathBuf {
            self.0.join("root")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn content(opened: Result<OwnedFd, Errno>) -> Option<String> {
        match entry(opened.ok()?).unwrap()? {
            Entry::File(file) => Some(io::read_to_string(&file.file).unwrap()),
            Entry::Folder => Some("a folder".to_owned()),
        }
    }

    #[test]
    fn nothing_outside_is_opened_in_either_way() {
        let place = Place::new("outside");
        symlink("../secret", place.root().join("up")).unwrap();
        symlink(place.0.join("secret"), place.root().join("absolute")).unwrap();
        symlink("..", place.root().join("parent")).unwrap();
        symlink("inner/a", place.root().join("link")).unwrap();
        symlink("round", place.root().join("round")).unwrap();
        let folder = Folder::at(&place.root()).unwrap();
        let inside = Some("inside");
        for (name, beneath, walked) in [
            ("inner/a", inside, inside),
            ("inner", Some("a folder"), Some("a folder")),
            ("link", inside, None),
            ("up", None, None),
            ("absolute", None, None),
            ("parent/secret", None, None),
            ("../secret", None, None),
            ("inner/../../secret", None, None),
            ("/etc/passwd", None, None),
            ("round", None, None),
            ("inner/a/b", None, None),
            ("missing", None, None),
        ] {
            let name = Path::new(name);
            assert_eq!(content(folder.open_beneath(name)).as_deref(), beneath, "{name:?}");
            assert_eq!(content(folder.walk(name)).as_deref(), walked, "{name:?} walked");
        }
    }

    #[test]
    fn what_is_no_file_is_not_there() {
        let place = Place::new("kinds");
        let _listening = std::os::unix::net::UnixListener::bind(place.root().join("socket")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, place.root().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let folder = Folder::at(&place.root()).unwrap();
        let long = "a".repeat(300);
        for name in ["socket", "pipe", "a\0b", long.as_str()] {
            assert!(folder.open(Path::new(name)).unwrap().is_none(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_from_any_place_and_says_when_it_was_changed() {
        let place = Place::new("read");
        let Some(Entry::File(file)) = Folder::at(&place.root()).unwrap().open(Path::new("inner/a")).unwrap() else {
            panic!("there is a file");
        };
        let file = Arc::new(file);
        assert_eq!(file.read_at(Vec::new(), 2, 100).await.unwrap(), b"side");
        assert_eq!(file.read_at(vec![7; 9], 6, 3).await.unwrap(), b"");
        fs::rename(place.0.join("secret"), place.root().join("inner/a")).unwrap();
        assert!(file.is_unchanged().unwrap());
        let Some(Entry::File(file)) = Folder::at(&place.root()).unwrap().open(Path::new("inner/a")).unwrap() else {
            panic!("there is another file");
        };
        fs::write(place.root().join("inner/a"), "written over").unwrap();
        assert!(!file.is_unchanged().unwrap());
    }
}
