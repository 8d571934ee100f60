//! What a resource's folder held, kept beside its data: `resource.json`.
//!
//! Format 1: `{"format":1,"kind":"postgres"|"redis","since":TIME}`, written once data is there. A folder that
//! has the record and not the data was emptied, and no empty server is started in its place.

use std::path::PathBuf;

use model::Timestamp;

use crate::place::{Access, Place, PlaceError};

const FORMAT: u32 = 1;

/// The file's name within a resource's folder.
pub(crate) const FILE_NAME: &str = "resource.json";

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub(crate) kind: Kind,
    /// When data was first there.
    pub(crate) since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Postgres,
    Redis,
}

/// What a folder's record forbids.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record could not be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The record is not one.
    #[error("{} is damaged: compare it with a backup, or remove it if the data beside it is in order", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
    },
    /// It was written by a newer program.
    #[error("{} has format {found}, and this program knows format {FORMAT}: use a newer one", path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The folder holds data of another kind.
    #[error(
        "{} holds data of another kind of resource: give this resource another name, or move that folder away",
        folder.display()
    )]
    OtherKind {
        /// The resource's folder.
        folder: PathBuf,
    },
    /// Data that was there is gone.
    #[error(
        "{} held data since {since}, and {missing}: put it back from a backup. If it may be lost, remove {} and \
         start again; the resource then starts empty",
        folder.display(), record.display()
    )]
    DataGone {
        /// The resource's folder.
        folder: PathBuf,
        /// Since when there was data.
        since: Timestamp,
        /// What is missing there.
        missing: String,
        /// The record whose removal accepts the loss.
        record: PathBuf,
    },
}

/// The record of a place; `None` when nothing was ever there.
pub(crate) fn read(place: &Place, kind: Kind) -> Result<Option<Record>, RecordError> {
    let path = place.folder.join(FILE_NAME);
    let Some(bytes) = sys::files::read(&path).map_err(PlaceError::File)? else { return Ok(None) };
    #[derive(serde::Deserialize)]
    struct Envelope {
        format: u32,
    }
    match serde_json::from_slice::<Envelope>(&bytes) {
        Ok(Envelope { format: FORMAT }) => {}
        Ok(Envelope { format }) => return Err(RecordError::Newer { path, found: format }),
        Err(_) => return Err(RecordError::Damaged { path }),
    }
    match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if record.kind == kind => Ok(Some(record)),
        Ok(_) => Err(RecordError::OtherKind { folder: place.folder.clone() }),
        Err(_) => Err(RecordError::Damaged { path }),
    }
}

/// Notes that data is there. Does nothing when that is noted already.
pub(crate) fn note(place: &Place, kind: Kind, now: Timestamp) -> Result<(), RecordError> {
    if read(place, kind)?.is_some() {
        return Ok(());
    }
    let record = Record { format: FORMAT, kind, since: now };
    let bytes = serde_json::to_vec(&record).map_err(|_| RecordError::Damaged { path: place.folder.join(FILE_NAME) })?;
    Ok(place.write(&place.folder.join(FILE_NAME), &bytes, Access::Node)?)
}

/// The refusal to start empty.
pub(crate) fn gone(place: &Place, record: &Record, missing: String) -> RecordError {
    RecordError::DataGone {
        folder: place.folder.clone(),
        since: record.since,
        missing,
        record: place.folder.join(FILE_NAME),
    }
}
