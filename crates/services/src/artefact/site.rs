//! Folders of files that the edge sends: looked through, and copied so that another build changes nothing that is sent.
//!
//! Start reading at [`find`], then [`keep`]. The copy is `artefacts/DIGEST/site`. What is hidden stays where it is, as the
//! edge sends none of it, but for `.well-known` (RFC 8615) at the top.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use model::Digest;
use sha2::{Digest as _, Sha256};
use sys::files::open_itself;

use super::{KeepError, complete, copy, digest_of, make_folder};

/// Files of a folder at most, and folders below it.
const ENTRIES_MAX: usize = 100_000;
/// The folder of the copy.
const SITE: &str = "site";
/// The one hidden name that is sent.
const WELL_KNOWN: &str = ".well-known";

/// A folder that was looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The digest of its files, their names included.
    pub digest: Digest,
    /// How many they are.
    pub files: usize,
    /// Where it was found.
    pub at: PathBuf,
}

/// A folder cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is none.
    #[error("there is no folder {}: build it first, or mend the path in `static`", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something in it is neither a file nor a folder.
    #[error("{} is neither a file nor a folder: links are not followed, so put a copy there", path.display())]
    Other {
        /// What.
        path: PathBuf,
    },
    /// It has too many files or folders.
    #[error("{} has more than {max} {what}", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many it may have.
        max: usize,
        /// Files, or folders.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Looks through a folder.
pub fn find(at: &Path) -> Result<Found, FindError> {
    if !at.is_dir() {
        return Err(FindError::Missing { path: at.to_owned() });
    }
    let files = files(at)?;
    let digest = digest(&files, |file| {
        let path = at.join(file);
        let read = open(&path).and_then(|mut file| digest_of(&mut file));
        read.map(|(digest, _)| digest).map_err(|source| FindError::Read { path, source })
    })?;
    Ok(Found { digest, files: files.len(), at: at.to_owned() })
}

/// Copies a folder into `artefacts`, unless it is there already.
pub fn keep(found: &Found, artefacts: &Path) -> Result<(), KeepError> {
    if is_kept(found, artefacts) {
        return Ok(());
    }
    complete(artefacts, found.digest, SITE, &found.at, |site| {
        make_folder(site)?;
        let files = files(&found.at).map_err(not_any_more)?;
        let mut made = BTreeSet::new();
        digest(&files, |file| {
            make_folders(site, file, &mut made)?;
            let from = found.at.join(file);
            let mut source = open(&from).map_err(|source| not_any_more(FindError::Read { path: from, source }))?;
            copy(&mut source, &site.join(file))
        })
    })
}

/// Whether a folder was copied.
pub fn is_kept(found: &Found, artefacts: &Path) -> bool {
    path_of(artefacts, found.digest).is_dir()
}

/// Makes the folders of a file that are not `made` yet, the outermost first.
fn make_folders<'a>(site: &Path, file: &'a Path, made: &mut BTreeSet<&'a Path>) -> Result<(), KeepError> {
    let mut missing: Vec<&Path> = file.ancestors().skip(1).take_while(|folder| !made.contains(folder)).collect();
    while let Some(folder) = missing.pop() {
        make_folder(&site.join(folder))?;
        made.insert(folder);
    }
    Ok(())
}

/// What it means that something of a folder that was looked through cannot be had any more.
fn not_any_more(error: FindError) -> KeepError {
    match error {
        FindError::Read { path, source } if source.kind() != io::ErrorKind::NotFound => {
            KeepError::Io { doing: "read", path, source }
        }
        FindError::Missing { path }
        | FindError::Other { path }
        | FindError::TooMany { path, .. }
        | FindError::Read { path, .. } => KeepError::Changed { path },
    }
}

/// Where a copy is.
pub fn path_of(artefacts: &Path, digest: Digest) -> PathBuf {
    artefacts.join(digest.to_string()).join(SITE)
}

/// Opens a file of the folder. What has become a link or a pipe since it was listed is neither followed nor waited for.
fn open(path: &Path) -> io::Result<File> {
    open_itself(OpenOptions::new().read(true), path)
}

/// The files below a folder by their paths from there, in one order.
fn files(at: &Path) -> Result<Vec<PathBuf>, FindError> {
    files_up_to(ENTRIES_MAX, at)
}

