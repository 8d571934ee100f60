//! What a `Cargo.toml` says of its package and workspace. Not all of TOML is read: its statements are told apart as
//! TOML does, and a name that is not written as one plain text is not guessed at.

/// The package's name; none also where it is written in a way that is not read here.
pub(super) fn package(text: &str) -> Option<&str> {
    let name = entries(text).find(|entry| entry.key == ["package", "name"])?;
    plain_text(name.value)
}

/// Whether it is that of a workspace, whose members are built into its own `target`.
pub(super) fn is_workspace(text: &str) -> bool {
    entries(text).any(|entry| entry.key.first() == Some(&"workspace"))
}

/// A key with those of the table that it stands in, and its value; none for the table's own head.
struct Entry<'t> {
    key: Vec<&'t str>,
    value: &'t str,
}

fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut table = Vec::new();
    statements(text).map(move |statement| {
        if statement.starts_with('[') {
            table = parts_of_key(statement.trim_matches(['[', ']']));
            return Entry { key: table.clone(), value: "" };
        }
        let (key, value) = statement.split_once('=').unwrap_or((statement, ""));
        Entry { key: [table.clone(), parts_of_key(key)].concat(), value }
    })
}

fn parts_of_key(key: &str) -> Vec<&str> {
    key.split('.').map(|part| unquoted(part.trim()).unwrap_or(part.trim())).collect()
}

fn plain_text(value: &str) -> Option<&str> {
    unquoted(value.trim()).filter(|text| !text.is_empty() && !text.contains(['"', '\'', '\\']))
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// The statements, each without the comment behind it.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let (statement, behind) = rest.split_at(statement_length(rest));
            rest = behind.split_once('\n').map_or("", |(_, next)| next);
            statement.trim()
        })
    })
    .filter(|statement| !statement.is_empty())
}

/// Up to the end of the line or to the comment that ends it, whatever texts and brackets hold in between.
fn statement_length(text: &str) -> usize {
    let (mut at, mut open) = (0, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        at += match byte {
            b'\n' | b'#' if open == 0 => return at,
            b'#' => text[at..].find('\n').unwrap_or(text.len() - at),
            b'"' | b'\'' => quoted_length(&text.as_bytes()[at..]),
            _ => 1,
        };
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// The length of the text in quotes that comes first; one that is not closed ends with its line, or with everything.
fn quoted_length(bytes: &[u8]) -> usize {
    let mark = &bytes[..1];
    let many_lines = bytes.starts_with(&mark.repeat(3));
    let quote = if many_lines { mark.repeat(3) } else { mark.to_vec() };
    let mut at = quote.len();
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            _ if bytes[at..].starts_with(&quote) => return at + quote.len(),
            b'\n' if !many_lines => return at,
            b'\\' if mark == b"\"" => 2,
            _ => 1,
        };
    }
    bytes.len()
}
