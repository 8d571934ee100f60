//! The answer about one file: its head, and its bytes on their way. Start reading at [`Reply::of_file`].

use std::future::poll_fn;
use std::io::Write;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http1::{Asked, Edits, Limits, ResponseParser};
use model::Timestamp;
use sys::folder::OpenFile;

use super::condition::{self, Conditions, Validators, Verdict};
use super::shelf::{Content, Stored};
use crate::admission::Account;
use crate::answer::{self, Reason};
use crate::deadline::{Deadline, Late};
use crate::exchange::{Client, ClientError};
use crate::patience::{Awaited, Patience};
use crate::policy::encoding::Coding;

/// Bytes of a large file that are read and sent at a time.
const PIECE_BYTES: usize = 64 << 10;
/// The same, where there is no memory for more.
const PIECE_BYTES_MIN: usize = 8 << 10;

/// A file that was chosen, and what is said of it.
pub(super) struct File {
    pub(super) stored: Rc<Stored>,
    pub(super) media_type: &'static str,
    pub(super) cache_control: &'static str,
    /// The coding that it stands on the disk in.
    pub(super) coding: Option<Coding>,
    /// Whether another client may get it in another coding.
    pub(super) varies: bool,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) reason: Option<Reason>,
    /// As a service would send it.
    head: Vec<u8>,
    body: Option<(Rc<Stored>, Range<u64>)>,
}

/// How sending it went.
pub(super) enum Sent {
    Whole,
    /// The answer had begun and cannot be brought to its end.
    Cut(Reason),
    Gone,
}

/// How long a client is waited for that takes a file.
pub(super) struct Taking<'d> {
    patience: Patience,
    deadline: &'d Deadline,
    /// Of the memory that pieces of a large file take.
    account: Account,
}

impl<'d> Taking<'d> {
    pub(super) fn new(patience: Patience, deadline: &'d Deadline, account: Account) -> Self {
        Self { patience, deadline, account }
    }

    fn begin(&mut self) {
        self.patience.begin(self.deadline.now());
        self.note(0);
    }

    /// The client took so many bytes.
    fn note(&mut self, bytes: usize) {
        let now = self.deadline.now();
        self.patience.note(Awaited::AnswerTaken, bytes, now);
        self.deadline.set(self.patience.wait_for(Awaited::AnswerTaken, now));
    }
}

/// Why a body breaks off.
enum Broken {
    Client(ClientError),
    File,
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Reply {
    /// The answer to a request for a file under its conditions.
    pub(super) fn of_file(file: &File, conditions: &Conditions, to_head: bool, now: Timestamp) -> Self {
        let stored = Rc::clone(&file.stored);
        let (bytes, modified) = (stored.bytes(), modified(&stored, now));
        let validators = Validators { etag: &stored.etag, modified, bytes };
        let verdict = condition::judge(conditions, validators, to_head);
        let (status, part) = match &verdict {
            Verdict::Whole => (200, Some(0..bytes)),
            Verdict::Part(part) => (206, Some(part.clone())),
            Verdict::NotModified => (304, None),
            Verdict::Failed => (412, None),
            Verdict::OutOfRange => (416, None),
        };
        let mut head = Head::new(status, now);
        match &verdict {
            Verdict::Whole => head.line("Accept-Ranges", "bytes"),
            Verdict::Part(part) => {
                head.line("Content-Range", &format!("bytes {}-{}/{bytes}", part.start, part.end.saturating_sub(1)));
            }
            Verdict::OutOfRange => head.line("Content-Range", &format!("bytes */{bytes}")),
            Verdict::NotModified | Verdict::Failed => {}
        }
        head.about(file, modified, part.is_some());
        match &part {
            Some(part) => head.line("Content-Length", &(part.end - part.start).to_string()),
            None if status == 304 => {}
            None => head.line("Content-Length", "0"),
        }
        let reason = matches!(verdict, Verdict::OutOfRange).then_some(Reason::RangeNotSatisfiable);
        let body = part.filter(|part| !to_head && !part.is_empty()).map(|part| (stored, part));
        Self { status, reason, head: head.end(), body }
    }

    /// Sends the client to the same path with a slash behind it. The path is one that names a folder below the root, so
    /// it does not begin with two slashes, which would be another host.
    pub(super) fn with_slash(path: &str, query: Option<&str>, now: Timestamp) -> Self {
        const STATUS: u16 = 308;
        let mut head = Head::new(STATUS, now);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        head.line("Location", &format!("{path}/{query}"));
        head.line("Content-Length", "0");
        Self { status: STATUS, reason: None, head: head.end(), body: None }
    }

    /// Sends it.
    pub(super) async fn send<C: Client>(self, asked: Asked, client: &mut C, mut taking: Taking<'_>) -> Sent {
        let mut parser = ResponseParser::new(Limits::default());
        let Ok(Some(head)) = parser.parse(&self.head, asked) else { return Sent::Cut(Reason::Internal) };
        let deadline = taking.deadline;
        let sending = async {
            taking.begin();
            client.start(&head, &Edits::default())?;
            match &self.body {
                None => {}
                Some((stored, part)) => match &stored.content {
                    Content::Memory(bytes) => send_bytes(client, slice(bytes, part), &mut taking).await?,
                    Content::Disk(file) => send_file(client, file, part.clone(), &mut taking).await?,
                },
            }
            client.finish(None)?;
            Ok(poll_fn(|context| client.poll_flush(context)).await?)
        };
        match deadline.drive(sending).await {
            Ok(Ok(())) => Sent::Whole,
            Ok(Err(Broken::File)) => Sent::Cut(Reason::FileUnreadable),
            Ok(Err(Broken::Client(ClientError::Response(_) | ClientError::Coding(_)))) => Sent::Cut(Reason::Internal),
            Ok(Err(Broken::Client(ClientError::Gone | ClientError::Refused(_)))) => Sent::Gone,
            Err(Late) => Sent::Cut(Awaited::AnswerTaken.reason()),
        }
    }
}

/// A time of change that lies in the future says nothing (RFC 9110, section 8.8.2.1).
fn modified(stored: &Stored, now: Timestamp) -> Option<u64> {
    Some(stored.modified()).filter(|seconds| *seconds <= seconds_of(now))
}

fn seconds_of(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis() / 1000).unwrap_or(0)
}

