//! The pairs of a query, as in a URL and as in the field `x-amz-tagging`. Start reading at [`pairs`].

use s3s::{S3Result, s3_error};

/// The names and values of a query, decoded; `None` when it is none.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(name).zip(decoded(value))
    });
    pairs.collect()
}

/// The query of a request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> S3Result<Self> {
        pairs(text).map(Self).ok_or_else(|| s3_error!(InvalidURI, "the query of the URL cannot be read"))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The value of a name that is there once.
    pub(super) fn unique(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'%' => {
                let (digits, behind) = behind.split_at_checked(2)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                behind
            }
            b'+' => {
                bytes.push(b' ');
                behind
            }
            other => {
                bytes.push(*other);
                behind
            }
        };
    }
    String::from_utf8(bytes).ok()
}
