//! Backups, telemetry and alerts.

use crate::defaults;
use crate::form::{Form, NameKind};
use crate::shape::edge::exactly_one;
use crate::shape::{Key, Presence, Record, Shape};

/// Copies of the data.
pub(crate) static BACKUPS: Record = Record {
    what: "the copies",
    keys: &[
        Key {
            name: "schedule",
            shape: Shape::One(Form::Cron),
            presence: Presence::Default(|| format!("\"{}\"", defaults::BACKUP_SCHEDULE)),
            doc: "When full copies are made. What the recovery objective needs between them follows from it.",
        },
        Key {
            name: "keep",
            shape: Shape::Record(&KEEP),
            presence: Presence::Absent("7 daily, 4 weekly, 6 monthly"),
            doc: "How many full copies are kept.",
        },
        Key {
            name: "to",
            shape: Shape::List { item: &Shape::Record(&DESTINATION), distinct: false },
            presence: Presence::Needed,
            doc: "Where copies go; all of them, to each.",
        },
    ],
    one_of: None,
};

static KEEP: Record = Record {
    what: "how many copies are kept",
    keys: &[
        kept("daily", "One for each of the last days."),
        kept("weekly", "One for each of the last weeks."),
        kept("monthly", "One for each of the last months."),
    ],
    one_of: None,
};

const fn kept(name: &'static str, doc: &'static str) -> Key {
    Key { name, shape: Shape::One(Form::Whole { min: 0, max: 1000 }), presence: Presence::Absent("none"), doc }
}

static DESTINATION: Record = Record {
    what: "a destination",
    keys: &[
        text("folder", "a folder", "A folder on another disk."),
        text("s3", "a bucket", "A bucket of an S3-compatible store."),
        text("gcs", "a bucket", "A bucket of Google Cloud Storage."),
        text("azure", "a container", "A container of Azure Blob Storage."),
        text("region", "a region", "The bucket's region."),
        Key {
            name: "endpoint",
            shape: Shape::One(Form::Url),
            presence: Presence::Absent("the cloud's own"),
            doc: "Where the store is reached.",
        },
        Key {
            name: "credentials",
            shape: Shape::One(Form::Name(NameKind::Secret)),
            presence: Presence::Absent("none"),
            doc: "The secret that opens it.",
        },
    ],
    one_of: exactly_one(&["folder", "s3", "gcs", "azure"]),
};

const fn text(name: &'static str, what: &'static str, doc: &'static str) -> Key {
    Key { name, shape: Shape::One(Form::Text { what }), presence: Presence::Absent("none"), doc }
}

/// Metrics, logs and traces.
pub(crate) static TELEMETRY: Record = Record {
    what: "what is measured and kept",
    keys: &[Key {
        name: "keep",
        shape: Shape::One(Form::Span { min: model::Span::secs(3600) }),
        presence: Presence::Absent("as the disk allows"),
        doc: "How long it is kept.",
    }],
    one_of: None,
};

/// A receiver of alerts.
pub(crate) static ALERT: Record = Record {
    what: "a receiver of alerts",
    keys: &[
        Key {
            name: "webhook",
            shape: Shape::One(Form::Url),
            presence: Presence::Absent("told otherwise"),
            doc: "A URL that alerts are posted to.",
        },
        Key {
            name: "email",
            shape: Shape::One(Form::Mail),
            presence: Presence::Absent("told otherwise"),
            doc: "A mail address.",
        },
        Key {
            name: "slack",
            shape: Shape::One(Form::Url),
            presence: Presence::Absent("told otherwise"),
            doc: "An incoming webhook of Slack.",
        },
    ],
    one_of: exactly_one(&["webhook", "email", "slack"]),
};
