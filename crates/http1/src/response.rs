//! Responses: read from an upstream, passed on to the client.

use memchr::memchr;

use crate::field::{Field, Fields, Span};
use crate::frame::{self, BodyEncoder};
use crate::framing::{self, Body, ResponseFraming};
use crate::head::{self, Version};
use crate::limits::INTERIM_RESPONSES_MAX;
use crate::onward::{self, Edits, Withheld};
use crate::request::Asked;
use crate::scan::Scanner;
use crate::{Limits, Refusal, diagnosis, persistence};

/// What every status line begins with. A response that begins otherwise is refused at its first wrong byte.
const START: &[u8] = b"HTTP/1.";
/// Bytes of a status line up to its status: version and space.
const STATUS_END: usize = "HTTP/1.1 200".len();

/// Reads the heads of an upstream connection's responses. Its table of fields is used again for each.
#[derive(Debug)]
pub struct ResponseParser {
    limits: Limits,
    scanner: Scanner,
    spans: Vec<Span>,
    /// Interim responses since the last final one.
    interim: u8,
}

impl ResponseParser {
    /// A parser for a new connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scanner: Scanner::default(), spans: Vec::with_capacity(limits.fields.into()), interim: 0 }
    }

    /// The head that `buffer` begins with, once it is whole. The rules are those of
    /// [`RequestParser::parse`](crate::RequestParser::parse).
    pub fn parse<'a>(&'a mut self, buffer: &'a [u8], asked: Asked) -> Result<Option<ResponseHead<'a>>, Refusal> {
        if !buffer.iter().zip(START).all(|(byte, expected)| byte == expected) {
            return Err(Refusal::BadStatusLine);
        }
        let limit = usize::from(self.limits.head_bytes);
        let window = &buffer[..buffer.len().min(limit)];
        match self.scanner.end(window)? {
            None if window.len() < limit => Ok(None),
            None => Err(Refusal::HeadTooLarge),
            Some(end) => {
                self.scanner = Scanner::default();
                self.read(&buffer[..end], asked).map(Some)
            }
        }
    }

    fn read<'a>(&'a mut self, head: &'a [u8], asked: Asked) -> Result<ResponseHead<'a>, Refusal> {
        let mut slots = head::slots();
        let mut cut = httparse::Response::new(&mut []);
        let slots = &mut slots[..usize::from(self.limits.fields)];
        httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut cut, head, slots)
            .map_err(|error| diagnosis::of_response(head, error))?;
        let version = Version::of_minor(cut.version);
        let status = cut.code.filter(|code| (100..=599).contains(code)).ok_or(Refusal::BadStatusLine)?;
        let controls = head::read_fields(head, cut.headers, &self.limits, &mut self.spans)?;
        let options = persistence::read(head, &controls, &mut self.spans)?;
        let framing = framing::of_response(&controls, version, status, asked.head)?;
        let protocol = persistence::protocol(&controls, options);
        let kind = Kind::of(status, protocol.is_some() && asked.upgrade)?;
        self.count(kind)?;
        let reusable = options.keep_alive(version) && framing.body != Body::UntilClose && !framing.contradicts;
        let fields = Fields { head, spans: &self.spans };
        Ok(ResponseHead { status, kind, framing, protocol, fields, reusable })
    }

    fn count(&mut self, kind: Kind) -> Result<(), Refusal> {
        self.interim = match kind {
            Kind::Interim => self.interim + 1,
            Kind::Switch | Kind::Final => 0,
        };
        match self.interim > INTERIM_RESPONSES_MAX {
            true => Err(Refusal::TooManyInterimResponses),
            false => Ok(()),
        }
    }
}

/// What comes after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another response to the same request.
    Interim,
    /// The other protocol, on both sides; this crate's work is done.
    Switch,
    /// The next request's response.
    Final,
}

impl Kind {
    fn of(status: u16, may_switch: bool) -> Result<Self, Refusal> {
        match status {
            101 if may_switch => Ok(Self::Switch),
            101 => Err(Refusal::UnexpectedSwitch),
            100..=199 => Ok(Self::Interim),
            _ => Ok(Self::Final),
        }
    }
}

/// The head of a response, as views of the buffer it was read from.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    status: u16,
    kind: Kind,
    framing: ResponseFraming,
    protocol: Option<&'a [u8]>,
    fields: Fields<'a>,
    reusable: bool,
}

