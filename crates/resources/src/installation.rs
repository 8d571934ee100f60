//! Which data services' programs this machine has, and which package brings a missing one.
//!
//! Start reading at [`Installations::choose`]. Invariant: nothing is installed or downloaded here.

mod choice;
mod discovery;
mod package;
mod program;
mod version;

mod answer;

use std::path::PathBuf;

pub use choice::{ChooseError, ExistingData};
pub use discovery::{candidates, discover};
pub use program::{Product, Program};
pub use version::Version;

/// One installed server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Installation {
    /// Whose it is.
    pub product: Product,
    /// Its version.
    pub version: Version,
    /// The server's program.
    pub server: PathBuf,
}

impl Installation {
    /// A program that was installed with the server.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.server.with_file_name(name)
    }
}

/// What was found of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installations {
    /// The kind.
    pub program: Program,
    /// What can be used, by product, the newest of each first.
    pub usable: Vec<Installation>,
    /// What was found and cannot be used, with the reason.
    pub unusable: Vec<Unusable>,
}

/// A server that was found and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its program.
    pub server: PathBuf,
    /// Why not.
    pub why: String,
}
