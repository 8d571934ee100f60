//! The one form of a path by which routes are found and which is forwarded. Start reading at [`normal`].
//!
//! Two spellings of one path must never be judged differently by us and by the service behind us: otherwise a limit on
//! `/api/` is passed by asking for `/%61pi/`. What every server reads alike is put into one form, what servers read
//! differently is refused.

use std::borrow::Cow;

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `%` without two hexadecimal digits behind it.
    #[error("a percent sign without two hexadecimal digits behind it")]
    BadEscape,
    /// `.` or `..` between slashes, escaped or not: which path it comes to is read differently by servers.
    #[error("a `.` or `..` between slashes")]
    DotSegment,
    /// A control byte, escaped or not.
    #[error("a control byte")]
    Control,
    /// A backslash, escaped or not: some servers take it for a slash.
    #[error("a backslash")]
    Backslash,
    /// An escaped slash: some servers take it for one that divides, others for a part of a name.
    #[error("an escaped slash")]
    EscapedSlash,
    /// It does not begin with a slash.
    #[error("no slash at its beginning")]
    Relative,
}

/// The path with each escape of an unreserved byte undone, the other escapes in capitals (RFC 3986, section 6.2.2), and one
/// slash wherever there were several. Borrowed where nothing had to change, which is nearly always.
pub fn normal(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    let normal = if path.contains('%') { Cow::Owned(unescaped(path)?) } else { Cow::Borrowed(path) };
    if let Some(bad) = normal.bytes().find_map(refused) {
        return Err(bad);
    }
    if normal.split('/').map(without_parameters).any(|segment| segment == "." || segment == "..") {
        return Err(PathError::DotSegment);
    }
    Ok(if normal.contains("//") { Cow::Owned(merged(&normal)) } else { normal })
}

/// The path by which the route of a normal path is found: without the parameters of its segments (`/login;a=b`; RFC 3986,
/// section 3.3), which some servers pass over. They are forwarded.
pub fn routed(normal: &str) -> Cow<'_, str> {
    if !normal.contains(';') {
        return Cow::Borrowed(normal);
    }
    let segments: Vec<&str> = normal.split('/').map(without_parameters).collect();
    Cow::Owned(merged(&segments.join("/")))
}

fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// One slash wherever there are several.
fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && out.ends_with('/')) {
            out.push(character);
        }
    }
    out
}

fn refused(byte: u8) -> Option<PathError> {
    match byte {
        b'\\' => Some(PathError::Backslash),
        0..=0x1f | 0x7f => Some(PathError::Control),
        _ => None,
    }
}

fn unescaped(path: &str) -> Result<String, PathError> {
    let mut pieces = path.split('%');
    let mut out = String::with_capacity(path.len());
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.get(..2).ok_or(PathError::BadEscape)?;
        let byte = digits.bytes().all(|it| it.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16));
        let Some(Ok(byte)) = byte else { return Err(PathError::BadEscape) };
        if let Some(bad) = refused(byte).or((byte == b'/').then_some(PathError::EscapedSlash)) {
            return Err(bad);
        }
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&digits.to_ascii_uppercase());
        }
        out.push_str(&piece[2..]);
    }
    Ok(out)
}

/// Whether a path is at or below a prefix: `/api` is above `/api` and `/api/x` and not above `/apix`; `/api/` is not
/// above `/api`.
pub fn is_below(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (path, expected) in [
            ("/", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/%61pi/", Ok("/api/")),
            ("/%7euser", Ok("/~user")),
            ("/%c3%a4", Ok("/%C3%A4")),
            ("/a..b/...", Ok("/a..b/...")),
            ("//a", Ok("/a")),
            ("///", Ok("/")),
            ("/a//b///", Ok("/a/b/")),
            ("/a;b=c", Ok("/a;b=c")),
            ("/a%2fb", Err(PathError::EscapedSlash)),
            ("/%2Fa", Err(PathError::EscapedSlash)),
            ("/./a", Err(PathError::DotSegment)),
            ("/a/..;x/b", Err(PathError::DotSegment)),
            ("/a/%2e%2e;/b", Err(PathError::DotSegment)),
            ("/a/../b", Err(PathError::DotSegment)),
            ("/a/.", Err(PathError::DotSegment)),
            ("/a/%2e%2E/b", Err(PathError::DotSegment)),
            ("/a/.%2e", Err(PathError::DotSegment)),
            ("/a%5cb", Err(PathError::Backslash)),
            ("/a\\b", Err(PathError::Backslash)),
            ("/a%00", Err(PathError::Control)),
            ("/a%0d%0aX", Err(PathError::Control)),
            ("/a\u{7f}", Err(PathError::Control)),
            ("/a%", Err(PathError::BadEscape)),
            ("/a%4", Err(PathError::BadEscape)),
            ("/a%zz", Err(PathError::BadEscape)),
            ("/a%+1", Err(PathError::BadEscape)),
            ("a", Err(PathError::Relative)),
            ("", Err(PathError::Relative)),
        ] {
            assert_eq!(normal(path).as_deref(), expected.as_deref(), "{path:?}");
        }
    }

    #[test]
    fn a_double_escape_stays_an_escape() {
        assert_eq!(normal("/%2561").as_deref(), Ok("/%2561"));
    }

    proptest::proptest! {
        #[test]
        fn the_normal_form_is_its_own_normal_form(path in "/[ -~%/;.]{0,40}") {
            if let Ok(once) = normal(&path) {
                assert_eq!(normal(&once).as_deref(), Ok(once.as_ref()));
            }
        }
    }

    #[test]
    fn parameters_find_no_other_route() {
        for (path, expected) in
            [("/a/b", "/a/b"), ("/a;x=1", "/a"), ("/a;x/b;y;z/", "/a/b/"), ("/;x/a", "/a"), ("/a%3Bx", "/a%3Bx")]
        {
            assert_eq!(routed(path), expected, "{path}");
        }
    }

    #[test]
    fn below() {
        for (path, prefix, expected) in [
            ("/api", "/api", true),
            ("/api/x", "/api", true),
            ("/apix", "/api", false),
            ("/api", "/api/", false),
            ("/api/x", "/api/", true),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_below(path, prefix), expected, "{path} below {prefix}");
        }
    }
}
