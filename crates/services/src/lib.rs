//! Carries releases: what a service's file line becomes when it runs.
//!
//! Start reading at [`driver`], then in the order of a release's way: [`artefact`] finds and freezes the
//! program, [`release`] makes its content a record, [`user`] says as whom it runs, [`volume`] where its
//! folders are, [`process`] turns all of it into units that supervision runs, [`rollout`] tells how they
//! do, and [`job`] keeps what a schedule has dealt with. Invariants: nothing here starts a process or decides when one starts, and no
//! secret's value is in a record or a digest.

pub mod driver;

pub mod artefact;
pub mod job;
pub mod process;
pub mod release;
pub mod rollout;
pub mod user;
pub mod volume;
