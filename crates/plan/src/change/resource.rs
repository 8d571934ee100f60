//! What a plan says of a resource. Start reading at [`ResourceNote`].

use std::fmt;
use std::path::PathBuf;

use model::BucketName;
use model::stack::Resource;

use super::note::Note;
use crate::text::listed;

/// What a resource is, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceNote {
    /// What it is.
    Kind {
        /// PostgreSQL, Redis…
        name: &'static str,
        /// Its major version, when one is known.
        version: Option<u32>,
    },
    /// What memory it gets.
    SizedTo(String),
    /// A setting changes.
    Setting {
        /// Its name in the file.
        key: &'static str,
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
    /// By this name the file has a resource of another kind.
    OtherKind,
    /// It restarts, so what uses it waits a moment.
    Restarts,
    /// It takes the change over while it runs.
    GoesOn,
    /// Objects of these buckets stay, and nobody can reach them.
    BucketsClosed(Vec<BucketName>),
    /// It finds the data that it left.
    TakesDataBack {
        /// Where.
        folder: PathBuf,
    },
    /// It is no longer wanted and its data stays.
    DataStays {
        /// Where.
        folder: PathBuf,
        /// Whether it runs until then.
        stops: bool,
    },
}

/// What a resource is and how it is sized.
pub(super) fn describe(resource: &Resource, version: Option<u32>) -> Vec<Note> {
    let (name, version, sized) = match resource {
        Resource::Postgres(it) => ("PostgreSQL", version.or(it.version), format!("tuned for {} of memory", it.memory)),
        Resource::Redis(it) => ("Redis", version, format!("at most {} of data, then {}", it.memory, full(it.evict))),
        Resource::RabbitMq(it) => ("RabbitMQ", version, format!("tuned for {} of memory", it.memory)),
        Resource::Objects(it) => {
            let versions = if it.versions { ", earlier versions of objects are kept" } else { "" };
            let count = if it.buckets.len() == 1 { "bucket" } else { "buckets" };
            ("object store", version, format!("{count} {}{versions}", listed(&it.buckets)))
        }
    };
    noted([ResourceNote::Kind { name, version }, ResourceNote::SizedTo(sized)])
}

fn full(eviction: model::stack::Eviction) -> String {
    match eviction.evicts() {
        true => format!("keys are evicted ({})", eviction.as_str()),
        false => "writes fail (noeviction)".to_owned(),
    }
}

/// The settings in which two resources of one kind differ.
pub(super) fn of_change(old: &Resource, new: &Resource) -> Vec<Note> {
    let settings = |resource: &Resource| -> Vec<(&'static str, String)> {
        let port = resource.port().map_or("chosen by the node".to_owned(), |port| port.to_string());
        match resource {
            // A version is left out: a change of it is refused, and naming the one that runs is none.
            Resource::Postgres(it) => {
                vec![("memory", it.memory.to_string()), ("port", port), ("standbys", it.standbys.to_string())]
            }
            Resource::Redis(it) => vec![
                ("memory", it.memory.to_string()),
                ("evict", it.evict.as_str().to_owned()),
                ("port", port),
                ("standbys", it.standbys.to_string()),
            ],
            Resource::RabbitMq(it) => vec![("memory", it.memory.to_string()), ("port", port)],
            Resource::Objects(it) => {
                vec![("buckets", listed(&it.buckets)), ("versions", it.versions.to_string())]
            }
        }
    };
    let pairs = settings(old).into_iter().zip(settings(new));
    let differing = pairs.filter(|((_, from), (_, to))| from != to);
    noted(differing.map(|((key, from), (_, to))| ResourceNote::Setting { key, from, to }))
}

/// What a change of its settings means for a resource that runs, and for what it holds.
pub(super) fn of_effect(old: &Resource, new: &Resource) -> Vec<Note> {
    let (Resource::Objects(old), Resource::Objects(new)) = (old, new) else {
        return noted([ResourceNote::Restarts]);
    };
    let closed: Vec<BucketName> = old.buckets.iter().filter(|it| !new.buckets.contains(it)).cloned().collect();
    let closed = (!closed.is_empty()).then_some(ResourceNote::BucketsClosed(closed));
    noted([ResourceNote::GoesOn].into_iter().chain(closed))
}

fn noted(notes: impl IntoIterator<Item = ResourceNote>) -> Vec<Note> {
    notes.into_iter().map(Note::Resource).collect()
}

impl fmt::Display for ResourceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceNote::Kind { name, version: Some(version) } => write!(f, "{name} {version}"),
            ResourceNote::Kind { name, version: None } => f.write_str(name),
            ResourceNote::SizedTo(size) => f.write_str(size),
            ResourceNote::Setting { key, from, to } => write!(f, "{key} {from} → {to}"),
            ResourceNote::OtherKind => f.write_str("a resource of another kind has this name, see below"),
            ResourceNote::Restarts => f.write_str("it restarts: what uses it reconnects"),
            ResourceNote::GoesOn => f.write_str("it goes on meanwhile"),
            ResourceNote::BucketsClosed(buckets) => {
                write!(f, "objects in {} stay, out of reach until the file names it again", listed(buckets))
            }
            ResourceNote::TakesDataBack { folder } => write!(f, "with the data that is still in {}", folder.display()),
            ResourceNote::DataStays { folder, stops: true } => {
                write!(f, "it stops; its data stays in {}", folder.display())
            }
            ResourceNote::DataStays { folder, stops: false } => write!(f, "its data stays in {}", folder.display()),
        }
    }
}
