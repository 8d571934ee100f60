//! A person of the directory, as everybody of the same tenant may see them.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::random;

/// A person's number within their tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PersonId(pub(crate) i64);

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What somebody may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Looks at everybody, edits how they themselves can be reached.
    User,
    /// Edits the work of those who report to them.
    Manager,
    /// Edits, adds and removes everybody of the tenant.
    Admin,
    /// Runs the product: an admin of every tenant, who also adds tenants. Is nobody's colleague.
    SuperAdmin,
}

impl Role {
    /// As the database has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::SuperAdmin => "super_admin",
        }
    }

    /// The role of a row. The table's constraint admits the first three.
    pub(crate) fn of_row(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            "manager" => Self::Manager,
            _ => Self::User,
        }
    }
}

/// A photo's id: 128 random bits. Every upload has another, so what an id names never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PhotoId(String);

/// A text is no photo's id.
#[derive(Debug, thiserror::Error)]
#[error("not 32 hexadecimal digits")]
pub(crate) struct InvalidPhotoId;

impl PhotoId {
    /// One that no photo has.
    pub(crate) fn new() -> Self {
        Self(random::hex::<16>())
    }

    /// The id of a row.
    pub(crate) fn of_row(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PhotoId {
    type Error = InvalidPhotoId;

    fn try_from(text: String) -> Result<Self, InvalidPhotoId> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 32 && text.bytes().all(digit) {
            true => Ok(Self(text)),
            false => Err(InvalidPhotoId),
        }
    }
}

/// Whether a photo's small copy can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thumbnail {
    /// The worker has yet to make it.
    Waiting,
    /// It is stored.
    Ready,
    /// The photo cannot be read.
    Impossible,
}

impl Thumbnail {
    /// As the database has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Impossible => "impossible",
        }
    }

    /// The state of a row.
    pub(crate) fn of_row(text: &str) -> Self {
        match text {
            "ready" => Self::Ready,
            "impossible" => Self::Impossible,
            _ => Self::Waiting,
        }
    }
}

/// A person's photo.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Photo {
    pub(crate) id: PhotoId,
    pub(crate) thumbnail: Thumbnail,
}

/// A person as the list shows them.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) id: PersonId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) title: String,
    pub(crate) department: String,
    pub(crate) location: Option<String>,
    pub(crate) photo: Option<Photo>,
}

/// Everything about a person.
#[derive(Debug, Serialize)]
pub(crate) struct Person {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) phone: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) manager: Option<PersonId>,
    pub(crate) manager_name: Option<String>,
    pub(crate) role: Role,
    pub(crate) started_on: Date,
    /// Grows with every change, so that nobody overwrites what they have not seen.
    pub(crate) version: i32,
}

/// What of a person can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Field {
    Name,
    Email,
    Title,
    Department,
    Location,
    Phone,
    About,
    Manager,
    Role,
    StartedOn,
    Photo,
}

impl Field {
    /// As requests and answers have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Title => "title",
            Self::Department => "department",
            Self::Location => "location",
            Self::Phone => "phone",
            Self::About => "about",
            Self::Manager => "manager",
            Self::Role => "role",
            Self::StartedOn => "started_on",
            Self::Photo => "photo",
        }
    }
}
