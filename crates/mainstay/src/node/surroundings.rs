//! What a process is told about itself and its user, from outside the stack file.

use std::path::PathBuf;

/// What the process environment says about where things go; read by the binary's entry only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Whether this process is root.
    pub(crate) root: bool,
    /// This process's user id.
    pub(crate) uid: u32,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub(crate) state_home: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `PATH`, where programs and data services are looked for.
    pub(crate) search_path: Vec<PathBuf>,
}
