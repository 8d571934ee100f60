//! Requests: read from a client, passed on to an upstream.

use crate::field::{Fields, Span, is_token};
use crate::frame::{self, BodyEncoder};
use crate::framing::{self, Body};
use crate::head::{self, Controls, Version};
use crate::limits::{EMPTY_LINES_MAX, METHOD_BYTES_MAX};
use crate::onward::{self, Edits};
use crate::persistence::{self, Options};
use crate::scan::Scanner;
use crate::{Host, Limits, Refusal, Target, diagnosis};

/// Reads the heads of a connection's requests, one after the other. Its table of fields is used again for each.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    scanner: Scanner,
    spans: Vec<Span>,
}

impl RequestParser {
    /// A parser for a new connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scanner: Scanner::default(), spans: Vec::with_capacity(limits.fields.into()) }
    }

    /// The head that `buffer` begins with, once it is whole.
    ///
    /// Until then the buffer may only grow from call to call. Afterwards take [`RequestHead::len`] bytes and the body
    /// out of it before the next call.
    pub fn parse<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Option<RequestHead<'a>>, Refusal> {
        let Some(start) = start(buffer)? else { return Ok(None) };
        let limit = usize::from(self.limits.head_bytes);
        let window = &buffer[start..buffer.len().min(start + limit)];
        let Some(end) = self.scanner.end(window)? else {
            return match (window.len() < limit, self.scanner.in_first_line()) {
                (true, _) => Ok(None),
                (false, true) => Err(Refusal::TargetTooLong),
                (false, false) => Err(Refusal::HeadTooLarge),
            };
        };
        self.scanner = Scanner::default();
        self.read(&buffer[start..start + end], start).map(Some)
    }

    /// Reads a whole head, before which `skipped` bytes are passed over.
    fn read<'a>(&'a mut self, head: &'a [u8], skipped: usize) -> Result<RequestHead<'a>, Refusal> {
        let mut slots = head::slots();
        let mut cut = httparse::Request::new(&mut []);
        let slots = &mut slots[..usize::from(self.limits.fields)];
        cut.parse_with_uninit_headers(head, slots).map_err(|error| diagnosis::of_request(head, error))?;
        let version = Version::of_minor(cut.version);
        let method = method(cut.method.unwrap_or_default().as_bytes())?;
        let target = self.target(cut.path.unwrap_or_default().as_bytes(), method)?;
        let controls = head::read_fields(head, cut.headers, &self.limits, &mut self.spans)?;
        let options = persistence::read(head, &controls, &mut self.spans)?;
        let host = host(&controls, &target, version)?;
        let body = framing::of_request(&controls, version)?;
        let expects_continue = expects_continue(&controls, version, body)?;
        let upgrade = upgrade(&controls, options, version, body);
        let asked = Asked {
            version,
            head: method == b"HEAD",
            upgrade: upgrade.is_some(),
            keep_alive: options.keep_alive(version),
        };
        let fields = Fields { head, spans: &self.spans };
        let len = skipped + head.len();
        Ok(RequestHead { len, method, target, host, fields, body, expects_continue, upgrade, asked })
    }

    fn target<'a>(&self, text: &'a [u8], method: &[u8]) -> Result<Target<'a>, Refusal> {
        if text.len() > usize::from(self.limits.target_bytes) {
            return Err(Refusal::TargetTooLong);
        }
        let target = Target::parse(text)?;
        match method {
            b"OPTIONS" => Ok(target.of_options()),
            _ if target.is_asterisk() => Err(Refusal::BadTarget),
            _ => Ok(target),
        }
    }
}

/// Where the head begins: after the few empty lines that are passed over. `None` until that is known.
fn start(buffer: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut start = 0;
    while buffer[start..].starts_with(b"\r\n") {
        start += 2;
        if start > 2 * EMPTY_LINES_MAX {
            return Err(Refusal::TooManyEmptyLines);
        }
    }
    match &buffer[start..] {
        [] | [b'\r'] => Ok(None),
        [b'\r', ..] => Err(Refusal::BareCr),
        [b'\n', ..] => Err(Refusal::BareLf),
        [0, ..] => Err(Refusal::Nul),
        [first, ..] if !is_token(&[*first]) => Err(Refusal::BadMethod),
        _ => Ok(Some(start)),
    }
}

