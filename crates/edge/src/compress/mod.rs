//! Compression of answers on their way to a client. Start reading at [`Compressing`].
//!
//! Compressed is what gets smaller by it and is large enough to matter, unless it is coded or a part already, carries a digest of its
//! bytes, or the service forbids it (`Cache-Control: no-transform`). Of an answer whose length nobody knows beforehand, all
//! that the service sent can be read whenever it pauses. Work is done in small pieces, with a pause for other connections between them.

mod codec;

use std::cell::Cell;
use std::task::{Context, Poll, ready};

use http1::response::Kind;
use http1::{Body, Edits, Field, ResponseHead, Trailers};

use self::codec::Encoder;
use crate::exchange::{Arrived, Client, ClientError};
use crate::policy::encoding::{self, Coding, Preference};

/// What is smaller fits into one packet as it is.
const BYTES_MIN: u64 = 1024;
/// Bytes that are coded at a time: what one connection holds of coded bytes is of this order.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes that are coded before other connections have their turn: a millisecond or two.
const TURN_BYTES: usize = 64 << 10;
/// Answers that are compressed at the same time, since each takes about a megabyte. The next are sent as they are.
pub(crate) const COMPRESSIONS_MAX: usize = 64;

thread_local! {
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// A client whose answer is compressed where that is worth it.
pub(crate) struct Compressing<'c, C> {
    client: &'c mut C,
    /// What it takes.
    codings: Preference,
    /// How many answers this thread compresses at the same time.
    most: usize,
    compression: Option<Compression>,
    /// Bytes of the body that went to it.
    sent: u64,
}

/// A body that is being compressed.
struct Compression {
    /// `None` once the body has ended.
    encoder: Option<Encoder>,
    /// Coded, and not sent yet.
    coded: Vec<u8>,
    written: usize,
    /// Whether the client is to see at once what there is.
    live: bool,
    unflushed: bool,
    /// Bytes coded since others had their turn.
    turn: usize,
    /// Whether the client's side knows that the body has ended.
    ended: bool,
    _place: Place,
}

/// One of this thread's.
struct Place;

impl Place {
    fn take(most: usize) -> Option<Self> {
        let taken = UNDER_WAY.get();
        (taken < most).then(|| {
            UNDER_WAY.set(taken + 1);
            Self
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get().saturating_sub(1));
    }
}

impl Compression {
    fn new(coding: Coding, live: bool, most: usize) -> Option<Self> {
        let place = Place::take(most)?;
        // An encoder that cannot be had is no reason not to answer.
        let encoder = Encoder::new(coding).ok()?;
        let (coded, written) = (Vec::new(), 0);
        Some(Self {
            encoder: Some(encoder),
            coded,
            written,
            live,
            unflushed: false,
            turn: 0,
            ended: false,
            _place: place,
        })
    }

    fn code(&mut self, data: &[u8]) -> Result<(), ClientError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        encoder.write(data).map_err(ClientError::Coding)?;
        encoder.take_into(&mut self.coded);
        self.unflushed = true;
        self.turn += data.len();
        Ok(())
    }

    /// Brings out what the client would be kept waiting for.
    fn flush(&mut self) -> Result<(), ClientError> {
        let Some(encoder) = self.encoder.as_mut().filter(|_| self.live && self.unflushed) else { return Ok(()) };
        encoder.flush().map_err(ClientError::Coding)?;
        encoder.take_into(&mut self.coded);
        self.unflushed = false;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        if let Some(encoder) = self.encoder.take() {
            self.coded.extend(encoder.finish().map_err(ClientError::Coding)?);
        }
        Ok(())
    }
}

impl<'c, C: Client> Compressing<'c, C> {
    /// A client that takes these codings, on a thread that compresses so many answers at the same time.
    pub(crate) fn new(client: &'c mut C, codings: Preference, most: usize) -> Self {
        Self { client, codings, most, compression: None, sent: 0 }
    }

