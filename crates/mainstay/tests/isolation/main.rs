//! What a service can get at that is not its own, tried from inside one; and where a secret's value turns up.
//!
//! Start reading at [`between_services`], which starts a stack and runs [`attack`] in it, then [`hook`], [`ports`] and
//! [`canary`]. The stack runs as root, as a plain user, and as a plain user without namespaces, if this test runs as root;
//! else as its user alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the attacker reports on its standard output, and skipped cases say so")]

mod attack;

mod between_services;
mod canary;
mod hook;
mod ports;

#[path = "../survival/processes.rs"]
mod processes;
#[path = "../survival/world.rs"]
#[expect(dead_code, reason = "shared with the tests of survival, which need more of it")]
mod world;

/// A user with an account, without which PostgreSQL does not start, and without any rights.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user for a case that is about plain users: nobody, where this test may choose.
fn plain_user() -> Option<u32> {
    is_root().then_some(NOBODY)
}
