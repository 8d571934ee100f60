//! What a head is like when it is passed on, and which trailers go with its body.

use crate::claim::is_claim;
use crate::field::{Field, Fields, Role, Span};
use crate::persistence;

/// Changes to the fields on the way, and to the trailers: what is set or dropped in the head does not come in behind the body.
///
/// A name stands for its twins too: a server that hands fields to programs as variables takes `X_Tenant` for `X-Tenant`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits<'a> {
    /// Fields to add, in place of those of the same name.
    pub set: &'a [Field<'a>],
    /// Fields to add beside those of the same name: for those that are lists, such as `Vary`.
    pub add: &'a [Field<'a>],
    /// Names of fields to drop.
    pub remove: &'a [&'a [u8]],
    /// Whether fields are dropped by which a proxy says who asked it for what ([`is_claim`]): whoever sent them is none
    /// that is believed. Behind a body they are refused anyway.
    pub without_claims: bool,
}

impl Edits<'_> {
    fn drop(&self, field: &Field<'_>) -> bool {
        self.names().any(|name| field.is_twin_of(name)) || (self.without_claims && is_claim(field.name()))
    }

    /// Of the fields that are not passed on as they came.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.set.iter().map(Field::name).chain(self.remove.iter().copied())
    }
}

/// Trailers that are not passed on: the head decides, and is out of sight when they come.
#[derive(Debug, Default)]
pub struct Withheld {
    /// Their names, with a line feed between them.
    names: Vec<u8>,
}

impl Withheld {
    /// Those that the edits of the head are about, and those that its `Connection` names (RFC 9110, 7.6.1).
    pub(crate) fn of(fields: Fields<'_>, edits: &Edits<'_>) -> Self {
        let names: Vec<&[u8]> = edits.names().chain(persistence::named(fields)).collect();
        Self { names: names.join(&b'\n') }
    }

    /// Whether this trailer is one of them.
    pub fn holds(&self, trailer: &Field<'_>) -> bool {
        self.names.split(|byte| *byte == b'\n').any(|name| trailer.is_twin_of(name))
    }
}

/// The fields that are passed on, with where they lie, without those that are set.
fn kept<'a>(fields: Fields<'a>, edits: &Edits<'a>) -> impl Iterator<Item = (Span, Field<'a>)> + use<'a> {
    let edits = *edits;
    let end_to_end = fields.spans.iter().filter(|span| span.role == Role::EndToEnd);
    end_to_end.map(move |span| (*span, span.of(fields.head))).filter(move |(_, field)| !edits.drop(field))
}

/// The fields that are passed on, then those that are set or added.
pub(crate) fn fields<'a>(fields: Fields<'a>, edits: &Edits<'a>) -> impl Iterator<Item = Field<'a>> + use<'a> {
    kept(fields, edits).map(|(_, field)| field).chain(edits.set.iter().chain(edits.add).copied())
}

/// Writes the fields that are passed on, then those that are set or added.
pub(crate) fn write_fields(fields: Fields<'_>, edits: &Edits<'_>, out: &mut Vec<u8>) {
    for (span, field) in kept(fields, edits) {
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
