//! Bytes as readable text and back.
//!
//! `\r`, `\n`, `\t`, `\0`, `\\` and `\x7f` stand for one byte; `\{300*ab}` stands for `ab` three hundred times. The ends of
//! the text's own lines stand for nothing, so that a message is written one line a line.

/// The bytes that a text stands for.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {}
            '\\' => rest = escaped(rest, &mut bytes),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Takes what stands behind a backslash, and answers with what is left.
fn escaped<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let (letter, after) = rest.split_at(1);
    match letter {
        "r" => bytes.push(b'\r'),
        "n" => bytes.push(b'\n'),
        "t" => bytes.push(b'\t'),
        "0" => bytes.push(0),
        "\\" => bytes.push(b'\\'),
        "x" => {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            return &after[2..];
        }
        "{" => {
            let (repeated, after) = after.split_once('}').unwrap();
            let (times, what) = repeated.split_once('*').unwrap();
            bytes.extend(unescape(what).repeat(times.parse().unwrap()));
            return after;
        }
        letter => panic!("\\{letter} stands for nothing"),
    }
    after
}

/// The longest text that is shown whole, in bytes.
const SHOWN_MAX: usize = 48;

/// Bytes as a text on one line, cut short when long.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN_MAX).unwrap_or(bytes).escape_ascii();
    match bytes.len() > SHOWN_MAX {
        true => format!("{shown}… ({} bytes)", bytes.len()),
        false => shown.to_string(),
    }
}

#[test]
fn every_escape_stands_for_its_bytes() {
    assert_eq!(unescape("a\\r\\n\nb\\x7f\\0\\t\\\\\\{3*\\r\\n}"), b"a\r\nb\x7f\0\t\\\r\n\r\n\r\n");
}
