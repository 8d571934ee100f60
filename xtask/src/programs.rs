//! Other programs: started, waited for, and found where cargo built them. Start reading at [`finish`].

use std::path::PathBuf;
use std::process::Command;

/// A program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{program} could not be started")]
    Start { program: String, source: std::io::Error },
    #[error("{0} failed")]
    Failed(String),
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Start { program: program.clone(), source })?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Failed(program)),
    }
}

/// A program that cargo built, beside this one.
pub(crate) fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name(name)
}
