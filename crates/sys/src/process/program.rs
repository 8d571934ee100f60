//! Which file the first word of a command stands for, by one rule for whoever looks ahead and whoever starts it.
//!
//! Start reading at [`find`].

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::child::blocked_at;

/// No folder of PATH has a program that is to be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotInPath {
    /// None has a file of this name that anybody may run.
    #[error("{word} is in none of the folders of PATH ({searched})")]
    Missing {
        /// The word.
        word: String,
        /// The folders.
        searched: String,
    },
    /// Those that have one are closed to the user.
    #[error(
        "user id {uid} cannot run {}: it may not enter {}, and no other folder of PATH has a {word} that it can reach",
        at.display(),
        blocked.display()
    )]
    Unreachable {
        /// The word.
        word: String,
        /// The first that was found.
        at: PathBuf,
        /// The user.
        uid: u32,
        /// The folder that it cannot enter.
        blocked: PathBuf,
    },
}

impl NotInPath {
    /// The word that was looked for.
    pub fn word(&self) -> &str {
        match self {
            NotInPath::Missing { word, .. } | NotInPath::Unreachable { word, .. } => word,
        }
    }
}

/// Where the program of a command is: with a `/` in its word at that path from `folder`, there or not; else in the first
/// folder of PATH that has an executable file of this name which `user`, by user and group id, can reach. Relative folders of
/// PATH are passed over.
pub fn find(word: &str, folder: &Path, path: &[PathBuf], user: Option<(u32, u32)>) -> Result<PathBuf, NotInPath> {
    match word.contains('/') {
        // Without its `.` parts, for people to read. `..` stays: links may be before it.
        true => Ok(folder.join(word).components().filter(|part| *part != Component::CurDir).collect()),
        false => find_in_path(word, path, user),
    }
}

fn find_in_path(word: &str, path: &[PathBuf], user: Option<(u32, u32)>) -> Result<PathBuf, NotInPath> {
    let folders: Vec<&PathBuf> = path.iter().filter(|folder| folder.is_absolute()).collect();
    let mut unreachable = None;
    for at in folders.iter().map(|folder| folder.join(word)).filter(|at| is_executable(at)) {
        match user.and_then(|user| Some((user.0, closed_to(&at, user)?))) {
            None => return Ok(at),
            Some((uid, blocked)) => {
                unreachable.get_or_insert(NotInPath::Unreachable { word: word.to_owned(), at, uid, blocked });
            }
        }
    }
    Err(unreachable.unwrap_or_else(|| NotInPath::Missing {
        word: word.to_owned(),
        searched: folders.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(":"),
    }))
}

/// Whether this is a file that somebody may run.
pub(super) fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0)
}

/// The folder that keeps a user from a program, be it on the way to a link or to what the link leads to.
fn closed_to(program: &Path, (uid, gid): (u32, u32)) -> Option<PathBuf> {
    // A link that leads nowhere blocks by its being broken, which is told when it is run.
    let on_the_way = |path: &Path| blocked_at(path, uid, gid);
    on_the_way(program).or_else(|| on_the_way(&program.canonicalize().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_word_is_a_path_from_the_folder_or_the_first_executable_file_of_path() {
        let base = std::env::temp_dir().join(format!("mainstay-program-{}", std::process::id()));
        for (folder, mode) in [("first", 0o644), ("second", 0o755), ("third", 0o755)] {
            fs::create_dir_all(base.join(folder)).unwrap();
            fs::write(base.join(folder).join("tool"), "").unwrap();
            fs::set_permissions(base.join(folder).join("tool"), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(base.join("first/folder")).unwrap();
        let path = [PathBuf::new(), "third".into(), base.join("first"), base.join("second"), base.join("third")];
        let found = |word: &str| find(word, &base, &path, None);
        assert_eq!(found("tool"), Ok(base.join("second/tool")));
        assert_eq!(found("./absent"), Ok(base.join("absent")));
        assert_eq!(found("first/../absent"), Ok(base.join("first/../absent")));
        assert_eq!(found("/bin/absent"), Ok("/bin/absent".into()));
        let searched = ["first", "second", "third"].map(|folder| base.join(folder).display().to_string()).join(":");
        let told = format!("folder is in none of the folders of PATH ({searched})");
        assert_eq!(found("folder").unwrap_err().to_string(), told);
        fs::remove_dir_all(&base).unwrap();
    }
}
