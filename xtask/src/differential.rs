//! Other people's servers against `crates/http1`: installs those that come from PyPI, runs the test with all of them, and has it
//! write `docs/differential.md`.
//!
//! nginx, HAProxy, Apache and Node have to be installed already; the test says which one is not.

use std::path::Path;
use std::process::Command;

use crate::programs::{Error, finish};
use crate::repository;

/// What comes from PyPI, with the versions that the page is about.
const PACKAGES: &[&str] = &["gunicorn==27.0.1", "h11==0.16.0", "httptools==0.9.0", "uvicorn==0.54.0"];

/// Runs it.
pub(crate) fn run() -> Result<(), Error> {
    let root = repository::root();
    let environment = root.join("target/differential");
    if !environment.join("bin/uvicorn").exists() {
        finish(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        finish(Command::new(environment.join("bin/pip")).args(["install", "--quiet"]).args(PACKAGES))?;
    }
    let mut test = Command::new(env!("CARGO"));
    test.args(["test", "--quiet", "-p", "http1", "--test", "wire", "--", "differential", "--nocapture"]);
    finish(test.env("MAINSTAY_DIFFERENTIAL", "1").env("PATH", with_programs(&environment)).current_dir(root))
}

/// The present `PATH` with the environment's programs in front, and those that Debian keeps from ordinary users behind.
fn with_programs(environment: &Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "a command hands its own search path down")]
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}/bin:{path}:/usr/sbin", environment.display())
}
