//! The Mainstay binary: command line, control API, and the wiring of all subsystems.

mod api;
mod node;
mod terminal;

fn main() {}
