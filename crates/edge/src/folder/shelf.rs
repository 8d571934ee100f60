//! The files that one thread keeps at hand. Start reading at [`Shelves::find`].
//!
//! Small files are kept whole, with a tag made from their content: the same content has the same tag in the next release, so
//! browsers keep what did not change. What is kept is compared with the disk at most once a second. Large files are opened for
//! each request, never read before they are sent, and told apart by inode, length and time of change.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sys::folder::{About, Entry, Folder, OpenFile};

use super::name::Name;

/// The largest file that is kept whole, in bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 256 << 10;
/// Bytes of files that all threads keep, each of them an equal share.
const BYTES_MAX: u64 = 48 << 20;
/// Names that one thread keeps, those that stand for nothing included.
const NAMES_MAX: usize = 4096;
/// How long what is kept is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// How often a small file is read that is written to meanwhile.
const READS_MAX: u32 = 3;
/// Bytes of the hash that a tag is made of.
const TAG_BYTES: usize = 16;

/// What one thread keeps of all folders.
pub(crate) struct Shelves {
    /// Bytes that it may keep.
    bytes_max: u64,
    folders: RefCell<HashMap<PathBuf, Rc<Folder>>>,
    kept: RefCell<HashMap<PathBuf, HashMap<Name, Kept>>>,
    bytes: Cell<u64>,
    names: Cell<usize>,
}

/// What a name stood for when it was looked at.
struct Kept {
    found: Found,
    looked: Duration,
    used: Duration,
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Found {
    Nothing,
    Folder,
    File(Rc<Stored>),
}

/// A file that can be sent.
pub(super) struct Stored {
    about: About,
    /// A strong entity tag, in its quotes.
    pub(super) etag: String,
    pub(super) content: Content,
}

/// Where a file's bytes are.
pub(super) enum Content {
    Memory(Vec<u8>),
    Disk(Arc<OpenFile>),
}

impl Stored {
    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.about.bytes
    }

    /// When it was modified, in whole seconds since 1970.
    pub(super) fn modified(&self) -> u64 {
        u64::try_from(self.about.modified_nanos / 1_000_000_000).unwrap_or(0)
    }

    /// Bytes of memory that it takes.
    fn held(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(_) => 0,
        }
    }
}

impl Found {
    fn held(&self) -> u64 {
        if let Self::File(stored) = self { stored.held() } else { 0 }
    }
}

impl Shelves {
    /// Those of one of so many threads.
    pub(crate) fn of_share(threads: NonZeroU32) -> Self {
        Self {
            bytes_max: BYTES_MAX / u64::from(threads.get()),
            folders: RefCell::default(),
            kept: RefCell::default(),
            bytes: Cell::new(0),
            names: Cell::new(0),
        }
    }

    /// What a name in a folder stands for. `now` is on the steady clock.
    pub(super) async fn find(&self, root: &Path, name: &Name, now: Duration) -> io::Result<Found> {
        let known = self.known(root, name, now);
        if let Some((found, true)) = known {
            return Ok(found);
        }
        let found = match self.folder(root)?.open(name.as_path())? {
            None => Found::Nothing,
            Some(Entry::Folder) => Found::Folder,
            Some(Entry::File(file)) if file.about().bytes > SMALL_BYTES_MAX => {
                return Ok(Found::File(Rc::new(large(file))));
            }
            Some(Entry::File(file)) => match known {
                Some((Found::File(stored), _)) if stored.about == file.about() => Found::File(stored),
                _ => Found::File(Rc::new(self.small(root, name, file).await?)),
            },
        };
        self.keep(root, name, found.clone(), now);
        Ok(found)
    }

    /// What is kept, and whether it is to be believed.
    fn known(&self, root: &Path, name: &Name, now: Duration) -> Option<(Found, bool)> {
        let mut kept = self.kept.borrow_mut();
        let kept = kept.get_mut(root)?.get_mut(name)?;
        kept.used = now;
        Some((kept.found.clone(), now.saturating_sub(kept.looked) < BELIEVED))
    }

    fn folder(&self, root: &Path) -> io::Result<Rc<Folder>> {
        if let Some(folder) = self.folders.borrow().get(root) {
            return Ok(Rc::clone(folder));
        }
        let folder = Rc::new(Folder::at(root)?);
        self.folders.borrow_mut().insert(root.to_owned(), Rc::clone(&folder));
        Ok(folder)
    }

    /// Reads a small file: all of one state of it.
    async fn small(&self, root: &Path, name: &Name, file: OpenFile) -> io::Result<Stored> {
        let mut file = file;
        for _attempt in 0..READS_MAX {
            let about = file.about();
            let opened = Arc::new(file);
            let bytes = read_whole(&opened).await?;
            if bytes.len() as u64 == about.bytes && opened.is_unchanged()? {
                return Ok(Stored { about, etag: tag_of_content(&bytes), content: Content::Memory(bytes) });
            }
            file = match self.folder(root)?.open(name.as_path())? {
                Some(Entry::File(file)) if file.about().bytes <= SMALL_BYTES_MAX => file,
                _ => break,
            };
        }
        Err(io::Error::other("the file changes while it is read"))
    }

