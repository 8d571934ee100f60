//! Reading the journal, for the API and for `mainstay events` and `explain` where no node runs.

use std::io;
use std::path::Path;
use std::time::Duration;

use model::{Entry, EntryId};
use sys::journal::{JournalError, entry, page};

use super::bodies::EventBody;
use super::sentence::sentence;

/// Entries read at once.
const PAGE_ENTRIES: usize = 256;
/// From one look for new entries to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is asked for, as it comes over the wire.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
pub(crate) struct EventsQuery {
    /// Only entries after this one.
    #[serde(default)]
    pub(crate) after: u64,
    /// Whether to go on with what comes.
    #[serde(default)]
    pub(crate) follow: bool,
}

/// Gives the entries of a journal to `each`, oldest first; with `follow` it goes on until `newest` says
/// that nobody listens any more. Blocks.
///
/// `newest` tells the number of the newest entry, as far as that is known without reading.
pub(crate) fn read(
    folder: &Path,
    query: EventsQuery,
    each: &mut dyn FnMut(EventBody) -> io::Result<()>,
    newest: &dyn Fn() -> Option<EntryId>,
) -> Result<(), ReadError> {
    let mut after = EntryId(query.after);
    loop {
        // Asked before reading, so that what was journaled before the end is read.
        let last = !query.follow || newest().is_none();
        let entries = page(folder, after, PAGE_ENTRIES)?;
        let whole = entries.len() == PAGE_ENTRIES;
        for entry in entries {
            after = entry.id;
            each(entry.into())?;
        }
        if whole {
            continue;
        }
        if last {
            return Ok(());
        }
        while newest().is_some_and(|newest| newest <= after) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What was read could not be passed on.
    #[error("cannot pass the journal on")]
    Passing(#[from] io::Error),
}

/// One entry, if there is one of this number.
pub(crate) fn find(folder: &Path, id: EntryId) -> Result<Option<EventBody>, JournalError> {
    Ok(entry(folder, id)?.map(EventBody::from))
}

impl From<Entry> for EventBody {
    fn from(entry: Entry) -> Self {
        let text = sentence(&entry);
        Self { entry, text }
    }
}
