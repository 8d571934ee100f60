//! The edge as its clients and its services see it: real sockets, a real edge, services made of a few lines.

mod bench;

mod bodies;
mod failures;
mod routing;
