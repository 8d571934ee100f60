//! The edge's routes and listeners, and where backups go: as much of them as other checks and the
//! objectives look at.

use model::{Port, Rate, SecretName, ServiceName, Span, UrlPath};

use super::{Located, Reader};
use crate::tree::Mapping;
use crate::{defaults, form};

/// The edge as the file says it.
#[derive(Debug, Default)]
pub(crate) struct EdgeDraft {
    pub(crate) listen: Vec<Located<Port>>,
    pub(crate) routes: Vec<RouteDraft>,
}

/// A route as the file says it.
#[derive(Debug)]
pub(crate) struct RouteDraft {
    pub(crate) host: Option<String>,
    pub(crate) path: Option<UrlPath>,
    pub(crate) to: Option<Located<ServiceName>>,
    pub(crate) limit: Option<Rate>,
    pub(crate) timeout: Option<Span>,
}

/// The backups as the file says them.
#[derive(Debug)]
pub(crate) struct BackupsDraft {
    pub(crate) schedule: String,
    pub(crate) destinations: usize,
    /// Secrets that open destinations.
    pub(crate) credentials: Vec<SecretName>,
}

pub(super) fn read(reader: &mut Reader<'_, '_>, edge: &Mapping) -> EdgeDraft {
    let listen = reader.record(edge, "listen");
    let listen = ["https", "http"].into_iter().filter_map(|key| reader.one_by(listen?, key, form::port)).collect();
    let routes = edge.get("routes").map(|entry| reader.items(entry)).unwrap_or_default();
    let routes = routes.iter().filter_map(|node| node.map()).map(|mapping| route(reader, mapping)).collect();
    EdgeDraft { listen, routes }
}

fn route(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> RouteDraft {
    let limit = reader.record(mapping, "limit");
    RouteDraft {
        host: reader.one::<String>(mapping, "host").map(|read| read.value),
        path: reader.one(mapping, "path").map(|read| read.value).or_else(defaults::route_path),
        to: reader.one(mapping, "to"),
        limit: limit.and_then(|limit| reader.one(limit, "rate")).map(|read| read.value),
        timeout: reader.one(mapping, "timeout").map(|read| read.value),
    }
}

pub(super) fn read_backups(reader: &mut Reader<'_, '_>, backups: &Mapping) -> BackupsDraft {
    let schedule = reader.one::<String>(backups, "schedule").map(|read| read.value);
    let destinations = backups.get("to").map(|entry| reader.items(entry)).unwrap_or_default();
    let credentials =
        destinations.iter().filter_map(|node| reader.one(node.map()?, "credentials")).map(|read| read.value);
    BackupsDraft {
        schedule: schedule.unwrap_or_else(|| defaults::BACKUP_SCHEDULE.to_owned()),
        destinations: destinations.len(),
        credentials: credentials.collect(),
    }
}