impl<'a> ResponseHead<'a> {
    /// How many bytes of the buffer it takes.
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.fields.head.len()
    }

    /// Its status, from 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What comes after it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// How its body is delimited.
    pub fn body(&self) -> Body {
        self.framing.body
    }

    /// Whether the upstream's connection may carry another request after this response. Bytes behind it that nobody asked for
    /// are a reason against, too, and only the caller sees them.
    pub fn reusable(&self) -> bool {
        self.reusable
    }

    /// The same head for a body that is sent in another length than it says, or than it would say to HEAD.
    pub fn of_unknown_length(self) -> Self {
        let body = match self.framing.body {
            Body::Length(_) => Body::UntilClose,
            body => body,
        };
        Self { framing: ResponseFraming { body, length_without_body: None, ..self.framing }, ..self }
    }

    /// The reason phrase, perhaps empty. One beyond ASCII, whose encoding nobody knows, is left out.
    pub fn reason(&self) -> &'a [u8] {
        let line = memchr(b'\r', self.fields.head).map_or(self.fields.head, |end| &self.fields.head[..end]);
        let reason = line.get(STATUS_END..).unwrap_or_default();
        reason.strip_prefix(b" ").filter(|reason| reason.is_ascii()).unwrap_or_default()
    }

    /// The length that its head announces, also where the body itself is not sent.
    pub fn length(&self) -> Option<u64> {
        match self.framing.body {
            Body::Length(length) => Some(length),
            _ => self.framing.length_without_body,
        }
    }

    /// The fields of the head as the client gets it, besides those of its framing and its connection: for a client that
    /// does not speak HTTP/1.1.
    pub fn onward<'e>(&self, edits: &Edits<'e>) -> impl Iterator<Item = Field<'e>> + use<'e>
    where
        'a: 'e,
    {
        onward::fields(self.fields, edits)
    }

    /// The trailers that do not go to such a client.
    pub fn withheld(&self, edits: &Edits<'_>) -> Withheld {
        Withheld::of(self.fields, edits)
    }

    /// Writes the head as the client gets it, and says how to go on. An interim response to HTTP/1.0 is not written.
    pub fn forward(&self, onward: &Onward<'_>, out: &mut Vec<u8>) -> Forwarded {
        let body = self.body_for(onward.asked.version);
        let forwarded = Forwarded {
            body: BodyEncoder::new(body, self.fields, &onward.edits),
            keep_alive: onward.asked.keep_alive && !onward.close && body != Body::UntilClose,
        };
        if self.kind == Kind::Interim && onward.asked.version == Version::Http10 {
            return forwarded;
        }
        self.write_status_line(out);
        onward::write_fields(self.fields, &onward.edits, out);
        if self.kind == Kind::Final {
            self.write_connection(onward.asked.version, forwarded.keep_alive, out);
        }
        if let Some(protocol) = self.protocol.filter(|_| self.kind == Kind::Switch) {
            onward::write_line(&[b"Connection: upgrade\r\nUpgrade: ", protocol], out);
        }
        frame::write_framing(self.framing.length_without_body.map_or(body, Body::Length), out);
        onward::write_line(&[], out);
        forwarded
    }

    /// The client's framing. A body that ends with the upstream's connection is sent in chunks, so that the client can tell
    /// its end from a failure.
    fn body_for(&self, version: Version) -> Body {
        match (self.framing.body, version) {
            (Body::Chunked | Body::UntilClose, Version::Http10) => Body::UntilClose,
            (Body::UntilClose, Version::Http11) => Body::Chunked,
            (body, _) => body,
        }
    }

    fn write_status_line(&self, out: &mut Vec<u8>) {
        let digits = [100, 10, 1].map(|unit| b'0' + u8::try_from(self.status / unit % 10).unwrap_or(0));
        onward::write_line(&[b"HTTP/1.1 ", &digits, b" ", self.reason()], out);
    }

    fn write_connection(&self, version: Version, keep_alive: bool, out: &mut Vec<u8>) {
        match (version, keep_alive) {
            (Version::Http10, true) => onward::write_line(&[b"Connection: keep-alive"], out),
            (_, false) => onward::write_line(&[b"Connection: close"], out),
            (Version::Http11, true) => {}
        }
    }
}

/// What a response is like when it is passed on.
#[derive(Debug, Clone, Copy)]
pub struct Onward<'a> {
    /// What the client asked.
    pub asked: Asked,
    /// Whether the client's connection is to end all the same.
    pub close: bool,
    /// Changes to its fields and its trailers.
    pub edits: Edits<'a>,
}

/// How to go on after a head was written to the client.
#[derive(Debug)]
pub struct Forwarded {
    /// Frames the body.
    pub body: BodyEncoder,
    /// Whether the client's connection may carry another request. If not, it is closed after the body.
    pub keep_alive: bool,
}
