//! The one loop that reads a connection in these tests, as the edge would, and writes down what became of each message.

use http1::request::Onward as RequestOnward;
use http1::response::{Kind, Onward as ResponseOnward};
use http1::{
    Asked, Body, BodyDecoder, BodyEncoder, Edits, Field, Fields, Host, Limits, Piece, Refusal, RequestParser,
    ResponseParser, Version,
};

use crate::escape::escape;

/// Longest body, so that a case can go beyond it.
const BODY_BYTES_MAX: u64 = 100_000;
/// The host that is passed on when a request of HTTP/1.0 has none.
pub(crate) const FALLBACK_HOST: &str = "fallback.example";

/// Who is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Client,
    /// Its responses are to this.
    Upstream(Asked),
}

impl Side {
    /// As a case's kind says.
    pub(crate) fn of(kind: &str) -> Self {
        let asked = Asked { version: Version::Http11, head: false, upgrade: false, keep_alive: true };
        match kind {
            "request" => Self::Client,
            "response" => Self::Upstream(asked),
            "response to HEAD" => Self::Upstream(Asked { head: true, ..asked }),
            "response to upgrade" => Self::Upstream(Asked { upgrade: true, ..asked }),
            "response to 1.0" => Self::Upstream(Asked { version: Version::Http10, ..asked }),
            "response to close" => Self::Upstream(Asked { keep_alive: false, ..asked }),
            kind => panic!("no case is of the kind {kind:?}"),
        }
    }
}

/// One message that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Method and target, or the status.
    pub(crate) start: (String, String),
    /// Every field as read.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    /// What is passed on for it.
    pub(crate) forwarded: Vec<u8>,
    /// What there is to say about it, on one line.
    summary: String,
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After a whole message.
    Between,
    /// In the middle of a head.
    Incomplete,
    /// With another protocol.
    Switched,
    Refused(Refusal),
}

impl Outcome {
    /// One line for each message, as in the corpus.
    pub(crate) fn verdict(&self) -> String {
        let messages: String = self.messages.iter().map(|message| format!("{}\n", message.summary)).collect();
        match self.end {
            End::Between => messages,
            End::Incomplete => messages + "incomplete\n",
            End::Switched => messages + "the other protocol follows\n",
            End::Refused(refusal) => messages + &format!("refused: {}\n", refusal.code()),
        }
    }
}

/// Reads what arrives in these pieces, after which the connection ends.
pub(crate) fn hold<'a>(side: Side, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = Reader::new(side);
    for piece in pieces {
        reader.buffer.extend_from_slice(piece);
        if let Err(end) = reader.advance() {
            return Outcome { messages: reader.messages, end };
        }
    }
    let end = reader.finish();
    Outcome { messages: reader.messages, end }
}

struct Reader {
    side: Side,
    requests: RequestParser,
    responses: ResponseParser,
    buffer: Vec<u8>,
    reading: Option<Reading>,
    messages: Vec<Message>,
    /// Whether the last message was the last of its connection.
    closed: bool,
}

/// A message whose head was read.
struct Reading {
    message: Message,
    decoder: BodyDecoder,
    /// Until the end of the body was written.
    encoder: Option<BodyEncoder>,
    closes: bool,
    switches: bool,
}

impl Reader {
    fn new(side: Side) -> Self {
        let limits = Limits::default();
        Self {
            side,
            requests: RequestParser::new(limits),
            responses: ResponseParser::new(limits),
            buffer: Vec::new(),
            reading: None,
            messages: Vec::new(),
            closed: false,
        }
    }

