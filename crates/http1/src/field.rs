//! Fields of a head: a name and a value, and what each name means to a connection.

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

/// Why a field cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The name is not a token.
    #[error("a field's name is a token, such as X-Request-Id")]
    Name,
    /// The value holds a control byte.
    #[error("a field's value holds no control bytes and no white space around it")]
    Value,
    /// The codec writes this field itself.
    #[error("this field follows from the message and its connection, and cannot be set")]
    Owned,
}

impl<'a> Field<'a> {
    /// A field to set on the way. What the codec writes itself is refused, so that a set field cannot change framing.
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Result<Self, FieldError> {
        if !is_token(name) {
            return Err(FieldError::Name);
        }
        if !is_value(value) {
            return Err(FieldError::Value);
        }
        match Role::of(name) {
            Role::EndToEnd => Ok(Self { name, value }),
            _ => Err(FieldError::Owned),
        }
    }

    /// A field that a parser has checked.
    pub(crate) fn parsed(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name, value }
    }

    /// Its name as sent; compared without regard to case.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Its value, without the white space around it.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Whether it has this name.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it has this name or one that some servers take for it.
    pub(crate) fn is_twin_of(&self, name: &[u8]) -> bool {
        are_twins(self.name, name)
    }
}

/// What a field's name means to whoever passes the message on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Passed on.
    EndToEnd,
    /// Meant for this connection alone, or for nobody: dropped.
    HopByHop,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    /// A twin of a framing field.
    Disguised,
}

impl Role {
    /// Told by the length and the first letter: nearly every other name is then known without a comparison.
    pub(crate) fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let is_twin_of = |known: &[u8]| are_twins(name, known);
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        match (name.len(), first) {
            (2, b't') if is(b"te") => Self::HopByHop,
            (4, b'h') if is(b"host") => Self::Host,
            // No field of HTTP. CGI makes it HTTP_PROXY, where programs look for the proxy of their own requests.
            (5, b'p') if is(b"proxy") => Self::HopByHop,
            (6, b'e') if is(b"expect") => Self::Expect,
            (7, b'u') if is(b"upgrade") => Self::Upgrade,
            (10, b'c') if is(b"connection") => Self::Connection,
            (10, b'k') if is(b"keep-alive") => Self::HopByHop,
            (14, b'c') if is(b"content-length") => Self::ContentLength,
            (14, b'c') if is_twin_of(b"content-length") => Self::Disguised,
            (14, b'h') if is(b"http2-settings") => Self::HopByHop,
            (16, b'p') if is(b"proxy-connection") => Self::HopByHop,
            (17, b't') if is(b"transfer-encoding") => Self::TransferEncoding,
            (17, b't') if is_twin_of(b"transfer-encoding") => Self::Disguised,
            (18, b'p') if is(b"proxy-authenticate") => Self::HopByHop,
            (19, b'p') if is(b"proxy-authorization") => Self::HopByHop,
            _ => Self::EndToEnd,
        }
    }
}

/// Where a field lies in its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) name: (u16, u16),
    pub(crate) value: (u16, u16),
    pub(crate) role: Role,
}

impl Span {
    pub(crate) fn of(self, head: &[u8]) -> Field<'_> {
        Field { name: part(head, self.name), value: part(head, self.value) }
    }

    /// Name, colon, one space and value as they stand in the head, if that is how they stand.
    pub(crate) fn line(self, head: &[u8]) -> Option<&[u8]> {
        let usual = self.value.0 == self.name.1 + 2 && part(head, (self.name.1, self.value.0)) == b": ";
        usual.then(|| part(head, (self.name.0, self.value.1)))
    }
}

fn part(head: &[u8], (from, to): (u16, u16)) -> &[u8] {
    head.get(usize::from(from)..usize::from(to)).unwrap_or_default()
}

/// The fields of a head, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) spans: &'a [Span],
}

impl<'a> Fields<'a> {
    /// All of them, also those that are not passed on.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let head = self.head;
        self.spans.iter().map(move |span| span.of(head))
    }

    /// The values of every field of this name.
    pub fn values<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |field| field.is(name)).map(|field| field.value())
    }
}

/// Whether a program that is handed fields as CGI variables may take one name for the other. CGI turns `-` into `_` (RFC 3875,
/// 4.1.18) and its successors do so too; some turn everything that is no letter and no digit into `_`.
pub(crate) fn are_twins(name: &[u8], other: &[u8]) -> bool {
    let is_sign = |byte: u8| !byte.is_ascii_alphanumeric();
    let alike = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (is_sign(*a) && is_sign(*b));
    name.len() == other.len() && name.iter().zip(other).all(alike)
}

/// Whether these bytes are a token (RFC 9110, 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

/// Whether these bytes are a field's value (RFC 9110, 5.5), bytes beyond ASCII included, as they are opaque.
fn is_value(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F);
    bytes.iter().all(is_text) && bytes == bytes.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::{Field, FieldError, are_twins};

    #[test]
    fn a_field_that_could_change_framing_cannot_be_set() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "Connection",
            "Upgrade",
            "TE",
            "Content_Length",
            "Transfer.Encoding",
        ] {
            assert_eq!(Field::new(name.as_bytes(), b"1"), Err(FieldError::Owned), "{name}");
        }
    }

    #[test]
    fn a_field_that_could_start_another_line_cannot_be_set() {
        assert_eq!(Field::new(b"a", b"b\r\nc: d"), Err(FieldError::Value));
        assert_eq!(Field::new(b"a", b" b"), Err(FieldError::Value));
        assert_eq!(Field::new(b"a b", b"c"), Err(FieldError::Name));
        assert_eq!(Field::new(b"", b"c"), Err(FieldError::Name));
    }

    #[test]
    fn names_that_become_one_variable_are_twins() {
        for twin in ["X-Tenant", "x-tenant", "X_Tenant", "X.TENANT"] {
            assert!(are_twins(twin.as_bytes(), b"x-tenant"), "{twin}");
        }
        for other in ["X-Tenants", "XXTenant", "X-Tenan", "Y-Tenant", ""] {
            assert!(!are_twins(other.as_bytes(), b"x-tenant"), "{other}");
        }
    }

    #[test]
    fn an_ordinary_field_can_be_set() {
        let field = Field::new(b"X-Request-Id", b"a b").expect("an ordinary field");
        assert!(field.is(b"x-request-id"));
        assert_eq!(field.value(), b"a b");
    }
}
