//! Keeps units running: the shim and its protocol, and the supervisor that starts, probes, restarts,
//! stops and adopts them.
//!
//! Start reading at [`launch`] (what is started) and [`protocol`] (what node and shim say to each other).
//! Invariant: the supervisor decides nothing by itself; it asks `plan::supervision`.

pub mod control_group;
pub mod isolation;
pub mod launch;
pub mod log;
pub mod protocol;
pub mod record;
pub mod shim;
pub mod supervisor;

pub use supervisor::{Supervisor, Wanted};
