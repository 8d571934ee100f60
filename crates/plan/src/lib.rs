//! Every decision of the platform, as pure functions of what is wanted, what is observed and what time it is.
//!
//! Start reading at [`supervision`], which decides what happens to each supervised unit next.
//! Invariant: no clock, randomness, files, network or environment; `now` and `seed` are arguments.

pub mod backoff;
pub mod supervision;

pub mod change;
pub mod lint;
pub mod objectives;
pub mod release;
pub mod rollout;
pub mod schedule;

#[cfg(test)]
mod sample;
