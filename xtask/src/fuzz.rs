//! Runs every fuzzer of the workspace for a while: the tests that try mutated input, each with cases that no ordinary run tries.

use std::process::Command;

use crate::repository;

/// How long each fuzzer goes on unless told otherwise.
pub(crate) const MINUTES: &str = "5";

/// The fuzzers: crate, test program, name of the test.
const FUZZERS: &[(&str, &str, &str)] =
    &[("config", "fuzz", ""), ("http1", "wire", "fuzz"), ("edge", "gateway", "fuzz")];

/// A fuzzer found something, or did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cargo could not be started")]
    Start(#[source] std::io::Error),
    #[error("the fuzzer of {0} failed: the line that begins with `replay:` says how to see it again")]
    Found(&'static str),
}

/// Runs the fuzzers one after the other.
pub(crate) fn run(minutes: &str) -> Result<(), Error> {
    for (package, program, test) in FUZZERS {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--quiet", "-p", package, "--test", program, "--", test, "--nocapture"]);
        command.env("MAINSTAY_FUZZ_MINUTES", minutes).current_dir(repository::root());
        match command.status().map_err(Error::Start)?.success() {
            true => {}
            false => return Err(Error::Found(package)),
        }
    }
    Ok(())
}
