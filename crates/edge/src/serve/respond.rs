//! Answers of the edge itself, and what it adds to those of services. Start reading at [`Additions`].

use std::borrow::Cow;

use http1::{Edits, Field, ResponseHead};

use crate::answer::{self, Reason};
use crate::policy::security_headers::STRICT;

/// Fields that an answer gets on its way out.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    /// In place of what the service says.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Where the service says nothing.
    pub(crate) strict: bool,
}

impl Additions {
    /// The fields that a final response gets besides those that `edits` gives it. One that is a list is added beside what
    /// is said, since others may have put something into it.
    pub(crate) fn for_response<'a>(&'a self, head: &'a ResponseHead<'_>, edits: &Edits<'a>) -> Added<'a> {
        let said = |name: &str| head.fields().iter().any(|field| field.is(name.as_bytes()));
        let own = self.all(said).filter_map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()).ok());
        let (mut add, mut set): (Vec<_>, Vec<_>) = own.partition(|field| field.is(b"vary"));
        set.extend_from_slice(edits.set);
        add.extend_from_slice(edits.add);
        Added { set, add }
    }

    fn all<'a>(&'a self, said: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let own = self.fields.iter().map(|(name, value)| -> (&'a str, &'a str) { (name, value) });
        let strict = self.strict.then_some(STRICT).into_iter().flatten();
        let missing = strict.filter(move |(name, _)| !said(name));
        own.chain(missing.map(|(name, value)| -> (&'a str, &'a str) { (name, value) }))
    }
}

/// Fields of one response: in place of others, and beside them.
#[derive(Debug, Default)]
pub(crate) struct Added<'a> {
    pub(crate) set: Vec<Field<'a>>,
    pub(crate) add: Vec<Field<'a>>,
}

/// An answer of the edge itself.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
    /// In how many seconds it is worth asking again.
    pub(crate) retry_after: Option<u32>,
}

impl Own {
    /// The answer for a reason.
    pub(crate) fn refusal(reason: Reason, request_id: &str, accept: Option<&str>) -> Self {
        let (content_type, body) = answer::body(reason, request_id, accept);
        Self {
            status: reason.status(),
            content_type: Some(content_type),
            body,
            location: None,
            retry_after: reason.retry_after(),
        }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16, location: Option<String>) -> Self {
        Self { status, content_type: None, body: String::new(), location, retry_after: None }
    }

    /// Its fields, besides those of a connection, with a name each.
    pub(crate) fn fields<'a>(&'a self, additions: &'a Additions) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let length = (self.status != 204).then(|| ("Content-Length", Cow::Owned(self.body.len().to_string())));
        let content_type = self.content_type.map(|it| ("Content-Type", Cow::Borrowed(it)));
        let location = self.location.as_deref().map(|it| ("Location", Cow::Borrowed(it)));
        let retry_after = self.retry_after.map(|seconds| ("Retry-After", Cow::Owned(seconds.to_string())));
        // An answer about one moment is not for caches.
        let cache = [("Cache-Control", Cow::Borrowed("no-store"))];
        let own = content_type.into_iter().chain(length).chain(location).chain(retry_after).chain(cache);
        own.chain(additions.all(|_| false).map(|(name, value)| (name, Cow::Borrowed(value))))
    }

    /// Writes it as HTTP/1.1.
    pub(crate) fn write(&self, additions: &Additions, to_head: bool, keep_alive: bool, out: &mut Vec<u8>) {
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(b"\r\n");
        };
        line(&["HTTP/1.1 ", &self.status.to_string(), " ", answer::status_name(self.status)]);
        self.fields(additions).for_each(|(name, value)| line(&[name, ": ", &value]));
        if !keep_alive {
            line(&["Connection: close"]);
        }
        line(&[]);
        if !to_head {
            out.extend_from_slice(self.body.as_bytes());
        }
    }
}
