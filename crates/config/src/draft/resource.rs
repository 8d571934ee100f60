//! One resource.

use model::stack::{BUCKETS_MAX, Eviction, Objects, Postgres, RabbitMq, Redis, Resource};
use model::{BucketName, ByteSize, Port, ResourceName};

use super::{Located, Reader};
use crate::rule::RuleId;
use crate::tree::{Entry, Mapping, Node, Value};
use crate::{defaults, form};

/// A resource as the file says it.
#[derive(Debug)]
pub(crate) struct ResourceDraft {
    pub(crate) name: Located<ResourceName>,
    /// Absent when its type is not known, which was reported.
    pub(crate) kind: Option<Resource>,
    pub(crate) port: Option<Located<Port>>,
}

pub(super) fn read(reader: &mut Reader<'_, '_>, name: Located<ResourceName>, node: &Node) -> ResourceDraft {
    let empty = Mapping::default();
    let mapping = node.map().unwrap_or(&empty);
    let port = reader.one_by(mapping, "port", form::port);
    let kind = kind(reader, mapping, port.as_ref().map(|port| port.value));
    ResourceDraft { name, kind, port }
}

fn kind(reader: &mut Reader<'_, '_>, mapping: &Mapping, port: Option<Port>) -> Option<Resource> {
    let memory = reader.one::<ByteSize>(mapping, "memory").map(|read| read.value);
    let standbys = reader.one::<u32>(mapping, "standbys").map_or(0, |read| read.value);
    Some(match mapping.get("type")?.value.scalar()?.text.as_str() {
        "postgres" => Resource::Postgres(Postgres {
            version: reader.one(mapping, "version").map(|read| read.value),
            memory: memory.unwrap_or(defaults::POSTGRES_MEMORY),
            port,
            standbys,
            pool: reader.one(mapping, "pool").map(|read| read.value),
        }),
        "redis" => Resource::Redis(Redis {
            memory: memory.unwrap_or(defaults::REDIS_MEMORY),
            evict: reader.one_by(mapping, "evict", eviction).map_or(defaults::EVICT, |read| read.value),
            port,
            standbys,
        }),
        "objects" => Resource::Objects(Objects {
            buckets: buckets(reader, mapping),
            versions: reader.truth(mapping, "versions").unwrap_or(defaults::VERSIONS),
        }),
        "rabbitmq" => Resource::RabbitMq(RabbitMq { memory: memory.unwrap_or(defaults::RABBITMQ_MEMORY), port }),
        _ => return None,
    })
}

/// At least one, and not more than a store serves.
fn buckets(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> Vec<BucketName> {
    if let Some(Entry { key_place, value: Node { value: Value::List(named), .. }, .. }) = mapping.get("buckets") {
        let hint = "name at least one, and keep objects apart by the beginning of their keys, such as `thumbnails/`";
        if !(1..=BUCKETS_MAX).contains(&named.len()) {
            let message = format!("an object store has 1 to {BUCKETS_MAX} buckets, and {} are named here", named.len());
            reader.problems.report_with(RuleId::InvalidValue, *key_place, message, hint);
        }
    }
    reader.list::<BucketName>(mapping, "buckets").into_iter().map(|read| read.value).collect()
}

fn eviction(text: &str) -> Option<Eviction> {
    Eviction::ALL.into_iter().find(|policy| policy.as_str() == text)
}
