//! What `Connection` says: whether the connection goes on, and which fields are meant for it alone (RFC 9110, 7.6.1).

use crate::field::{Fields, Role, Span, is_token};
use crate::head::Controls;
use crate::limits::CONNECTION_OPTIONS_MAX;
use crate::{Refusal, Version};

/// The options that mean something here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    close: bool,
    keep_alive: bool,
    pub(crate) upgrade: bool,
}

impl Options {
    fn add(&mut self, option: &[u8]) {
        let is = |known: &[u8]| option.eq_ignore_ascii_case(known);
        self.close |= is(b"close");
        self.keep_alive |= is(b"keep-alive");
        self.upgrade |= is(b"upgrade");
    }

    /// Whether the connection may carry another message after this one (RFC 9112, 9.3).
    pub(crate) fn keep_alive(self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }
}

/// Reads every `Connection` field, and marks the fields it names as hop-by-hop.
pub(crate) fn read(head: &[u8], controls: &Controls<'_>, spans: &mut [Span]) -> Result<Options, Refusal> {
    let mut options = Options::default();
    if !controls.connection {
        return Ok(options);
    }
    let mut count = 0;
    for index in 0..spans.len() {
        if spans[index].role != Role::Connection {
            continue;
        }
        for option in listed(spans[index].of(head).value()) {
            count += 1;
            if count > CONNECTION_OPTIONS_MAX {
                return Err(Refusal::TooManyConnectionOptions);
            }
            take(option, &mut options, head, spans)?;
        }
    }
    Ok(options)
}

/// Every option of a head, among them the names of fields that are meant for its connection alone, trailers included.
pub(crate) fn named(fields: Fields<'_>) -> impl Iterator<Item = &[u8]> {
    let connection = fields.spans.iter().filter(|span| span.role == Role::Connection);
    connection.flat_map(move |span| listed(span.of(fields.head).value()))
}

/// The elements of a list, empty ones included.
fn listed(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn take(option: &[u8], options: &mut Options, head: &[u8], spans: &mut [Span]) -> Result<(), Refusal> {
    if option.is_empty() {
        return Ok(());
    }
    if !is_token(option) {
        return Err(Refusal::BadConnectionOption);
    }
    if matches!(Role::of(option), Role::Host | Role::ContentLength | Role::TransferEncoding) {
        return Err(Refusal::ConnectionNamesFraming);
    }
    options.add(option);
    let named = |span: &&mut Span| span.role == Role::EndToEnd && span.of(head).is_twin_of(option);
    spans.iter_mut().filter(named).for_each(|span| span.role = Role::HopByHop);
    Ok(())
}

/// The one protocol that an `Upgrade` asks for, if it is one to pass on. Others are ignored, as any server may:
/// those of HTTP itself would take the connection out of the edge's sight, and a choice of several would be the upstream's.
pub(crate) fn protocol<'a>(controls: &Controls<'a>, options: Options) -> Option<&'a [u8]> {
    let value = controls.upgrade.value.filter(|_| options.upgrade && !controls.upgrade.repeated)?;
    let name = value.split(|byte| *byte == b'/').next().unwrap_or_default();
    let version = value.get(name.len() + 1..);
    let of_http = [&b"http"[..], b"h2c", b"h2", b"h3", b"tls"].iter().any(|known| name.eq_ignore_ascii_case(known));
    (is_token(name) && version.is_none_or(is_token) && !of_http).then_some(value)
}
