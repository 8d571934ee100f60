//! What older shims and nodes write is read, and what is read is written the same way: the lines in
//! `protocol/` are kept for good, one file for each version of the protocol.

use supervise::protocol::{Report, Request, VERSION};

/// Reads a line as a message and writes it again.
fn again<T: serde::Serialize + serde::de::DeserializeOwned>(line: &str) -> String {
    let message: T = serde_json::from_str(line).expect("a kept line is a message");
    serde_json::to_string(&message).expect("a message can be written")
}

#[test]
fn lines_of_every_version_read_and_print_the_same() {
    for version in 1..=VERSION {
        let path = format!("{}/tests/protocol/version-{version}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let printed = match line.starts_with("{\"ask\"") {
                true => again::<Request>(line),
                false => again::<Report>(line),
            };
            assert_eq!(printed, line);
        }
    }
}

#[test]
fn a_newer_side_may_add_fields() {
    let request: Request =
        serde_json::from_str(r#"{"ask":"stop","signal":15,"deadline_ms":1,"colour":"blue"}"#).unwrap();
    assert_eq!(request, Request::Stop { signal: 15, deadline_ms: 1 });
}
