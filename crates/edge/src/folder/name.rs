//! Which file below a folder a path asks for. Start reading at [`Name::of_path`].
//!
//! A path is judged before the system sees any of it; that nothing outside of the folder is opened is
//! [`sys::folder`]'s to see to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest name of a file in bytes, with the folders above it.
const NAME_BYTES_MAX: usize = 1024;
/// The longest part between slashes, which is what file systems take.
const PART_BYTES_MAX: usize = 255;
/// The only folder whose name begins with a dot and that is shown (RFC 8615); it stands at the top.
const WELL_KNOWN: &[u8] = b".well-known";
/// What a folder answers with.
const INDEX: &[u8] = b"index.html";

/// The name of a file, from the folder's root on: no empty part, no dot part, nothing hidden.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name(Vec<u8>);

impl Name {
    /// The file that a normal path ([`crate::path::normal`]) asks for; of a path that ends with a slash, the index below it.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let path = unescaped(path.strip_prefix('/')?)?;
        let (parts, of_folder) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, true),
            None => (path.as_slice(), path.is_empty()),
        };
        let shown = |(index, part): (usize, &[u8])| is_shown(part) || (index == 0 && part == WELL_KNOWN);
        let root = path.is_empty();
        if path.len() > NAME_BYTES_MAX || !(root || parts.split(|byte| *byte == b'/').enumerate().all(shown)) {
            return None;
        }
        let name = Self(parts.to_vec());
        Some(if of_folder { name.index() } else { name })
    }

    /// The index of the whole folder.
    pub(super) fn top_index() -> Self {
        Self(INDEX.to_vec())
    }

    /// The index of the folder that has this name.
    pub(super) fn index(&self) -> Self {
        let slash = if self.0.is_empty() { b"".as_slice() } else { b"/" };
        Self([self.0.as_slice(), slash, INDEX].concat())
    }

    /// The name with an ending behind it.
    pub(super) fn with_ending(&self, ending: &str) -> Self {
        Self([self.0.as_slice(), ending.as_bytes()].concat())
    }

    /// The name for the system.
    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// What stands before and behind the last dot of the file itself, where both are text.
    pub(super) fn stem_and_extension(&self) -> Option<(&str, &str)> {
        let file = self.0.rsplit(|byte| *byte == b'/').next()?;
        std::str::from_utf8(file).ok()?.rsplit_once('.')
    }
}

fn is_shown(part: &[u8]) -> bool {
    (1..=PART_BYTES_MAX).contains(&part.len()) && !part.starts_with(b".")
}

/// The bytes of a path. A slash, a backslash or a control byte that was escaped is in no name: a file that is called so cannot be had.
fn unescaped(path: &str) -> Option<Vec<u8>> {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let byte = u8::from_str_radix(piece.get(..2)?, 16).ok()?;
        bytes.push(Some(byte).filter(|byte| !b"/\\\x7f".contains(byte) && *byte >= b' ')?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_file_or_nothing() {
        let long = "a".repeat(256);
        let deep = "/abcdefgh".repeat(120);
        for (path, expected) in [
            ("/", Some("index.html")),
            ("/a", Some("a")),
            ("/a/", Some("a/index.html")),
            ("/a/b.js", Some("a/b.js")),
            ("/a%20b", Some("a b")),
            ("/%C3%A4", Some("ä")),
            ("/a.", Some("a.")),
            ("/.well-known/security.txt", Some(".well-known/security.txt")),
            ("/a/.well-known/x", None),
            ("/.well-known/.x", None),
            ("/.git/config", None),
            ("/a/.env", None),
            ("/..", None),
            ("/a/../b", None),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/a//", None),
            ("/a%2Fb", None),
            ("/%2E%2E%2Fb", None),
            ("/a%5Cb", None),
            ("/a%00", None),
            ("/%2561", Some("%61")),
            (&format!("/{long}"), None),
            (&deep, None),
            ("a", None),
        ] {
            let name = Name::of_path(path).map(|name| String::from_utf8(name.0).unwrap());
            assert_eq!(name.as_deref(), expected, "{path}");
        }
    }
}
