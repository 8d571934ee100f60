//! What the program says when it is started without the node. Also makes `cargo test` build the program,
//! which the platform's end-to-end tests start.

use std::process::Command;

fn check(command: &[&str], want: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_minimal")).args(command).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), want);
}

#[test]
fn a_missing_variable_is_named() {
    check(&["serve"], "minimal: PORT is not set: start this through `mainstay up`, or set it by hand\n");
    check(&["work"], "minimal: DB_URL is not set: start this through `mainstay up`, or set it by hand\n");
}

#[test]
fn an_unknown_command_shows_the_usage() {
    check(&["dance"], "minimal: usage: minimal serve | work | migrate | digest\n");
}
