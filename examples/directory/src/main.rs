//! The Company Directory: who works here, for many companies at once. `directory serve`, `work`, `migrate`, `digest`,
//! `admin`, `company`, `seed`.
//!
//! Start reading at [`api`] for what a browser asks, at [`database`] for how companies are kept apart, at [`worker`]
//! for what happens after an answer. What the program needs to know comes from environment variables, one function
//! each in [`settings`].

mod admin;
mod api;
mod company;
mod digest;
mod migrate;
mod seed;
mod worker;

mod password;
mod permission;
mod person;
mod tenant;
mod token;
mod validation;
mod viewer;

mod cache;
mod database;
mod photos;

mod logging;
mod random;
mod settings;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const USAGE: &str = "usage: directory serve | work | migrate | digest | admin EMAIL | company ID NAME | seed";

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Migration(#[from] database::migrations::Error),
    #[error(transparent)]
    Cache(#[from] cache::Error),
    #[error(transparent)]
    Photos(#[from] photos::Error),
    #[error(transparent)]
    Password(#[from] password::Error),
    #[error("SIGTERM cannot be watched")]
    Signal(#[source] std::io::Error),
    #[error("cannot serve on port {port}")]
    Serve { port: u16, source: std::io::Error },
    #[error("requests were still open {} s after the signal to stop, and were cut off", api::DRAIN.as_secs())]
    Late,
    #[error("test people are made only where MAINSTAY_ENVIRONMENT is one of {}: their password is public", settings::SEEDED.join(", "))]
    SeedElsewhere,
    #[error("{name} is not as it should be: {wanted}")]
    Argument { name: &'static str, wanted: String },
    #[error("cannot read a password")]
    ReadPassword(#[source] std::io::Error),
    #[error("{USAGE}")]
    Usage,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    logging::start();
    let outcome = match arguments[..] {
        ["serve"] => api::run().await,
        ["work"] => worker::run().await,
        ["migrate"] => migrate::run().await,
        ["digest"] => digest::run().await,
        ["admin", email] => admin::run(email).await,
        ["company", id, name] => company::run(id, name).await,
        ["seed"] => seed::run().await,
        _ => Err(Failure::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("directory: {}", with_causes(&failure));
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

/// Cancelled when the node asks this process to stop. From here on, SIGTERM does not end it by itself.
fn stopping() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signal)?;
    let stopping = CancellationToken::new();
    let told = stopping.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        tracing::info!("stopping");
        told.cancel();
    });
    Ok(stopping)
}