    /// Reads as far as the buffer reaches.
    fn advance(&mut self) -> Result<(), End> {
        while !self.closed {
            if self.reading.is_none() && !self.read_head().map_err(End::Refused)? {
                break;
            }
            if !self.read_body()? {
                break;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> End {
        if let Some(reading) = &mut self.reading {
            if let Err(refusal) = reading.decoder.end() {
                return End::Refused(refusal);
            }
            return self.read_body().err().unwrap_or(End::Between);
        }
        match self.buffer.is_empty() || self.closed {
            true => End::Between,
            false => End::Incomplete,
        }
    }

    /// Whether a head was whole.
    fn read_head(&mut self) -> Result<bool, Refusal> {
        let read = match self.side {
            Side::Client => read_request(&mut self.requests, &self.buffer)?,
            Side::Upstream(asked) => read_response(&mut self.responses, &self.buffer, asked)?,
        };
        let Some((reading, len)) = read else { return Ok(false) };
        self.reading = Some(reading);
        self.buffer.drain(..len);
        Ok(true)
    }

    /// Whether a body ended.
    fn read_body(&mut self) -> Result<bool, End> {
        let Some(mut reading) = self.reading.take() else { return Ok(false) };
        while !reading.decoder.is_finished() {
            let decoded = reading.decoder.decode(&self.buffer).map_err(End::Refused)?;
            let consumed = decoded.consumed;
            match decoded.piece {
                Piece::Data(data) => reading.take(data),
                Piece::Trailers(trailers) => {
                    reading.message.trailers = trailers.iter().map(owned).collect();
                    reading.end(Some(trailers));
                }
                Piece::NeedMore if reading.decoder.is_finished() => {}
                Piece::NeedMore => {
                    self.buffer.drain(..consumed);
                    self.reading = Some(reading);
                    return Ok(false);
                }
            }
            self.buffer.drain(..consumed);
        }
        self.closed = reading.closes;
        let switches = reading.switches;
        self.messages.push(reading.finished());
        if switches { Err(End::Switched) } else { Ok(true) }
    }
}

impl Reading {
    fn take(&mut self, data: &[u8]) {
        self.message.body.extend_from_slice(data);
        let frame = self.encoder.as_mut().unwrap().frame(data).unwrap();
        frame.parts().iter().for_each(|part| self.message.forwarded.extend_from_slice(part));
    }

    fn end(&mut self, trailers: Option<http1::Trailers<'_>>) {
        if let Some(encoder) = self.encoder.take() {
            encoder.end(trailers, &mut self.message.forwarded).unwrap();
        }
    }

    fn finished(mut self) -> Message {
        self.end(None);
        let mut message = self.message;
        if !message.body.is_empty() {
            message.summary += &format!(", body {}", escape(&message.body));
        }
        for (name, value) in &message.trailers {
            message.summary += &format!(", trailer {name}={}", escape(value));
        }
        message
    }
}

fn read_request(parser: &mut RequestParser, buffer: &[u8]) -> Result<Option<(Reading, usize)>, Refusal> {
    let Some(head) = parser.parse(buffer)? else { return Ok(None) };
    let decoder = BodyDecoder::new(head.body(), Limits::default(), BODY_BYTES_MAX)?;
    let host = head.host().unwrap_or(Host::parse(FALLBACK_HOST.as_bytes()).unwrap());
    let mut forwarded = Vec::new();
    let onward = RequestOnward { target: head.target(), host, edits: Edits::default() };
    let encoder = Some(head.forward(&onward, &mut forwarded));
    let (method, path) = (text(head.method()), text(head.target().path()));
    let query = head.target().query().map(|query| format!("?{}", text(query))).unwrap_or_default();
    let asked = head.asked();
    let mut summary = format!("{method} {}{}", escape(path.as_bytes()), escape(query.as_bytes()));
    summary += if asked.version == Version::Http10 { " HTTP/1.0" } else { "" };
    summary += &head.host().map(|host| format!(", host {}", text(host.as_bytes()))).unwrap_or_default();
    summary += framing(head.body());
    summary += if head.expects_continue() { ", waits to continue" } else { "" };
    summary += &head.upgrade().map(|protocol| format!(", upgrade to {}", text(protocol))).unwrap_or_default();
    summary += if asked.keep_alive { "" } else { ", then close" };
    let message = message((method, path + &query), head.fields(), forwarded, summary);
    Ok(Some((Reading { message, decoder, encoder, closes: !asked.keep_alive, switches: false }, head.len())))
}

fn read_response(
    parser: &mut ResponseParser,
    buffer: &[u8],
    asked: Asked,
) -> Result<Option<(Reading, usize)>, Refusal> {
    let Some(head) = parser.parse(buffer, asked)? else { return Ok(None) };
    let decoder = BodyDecoder::new(head.body(), Limits::default(), BODY_BYTES_MAX)?;
    let mut bytes = Vec::new();
    let onward = ResponseOnward { asked, close: false, edits: Edits::default() };
    let forwarded = head.forward(&onward, &mut bytes);
    let status = head.status().to_string();
    let mut summary = format!("{status} {}", escape(head.reason()));
    summary += framing(head.body());
    summary += if head.kind() == Kind::Interim { ", interim" } else { "" };
    summary += if head.reusable() { "" } else { ", upstream not used again" };
    summary += if forwarded.keep_alive { "" } else { ", then close" };
    let closes = head.kind() == Kind::Final && !head.reusable();
    let message = message((status, String::new()), head.fields(), bytes, summary);
    let switches = head.kind() == Kind::Switch;
    Ok(Some((Reading { message, decoder, encoder: Some(forwarded.body), closes, switches }, head.len())))
}

fn message(start: (String, String), fields: Fields<'_>, forwarded: Vec<u8>, summary: String) -> Message {
    let fields = fields.iter().map(owned).collect();
    Message { start, fields, body: Vec::new(), trailers: Vec::new(), forwarded, summary }
}

fn framing(body: Body) -> &'static str {
    match body {
        Body::None => "",
        Body::Length(_) => ", sized",
        Body::Chunked => ", chunked",
        Body::UntilClose => ", until close",
    }
}

fn owned(field: Field<'_>) -> (String, Vec<u8>) {
    (text(field.name()), field.value().to_vec())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
