//! Trailers: the fields behind the last chunk.

use crate::claim::is_claim;
use crate::field::{Field, Role};
use crate::limits::FIELD_SLOTS;
use crate::{Limits, Refusal, diagnosis};

/// Fields that have to be known before the body (RFC 9110, 6.5.1), by what they are about. A server that merges trailers
/// into the head would let them through behind the back of whoever decided on the head. Claims ([`is_claim`]) are too.
const FORBIDDEN: &[&str] = &[
    // Routing and who asks.
    "authorization",
    "cookie",
    "max-forwards",
    "origin",
    "referer",
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
        || is_claim(field.name())
        || FORBIDDEN.iter().any(|name| field.is_twin_of(name.as_bytes()))
}
