//! The programs that run: found, and copied so that building again does not change what runs.
//!
//! Start reading at [`find`], then [`keep`]. A program is copied to `artefacts/DIGEST/NAME` when it is a
//! native executable inside the project's folder. A script, and a program that is installed, runs from
//! where it is, because it finds its other files by where it lies; `mainstay plan` says so. A copy is
//! written to the side, made durable, and renamed ([`complete`]): what is in a folder with a digest's name is complete, and
//! stays while the folder does, also where the same bytes come again under another name. [`site`] does the same with folders
//! of files.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::Digest;
use plan::release::{InPlace, Program};
use sha2::{Digest as _, Sha256};
use supervise::launch::UserIds;
use sys::files;
use sys::process::program::{self, NotInPath};

pub mod site;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What a file that is being copied lies in until it is complete.
const INCOMING: &str = ".incoming";

/// Everyone may read and start a copy, nobody may change it.
const COPY_MODE: u32 = 0o555;
/// Everyone may enter its folder.
const FOLDER_MODE: u32 = 0o755;

/// The first bytes of native executables: ELF; Mach-O of 64 bits, and of several processors.
const NATIVE: [[u8; 4]; 3] = [*b"\x7fELF", [0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];

/// Where programs are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The folder of the file: a word with a `/` in it is meant from here.
    pub project: PathBuf,
    /// The folders of PATH: a word without `/` is looked for in these. Relative ones are passed over.
    pub path: Vec<PathBuf>,
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What runs.
    pub program: Program,
    /// Where it was found.
    pub at: PathBuf,
}

