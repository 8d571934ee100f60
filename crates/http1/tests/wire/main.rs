//! Messages as bytes on the wire: what is read, what is refused, what is passed on.
//!
//! Start reading at [`corpus`]. [`conversation`] is the one loop that reads a connection in every test here,
//! and [`plain_reader`] a second reader that shares no code with the crate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "what was skipped and how to replay is said")]

mod case;
mod conversation;
mod escape;
mod plain_reader;

mod corpus;
mod onward;
mod round_trip;

mod random;

mod fuzz;

mod differential;
mod echo;
mod servers;
