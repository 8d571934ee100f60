//! A unit's output: captured line by line into rotated files, and read back merged by time.
//!
//! A file is named `UNIT.NUMBER.log`; numbers only grow, the highest is being written. Each line is one
//! JSON object with the keys of [`Line`]:
//!
//! ```text
//! {"at":"2026-11-20T17:04:05.678Z","unit":"api.3.1","stream":"out","line":"listening on 8080"}
//! ```
//!
//! Start reading at [`writer`] (the shim's side) and [`reader`] (the node's side). Invariant: a line once
//! written is never changed, and a torn last line, left by a machine that went down, is passed over.

pub mod reader;
pub mod writer;

use std::io;
use std::path::{Path, PathBuf};

use model::{ByteSize, Timestamp, UnitId};

/// Longest line in bytes; a longer one is split into pieces, all but the last marked as cut.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The process's standard output.
    Out,
    /// The process's standard error.
    Err,
    /// The shim: what became of the process or of its output.
    Shim,
}

/// One line of a unit's output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Line {
    /// When the shim read its end.
    pub at: Timestamp,
    /// Whose it is.
    pub unit: UnitId,
    /// Where it came from.
    pub stream: Stream,
    /// The text without its line feed; bytes that are not UTF-8 are replaced.
    pub line: String,
    /// Whether the line goes on in the unit's next line of the same stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// The path of a unit's file of this number.
fn file_path(folder: &Path, unit: &UnitId, number: u32) -> PathBuf {
    folder.join(format!("{unit}.{number:06}.log"))
}

/// The unit and the number in a file's name; `None` for one that is no log of ours.
fn parse_name(name: &str) -> Option<(UnitId, u32)> {
    let (unit, number) = name.strip_suffix(".log")?.rsplit_once('.')?;
    Some((unit.parse().ok()?, number.parse().ok()?))
}

/// The numbers of a unit's files, smallest first; none when there is no such folder.
fn numbers(folder: &Path, unit: &UnitId) -> io::Result<Vec<u32>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(parse_name).filter(|(of, _)| of == unit).map(|(_, number)| number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The units that have files in a folder, sorted; none when there is no such folder.
pub fn units(folder: &Path) -> io::Result<Vec<UnitId>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut units = std::collections::BTreeSet::new();
    for entry in entries {
        units.extend(entry?.file_name().to_str().and_then(parse_name).map(|(unit, _)| unit));
    }
    Ok(units.into_iter().collect())
}

/// How much is kept of the units that have files in a folder; nothing when there is no such folder.
pub fn size(folder: &Path) -> io::Result<ByteSize> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ByteSize::default()),
        other => other?,
    };
    let mut size = ByteSize::default();
    for entry in entries {
        size = size.saturating_add(ByteSize::bytes(entry?.metadata()?.len()));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_log_is_that_of_all_its_files() {
        let folder = std::env::temp_dir().join(format!("mainstay-log-size-{}", std::process::id()));
        assert_eq!(size(&folder).unwrap(), ByteSize::default());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("api.3.run.1.000001.log"), [b'x'; 100]).unwrap();
        std::fs::write(folder.join("api.3.run.1.000002.log"), [b'x'; 20]).unwrap();
        assert_eq!(size(&folder).unwrap(), ByteSize::bytes(120));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn names_read_back() {
        let unit: UnitId = "api.3.run.17".parse().unwrap();
        let path = file_path(Path::new("/l"), &unit, 42);
        assert_eq!(path, Path::new("/l/api.3.run.17.000042.log"));
        assert_eq!(parse_name("api.3.run.17.000042.log"), Some((unit, 42)));
        assert_eq!(parse_name("other.txt"), None);
    }
}
