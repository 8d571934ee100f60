//! The contents of objects: files that are written once, whole, and checked block by block when read.
//!
//! Start reading at [`Blobs`]. A file is a header (eight bytes that name the format, then the blob's number in eight)
//! and blocks: up to [`BLOCK_BYTES`] of content, then eight bytes of CRC-64/NVME over the blob's number, the block's
//! number and the content. So a block that was damaged, misplaced or left over from another file is noticed before a
//! byte of it is handed out, also when only a range is read. Numbers are big-endian.
//!
//! A blob's number says in which run of the store it was begun: [`Run`] counts starts. Files of earlier runs that the
//! index does not know were left over by a process that was killed, and are swept.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use s3s::crypto::{Checksum, Crc64Nvme};

use super::syncs::{SyncFailed, Syncs};

/// Content bytes of every block but the last.
pub const BLOCK_BYTES: u64 = 64 << 10;
/// Free bytes of the file system below which nothing new is taken, so that the index can always be changed to make room:
/// 8 MiB for what 32 threads that have just looked may write, and the rest for what the largest changes write of the index.
pub const RESERVE_BYTES: u64 = 32 << 20;

const HEADER: &[u8; 8] = b"MSTBLOB1";
const HEADER_BYTES: u64 = 16;
const SUM_BYTES: u64 = 8;
/// Blobs of one run; the rest of a number is the run.
const NUMBER_BITS: u32 = 40;
const FOLDERS: u64 = 256;

/// How often the store has been opened, this time included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run(pub u64);

/// Names the content of an object or of a part. Never used twice by one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BlobId(pub u64);

impl BlobId {
    fn run(self) -> Run {
        Run(self.0 >> NUMBER_BITS)
    }

    /// The name of its file, and back.
    fn file_name(self) -> String {
        format!("{:016x}", self.0)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let id = Self(u64::from_str_radix(name, 16).ok()?);
        (id.file_name() == name).then_some(id)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A content cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system has less than [`RESERVE_BYTES`] left, or said so itself.
    #[error("the disk of the object store is full: free some space, or delete objects")]
    Full,
    /// The disk is no longer believed.
    #[error(transparent)]
    Sync(#[from] SyncFailed),
    /// It cannot be told how full the disk is.
    #[error("cannot look at the disk of the object store")]
    Disk(#[source] io::Error),
    /// Any other trouble with a file.
    #[error("cannot {doing} blob {blob}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which content.
        blob: BlobId,
        /// Why not.
        source: io::Error,
    },
    /// The index names it, and its file is not there.
    #[error("blob {0} is gone: restore the object from a backup")]
    Gone(BlobId),
    /// What is on disk is not what was written.
    #[error("blob {blob} is damaged in block {block}: restore the object from a backup")]
    Damaged {
        /// Which content.
        blob: BlobId,
        /// Where.
        block: u64,
    },
}

impl BlobError {
    fn of(doing: &'static str, blob: BlobId, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
            _ => BlobError::File { doing, blob, source },
        }
    }
}

/// The folder of all contents.
#[derive(Debug)]
pub struct Blobs {
    /// Where files get their names once they are whole, spread over [`FOLDERS`] folders.
    data: PathBuf,
    /// Where they grow.
    incoming: PathBuf,
    next: AtomicU64,
    run: Run,
    syncs: Arc<Syncs>,
}

impl Blobs {
    /// Whether any content is there, named by an index or not.
    pub fn any(folder: &Path) -> io::Result<bool> {
        for number in 0..FOLDERS {
            match fs::read_dir(folder.join("data").join(format!("{number:02x}"))) {
                Ok(mut contents) => {
                    if contents.next().is_some() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Makes the folders; what exists stays.
    pub fn create(folder: &Path) -> io::Result<()> {
        for number in 0..FOLDERS {
            sys::files::make_folder(&folder.join("data").join(format!("{number:02x}")))?;
        }
        sys::files::make_folder(&folder.join("incoming"))
    }

    /// Opens the folder for this run. Whatever was growing when the last one ended is gone.
    pub fn open(folder: &Path, run: Run, syncs: Arc<Syncs>) -> io::Result<Self> {
        let (data, incoming) = (folder.join("data"), folder.join("incoming"));
        for entry in fs::read_dir(&incoming)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { data, incoming, next: AtomicU64::new(run.0 << NUMBER_BITS), run, syncs })
    }

    fn folder(&self, blob: BlobId) -> PathBuf {
        self.data.join(format!("{:02x}", blob.0 % FOLDERS))
    }

    fn path(&self, blob: BlobId) -> PathBuf {
        self.folder(blob).join(blob.file_name())
    }

    /// Begins a content.
    pub fn begin(&self) -> Result<Growing, BlobError> {
        self.check_disk()?;
        let blob = BlobId(self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.incoming.join(blob.file_name());
        let failed = |source| BlobError::of("begin", blob, source);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let mut growing = Growing { blob, file, path, block: 0, bytes: 0 };
        growing.file.write_all(HEADER).and_then(|()| growing.file.write_all(&blob.0.to_be_bytes())).map_err(failed)?;
        Ok(growing)
    }

    /// Whether something new can be taken.
    pub(super) fn check_disk(&self) -> Result<(), BlobError> {
        self.syncs.check()?;
        let about = rustix::fs::statvfs(&self.incoming).map_err(|error| BlobError::Disk(error.into()))?;
        match about.f_bavail.saturating_mul(about.f_frsize) < RESERVE_BYTES {
            true => Err(BlobError::Full),
            false => Ok(()),
        }
    }

    /// Adds content: whole blocks, but for the last call.
    pub fn append(&self, to: &mut Growing, content: &[u8]) -> Result<(), BlobError> {
        self.check_disk()?;
        to.append(content)
    }

    /// Makes a content durable under its name. Until the index knows it, it is swept at the next start.
    pub fn settle(&self, growing: Growing) -> Result<Settled<'_>, BlobError> {
        let blob = growing.blob;
        // A sync that wants space has failed like any other.
        let failed = |source| BlobError::File { doing: "finish", blob, source };
        self.syncs.check()?;
        self.syncs.sync(&growing.file).map_err(failed)?;
        fs::rename(&growing.path, self.path(blob)).map_err(|source| BlobError::of("finish", blob, source))?;
        drop(growing);
        let settled = Settled { blobs: self, blob, kept: false };
        File::open(self.folder(blob)).and_then(|folder| self.syncs.sync(&folder)).map_err(failed)?;
        Ok(settled)
    }

    /// Opens a content that holds so many bytes, and that whoever asks has a lease of.
    pub fn open_blob(&self, blob: BlobId, bytes: u64) -> Result<Reader, BlobError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => BlobError::Gone(blob),
            io::ErrorKind::UnexpectedEof => BlobError::Damaged { blob, block: 0 },
            _ => BlobError::of("open", blob, source),
        };
        let mut file = File::open(self.path(blob)).map_err(failed)?;
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact(&mut header).map_err(failed)?;
        let (format, number) = header.split_at(HEADER.len());
        match format == HEADER && number == blob.0.to_be_bytes() {
            true => Ok(Reader { blob, file, bytes }),
            false => Err(BlobError::Damaged { blob, block: 0 }),
        }
    }

    /// Removes a content that the index no longer knows; an absent one is no error.
    pub fn remove(&self, blob: BlobId) -> Result<(), BlobError> {
        match fs::remove_file(self.path(blob)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BlobError::of("remove", blob, source)),
            _ => Ok(()),
        }
    }

