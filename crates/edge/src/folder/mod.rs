//! Static folders: files of a release, sent by the edge itself. Start reading at [`Serving::serve`].
//!
//! A folder answers like a service would, as a head and a body for [`Client`], so both versions of HTTP and what is done to
//! answers on their way out are the same for it. What is sent is one state of one file: an answer that began with a file
//! goes on with it when another file takes its name, and is cut when the file itself is written to.

mod condition;
mod media;
mod name;
mod reply;
mod shelf;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use http1::Asked;
use model::Timestamp;

pub(crate) use self::condition::Conditions;
use self::name::Name;
use self::reply::{File, Reply, Sent, Taking};
use self::shelf::Found;
pub(crate) use self::shelf::Shelves;
use crate::admission::{Account, Admitted};
use crate::answer::Reason;
use crate::deadline::Deadline;
use crate::exchange::Client;
use crate::patience::Patience;
use crate::policy::encoding::{self, Coding, Preference};
use crate::serve::{Forwarded, Record};
use crate::settings::Folder;

/// The methods that a folder answers, for the `Allow` field.
pub(crate) const METHODS: &str = "GET, HEAD";

/// Whether a folder answers this method.
pub(crate) fn answers(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// What a request asks of a folder.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The normal path.
    pub(crate) path: String,
    /// What stands behind the path's question mark.
    pub(crate) query: Option<String>,
    pub(crate) conditions: Conditions,
    /// Whether a page would do, so that an application may take over a path that no file has.
    pub(crate) takes_page: bool,
}

/// What a request comes to.
enum Choice {
    File(File),
    /// The name is a folder's, which is asked for with a slash.
    WithSlash,
    Nothing,
}

/// Where a request is answered from, and when.
pub(crate) struct Serving<'s> {
    pub(crate) folder: &'s Folder,
    pub(crate) shelves: &'s Shelves,
    pub(crate) deadline: &'s Deadline,
    /// Whose memory it takes.
    pub(crate) payer: &'s Rc<Admitted>,
    pub(crate) patience: Patience,
    pub(crate) asked: Asked,
    /// The codings that the client takes.
    pub(crate) codings: Preference,
    pub(crate) wall: Timestamp,
    pub(crate) steady: Duration,
}

impl Serving<'_> {
    /// Answers a request whose method is one of [`METHODS`].
    pub(crate) async fn serve<C: Client>(self, wanted: &Wanted, client: &mut C, record: &mut Record) -> Forwarded {
        let began = sys::clock::now().steady;
        let chosen = self.choose(wanted).await;
        record.waited = Some(sys::clock::now().steady.saturating_sub(began));
        let reply = match chosen {
            Ok(Choice::File(file)) => Reply::of_file(&file, &wanted.conditions, self.asked.head, self.wall),
            Ok(Choice::WithSlash) => Reply::with_slash(&wanted.path, wanted.query.as_deref(), self.wall),
            Ok(Choice::Nothing) => return Forwarded::Refuse(Reason::NoFile),
            Err(_) => return Forwarded::Refuse(Reason::FileUnreadable),
        };
        (record.status, record.reason) = (reply.status, reply.reason);
        match reply.send(self.asked, client, Taking::new(self.patience, self.deadline, Account::new(self.payer))).await
        {
            Sent::Whole => Forwarded::Through { request_read: true },
            Sent::Cut(reason) => Forwarded::Cut(reason),
            Sent::Gone => Forwarded::Gone,
        }
    }

    async fn choose(&self, wanted: &Wanted) -> io::Result<Choice> {
        let Some(name) = Name::of_path(&wanted.path) else { return Ok(Choice::Nothing) };
        match self.find(&name).await? {
            Found::File(_) => return self.file(&name).await,
            Found::Folder if matches!(self.find(&name.index()).await?, Found::File(_)) => return Ok(Choice::WithSlash),
            Found::Folder | Found::Nothing => {}
        }
        // What has an extension is a missing file, not a page of the application.
        let may_be_page = self.folder.spa && wanted.takes_page && is_page(&wanted.path);
        if may_be_page { self.file(&Name::top_index()).await } else { Ok(Choice::Nothing) }
    }

    /// The file of this name, in the coding that the client likes best of those that stand beside it.
    async fn file(&self, name: &Name) -> io::Result<Choice> {
        let media_type = media::media_type(name);
        let varies = encoding::is_worthwhile(media_type);
        let cache_control = media::cache_control(name);
        let describe =
            |stored, coding: Option<Coding>| Choice::File(File { stored, media_type, cache_control, coding, varies });
        if varies {
            for coding in self.codings.ranked(Coding::BY_SIZE) {
                if let Found::File(stored) = self.find(&name.with_ending(coding.file_ending())).await? {
                    return Ok(describe(stored, Some(coding)));
                }
            }
        }
        Ok(match self.find(name).await? {
            Found::File(stored) => describe(stored, None),
            Found::Folder | Found::Nothing => Choice::Nothing,
        })
    }

    async fn find(&self, name: &Name) -> io::Result<Found> {
        self.shelves.find(&self.folder.root, name, self.steady).await
    }
}

/// Whether the last part of a path has no extension.
fn is_page(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or_default().contains('.')
}

/// Whether `Accept` takes a page (RFC 9110, section 12.5.1; weights are not looked at but for a refusal).
pub(crate) fn takes_page(accept: Option<&str>) -> bool {
    let takes = |item: &str| {
        let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
        let html = ["text/html", "text/*", "*/*"].iter().any(|it| range.trim().eq_ignore_ascii_case(it));
        html && !matches!(parameters.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    };
    accept.is_none_or(|accept| accept.split(',').any(takes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_page() {
        for (accept, expected) in [
            (None, true),
            (Some("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), true),
            (Some("*/*"), true),
            (Some("application/json"), false),
            (Some("image/avif,image/webp"), false),
            (Some("application/json, text/html;q=0"), false),
            (Some(""), false),
        ] {
            assert_eq!(takes_page(accept), expected, "{accept:?}");
        }
    }
}