/// A program cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is no such file.
    #[error("there is no program {}: build it first, or mend its path", path.display())]
    Missing {
        /// The path that was tried.
        path: PathBuf,
    },
    /// PATH does not lead to it, and the project has a file of that name.
    #[error("{0}; write ./{word} to run the file of the project", word = .0.word())]
    NotInPathButHere(NotInPath),
    /// PATH does not lead to it.
    #[error("{0}: install it, or write a path with a / in it")]
    NotInPath(NotInPath),
    /// PATH leads only to where the user may not go.
    #[error("{0}; install it for all users, or open the folder (chmod o+x)")]
    Unreachable(NotInPath),
    /// It is a folder or a device.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// What it is instead is the operating system's to say.
        path: PathBuf,
    },
    /// Nobody may start it.
    #[error("{} is not executable: run `chmod +x` on it", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// It runs from where it lies, and the user may not run it there.
    #[error("user id {uid} may not {verb} {}: run `chmod o+{mode}` on it", path.display(), verb = if *read { "read and run" } else { "run" }, mode = if *read { "rx" } else { "x" })]
    Forbidden {
        /// The file.
        path: PathBuf,
        /// The user.
        uid: u32,
        /// Whether it has to be read too, as scripts have.
        read: bool,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A program cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The operating system refused a step.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The step, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its bytes changed between being looked at and being copied.
    #[error("{} changed while it was copied: a build is going on; try again when it has ended", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// Finds what the first word of a command stands for, for whoever the node itself is.
pub fn find(word: &str, search: &Search) -> Result<Found, FindError> {
    find_for(word, search, None)
}

/// Finds what the first word of a command stands for, for the user that is to run it. In PATH what this user
/// cannot reach is passed over: root's PATH may begin with folders of its own home.
pub fn find_for(word: &str, search: &Search, user: Option<UserIds>) -> Result<Found, FindError> {
    let (folder, user) = (&search.project, user.map(|user| (user.uid, user.gid)));
    let at = program::find(word, folder, &search.path, user).map_err(|error| not_in_path(error, word, folder))?;
    if !word.contains('/') {
        return Ok(installed(at));
    }
    let about = fs::metadata(&at).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FindError::Missing { path: at.clone() },
        _ => FindError::Read { path: at.clone(), source },
    })?;
    if !about.is_file() {
        return Err(FindError::NotAFile { path: at });
    }
    if about.mode() & 0o111 == 0 {
        return Err(FindError::NotExecutable { path: at });
    }
    let found = match is_inside(&at, &search.project) {
        true => own_program(at)?,
        false => installed(at),
    };
    match user.and_then(|user| forbidden(&found, &about, user)) {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// Why a user may not run a program from where it lies, judged by its mode bits.
fn forbidden(found: &Found, about: &fs::Metadata, (uid, gid): (u32, u32)) -> Option<FindError> {
    let read = match found.program {
        Program::Frozen { .. } => return None,
        Program::InPlace { why, .. } => why == InPlace::Script,
    };
    let wanted = if read { 0o5 } else { 0o1 };
    let granted = match (about.uid() == uid, about.gid() == gid) {
        (true, _) => about.mode() >> 6,
        (false, true) => about.mode() >> 3,
        (false, false) => about.mode(),
    };
    let allowed = uid == 0 || granted & wanted == wanted;
    (!allowed).then(|| FindError::Forbidden { path: found.at.clone(), uid, read })
}

/// Copies a program that is to be frozen into `artefacts`, unless it is there already. Another program
/// is left where it is.
pub fn keep(found: &Found, artefacts: &Path) -> Result<(), KeepError> {
    let Program::Frozen { digest, name } = &found.program else { return Ok(()) };
    if is_kept(found, artefacts) {
        return Ok(());
    }
    complete(artefacts, *digest, name, &found.at, |copied| {
        let mut program = File::open(&found.at).map_err(io_error("read", &found.at))?;
        copy(&mut program, copied)
    })
}

/// Whether a program needs no copy any more, or none at all.
pub fn is_kept(found: &Found, artefacts: &Path) -> bool {
    match &found.program {
        Program::Frozen { digest, name } => path_of(artefacts, *digest, name).is_file(),
        Program::InPlace { .. } => true,
    }
}

/// Puts what has a digest into the digest's folder under a name, whole or not at all; what is there under other names may be
/// running, and stays. `fill` writes a copy of what is at `from` to where it is told, and says the digest of what it wrote.
fn complete(
    artefacts: &Path,
    digest: Digest,
    name: &str,
    from: &Path,
    fill: impl FnOnce(&Path) -> Result<Digest, KeepError>,
) -> Result<(), KeepError> {
    let incoming = artefacts.join(format!("{INCOMING}-{digest}"));
    remove(&incoming)?;
    let copied = incoming.join(name);
    let completed = fill_durably(&incoming, &copied, digest, from, fill).and_then(|()| {
        let folder = artefacts.join(digest.to_string());
        make_folder(&folder)?;
        fs::rename(&copied, folder.join(name)).map_err(io_error("rename", &copied))?;
        sync(&folder)?;
        sync(artefacts)
    });
    // What led here is what is told. What cannot be removed now is when the next node starts.
    drop(remove(&incoming));
    completed
}

/// Fills a new folder; it is on the disk when this returns, with everything in it.
fn fill_durably(
    incoming: &Path,
    copied: &Path,
    digest: Digest,
    from: &Path,
    fill: impl FnOnce(&Path) -> Result<Digest, KeepError>,
) -> Result<(), KeepError> {
    make_folder(incoming)?;
    // From here on the kernel remembers for this descriptor what it cannot write: opened later, it would not.
    let folder = File::open(incoming).map_err(io_error("read", incoming))?;
    if fill(copied)? != digest {
        return Err(KeepError::Changed { path: from.to_owned() });
    }
    files::sync_file_system(&folder).map_err(io_error("write", incoming))
}

/// Where a copy is.
pub fn path_of(artefacts: &Path, digest: Digest, name: &str) -> PathBuf {
    artefacts.join(digest.to_string()).join(name)
}

/// Removes every copy but those that are still `needed`, and what an interrupted copy left. Returns how
/// many were removed.
pub fn prune(artefacts: &Path, needed: &BTreeSet<Digest>) -> Result<usize, KeepError> {
    remove_those(artefacts, |name| {
        is_incomplete(name) || name.parse::<Digest>().is_ok_and(|digest| !needed.contains(&digest))
    })
}

/// Removes what interrupted copies left. Returns how many they were.
pub fn remove_incomplete(artefacts: &Path) -> Result<usize, KeepError> {
    remove_those(artefacts, is_incomplete)
}

fn is_incomplete(name: &str) -> bool {
    name.starts_with(INCOMING)
}

/// Removes what has a name that is `unneeded`.
fn remove_those(artefacts: &Path, unneeded: impl Fn(&str) -> bool) -> Result<usize, KeepError> {
    let listed = match fs::read_dir(artefacts) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io_error("list", artefacts)(error)),
    };
    let mut removed = 0;
    for entry in listed {
        let entry = entry.map_err(io_error("list", artefacts))?;
        if unneeded(&entry.file_name().to_string_lossy()) {
            remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn not_in_path(error: NotInPath, word: &str, project: &Path) -> FindError {
    match error {
        NotInPath::Unreachable { .. } => FindError::Unreachable(error),
        NotInPath::Missing { .. } if project.join(word).is_file() => FindError::NotInPathButHere(error),
        NotInPath::Missing { .. } => FindError::NotInPath(error),
    }
}

fn installed(at: PathBuf) -> Found {
    let program = Program::InPlace { path: at.clone(), why: InPlace::Installed, digest: None };
    Found { program, at }
}

fn own_program(at: PathBuf) -> Result<Found, FindError> {
    let unreadable = |source| FindError::Read { path: at.clone(), source };
    let mut file = File::open(&at).map_err(unreadable)?;
    let (digest, first) = digest_of(&mut file).map_err(unreadable)?;
    let why = match NATIVE.contains(&first) {
        false => InPlace::Script,
        true if in_python_environment(&at) => InPlace::PythonEnvironment,
        true => {
            // A file was opened by this path, so the path ends in a name.
            let name = at.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Found { program: Program::Frozen { digest, name }, at });
        }
    };
    Ok(Found { program: Program::InPlace { path: at.clone(), why, digest: Some(digest) }, at })
}

fn in_python_environment(at: &Path) -> bool {
    at.parent().and_then(Path::parent).is_some_and(|folder| folder.join("pyvenv.cfg").is_file())
}

/// Whether a path leads into a folder once every link is followed.
fn is_inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn digest_of(file: &mut impl Read) -> io::Result<(Digest, [u8; 4])> {
    let mut first = [0; 4];
    let mut seen = 0;
    let digest = read_through(file, |chunk| {
        let missing = &mut first[seen..];
        let taken = missing.len().min(chunk.len());
        missing[..taken].copy_from_slice(&chunk[..taken]);
        seen += taken;
        Ok(())
    })?;
    Ok((digest, first))
}

fn read_through(file: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest(hasher.finalize().into())),
            Ok(count) => {
                hasher.update(&chunk[..count]);
                each(&chunk[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Copies a file that was opened, and returns the digest of what was copied.
fn copy(source: &mut File, to: &Path) -> Result<Digest, KeepError> {
    let mut target =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(io_error("write", to))?;
    let digest = read_through(source, |chunk| target.write_all(chunk)).map_err(io_error("copy to", to))?;
    target.set_permissions(Permissions::from_mode(COPY_MODE)).map_err(io_error("change the mode of", to))?;
    Ok(digest)
}

/// Makes a folder of a copy, which everyone may enter whatever this process's mask.
fn make_folder(folder: &Path) -> Result<(), KeepError> {
    fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(io_error("change the mode of", folder))
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), KeepError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("write", folder))
}

fn remove(folder: &Path) -> Result<(), KeepError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |source| KeepError::Io { doing, path, source }
}

#[cfg(test)]
mod tests;
