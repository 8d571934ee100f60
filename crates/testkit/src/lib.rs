//! The simulated world: a second machine behind `sys::System`, in which supervision is proven.
//!
//! Start reading at [`world`]; [`drive`] runs a node in it, [`seeds`] inflicts chance faults, and
//! [`scenario`] plays what a text file says. Invariant: only tests depend on this crate.

pub mod drive;
pub mod fault;
pub mod fuzz;
pub mod invariants;
pub mod machine;
pub mod manner;
pub mod process;
pub mod random;
pub mod sample;
pub mod scenario;
pub mod seeds;
pub mod shims;
pub mod world;

pub use drive::Drive;
pub use fault::{Counts, Fault};
pub use machine::Machine;
pub use world::{Task, World};
