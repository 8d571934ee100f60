//! The edge and where backups go, as the file says it.

use model::edge::Cors;
use model::{ByteSize, HostPattern, Network, Port, Rate, SecretName, ServiceName, Span, UrlPath};

use super::{Located, Reader};
use crate::source::Place;
use crate::tree::{Entry, Mapping};
use crate::{defaults, form};

/// The edge as the file says it.
#[derive(Debug)]
pub(crate) struct EdgeDraft {
    /// Where `listen` stands.
    pub(crate) listen: Place,
    pub(crate) https: Option<Located<Port>>,
    pub(crate) http: Option<Located<Port>>,
    pub(crate) tls: Option<Located<Authority>>,
    pub(crate) trust: Vec<Network>,
    pub(crate) routes: Vec<RouteDraft>,
    pub(crate) strict_headers: bool,
    pub(crate) body_max: Option<ByteSize>,
}

/// Who gives certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// The stack's own, which this machine is told to trust.
    Local,
    /// One that everybody trusts.
    Public,
}

/// A route as the file says it.
#[derive(Debug)]
pub(crate) struct RouteDraft {
    pub(crate) place: Place,
    pub(crate) host: Option<HostPattern>,
    pub(crate) path: Option<UrlPath>,
    pub(crate) methods: Vec<String>,
    pub(crate) to: Option<Located<ServiceName>>,
    pub(crate) limit: Option<Rate>,
    pub(crate) timeout: Option<Span>,
    pub(crate) body_max: Option<ByteSize>,
    pub(crate) cors: Option<Located<Cors>>,
}

impl EdgeDraft {
    /// The ports that it listens on.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &Located<Port>> {
        self.https.iter().chain(&self.http)
    }
}

/// The backups as the file says them.
#[derive(Debug)]
pub(crate) struct BackupsDraft {
    pub(crate) schedule: String,
    pub(crate) destinations: usize,
    /// Secrets that open destinations.
    pub(crate) credentials: Vec<SecretName>,
}

pub(super) fn read(reader: &mut Reader<'_, '_>, edge: &Mapping, place: Place) -> EdgeDraft {
    let empty = Mapping::default();
    let listen = reader.record(edge, "listen").unwrap_or(&empty);
    let protect = reader.record(edge, "protect").unwrap_or(&empty);
    let routes = edge.get("routes").map(|entry| reader.items(entry)).unwrap_or_default();
    let routes = routes.iter().filter_map(|node| Some((node.place, node.map()?)));
    EdgeDraft {
        listen: edge.get("listen").map_or(place, |entry| entry.key_place),
        https: reader.one_by(listen, "https", form::port),
        http: reader.one_by(listen, "http", form::port),
        tls: edge.get("tls").map(authority),
        trust: values(reader.list(edge, "trust")),
        routes: routes.map(|(place, mapping)| route(reader, mapping, place)).collect(),
        strict_headers: reader.one::<String>(protect, "headers").is_some_and(|word| word.value == "strict"),
        body_max: reader.one(protect, "body").map(|read| read.value),
    }
}

fn authority(entry: &Entry) -> Located<Authority> {
    let value = if entry.value.map().is_some() { Authority::Public } else { Authority::Local };
    Located { value, place: entry.key_place }
}

fn route(reader: &mut Reader<'_, '_>, mapping: &Mapping, place: Place) -> RouteDraft {
    let limit = reader.record(mapping, "limit");
    RouteDraft {
        place,
        host: reader.one(mapping, "host").map(|read| read.value),
        path: reader.one(mapping, "path").map(|read| read.value).or_else(defaults::route_path),
        methods: values(reader.list(mapping, "methods")),
        to: reader.one(mapping, "to"),
        limit: limit.and_then(|limit| reader.one(limit, "rate")).map(|read| read.value),
        timeout: reader.one(mapping, "timeout").map(|read| read.value),
        body_max: reader.one(mapping, "body").map(|read| read.value),
        cors: mapping.get("cors").and_then(|entry| cors(reader, mapping, entry.key_place)),
    }
}

fn cors(reader: &mut Reader<'_, '_>, route: &Mapping, place: Place) -> Option<Located<Cors>> {
    let cors = reader.record(route, "cors")?;
    let value = Cors {
        origins: values(reader.list(cors, "origins")).into_iter().collect(),
        methods: values(reader.list(cors, "methods")).into_iter().collect(),
        headers: values(reader.list(cors, "headers")).into_iter().collect(),
        credentials: reader.truth(cors, "credentials").unwrap_or(defaults::CORS_CREDENTIALS),
        keep: reader.one(cors, "keep").map_or(defaults::CORS_KEEP, |read| read.value),
    };
    Some(Located { value, place })
}

fn values<T>(read: Vec<Located<T>>) -> Vec<T> {
    read.into_iter().map(|read| read.value).collect()
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
