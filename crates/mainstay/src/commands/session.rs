//! What every command starts from: which file, which environment, which state directory, which node.

use std::io::Read;
use std::path::{Path, PathBuf};

use config::{NotText, SourceFile};
use model::EnvironmentName;
use sha2::{Digest, Sha256};

use super::Globals;
use super::failure::Failure;
use crate::api::bodies::FileBody;
use crate::api::client::Client;
use crate::node::layout::Layout;
use crate::node::surroundings::Surroundings;
use crate::terminal::Terminal;

/// The name of the stack file.
pub(crate) const FILE_NAME: &str = "mainstay.yaml";

/// The state directory beside the stack file, in development.
pub(crate) const STATE_NAME: &str = ".mainstay";

/// The largest stack file that is read. `check` itself refuses far smaller ones with a better message.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Hexadecimal digits of a state directory's tag: few, because the tag is part of socket paths, and enough
/// for the stacks of one machine.
const TAG_DIGITS: usize = 10;

/// One use of the program.
pub(crate) struct Session {
    /// The output streams.
    pub(crate) terminal: Terminal,
    /// What the process environment says.
    pub(crate) around: Surroundings,
    globals: Globals,
    folder: PathBuf,
}

/// The stack file as it was found.
pub(crate) struct StackFile {
    /// Its absolute path.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

impl Session {
    /// A session in a working directory.
    pub(crate) fn new(globals: Globals, terminal: Terminal, around: Surroundings, folder: PathBuf) -> Self {
        Self { terminal, around, globals, folder }
    }

    /// The working directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The environment asked for.
    pub(crate) fn environment(&self) -> Option<&EnvironmentName> {
        self.globals.env.as_ref()
    }

    /// The stack file's absolute path: `--file`, else the nearest from the working directory upwards.
    pub(crate) fn file_path(&self) -> Result<PathBuf, Failure> {
        match &self.globals.file {
            Some(path) => {
                let path = self.folder.join(path);
                path.canonicalize().map_err(|error| Failure::doing(format!("cannot read {}", path.display()), &error))
            }
            None => find_upwards(&self.folder).ok_or_else(|| {
                Failure::new(format!("there is no {FILE_NAME} in {} or any folder above it", self.folder.display()))
                    .with_hint("write one with `mainstay init`, or name one with --file")
            }),
        }
    }

    /// The stack file.
    pub(crate) fn file(&self) -> Result<StackFile, Failure> {
        self.file_if_text()?.map_err(|not_text| Failure {
            problems: vec![not_text.problem.to_string()],
            ..Failure::new(format!("{} is not text", not_text.legible.name))
        })
    }

    /// The stack file, or what stands in its place and is no text.
    pub(crate) fn file_if_text(&self) -> Result<Result<StackFile, Box<NotText>>, Failure> {
        let path = self.file_path()?;
        let cannot = |error: &dyn std::error::Error| Failure::doing(format!("cannot read {}", path.display()), error);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| cannot(&error))?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
            return Err(Failure::new(format!("{} is larger than any stack file", path.display())));
        }
        let source = SourceFile::of_bytes(self.shown_name(&path), bytes);
        Ok(source.map(|source| StackFile { path, text: source.text }))
    }

    /// The path of a file as people would type it.
    pub(crate) fn shown_name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// The stack file as the node is given it.
    pub(crate) fn file_body(&self, file: &StackFile) -> Result<FileBody, Failure> {
        let path = file.path.to_str().ok_or_else(|| {
            Failure::new(format!("the path {} is not UTF-8", file.path.display()))
                .with_hint("move the project to a folder whose name is plain text")
        })?;
        Ok(FileBody { path: path.to_owned(), text: file.text.clone(), environment: self.globals.env.clone() })
    }

    /// The state directory's absolute path: `--state`, else `.mainstay` beside the stack file.
    pub(crate) fn state(&self) -> Result<PathBuf, Failure> {
        match &self.globals.state {
            Some(path) => Ok(settled(&self.folder.join(path))),
            None => {
                let file = self.file_path().map_err(|failure| Failure {
                    hints: vec!["name a stack file with --file or a state directory with --state".to_owned()],
                    ..failure
                })?;
                Ok(file.with_file_name(STATE_NAME))
            }
        }
    }

    /// Where everything of this session's environment lives.
    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        let state = self.state()?;
        let key = self.globals.key_file.as_ref().map(|path| self.folder.join(path));
        Layout::new(&state, &tag(&state), &self.around, key.as_deref()).map_err(|error| Failure::of(&error))
    }

    /// A client of this session's node.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.layout()?.control_socket()))
    }

    /// The global arguments that make another process of this program see the same stack.
    pub(crate) fn same_place(&self) -> Result<Vec<std::ffi::OsString>, Failure> {
        let mut arguments = vec!["--state".into(), self.state()?.into_os_string()];
        if let Some(path) = &self.globals.key_file {
            arguments.extend(["--key-file".into(), self.folder.join(path).into_os_string()]);
        }
        Ok(arguments)
    }
}

/// A short text that tells one state directory from every other of the machine.
fn tag(state: &Path) -> String {
    let digest = Sha256::digest(state.as_os_str().as_encoded_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(TAG_DIGITS).collect()
}

fn find_upwards(folder: &Path) -> Option<PathBuf> {
    let found = folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())?;
    // It was there this moment: one that cannot be followed now is gone.
    found.canonicalize().ok()
}

/// A path with every link resolved as far as it exists and can be followed, so that one directory has one tag.
fn settled(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match existing {
        Some((part, real)) => path.strip_prefix(part).map_or(real.clone(), |rest| match rest.as_os_str().is_empty() {
            true => real.clone(),
            false => real.join(rest),
        }),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_tag() {
        assert_eq!(tag(Path::new("/srv/app/.mainstay")), tag(Path::new("/srv/app/.mainstay")));
        assert_ne!(tag(Path::new("/srv/app/.mainstay")), tag(Path::new("/srv/app2/.mainstay")));
        assert_eq!(tag(Path::new("/")).len(), TAG_DIGITS);
    }

    #[test]
    fn paths_settle_before_they_exist() {
        let base =
            std::env::temp_dir().canonicalize().unwrap().join(format!("mainstay-settled-{}", std::process::id()));
        let real = base.join("real");
        std::fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(&real, base.join("link")).unwrap();
        assert_eq!(settled(&base.join("link")), real);
        assert_eq!(settled(&base.join("link/not/yet")), real.join("not/yet"));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
