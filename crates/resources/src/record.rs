//! What a resource's folder held, kept in it as `resource.json` and beside it as `NAME.json`.
//!
//! Format 1: `{"format":1,"kind":"postgres"|"redis"|"objects","since":TIME}`, written once data is there. Where a record is
//! and the data is not, the folder was emptied, and no empty server is started in its place. The one in the folder
//! moves with the data; the one beside it stays when the whole folder is gone.
//!
//! Start reading at [`read`] and [`note`].

use std::path::{Path, PathBuf};

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
    Objects,
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
        folder.display(), joined(records)
    )]
    DataGone {
        /// The resource's folder.
        folder: PathBuf,
        /// Since when there was data.
        since: Timestamp,
        /// What is missing there.
        missing: String,
        /// The records whose removal accepts the loss.
        records: Vec<PathBuf>,
    },
}

fn joined(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// The record of a place; `None` when nothing was ever there.
pub(crate) fn read(place: &Place, kind: Kind) -> Result<Option<Record>, RecordError> {
    match read_file(&place.folder.join(FILE_NAME))? {
        Some(record) if record.kind != kind => Err(RecordError::OtherKind { folder: place.folder.clone() }),
        Some(record) => Ok(Some(record)),
        // A folder of another kind that was moved away on purpose leaves its record beside itself.
        None => Ok(read_file(&place.record_beside())?.filter(|record| record.kind == kind)),
    }
}

fn read_file(path: &Path) -> Result<Option<Record>, RecordError> {
    let path = path.to_owned();
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
    serde_json::from_slice::<Record>(&bytes).map(Some).map_err(|_| RecordError::Damaged { path })
}

/// Notes that data is there, in the folder and beside it. Does nothing where that is noted already.
pub(crate) fn note(place: &Place, kind: Kind, now: Timestamp) -> Result<(), RecordError> {
    let since = read(place, kind)?.map_or(now, |record| record.since);
    let record = Record { format: FORMAT, kind, since };
    for path in [place.folder.join(FILE_NAME), place.record_beside()] {
        if read_file(&path)?.is_some_and(|noted| noted.kind == kind) {
            continue;
        }
        let bytes = serde_json::to_vec(&record).map_err(|_| RecordError::Damaged { path: path.clone() })?;
        place.write(&path, &bytes, Access::Node)?;
    }
    Ok(())
}

/// The refusal to start empty.
pub(crate) fn gone(place: &Place, record: &Record, missing: String) -> RecordError {
    let mut records = vec![place.folder.join(FILE_NAME), place.record_beside()];
    records.retain(|path| path.exists());
    RecordError::DataGone { folder: place.folder.clone(), since: record.since, missing, records }
}
