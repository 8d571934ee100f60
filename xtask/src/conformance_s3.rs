//! The object server against the SDK for Python and against moto: installs both from PyPI, and runs the scripts in
//! `crates/objects/tests/conformance`.
//!
//! What they print is what `docs/objects-conformance.md` reports.

use std::process::Command;

use crate::{programs, repository};

/// What comes from PyPI, with the versions that the page is about.
const PACKAGES: &[&str] = &["awscrt==0.38.1", "boto3==1.44.5", "moto[server]==5.2.5"];
/// Random operations for each seed.
const OPERATIONS: &str = "3000";
const SEEDS: &[&str] = &["1", "2"];

/// Runs them.
pub(crate) fn run() -> Result<(), programs::Error> {
    let root = repository::root();
    let environment = root.join("target/conformance-s3");
    let python = environment.join("bin/python");
    if !environment.join("bin/moto_server").exists() {
        programs::finish(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        programs::finish(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    }
    let mut build = Command::new(env!("CARGO"));
    programs::finish(build.args(["build", "--quiet", "-p", "objects", "--example", "serve"]).current_dir(&root))?;
    let server = programs::built("examples/serve");
    let scripts = root.join("crates/objects/tests/conformance");
    programs::finish(Command::new(&python).arg(scripts.join("sdk.py")).arg(&server))?;
    for seed in SEEDS {
        programs::finish(
            Command::new(&python).arg(scripts.join("differential.py")).arg(&server).args([OPERATIONS, seed]),
        )?;
    }
    Ok(())
}
