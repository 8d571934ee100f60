//! Trailers: the fields behind the last chunk.

use crate::field::{Field, Role, are_twins};
use crate::limits::FIELD_SLOTS;
use crate::{Limits, Refusal, diagnosis};

/// Fields that have to be known before the body (RFC 9110, 6.5.1), by what they are about. A server that merges trailers
/// into the head would let them through behind the back of whoever decided on the head.
const FORBIDDEN: &[&str] = &[
    // Routing and who asks.
    "authorization",
    "cookie",
    "forwarded",
    "max-forwards",
    "origin",
    "referer",
    "true-client-ip",
    "x-client-ip",
    "x-real-ip",
    "x-tenant",
    // Under which name the request is followed.
    "traceparent",
    "x-request-id",
    // How the request is to be answered.
    "cache-control",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
    // How the response is to be taken.
    "age",
    "expires",
    "location",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    // What the body is.
    "content-disposition",
    "content-encoding",
    "content-range",
    "content-type",
    "trailer",
];

/// What the names of a whole family of [`FORBIDDEN`] fields begin with: one for each thing that a proxy says of the client.
const FORWARDED: &[u8] = b"x-forwarded-";

/// A checked trailer section, as a view of the buffer it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailers<'a>(&'a [u8]);

impl<'a> Trailers<'a> {
    /// Checks a section, its empty line included.
    pub fn read(section: &'a [u8], limits: &Limits) -> Result<Self, Refusal> {
        let mut slots = [httparse::EMPTY_HEADER; FIELD_SLOTS];
        let slots = &mut slots[..usize::from(limits.trailers)];
        httparse::parse_headers(section, slots).map_err(|error| diagnosis::of_trailers(section, error))?;
        let trailers = Self(section);
        for field in trailers.iter() {
            limits.check_field(field.name(), field.value())?;
            if is_forbidden(&field) {
                return Err(Refusal::ForbiddenTrailer);
            }
        }
        Ok(trailers)
    }

    /// Its fields.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some(Field::parsed(&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

fn is_forbidden(field: &Field<'_>) -> bool {
    Role::of(field.name()) != Role::EndToEnd
        || field.name().get(..FORWARDED.len()).is_some_and(|start| are_twins(start, FORWARDED))
        || FORBIDDEN.iter().any(|name| field.is_twin_of(name.as_bytes()))
}
