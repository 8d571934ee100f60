//! Writes generated pages and expected outputs again, by asking the tests that compare them to do so.

use std::process::Command;

use crate::repository;

/// Rewriting did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cargo could not be started")]
    Start(#[source] std::io::Error),
    #[error("the tests failed even after they rewrote what they expect: mend them, then look at `git diff`")]
    Failed,
}

/// The test programs of `mainstay` that compare what it says with what is written: the others run whole stacks.
const COMPARING: [&str; 3] = ["--bins", "--test", "command_line"];

/// Runs the tests that compare with `UPDATE=1` and `UPDATE_EXPECT=1`, then again without, to see that they agree.
pub(crate) fn regenerate() -> Result<(), Error> {
    test(true)?;
    match test(false)? {
        true => Ok(()),
        false => Err(Error::Failed),
    }
}

fn test(update: bool) -> Result<bool, Error> {
    Ok(cargo_test(&["-p", "config", "-p", "xtask"], update)?
        & cargo_test(&[&["-p", "mainstay"], &COMPARING[..]].concat(), update)?)
}

fn cargo_test(what: &[&str], update: bool) -> Result<bool, Error> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--no-fail-fast"]).args(what);
    if update {
        command.env("UPDATE", "1").env("UPDATE_EXPECT", "1");
    }
    let status = command.current_dir(repository::root()).status().map_err(Error::Start)?;
    Ok(status.success())
}
