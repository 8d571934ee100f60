//! What heads of requests and responses have in common: their fields, and what these say about the message.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::field::{Role, Span};
use crate::limits::FIELD_SLOTS;
use crate::{Limits, Refusal};

/// The versions that are spoken. What is written is always HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no interim responses, and the connection ends unless both sides ask otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// From the minor version, as `httparse` tells it.
    pub(crate) fn of_minor(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            _ => Self::Http11,
        }
    }
}

/// Room for the fields of one head while it is cut.
pub(crate) type Slots<'b> = [MaybeUninit<Header<'b>>; FIELD_SLOTS];

/// No field yet.
pub(crate) const fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; FIELD_SLOTS]
}

/// A field that may be there once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Single<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) repeated: bool,
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.repeated = self.value.is_some();
        self.value = self.value.or(Some(value));
    }
}

/// The fields that decide about the message and its connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Controls<'a> {
    pub(crate) host: Single<'a>,
    pub(crate) content_length: Single<'a>,
    pub(crate) transfer_encoding: Single<'a>,
    pub(crate) upgrade: Single<'a>,
    pub(crate) expect: Single<'a>,
    /// Whether any `Connection` is there.
    pub(crate) connection: bool,
}

/// Notes where each field lies and what the deciding ones say.
pub(crate) fn read_fields<'b>(
    head: &'b [u8],
    cut: &[Header<'b>],
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Controls<'b>, Refusal> {
    spans.clear();
    let mut controls = Controls::default();
    for field in cut {
        let name = field.name.as_bytes();
        limits.check_field(name, field.value)?;
        let role = Role::of(name);
        match role {
            Role::EndToEnd | Role::HopByHop => {}
            Role::Host => controls.host.add(field.value),
            Role::ContentLength => controls.content_length.add(field.value),
            Role::TransferEncoding => controls.transfer_encoding.add(field.value),
            Role::Connection => controls.connection = true,
            Role::Upgrade => controls.upgrade.add(field.value),
            Role::Expect => controls.expect.add(field.value),
            Role::Disguised => return Err(Refusal::DisguisedFramingField),
        }
        spans.push(Span { name: range(head, name), value: range(head, field.value), role });
    }
    Ok(controls)
}

/// Where a part lies in its head. Heads are shorter than 64 KiB, so offsets have 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "`Limits::head_bytes` has 16 bits")]
fn range(head: &[u8], part: &[u8]) -> (u16, u16) {
    let from = part.as_ptr().addr() - head.as_ptr().addr();
    (from as u16, (from + part.len()) as u16)
}
