//! What a request is for: a path with a query, in the origin form that is passed on.

use crate::{Host, Refusal};

/// A checked target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host that an absolute form names.
    host: Option<Host<'a>>,
    /// Path and query: `*`, or as sent, where an absolute form may lack the path.
    rest: &'a [u8],
}

impl<'a> Target<'a> {
    /// Reads an origin form (`/a?b`), an absolute form (`http://host/a?b`) or an asterisk.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        match text {
            text if !text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') => Err(why_not_graphic(text)),
            [b'/', ..] | b"*" => Ok(Self { host: None, rest: text }),
            _ => Self::absolute(text),
        }
    }

    fn absolute(text: &'a [u8]) -> Result<Self, Refusal> {
        let authority_and_rest = after_scheme(text).ok_or(Refusal::BadTarget)?;
        let end = authority_and_rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
        let (authority, rest) = authority_and_rest.split_at(end.unwrap_or(authority_and_rest.len()));
        let host = Host::parse(authority).map_err(|_| Refusal::BadTarget)?;
        Ok(Self { host: Some(host), rest })
    }

    /// What OPTIONS asks for with it: an absolute form without path and query is then the whole server
    /// (RFC 9112, 3.2.4).
    pub(crate) fn of_options(self) -> Self {
        match self.rest {
            [] => Self { host: self.host, rest: b"*" },
            _ => self,
        }
    }

    /// Whether it is for the whole server, which only OPTIONS may ask for.
    pub fn is_asterisk(&self) -> bool {
        self.rest == b"*"
    }

    /// The host that an absolute form names.
    pub(crate) fn host(&self) -> Option<Host<'a>> {
        self.host
    }

    /// The path as sent, or `/` where an absolute form has none. It is not decoded and not normalised.
    pub fn path(&self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| *byte == b'?').unwrap_or(self.rest.len());
        match &self.rest[..end] {
            [] => b"/",
            path => path,
        }
    }

    /// What stands behind the first question mark.
    pub fn query(&self) -> Option<&'a [u8]> {
        let mark = self.rest.iter().position(|byte| *byte == b'?')?;
        Some(&self.rest[mark + 1..])
    }

    /// Writes the origin form.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if !matches!(self.rest, [b'/' | b'*', ..]) {
            out.push(b'/');
        }
        out.extend_from_slice(self.rest);
    }
}

#[cold]
fn why_not_graphic(text: &[u8]) -> Refusal {
    match text.iter().all(u8::is_ascii_graphic) {
        true => Refusal::FragmentInTarget,
        false => Refusal::BadTarget,
    }
}

fn after_scheme(text: &[u8]) -> Option<&[u8]> {
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    schemes.iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::Refusal;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        Target::parse(text.as_bytes()).expect("a target").write(&mut out);
        String::from_utf8(out).expect("a target is ASCII")
    }

    #[test]
    fn every_form_is_written_as_a_path() {
        for (sent, passed_on) in [
            ("/", "/"),
            ("/a/b?c=d?e", "/a/b?c=d?e"),
            ("http://a", "/"),
            ("HTTP://a/b", "/b"),
            ("https://a:1?q", "/?q"),
            ("*", "*"),
        ] {
            assert_eq!(written(sent), passed_on, "{sent}");
        }
    }

    #[test]
    fn path_and_query_are_told_apart() {
        let target = Target::parse(b"http://a/b?c?d").expect("a target");
        assert_eq!((target.path(), target.query()), (&b"/b"[..], Some(&b"c?d"[..])));
        let target = Target::parse(b"http://a").expect("a target");
        assert_eq!((target.path(), target.query()), (&b"/"[..], None));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for (text, refusal) in [
            ("", Refusal::BadTarget),
            ("a", Refusal::BadTarget),
            ("**", Refusal::BadTarget),
            ("ftp://a/", Refusal::BadTarget),
            ("http://u@a/", Refusal::BadTarget),
            ("http:///a", Refusal::BadTarget),
            ("a:443", Refusal::BadTarget),
            ("/a b", Refusal::BadTarget),
            ("/ä", Refusal::BadTarget),
            ("/a#b", Refusal::FragmentInTarget),
        ] {
            assert_eq!(Target::parse(text.as_bytes()), Err(refusal), "{text}");
        }
    }
}
