//! The whole program on a real PostgreSQL and a real Redis, with the very rights that the platform gives it.
//!
//! Both are started once for all tests; each test has a seeded database of its own, and starts processes of the program
//! as it needs them.

mod stores;

mod program;
mod visitor;

mod access;
mod isolation;
mod live;
mod operation;
mod people;
mod photos;
mod races;
mod roles;
mod validation;