fn files_up_to(max: usize, at: &Path) -> Result<Vec<PathBuf>, FindError> {
    let too_many = |what| FindError::TooMany { path: at.to_owned(), max, what };
    let (mut folders, mut listed_folders, mut files) = (vec![PathBuf::new()], 0, Vec::new());
    while let Some(folder) = folders.pop() {
        listed_folders += 1;
        let listed = at.join(&folder);
        let unreadable = |source| FindError::Read { path: listed.clone(), source };
        for entry in fs::read_dir(&listed).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(unreadable)?;
            match () {
                () if is_hidden(&path) => {}
                () if kind.is_dir() && folders.len() + listed_folders > max => return Err(too_many("folders")),
                () if kind.is_dir() => folders.push(path),
                () if !kind.is_file() => return Err(FindError::Other { path: at.join(path) }),
                () if files.len() == max => return Err(too_many("files")),
                () => files.push(path),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether the last part of a path from the folder is a name that the edge never sends.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") && path != Path::new(WELL_KNOWN)
}

/// The digest of files: of the digest of each, with its name.
fn digest<'a, E>(files: &'a [PathBuf], mut of: impl FnMut(&'a Path) -> Result<Digest, E>) -> Result<Digest, E> {
    let mut hasher = Sha256::new();
    hasher.update(b"mainstay site 1\n");
    for file in files {
        let name = file.as_os_str().as_encoded_bytes();
        hasher.update(of(file)?.0);
        hasher.update(name);
        hasher.update([0]);
    }
    Ok(Digest(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder and where copies go, removed with the value.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("mainstay-site-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("artefacts")).unwrap();
            let ground = Self(root);
            ground.write("index.html", "home");
            ground.write("css/site.css", "body {}");
            ground
        }

        fn site(&self) -> PathBuf {
            self.0.join("dist")
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.site().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn find(&self) -> Found {
            find(&self.site()).unwrap()
        }

        /// What is in the copy.
        fn keep(&self, found: &Found) -> Vec<PathBuf> {
            let artefacts = self.0.join("artefacts");
            keep(found, &artefacts).unwrap();
            files(&path_of(&artefacts, found.digest)).unwrap()
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_folder_is_told_by_its_files_and_their_names() {
        let ground = Ground::new("digest");
        let first = ground.find();
        assert_eq!((first.files, ground.find()), (2, first.clone()));
        ground.write(".DS_Store", "not sent");
        ground.write("css/.git/x", "not sent");
        assert_eq!(ground.find(), first);
        ground.write("index.html", "another");
        assert_ne!(ground.find().digest, first.digest);
        ground.write("index.html", "home");
        fs::rename(ground.site().join("css/site.css"), ground.site().join("css/other.css")).unwrap();
        assert_ne!(ground.find().digest, first.digest);
    }

    #[test]
    fn a_copy_is_complete_and_open_to_everyone() {
        let ground = Ground::new("copy");
        ground.write(".well-known/security.txt", "write to us");
        let copied = ground.keep(&ground.find());
        assert_eq!(copied, [".well-known/security.txt", "css/site.css", "index.html"].map(PathBuf::from));
        let copy = path_of(&ground.0.join("artefacts"), ground.find().digest);
        let mode = |path: &str| fs::metadata(copy.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("css"), mode("css/site.css")), (0o755, 0o555));
    }

    #[test]
    fn what_changes_while_it_is_copied_is_no_release() {
        let ground = Ground::new("changed");
        let found = ground.find();
        ground.write("index.html", "another");
        let artefacts = ground.0.join("artefacts");
        assert!(matches!(keep(&found, &artefacts), Err(KeepError::Changed { .. })));
        assert_eq!(fs::read_dir(artefacts).unwrap().count(), 0);
    }

    #[test]
    fn what_is_gone_before_it_is_copied_leaves_nothing_behind() {
        let ground = Ground::new("gone");
        let (found, artefacts) = (ground.find(), ground.0.join("artefacts"));
        fs::remove_file(ground.site().join("css/site.css")).unwrap();
        assert!(matches!(keep(&found, &artefacts), Err(KeepError::Changed { .. })));
        fs::remove_dir_all(ground.site()).unwrap();
        assert!(matches!(keep(&found, &artefacts), Err(KeepError::Changed { .. })));
        fs::write(ground.site(), "").unwrap();
        let error = keep(&found, &artefacts).unwrap_err();
        assert!(matches!(error, KeepError::Io { doing: "read", .. }), "{error}");
        assert_eq!(fs::read_dir(artefacts).unwrap().count(), 0);
    }

    #[test]
    fn files_and_folders_are_bounded() {
        let ground = Ground::new("bounded");
        let many = |max: usize| match files_up_to(max, &ground.site()) {
            Err(FindError::TooMany { what, .. }) => Some(what),
            other => other.map(|_| None).unwrap(),
        };
        assert_eq!([1, 2].map(many), [Some("files"), None]);
        for folder in ["a", "a/b"] {
            fs::create_dir(ground.site().join(folder)).unwrap();
        }
        assert_eq!([2, 3].map(many), [Some("folders"), None]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let ground = Ground::new("refused");
        assert!(matches!(find(&ground.0.join("nothing")), Err(FindError::Missing { .. })));
        symlink("/etc/passwd", ground.site().join("link")).unwrap();
        assert!(matches!(find(&ground.site()), Err(FindError::Other { .. })));
    }
}
