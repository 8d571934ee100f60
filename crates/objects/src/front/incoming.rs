//! A request's body on its way to the protocol layer: waited for with patience, its chunks kept small, and a body of XML
//! compared with the digests that the request says it has. Start reading at [`Watched`].

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::{S3Error, s3_error};

use super::chunks::{ChunkError, Chunks};
use super::digests::Digests;
use super::fields;
use super::turns::Turn;
use crate::patience::{RATE_MIN, Waiting};

/// What is known of a request besides its head and body: shared by whoever passes it on, checks it, and answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// What a body of XML must have, once the operation is known.
    digests: OnceLock<Mutex<Option<Digests>>>,
    /// Why no more of the body was passed on.
    refusal: Mutex<Option<S3Error>>,
    /// What the request holds of memory.
    turn: Mutex<Option<Turn>>,
}

impl Notes {
    /// The body is XML that must have these digests.
    pub(super) fn expect(&self, digests: Digests) {
        // A request is checked once.
        drop(self.0.digests.set(Mutex::new(Some(digests))));
    }

    /// The request holds so much of memory until it is answered.
    pub(super) fn hold(&self, turn: Option<Turn>) {
        *lock(&self.0.turn) = turn;
    }

    /// What is to be held until the answer is sent.
    pub(crate) fn take_turn(&self) -> Option<Turn> {
        lock(&self.0.turn).take()
    }

    /// Why the body was not passed on to its end, if it was not.
    pub(crate) fn take_refusal(&self) -> Option<S3Error> {
        lock(&self.0.refusal).take()
    }
}

/// A body that is watched. An error ends it; the reason is in the notes, since the protocol layer has its own words.
pub(super) struct Watched {
    body: Incoming,
    notes: Notes,
    chunks: Option<Chunks>,
    /// Passed through [`Chunks`], not handed out yet.
    passed: VecDeque<Bytes>,
    waiting: Waiting,
}

/// The body ends before its end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body was refused")]
pub(super) struct Refused;

impl Watched {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, notes: Notes) -> Self {
        let chunks = fields::text(headers, "x-amz-content-sha256").and_then(Chunks::of);
        Self { body, notes, chunks, passed: VecDeque::new(), waiting: Waiting::new() }
    }

    fn refuse(&self, why: S3Error) -> Refused {
        lock(&self.notes.0.refusal).get_or_insert(why);
        Refused
    }

    /// The next bytes as the client sent them.
    fn poll_received(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refused>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Fields behind a body are not those of S3, which are in the body.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.waiting.moved(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let why = s3_error!(IncompleteBody, "the body broke off: {error}");
                    return Poll::Ready(Some(Err(self.refuse(why))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    std::task::ready!(self.waiting.poll_out(context));
                    let why =
                        s3_error!(RequestTimeout, "the body comes too slowly: at least {RATE_MIN} bytes a second");
                    return Poll::Ready(Some(Err(self.refuse(why))));
                }
            }
        }
    }

    fn pass(&mut self, bytes: Bytes) -> Result<(), Refused> {
        self.digest(&bytes);
        match &mut self.chunks {
            None => self.passed.push_back(bytes),
            Some(chunks) => {
                let passed = chunks.pass(bytes).map_err(|error| self.refuse(framing(error)))?;
                self.passed.extend(passed);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        let digests = self.notes.0.digests.get().and_then(|digests| lock(digests).take());
        let checked = digests.map(Digests::check).transpose();
        checked.map(drop).map_err(|why| self.refuse(why))
    }

    fn digest(&self, bytes: &[u8]) {
        if let Some(digests) = self.notes.0.digests.get() {
            lock(digests).iter_mut().for_each(|digests| digests.update(bytes));
        }
    }
}

fn lock<T>(noted: &Mutex<T>) -> MutexGuard<'_, T> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn framing(error: ChunkError) -> S3Error {
    match error {
        ChunkError::TooLong => s3_error!(EntityTooLarge, "{error}"),
        ChunkError::Malformed => s3_error!(IncompleteBody, "{error}"),
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Refused;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        loop {
            if let Some(bytes) = self.passed.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match std::task::ready!(self.poll_received(context)) {
                Some(Ok(bytes)) => {
                    if let Err(refused) = self.pass(bytes) {
                        return Poll::Ready(Some(Err(refused)));
                    }
                }
                Some(Err(refused)) => return Poll::Ready(Some(Err(refused))),
                None => return Poll::Ready(self.end().err().map(Err)),
            }
        }
    }

    /// Chunks are not passed on as they came.
    fn size_hint(&self) -> SizeHint {
        match self.chunks {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}
