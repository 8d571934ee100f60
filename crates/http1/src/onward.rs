//! What a head is like when it is passed on.

use crate::field::{Field, Fields, Role};

/// Changes to the fields on the way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits<'a> {
    /// Fields to add, in place of those of the same name.
    pub set: &'a [Field<'a>],
    /// Fields to add beside those of the same name: for those that are lists, such as `Vary`.
    pub add: &'a [Field<'a>],
    /// Names of fields to drop.
    pub remove: &'a [&'a [u8]],
}

impl Edits<'_> {
    fn drop(&self, field: &Field<'_>) -> bool {
        self.set.iter().any(|set| field.is(set.name())) || self.remove.iter().any(|name| field.is(name))
    }
}

/// Writes the fields that are passed on, then those that are set or added.
pub(crate) fn write_fields(fields: Fields<'_>, edits: &Edits<'_>, out: &mut Vec<u8>) {
    for span in fields.spans.iter().filter(|span| span.role == Role::EndToEnd) {
        let field = span.of(fields.head);
        if edits.drop(&field) {
            continue;
        }
        match span.line(fields.head) {
            Some(line) => write_line(&[line], out),
            None => write_field(field.name(), field.value(), out),
        }
    }
    edits.set.iter().chain(edits.add).for_each(|field| write_field(field.name(), field.value(), out));
}

/// Writes one field.
pub(crate) fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    write_line(&[name, b": ", value], out);
}

/// Writes one line.
pub(crate) fn write_line(parts: &[&[u8]], out: &mut Vec<u8>) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}