    /// The contents of one of the folders that were begun in an earlier run.
    pub fn of_earlier_runs(&self, folder: u8) -> io::Result<Vec<BlobId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.data.join(format!("{folder:02x}")))? {
            let blob = entry?.file_name().to_str().and_then(BlobId::from_file_name);
            found.extend(blob.filter(|blob| blob.run() < self.run));
        }
        Ok(found)
    }
}

/// A content that is being written. Dropped before it is settled, it leaves nothing.
#[derive(Debug)]
pub struct Growing {
    blob: BlobId,
    file: File,
    path: PathBuf,
    block: u64,
    bytes: u64,
}

impl Growing {
    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every call but the last must bring whole blocks.
    fn append(&mut self, content: &[u8]) -> Result<(), BlobError> {
        assert!(self.bytes.is_multiple_of(BLOCK_BYTES), "a block is written once, and whole");
        for block in content.chunks(BLOCK_BYTES as usize) {
            let sum = block_sum(self.blob, self.block, block);
            let written = self.file.write_all(block).and_then(|()| self.file.write_all(&sum));
            written.map_err(|source| BlobError::of("write", self.blob, source))?;
            self.block += 1;
            self.bytes += block.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // After the rename it is no longer there; otherwise what cannot be removed now is at the next start.
        drop(fs::remove_file(&self.path));
    }
}

/// A durable content that the index does not know yet. Dropped before it is kept, it is removed.
#[derive(Debug)]
pub struct Settled<'a> {
    blobs: &'a Blobs,
    blob: BlobId,
    kept: bool,
}

impl Settled<'_> {
    /// Its number, for the index.
    pub fn blob(&self) -> BlobId {
        self.blob
    }

    /// The index knows it now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept at the next start.
            drop(self.blobs.remove(self.blob));
        }
    }
}

/// A content that is being read.
#[derive(Debug)]
pub struct Reader {
    blob: BlobId,
    file: File,
    bytes: u64,
}

impl Reader {
    /// The bytes of a range within the content, checked.
    pub fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        assert!(range.start <= range.end && range.end <= self.bytes, "{range:?} of {} bytes", self.bytes);
        let mut found = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        let mut at = range.start;
        while at < range.end {
            let block = self.block(at / BLOCK_BYTES)?;
            let first = at / BLOCK_BYTES * BLOCK_BYTES;
            let last = range.end.min(first + block.len() as u64);
            // Both are within one block.
            found.extend_from_slice(&block[(at - first) as usize..(last - first) as usize]);
            at = last;
        }
        Ok(found)
    }

    fn block(&mut self, number: u64) -> Result<Vec<u8>, BlobError> {
        let failed = |source| BlobError::of("read", self.blob, source);
        let damaged = || BlobError::Damaged { blob: self.blob, block: number };
        let bytes = BLOCK_BYTES.min(self.bytes - number * BLOCK_BYTES);
        let start = HEADER_BYTES + number * (BLOCK_BYTES + SUM_BYTES);
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut block = vec![0; (bytes + SUM_BYTES) as usize];
        self.file.read_exact(&mut block).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => damaged(),
            _ => failed(source),
        })?;
        let sum = block.split_off(bytes as usize);
        match block_sum(self.blob, number, &block) == *sum {
            true => Ok(block),
            false => Err(damaged()),
        }
    }
}

fn block_sum(blob: BlobId, number: u64, content: &[u8]) -> [u8; SUM_BYTES as usize] {
    let mut sum = Crc64Nvme::new();
    sum.update(&blob.0.to_be_bytes());
    sum.update(&number.to_be_bytes());
    sum.update(content);
    sum.finalize()
}
