//! Every decision of the platform, as pure functions of what is wanted, what is observed and what time it is.
//!
//! Start reading at [`supervision`], which decides what happens to each supervised unit next. The way from a
//! file to those units: [`objectives`] says what follows from its promises, [`release`] what is new,
//! [`change`] what applying it does, [`lint`] that the plan is sound, [`rollout`] which replicas exist
//! meanwhile, [`traffic`] which of them take requests, and [`schedule`] when jobs run.
//! Invariant: no clock, randomness, files, network or environment; `now` and `seed` are arguments.

pub mod backoff;
pub mod supervision;

pub mod change;
pub mod lint;
pub mod objectives;
pub mod release;
pub mod rollout;
pub mod schedule;
mod text;
pub mod traffic;

#[cfg(test)]
mod sample;
