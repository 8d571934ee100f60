//! The trace that a request belongs to (W3C Trace Context, level 1). Start reading at [`Trace::of`].

/// A trace, and the span of whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    id: String,
    parent: String,
    sampled: bool,
}

impl Trace {
    /// The trace that a `traceparent` names; a new one where there is none that can be read. `draw` draws random numbers.
    pub(crate) fn of(field: Option<&str>, draw: &dyn Fn() -> u64) -> Self {
        field.and_then(Self::parse).unwrap_or_else(|| Self {
            id: format!("{:016x}{:016x}", draw().max(1), draw()),
            parent: format!("{:016x}", draw().max(1)),
            sampled: true,
        })
    }

    fn parse(field: &str) -> Option<Self> {
        let mut parts = field.split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_something = |text: &str| text.bytes().any(|byte| byte != b'0');
        let good = is_hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && is_hex(id, 32)
            && is_something(id)
            && is_hex(parent, 16)
            && is_something(parent)
            && is_hex(flags, 2);
        let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        good.then(|| Self { id: id.to_owned(), parent: parent.to_owned(), sampled })
    }

    /// The trace's id, 32 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The value that the service gets.
    pub(crate) fn field(&self) -> String {
        format!("00-{}-{}-{:02x}", self.id, self.parent, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_goes_on_and_what_is_none_begins_one() {
        let own = |field: Option<&str>| Trace::of(field, &|| 0xabc).field();
        let known = format!("00-{ID}-00f067aa0ba902b7-01");
        assert_eq!(own(Some(&known)), known);
        assert_eq!(own(Some(&format!("cc-{ID}-00f067aa0ba902b7-02-what"))), format!("00-{ID}-00f067aa0ba902b7-00"));
        for field in [
            None,
            Some(""),
            Some("00-4bf9-00f067aa0ba902b7-01"),
            Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
            Some("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"),
        ] {
            assert_eq!(own(field), "00-0000000000000abc0000000000000abc-0000000000000abc-01", "{field:?}");
        }
    }
}
