//! Tests run always, wait for conditions and take any free port.

use super::Finding;
use crate::repository::File;

/// How a loop that waits for a condition names the pause between two looks.
const POLL: &str = "POLL";

/// Tests that are switched off, sleep, or claim a port.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    // This file shows the patterns to its own tests.
    let files = files.iter().filter(|file| file.is_rust() && !file.path.ends_with("tidy/test_habits.rs"));
    files
        .flat_map(|file| file.tests().filter_map(|(number, line)| Some(Finding::new(&file.path, number, habit(line)?))))
        .collect()
}

fn habit(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    if line.starts_with("//") {
        None
    } else if line.starts_with("#[ignore") {
        Some("a test that does not run shows nothing: make it run, or take it out")
    } else if sleeps(line) && !line.contains(POLL) {
        Some("wait for a condition: a bounded loop that sleeps `POLL` between two looks")
    } else if binds_fixed_port(line) {
        Some("a fixed port is taken on someone's machine: bind port 0 and ask which it became")
    } else {
        None
    }
}

/// A call of a Rust function; `time.sleep(` is in a script that a test starts.
fn sleeps(line: &str) -> bool {
    line.match_indices("sleep(").any(|(at, _)| !line[..at].ends_with('.'))
}

fn binds_fixed_port(line: &str) -> bool {
    let Some((_, arguments)) = line.split_once("bind(") else { return false };
    let numbers = arguments.split(')').next().unwrap_or_default();
    let port = numbers.rsplit([':', ',', ' ']).next().unwrap_or_default().trim_matches('"');
    port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::habit;

    #[test]
    fn bad_habits_are_found() {
        for line in [
            "#[ignore]",
            "    #[ignore = \"slow\"]",
            "std::thread::sleep(Duration::from_millis(500));",
            "TcpListener::bind(\"127.0.0.1:8080\").unwrap();",
            "TcpListener::bind((Ipv4Addr::LOCALHOST, 8080))",
        ] {
            assert!(habit(line).is_some(), "{line}");
        }
    }

    #[test]
    fn good_habits_pass() {
        for line in [
            "// sleep( is mentioned",
            "thread::sleep(POLL);",
            "    time.sleep(600)",
            "TcpListener::bind(\"127.0.0.1:0\")",
            "TcpListener::bind((Ipv4Addr::LOCALHOST, 0))",
            "assert_eq!(url, \"127.0.0.1:5432\");",
        ] {
            assert_eq!(habit(line), None, "{line}");
        }
    }
}
