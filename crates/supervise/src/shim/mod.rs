//! The shim: the tiny parent of one child process, which survives the node.
//!
//! Start reading at [`core`], which decides everything. Invariant: nothing here talks to the network,
//! and no file but those of the unit's folder and its log folder is written.

pub mod core;
