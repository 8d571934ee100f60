//! Keeps units running: the shim and its protocol, and the supervisor that starts, probes, restarts,
//! stops and adopts them.
//!
//! Start reading at [`launch`] (what is started) and [`protocol`] (what node and shim say to each other).
//! Invariant: the supervisor decides nothing by itself; it asks `plan::supervision`.

pub mod launch;
pub mod protocol;
pub mod shim;