fn method(method: &[u8]) -> Result<&[u8], Refusal> {
    if method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::BadMethod);
    }
    if method.iter().any(u8::is_ascii_lowercase) {
        return Err(Refusal::LowerCaseMethod);
    }
    match method {
        b"CONNECT" => Err(Refusal::ConnectMethod),
        method => Ok(method),
    }
}

/// The host that the request is for (RFC 9112, 3.2): that of an absolute target, which `Host` may only repeat.
fn host<'a>(controls: &Controls<'a>, target: &Target<'a>, version: Version) -> Result<Option<Host<'a>>, Refusal> {
    if controls.host.repeated {
        return Err(Refusal::TwoHosts);
    }
    let field = controls.host.value.map(Host::parse).transpose()?;
    match (field, target.host()) {
        (None, _) if version == Version::Http11 => Err(Refusal::MissingHost),
        (Some(field), Some(absolute)) if !field.is(absolute) => Err(Refusal::HostMismatch),
        (field, absolute) => Ok(field.or(absolute)),
    }
}

/// Whether the client waits for `100 Continue`. HTTP/1.0 has no interim responses, and without a body nobody waits.
fn expects_continue(controls: &Controls<'_>, version: Version, body: Body) -> Result<bool, Refusal> {
    match controls.expect.value {
        Some(value) if controls.expect.repeated || !value.eq_ignore_ascii_case(b"100-continue") => {
            Err(Refusal::UnknownExpectation)
        }
        Some(_) => Ok(version == Version::Http11 && !matches!(body, Body::None | Body::Length(0))),
        None => Ok(false),
    }
}

/// The protocol to switch to. A request with a body is answered as an ordinary one: what would follow its body
/// must not be mistaken for the other protocol.
fn upgrade<'a>(controls: &Controls<'a>, options: Options, version: Version, body: Body) -> Option<&'a [u8]> {
    let may_switch = version == Version::Http11 && matches!(body, Body::None | Body::Length(0));
    persistence::protocol(controls, options).filter(|_| may_switch)
}

/// What has to be remembered of a request until its response is through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The client's version.
    pub version: Version,
    /// Whether the method was HEAD: the response has no body.
    pub head: bool,
    /// Whether a switch of protocols was asked for, and passed on.
    pub upgrade: bool,
    /// Whether the client's connection may carry another request.
    pub keep_alive: bool,
}

/// The head of a request, as views of the buffer it was read from.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    len: usize,
    method: &'a [u8],
    target: Target<'a>,
    host: Option<Host<'a>>,
    fields: Fields<'a>,
    body: Body,
    expects_continue: bool,
    upgrade: Option<&'a [u8]>,
    asked: Asked,
}

impl<'a> RequestHead<'a> {
    /// How many bytes of the buffer it takes.
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The method: a token without lower-case letters.
    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// What it is for.
    pub fn target(&self) -> Target<'a> {
        self.target
    }

    /// The host it is for. Only a request of HTTP/1.0 may have none.
    pub fn host(&self) -> Option<Host<'a>> {
        self.host
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// How its body is delimited; never until the end of the connection.
    pub fn body(&self) -> Body {
        self.body
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The protocol to switch to, such as `websocket`. What the client sends after this head waits until the upstream has
    /// answered 101, and is the next request when it answers anything else.
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        self.upgrade
    }

    /// What has to be remembered until the response is through.
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// Writes the head as it is passed on, and answers with the encoder for its body.
    pub fn forward(&self, onward: &Onward<'_>, out: &mut Vec<u8>) -> BodyEncoder {
        out.extend_from_slice(self.method);
        out.push(b' ');
        onward.target.write(out);
        onward::write_line(&[b" HTTP/1.1"], out);
        onward::write_field(b"Host", onward.host.as_bytes(), out);
        onward::write_fields(self.fields, &onward.edits, out);
        if self.expects_continue {
            onward::write_line(&[b"Expect: 100-continue"], out);
        }
        if let Some(protocol) = self.upgrade {
            onward::write_line(&[b"Connection: upgrade\r\nUpgrade: ", protocol], out);
        }
        frame::write_framing(self.body, out);
        onward::write_line(&[], out);
        BodyEncoder::new(self.body, self.fields, &onward.edits)
    }
}

/// What a request is like when it is passed on.
#[derive(Debug, Clone, Copy)]
pub struct Onward<'a> {
    /// What it is for, rewritten or [`RequestHead::target`].
    pub target: Target<'a>,
    /// The host: the client's, or the upstream's own.
    pub host: Host<'a>,
    /// Changes to its fields and its trailers.
    pub edits: Edits<'a>,
}
