//! The edge as its clients and its services see it: real sockets, a real edge, services made of a few lines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "clients and services of these tests are threads of their own, on the real clock"
)]

mod bench;

mod bodies;
mod booking;
mod capacity;
mod compression;
mod drain;
mod failures;
mod folder;
mod frames;
mod fuzz;
mod http2;
mod limits;
mod node;
mod ports;
mod routing;
mod slow;
mod tls;
mod tunnels;