    /// Bytes of the body that went to the client, as they were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    fn poll_through(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>> {
        let sent = ready!(self.client.poll_send(context, data))?;
        self.sent += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Sends what is coded.
    fn poll_coded(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let Some(compression) = &mut self.compression else { return Poll::Ready(Ok(())) };
        while compression.written < compression.coded.len() {
            let sent = ready!(self.client.poll_send(context, &compression.coded[compression.written..]))?;
            compression.written += sent;
            self.sent += sent as u64;
        }
        compression.coded.clear();
        compression.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<C: Client> Client for Compressing<'_, C> {
    fn poll_body(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<Arrived, ClientError>> {
        self.client.poll_body(context, out)
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.client.poll_gone(context)
    }

    fn start(&mut self, head: &ResponseHead<'_>, edits: &Edits<'_>) -> Result<(), ClientError> {
        if !is_compressible(head) {
            return self.client.start(head, edits);
        }
        let coding = self.codings.ranked(Coding::BY_COST).next();
        let wanted = coding.filter(|_| head.body() != Body::None);
        self.compression = wanted.and_then(|it| Compression::new(it, head.length().is_none(), self.most));
        // A response to HEAD says what one to GET would.
        let coding = coding.filter(|_| self.compression.is_some() || head.body() == Body::None);
        let tag = weakened(head);
        let (mut set, mut add) = (edits.set.to_vec(), edits.add.to_vec());
        // Fails for bytes that no field may have, which neither these names nor these values have.
        let field = |name: &'static [u8], value| Field::new(name, value).ok();
        add.extend(field(b"Vary", b"Accept-Encoding").filter(|_| !says_vary(head)));
        let Some(coding) = coding else { return self.client.start(head, &Edits { add: &add, ..*edits }) };
        set.extend(field(b"Content-Encoding", coding.token().as_bytes()));
        set.extend(tag.as_deref().and_then(|tag| field(b"ETag", tag)));
        // Places in the content are not places in what is sent.
        let remove = [edits.remove, &[b"accept-ranges"]].concat();
        self.client.start(&head.of_unknown_length(), &Edits { set: &set, add: &add, remove: &remove, ..*edits })
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, ClientError>> {
        if self.compression.is_none() {
            return self.poll_through(context, data);
        }
        ready!(self.poll_coded(context))?;
        let Some(compression) = &mut self.compression else { return Poll::Ready(Ok(0)) };
        if compression.turn >= TURN_BYTES {
            compression.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = &data[..data.len().min(PIECE_BYTES)];
        compression.code(piece)?;
        Poll::Ready(Ok(piece.len()))
    }

    /// Trailers of a compressed body are dropped, as RFC 9110, section 6.5.1 permits: they speak of other bytes.
    fn finish(&mut self, trailers: Option<Trailers<'_>>) -> Result<(), ClientError> {
        match &mut self.compression {
            Some(compression) => compression.finish(),
            None => self.client.finish(trailers),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        if let Some(compression) = &mut self.compression {
            compression.flush()?;
        }
        ready!(self.poll_coded(context))?;
        if let Some(compression) = self.compression.as_mut().filter(|it| it.encoder.is_none() && !it.ended) {
            compression.ended = true;
            self.client.finish(None)?;
        }
        self.client.poll_flush(context)
    }
}

/// Whether a response gets better by compression, whoever asks.
fn is_compressible(head: &ResponseHead<'_>) -> bool {
    const CODED_OR_SEALED: [&[u8]; 6] =
        [b"content-encoding", b"content-range", b"content-digest", b"repr-digest", b"digest", b"trailer"];
    let whole = head.kind() == Kind::Final && !matches!(head.status(), 204..=206 | 304);
    let content_type = first(head, b"content-type").unwrap_or_default();
    whole
        && encoding::is_worthwhile(content_type)
        && head.length().is_none_or(|bytes| bytes >= BYTES_MIN)
        && !head.fields().iter().any(|field| CODED_OR_SEALED.iter().any(|name| field.is(name)))
        && !lists(head, b"cache-control", &["no-transform"])
}

/// A strong tag speaks of exact bytes, which the coded ones are not.
fn weakened(head: &ResponseHead<'_>) -> Option<Vec<u8>> {
    let tag = first(head, b"etag").filter(|tag| !tag.starts_with("W/"))?;
    Some(format!("W/{tag}").into_bytes())
}

fn says_vary(head: &ResponseHead<'_>) -> bool {
    lists(head, b"vary", &["accept-encoding", "*"])
}

fn first<'h>(head: &ResponseHead<'h>, name: &[u8]) -> Option<&'h str> {
    head.fields().values(name).next().and_then(|value| std::str::from_utf8(value).ok())
}

/// Whether a field that is a list holds one of these.
fn lists(head: &ResponseHead<'_>, name: &[u8], wanted: &[&str]) -> bool {
    let values = head.fields().values(name).filter_map(|value| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).any(|item| wanted.iter().any(|it| item.trim().eq_ignore_ascii_case(it)))
}
