//! How much a peer may send. Every bound of this crate is here.

use crate::Refusal;

/// Bounds that the operator may change. The types bound the bounds: offsets in a head are 16 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A whole head: its first line, its fields and the empty line.
    pub head_bytes: u16,
    /// The target of a request.
    pub target_bytes: u16,
    /// Fields of a head.
    pub fields: u8,
    /// The name of one field or trailer.
    pub field_name_bytes: u16,
    /// The value of one field or trailer, without the white space around it.
    pub field_value_bytes: u16,
    /// What may stand between a chunk's size and the end of its line. It is checked and dropped.
    pub chunk_extension_bytes: u16,
    /// The trailer section of a chunked body, with its empty line.
    pub trailer_bytes: u16,
    /// Fields of a trailer section.
    pub trailers: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            fields: 100,
            field_name_bytes: 128,
            field_value_bytes: 16 * 1024,
            chunk_extension_bytes: 128,
            trailer_bytes: 4 * 1024,
            trailers: 16,
        }
    }
}

impl Limits {
    /// Whether a field is short enough, in a head or behind a body.
    pub(crate) fn check_field(&self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.len() > usize::from(self.field_name_bytes) {
            return Err(Refusal::FieldNameTooLong);
        }
        if value.len() > usize::from(self.field_value_bytes) {
            return Err(Refusal::FieldValueTooLong);
        }
        Ok(())
    }
}

/// Bytes of a method; the longest registered one has 17.
pub(crate) const METHOD_BYTES_MAX: usize = 32;
/// Empty lines before a request: some clients end a body with one too many (RFC 9112, 2.2).
pub(crate) const EMPTY_LINES_MAX: usize = 1;
/// Options of all `Connection` fields of a head: each is compared with each field.
pub(crate) const CONNECTION_OPTIONS_MAX: usize = 16;
/// Digits of a content length: one fewer than could overflow.
pub(crate) const CONTENT_LENGTH_DIGITS_MAX: usize = 19;
/// Chunk extensions of one body beyond as many bytes as it has data: RFC 9112, 7.1.1 wants their sum limited too.
pub(crate) const CHUNK_EXTENSIONS_EXCESS_BYTES_MAX: u64 = 16 * 1024;
/// Digits of a chunk's size: one fewer than could overflow.
pub(crate) const CHUNK_SIZE_DIGITS_MAX: u8 = 15;
/// Interim (1xx) responses before the final one.
pub(crate) const INTERIM_RESPONSES_MAX: u8 = 8;
/// Slots for fields: what [`Limits::fields`] can hold.
pub(crate) const FIELD_SLOTS: usize = u8::MAX as usize;
