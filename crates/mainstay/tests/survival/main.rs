//! The built program on real PostgreSQL and Redis, and what is left after anything of it was killed.
//!
//! Start reading at [`world`], which is what every test stands on; then [`kills`], [`ground`] and [`clock`] (what the
//! machine does to a stack), [`steps`] (the node killed at each of its steps), [`changes`] (what people do) and
//! [`applying`] (what a file does to a stack in each state), [`files`] (what a stack does while the node is at its files),
//! [`probes`], [`refusals`], [`edge`] (requests while things happen), [`listeners`] (ports that come and go) and [`objects`]
//! (an object store and who may use it). Nothing here knows the program's insides: it reads what the commands print, the
//! journal's files and the process table.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "how long each recovery took is part of what these tests show")]

mod world;

mod processes;
mod site;

mod applying;
mod changes;
mod clock;
mod copies;
mod edge;
mod files;
mod ground;
mod kills;
mod listeners;
mod objects;
mod plain_user;
mod probes;
mod refusals;
mod secrets;
mod steps;
