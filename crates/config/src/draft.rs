//! The file as it is written: what an environment says, each value typed and with its place, nothing
//! filled in and nothing looked up yet.
//!
//! Start reading at [`read`]. The structure was checked before (`conform`); a value that still cannot be
//! read is reported here, so that nothing of the file is ever passed over in silence.

mod edge;
mod objective;
mod resource;
mod service;

use std::str::FromStr;

use model::{CpuShare, EnvironmentName, ResourceName, SecretName, ServiceName, StackName, TimeZoneName, stack};

use crate::problem::Problems;
use crate::rule::RuleId;
use crate::source::Place;
use crate::tree::{Entry, Mapping, Node};

pub(crate) use edge::{Authority, BackupsDraft, EdgeDraft, RouteDraft};
pub(crate) use resource::ResourceDraft;
pub(crate) use service::{PortDraft, ServiceDraft};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// One environment as the file says it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) environment: EnvironmentName,
    pub(crate) stack: Option<Located<StackName>>,
    pub(crate) timezone: Option<Located<TimeZoneName>>,
    pub(crate) advisory: bool,
    pub(crate) server: Option<stack::Capacity>,
    pub(crate) objectives: stack::Objectives,
    pub(crate) services: Vec<ServiceDraft>,
    pub(crate) resources: Vec<ResourceDraft>,
    pub(crate) secrets: Vec<SecretDraft>,
    pub(crate) edge: Option<EdgeDraft>,
    pub(crate) backups: Option<BackupsDraft>,
}

/// A declared secret.
#[derive(Debug)]
pub(crate) struct SecretDraft {
    pub(crate) name: Located<SecretName>,
    pub(crate) source: Option<stack::SecretSource>,
}

impl Draft {
    pub(crate) fn service(&self, name: &ServiceName) -> Option<&ServiceDraft> {
        self.services.iter().find(|service| service.name.value == *name)
    }

    pub(crate) fn routes(&self) -> &[RouteDraft] {
        self.edge.as_ref().map(|edge| edge.routes.as_slice()).unwrap_or_default()
    }

    pub(crate) fn resource(&self, name: &ResourceName) -> Option<&ResourceDraft> {
        self.resources.iter().find(|resource| resource.name.value == *name)
    }
}

/// Reads an environment's tree.
pub(crate) fn read(root: &Mapping, environment: EnvironmentName, problems: &mut Problems<'_>) -> Draft {
    let mut reader = Reader { problems };
    Draft {
        environment,
        stack: reader.one(root, "stack"),
        timezone: reader.one(root, "timezone"),
        advisory: reader.truth(root, "advisory").unwrap_or(false),
        server: reader.record(root, "server").and_then(|server| capacity(&mut reader, server)),
        objectives: reader.record(root, "objectives").map(|r| objective::read(&mut reader, r)).unwrap_or_default(),
        services: reader.named(root, "services", service::read),
        resources: reader.named(root, "resources", resource::read),
        secrets: reader.named(root, "secrets", secret),
        edge: root.get("edge").and_then(|entry| {
            let edge = reader.record(root, "edge")?;
            Some(edge::read(&mut reader, edge, entry.key_place))
        }),
        backups: reader.record(root, "backups").map(|backups| edge::read_backups(&mut reader, backups)),
    }
}

fn capacity(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> Option<stack::Capacity> {
    let cpu = reader.one::<CpuShare>(mapping, "cpu");
    let memory = reader.one(mapping, "memory");
    Some(stack::Capacity { cpu: cpu?.value, memory: memory?.value })
}

fn secret(reader: &mut Reader<'_, '_>, name: Located<SecretName>, node: &Node) -> SecretDraft {
    let source = match node.map() {
        None => Some(stack::SecretSource::Set),
        Some(mapping) => generated(reader, mapping),
    };
    SecretDraft { name, source }
}

fn generated(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> Option<stack::SecretSource> {
    let size = reader.one::<model::ByteSize>(mapping, "generate")?;
    let bounds = crate::defaults::SECRET_BYTES;
    match u32::try_from(size.value.as_bytes()) {
        Ok(bytes) if bounds.contains(&u64::from(bytes)) => Some(stack::SecretSource::Generate { bytes }),
        _ => {
            if reader.problems.any_within(size.place) {
                return None;
            }
            let message = format!("a secret is generated from {}B to {}B", bounds.start(), bounds.end());
            reader.problems.report_with(RuleId::InvalidValue, size.place, message, "32B is enough for any key");
            None
        }
    }
}

/// Reads typed values out of mappings.
pub(crate) struct Reader<'p, 's> {
    problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_> {
    /// A value that does not read although its form was checked is a mistake of ours, and is refused all
    /// the same.
    fn read<T>(&mut self, place: Place, value: Option<T>) -> Option<Located<T>> {
        match value {
            Some(value) => Some(Located { value, place }),
            None => {
                if !self.problems.any_within(place) {
                    self.problems.report(RuleId::InvalidValue, place, "this value cannot be read");
                }
                None
            }
        }
    }

    fn text<T>(&mut self, entry: &Entry, parse: impl FnOnce(&str) -> Option<T>) -> Option<Located<T>> {
        let value = entry.value.scalar().and_then(|scalar| parse(&scalar.text));
        let place = if entry.value.place.to > entry.value.place.from { entry.value.place } else { entry.key_place };
        self.read(place, value)
    }

    /// A single value of a type that reads itself.
    fn one<T: FromStr>(&mut self, mapping: &Mapping, key: &str) -> Option<Located<T>> {
        self.one_by(mapping, key, |text| text.parse().ok())
    }

    fn one_by<T>(&mut self, mapping: &Mapping, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Located<T>> {
        let entry = mapping.get(key)?;
        self.text(entry, parse)
    }

    fn truth(&mut self, mapping: &Mapping, key: &str) -> Option<bool> {
        self.one::<bool>(mapping, key).map(|read| read.value)
    }

    fn list<T: FromStr>(&mut self, mapping: &Mapping, key: &str) -> Vec<Located<T>> {
        let Some(entry) = mapping.get(key) else {
            return Vec::new();
        };
        self.items(entry)
            .iter()
            .filter_map(|item| {
                let value = item.scalar().and_then(|scalar| scalar.text.parse().ok());
                self.read(item.place, value)
            })
            .collect()
    }

    fn items<'n>(&mut self, entry: &'n Entry) -> &'n [Node] {
        match &entry.value.value {
            crate::tree::Value::List(items) => items,
            _ => {
                self.read::<()>(entry.key_place.until(entry.value.place), None);
                &[]
            }
        }
    }

    fn record<'n>(&mut self, mapping: &'n Mapping, key: &str) -> Option<&'n Mapping> {
        let entry = mapping.get(key)?;
        let below = entry.value.map();
        if below.is_none() {
            self.read::<()>(entry.key_place.until(entry.value.place), None);
        }
        below
    }

    /// What stands under names of the user's.
    fn named<N: FromStr, T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        read: impl Fn(&mut Self, Located<N>, &Node) -> T,
    ) -> Vec<T> {
        let Some(below) = self.record(mapping, key) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(below.entries.len());
        for entry in &below.entries {
            if let Some(name) = self.read(entry.key_place, entry.key.parse().ok()) {
                all.push(read(self, name, &entry.value));
            }
        }
        all
    }
}
