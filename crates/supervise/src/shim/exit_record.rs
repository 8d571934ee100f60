//! The record of how the child ended.
//!
//! Its space is taken before the child starts, so that a full disk does not lose it: the record is
//! written into the reserved file, which is then renamed. Start reading at [`write()`].
//! Invariant: `exit.json` is whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::protocol::ExitReport;
use crate::record::EXIT_FILE;

const RESERVE_FILE: &str = "exit.reserve";
/// More than the longest report: twenty lines of 400 bytes, each escaped to six, and a note.
const RESERVE_BYTES: u64 = 64 << 10;

/// Removes the last run's record and takes the space for this one's. Without space the record is attempted
/// all the same when its time comes.
pub(super) fn prepare(folder: &Path) {
    for name in [EXIT_FILE, RESERVE_FILE] {
        // The record of the last run was removed by the node before it started this one.
        drop(fs::remove_file(folder.join(name)));
    }
    let reserve =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(folder.join(RESERVE_FILE));
    if let Ok(file) = reserve {
        let _taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES);
    }
}

/// Writes the record; whether it is on the disk now.
pub(super) fn write(folder: &Path, report: &ExitReport) -> bool {
    let Ok(bytes) = serde_json::to_vec(report) else { return false };
    write_reserved(folder, &bytes).is_ok() || sys::files::replace(&folder.join(EXIT_FILE), &bytes).is_ok()
}

fn write_reserved(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let reserve = folder.join(RESERVE_FILE);
    let mut file = OpenOptions::new().write(true).open(&reserve)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    fs::rename(&reserve, folder.join(EXIT_FILE))?;
    File::open(folder)?.sync_all()
}

/// Gives back what was reserved and not used.
pub(super) fn release(folder: &Path) {
    drop(fs::remove_file(folder.join(RESERVE_FILE)));
}
