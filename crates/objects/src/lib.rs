//! The object store: an S3 server over durable files of its own.
//!
//! Start reading at [`store`], which keeps objects and knows nothing of HTTP, then [`process`], which serves them.
//! Invariant: what was acknowledged is on disk, and no name that a client chose is the name of a file.

pub mod control;
pub mod process;
pub mod settings;

pub mod store;

mod connection;
mod front;
mod live;
mod patience;
mod places;
mod server;
mod trouble;
