//! A guest book, small enough to read in a few minutes: `minimal serve`, `work`, `migrate`, `digest`.
//!
//! Start reading at [`serve`]. Everything the program needs to know comes from environment variables that
//! the node sets (see `mainstay.yaml`); it reads no file and knows no password by itself.

mod digest;
mod migrate;
mod notes;
mod serve;
mod settings;
mod stores;
mod work;

use std::process::ExitCode;

const USAGE: &str = "usage: minimal serve | work | migrate | digest";

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] settings::Missing),
    #[error(transparent)]
    Stores(#[from] stores::Error),
    #[error("cannot serve on port {0}")]
    Serve(u16, #[source] std::io::Error),
    #[error("{USAGE}")]
    Usage,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let outcome = match command.as_deref() {
        Some("serve") => serve::run().await,
        Some("work") => work::run().await,
        Some("migrate") => migrate::run().await,
        Some("digest") => digest::run().await,
        _ => Err(Failure::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("minimal: {}", with_causes(&failure));
            ExitCode::FAILURE
        }
    }
}

/// An error and everything that led to it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    line
}

/// Resolves when the node asks this process to stop.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => eprintln!("minimal: SIGTERM cannot be watched, stopping now: {error}"),
    }
}
