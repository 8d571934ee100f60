//! The only door to the operating system: clock, files, processes, sockets, named tasks, databases, records.
//!
//! Start reading at [`system`]: the [`System`] trait is what supervision is written against, and it has
//! two real implementations, the operating system's here and the simulated world's in `testkit`.
//! Invariant: no domain rules here.

pub mod system;

pub mod clock;
pub mod cores;
pub mod database;
pub mod files;
pub mod folder;
pub mod journal;
pub mod listeners;
pub mod local_socket;
pub mod lock;
pub mod machine;
pub mod messages;
pub mod mounts;
pub mod process;
pub mod records;
pub mod shortage;
pub mod sockets;
pub mod tasks;

pub use files::FolderIdentity;
pub use system::{
    ConnectionId, Delivery, Event, FileError, FileTrouble, Now, ProbeFailure, ProbeOutcome, ProbeTarget, ShimStart,
    Signal, SpawnError, System, TaskOutcome, Ticket,
};
