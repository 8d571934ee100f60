//! What the server notices: counts for the node, and trouble in words on standard error, where the shim takes it.
//!
//! Start reading at [`Reports`].

use std::error::Error;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a server has gone since its process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that were begun.
    pub requests: u64,
    /// Requests that were answered with a status of 500 or above.
    pub failed: u64,
    /// Bytes of objects that were taken.
    pub bytes_in: u64,
    /// Bytes of objects that were handed out.
    pub bytes_out: u64,
    /// Contents that turned out damaged.
    pub damaged: u64,
    /// Contents that killed processes had left over, and that were removed.
    pub swept: u64,
}

/// Counts and tells.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) swept: AtomicU64,
}

/// Adds to a count.
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

impl Reports {
    pub(crate) fn counts(&self) -> Counts {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            connections: count(&self.connections),
            requests: count(&self.requests),
            failed: count(&self.failed),
            bytes_in: count(&self.bytes_in),
            bytes_out: count(&self.bytes_out),
            damaged: count(&self.damaged),
            swept: count(&self.swept),
        }
    }
}

/// Says what went wrong, with its causes, on one line.
pub(crate) fn tell(what: &str, error: &(dyn Error + 'static)) {
    let mut line = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    // Where standard error is gone there is nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