    fn keep(&self, root: &Path, name: &Name, found: Found, now: Duration) {
        let held = found.held();
        let kept = Kept { found, looked: now, used: now };
        let mut shelves = self.kept.borrow_mut();
        let shelf = match shelves.get_mut(root) {
            Some(shelf) => shelf,
            None => shelves.entry(root.to_owned()).or_default(),
        };
        let before = shelf.insert(name.clone(), kept);
        self.bytes.set(self.bytes.get() + held - before.as_ref().map_or(0, |it| it.found.held()));
        self.names.set(self.names.get() + usize::from(before.is_none()));
        drop(shelves);
        if self.bytes.get() > self.bytes_max || self.names.get() > NAMES_MAX {
            self.clear_oldest();
        }
    }

    /// Lets go of what was not used for the longest time, until there is room for a while.
    fn clear_oldest(&self) {
        let mut shelves = self.kept.borrow_mut();
        let mut uses: Vec<(Duration, u64)> =
            shelves.values().flat_map(HashMap::values).map(|kept| (kept.used, kept.found.held())).collect();
        uses.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        let (mut names, mut bytes) = (0, 0);
        let oldest = uses.into_iter().take_while(|(_, held)| {
            names += 1;
            bytes += held;
            names <= NAMES_MAX / 4 * 3 && bytes <= self.bytes_max / 4 * 3
        });
        let oldest = oldest.last().map_or(Duration::MAX, |(used, _)| used);
        shelves.values_mut().for_each(|shelf| shelf.retain(|_, kept| kept.used > oldest));
        self.recount(&shelves);
    }

    fn recount(&self, shelves: &HashMap<PathBuf, HashMap<Name, Kept>>) {
        let all = || shelves.values().flat_map(HashMap::values);
        self.bytes.set(all().map(|kept| kept.found.held()).sum());
        self.names.set(all().count());
    }

    /// Lets go of folders that are not served any more.
    pub(crate) fn tidy(&self, served: impl Fn(&Path) -> bool) {
        self.folders.borrow_mut().retain(|root, _| served(root));
        let mut shelves = self.kept.borrow_mut();
        let before = shelves.len();
        shelves.retain(|root, _| served(root));
        if shelves.len() < before {
            self.recount(&shelves);
        }
    }
}

async fn read_whole(file: &Arc<OpenFile>) -> io::Result<Vec<u8>> {
    let bytes_max = usize::try_from(SMALL_BYTES_MAX).unwrap_or(usize::MAX);
    let mut whole = Vec::new();
    loop {
        // One byte more than it had shows that it has grown.
        let wanted = (bytes_max + 1).min(usize::try_from(file.about().bytes).unwrap_or(bytes_max) + 1) - whole.len();
        let piece = file.read_at(Vec::new(), whole.len() as u64, wanted).await?;
        whole.extend_from_slice(&piece);
        if piece.is_empty() || piece.len() == wanted {
            return Ok(whole);
        }
    }
}

fn tag_of_content(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let mut tag = String::with_capacity(2 * TAG_BYTES + 2);
    tag.push('"');
    for byte in &hash[..TAG_BYTES] {
        // Writing to a text cannot fail.
        let _written = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// To hash a large file before its first byte is sent would keep its client waiting.
fn large(file: OpenFile) -> Stored {
    let about = file.about();
    let etag = format!("\"{:x}-{:x}-{:x}\"", about.inode, about.bytes, about.modified_nanos);
    Stored { about, etag, content: Content::Disk(Arc::new(file)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(number: usize) -> Name {
        Name::of_path(&format!("/{number}")).unwrap()
    }

    #[tokio::test]
    async fn names_are_bounded_and_those_in_use_stay() {
        let root = std::env::temp_dir();
        let shelves = Shelves::of_share(NonZeroU32::MIN);
        for number in 0..NAMES_MAX * 3 {
            let now = SECOND * u32::try_from(number).unwrap();
            shelves.find(&root, &name(number + 1_000_000), now).await.unwrap();
            shelves.find(&root, &name(0), now).await.unwrap();
            assert!(shelves.names.get() <= NAMES_MAX, "{}", shelves.names.get());
        }
        assert!(shelves.kept.borrow()[&root].contains_key(&name(0)));
        shelves.tidy(|_| false);
        assert_eq!((shelves.names.get(), shelves.kept.borrow().len()), (0, 0));
    }

    #[tokio::test]
    async fn bytes_are_bounded() {
        let root = std::env::temp_dir().join(format!("edge-shelf-{}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let size = usize::try_from(SMALL_BYTES_MAX).unwrap();
        let shelves = Shelves::of_share(NonZeroU32::MIN.saturating_add(2));
        let mut most = 0;
        for number in 0..100 {
            std::fs::write(root.join(number.to_string()), vec![1; size]).unwrap();
            shelves.find(&root, &name(number), SECOND * u32::try_from(number).unwrap()).await.unwrap();
            most = most.max(shelves.bytes.get());
        }
        std::fs::write(root.join("100"), vec![1; size + 1]).unwrap();
        let large = shelves.find(&root, &name(100), SECOND).await.unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert!((BYTES_MAX / 6..=BYTES_MAX / 3).contains(&most), "{most}");
        assert!(matches!(large, Found::File(stored) if matches!(stored.content, Content::Disk(_))));
    }
}