fn date(seconds: u64) -> String {
    // The last second of the year 9999, which is where the format ends.
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

fn slice<'b>(bytes: &'b [u8], part: &Range<u64>) -> &'b [u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[place(part.start)..place(part.end)]
}

async fn send_bytes<C: Client>(client: &mut C, mut bytes: &[u8], taking: &mut Taking<'_>) -> Result<(), Broken> {
    while !bytes.is_empty() {
        let sent = poll_fn(|context| client.poll_send(context, bytes)).await?;
        bytes = bytes.get(sent..).unwrap_or_default();
        taking.note(sent);
    }
    Ok(())
}

/// Each piece is known to be of the state that the head speaks of before any of it is sent.
async fn send_file<C: Client>(
    client: &mut C,
    file: &Arc<OpenFile>,
    part: Range<u64>,
    taking: &mut Taking<'_>,
) -> Result<(), Broken> {
    let mut piece = Vec::new();
    let mut at = part.start;
    let most = if taking.account.resize(PIECE_BYTES) { PIECE_BYTES } else { PIECE_BYTES_MIN };
    while at < part.end {
        let wanted = usize::try_from(part.end - at).unwrap_or(usize::MAX).min(most);
        piece = file.read_at(piece, at, wanted).await.map_err(|_| Broken::File)?;
        if piece.is_empty() || !file.is_unchanged().unwrap_or(false) {
            return Err(Broken::File);
        }
        send_bytes(client, &piece, taking).await?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// A head being written.
struct Head(Vec<u8>);

impl Head {
    fn new(status: u16, now: Timestamp) -> Self {
        let mut head = Self(Vec::with_capacity(512));
        // Writing to memory cannot fail.
        let _written = write!(head.0, "HTTP/1.1 {status} {}\r\n", answer::status_name(status));
        head.line("Date", &date(seconds_of(now)));
        head
    }

    /// What is said of a file; of its content only where content follows or would follow.
    fn about(&mut self, file: &File, modified: Option<u64>, with_content: bool) {
        self.line("ETag", &file.stored.etag);
        self.line("Cache-Control", file.cache_control);
        if file.varies {
            self.line("Vary", "Accept-Encoding");
        }
        if let Some(seconds) = modified {
            self.line("Last-Modified", &date(seconds));
        }
        if with_content {
            self.line("Content-Type", file.media_type);
            if let Some(coding) = file.coding {
                self.line("Content-Encoding", coding.token());
            }
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        [name, ": ", value, "\r\n"].iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}
