//! One service.

use std::path::{Path, PathBuf};

use model::VolumeName;
use model::stack::{Check, CommandLine, Limits, Replicas, Rollout, Schedule, Source};
use model::{ByteSize, CpuShare, Percent, Port, ResourceName, SecretName, ServiceName, Span, UrlPath, VariableName};

use super::{Located, Reader};
use crate::source::Place;
use crate::tree::{Entry, Mapping, Node};
use crate::{command, defaults, form};

/// A service as the file says it.
#[derive(Debug)]
pub(crate) struct ServiceDraft {
    pub(crate) name: Located<ServiceName>,
    /// Every key that stands under it.
    pub(crate) keys: Vec<Located<String>>,
    pub(crate) source: Option<Located<Source>>,
    pub(crate) spa: Option<Place>,
    pub(crate) port: Option<Located<PortDraft>>,
    pub(crate) uses: Vec<Located<ResourceName>>,
    pub(crate) needs: Vec<Located<ServiceName>>,
    pub(crate) secrets: Vec<Located<SecretName>>,
    pub(crate) env: Vec<(Located<VariableName>, String)>,
    pub(crate) user: Option<String>,
    pub(crate) volumes: Vec<(Located<VolumeName>, Located<VariableName>)>,
    pub(crate) replicas: Option<Located<Replicas>>,
    pub(crate) ready: Option<Located<Check>>,
    pub(crate) live: Option<Located<Check>>,
    pub(crate) drain: Option<Span>,
    pub(crate) limits: Limits,
    pub(crate) release_run: Option<CommandLine>,
    pub(crate) rollout: Option<Located<RolloutDraft>>,
    pub(crate) schedule: Option<Located<Schedule>>,
}

/// The port as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortDraft {
    Auto,
    Fixed(Port),
}

/// The rollout as the file says it.
#[derive(Debug)]
pub(crate) struct RolloutDraft {
    /// What of it is carried out; what is not was refused already.
    pub(crate) rollout: Rollout,
    /// The steps of a canary.
    pub(crate) steps: Vec<Located<Percent>>,
    /// The step a person approves.
    pub(crate) approve: Option<Located<Percent>>,
}

impl ServiceDraft {
    /// The folder that carries it, and where its path stands.
    pub(crate) fn folder(&self) -> Option<(&Path, Place)> {
        match &self.source {
            Some(Located { value: Source::Static { folder, .. }, place }) => Some((folder, *place)),
            _ => None,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_, '_>, name: Located<ServiceName>, node: &Node) -> ServiceDraft {
    let empty = Mapping::default();
    let service = node.map().unwrap_or(&empty);
    let health = reader.record(service, "health").unwrap_or(&empty);
    let release = reader.record(service, "release").unwrap_or(&empty);
    ServiceDraft {
        name,
        keys: keys(service),
        source: source(reader, service),
        spa: service.get("spa").map(|entry| entry.key_place),
        port: reader.one_by(service, "port", port),
        uses: reader.list(service, "uses"),
        needs: reader.list(service, "needs"),
        secrets: reader.list(service, "secrets"),
        env: reader.named(service, "env", variable),
        user: reader.one::<String>(service, "user").map(|read| read.value),
        volumes: reader.named(service, "volumes", volume).into_iter().flatten().collect(),
        replicas: service.get("replicas").and_then(|entry| replicas(reader, service, entry)),
        ready: health.get("ready").and_then(|entry| check(reader, health, entry)),
        live: health.get("live").and_then(|entry| check(reader, health, entry)),
        drain: reader.one(health, "drain").map(|read| read.value),
        limits: limits(reader, service),
        release_run: reader.one_by(release, "run", |text| command::split(text).ok()).map(|read| read.value),
        rollout: service.get("rollout").and_then(|entry| rollout(reader, service, entry)),
        schedule: service.get("schedule").and_then(|entry| schedule(reader, service, entry)),
    }
}

fn keys(service: &Mapping) -> Vec<Located<String>> {
    let key = |entry: &Entry| Located { value: entry.key.clone(), place: entry.key_place };
    service.entries.iter().map(key).collect()
}

fn source(reader: &mut Reader<'_, '_>, service: &Mapping) -> Option<Located<Source>> {
    let spa = reader.truth(service, "spa").unwrap_or(defaults::SPA);
    let run = reader.one_by(service, "run", |text| command::split(text).ok().map(Source::Run));
    let image = reader.one_by(service, "image", |text| Some(Source::Image(text.to_owned())));
    let build = reader.one_by(service, "build", |text| Some(Source::Build(PathBuf::from(text))));
    let folder = reader.one_by(service, "static", |text| Some(Source::Static { folder: PathBuf::from(text), spa }));
    run.or(image).or(build).or(folder)
}

fn port(text: &str) -> Option<PortDraft> {
    match text {
        "auto" => Some(PortDraft::Auto),
        _ => form::port(text).map(PortDraft::Fixed),
    }
}

fn variable(_: &mut Reader<'_, '_>, name: Located<VariableName>, node: &Node) -> (Located<VariableName>, String) {
    let value = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
    (name, value)
}

fn volume(
    reader: &mut Reader<'_, '_>,
    name: Located<VolumeName>,
    node: &Node,
) -> Option<(Located<VolumeName>, Located<VariableName>)> {
    let variable = reader.read(node.place, node.scalar().and_then(|scalar| scalar.text.parse().ok()))?;
    Some((name, variable))
}

fn replicas(reader: &mut Reader<'_, '_>, service: &Mapping, entry: &Entry) -> Option<Located<Replicas>> {
    let Some(scaled) = entry.value.map() else {
        return reader.one_by(service, "replicas", |text| text.parse().ok().map(Replicas::Fixed));
    };
    let min = reader.one::<u32>(scaled, "min");
    let max = reader.one::<u32>(scaled, "max");
    let on = reader.record(scaled, "scale_on");
    let cpu = on.and_then(|on| reader.one::<Percent>(on, "cpu")).map_or(defaults::SCALE_CPU, |read| read.value);
    Some(Located { value: Replicas::Scaled { min: min?.value, max: max?.value, cpu }, place: entry.key_place })
}

fn check(reader: &mut Reader<'_, '_>, health: &Mapping, entry: &Entry) -> Option<Located<Check>> {
    let Some(probe) = entry.value.map() else {
        return reader.one_by(health, &entry.key, |text| text.parse::<UrlPath>().ok().map(Check::Http));
    };
    let tcp = reader.one_by(probe, "tcp", |text| (text == "true").then_some(Check::Tcp));
    let command = reader.one_by(probe, "command", |text| command::split(text).ok().map(Check::Command));
    let value = tcp.or(command)?.value;
    Some(Located { value, place: entry.key_place })
}

fn limits(reader: &mut Reader<'_, '_>, service: &Mapping) -> Limits {
    let Some(limits) = reader.record(service, "limits") else {
        return Limits::default();
    };
    Limits {
        cpu: reader.one::<CpuShare>(limits, "cpu").map(|read| read.value),
        memory: reader.one::<ByteSize>(limits, "memory").map(|read| read.value),
        tasks: reader.one(limits, "tasks").map(|read| read.value),
    }
}

fn rollout(reader: &mut Reader<'_, '_>, service: &Mapping, entry: &Entry) -> Option<Located<RolloutDraft>> {
    let mapping = reader.record(service, "rollout")?;
    let rollout = match mapping.get("strategy")?.value.scalar()?.text.as_str() {
        "recreate" => Rollout::Recreate,
        _ => Rollout::Rolling,
    };
    let value = RolloutDraft { rollout, steps: reader.list(mapping, "steps"), approve: reader.one(mapping, "approve") };
    Some(Located { value, place: entry.key_place })
}

fn schedule(reader: &mut Reader<'_, '_>, service: &Mapping, entry: &Entry) -> Option<Located<Schedule>> {
    let (cron, overlap) = match entry.value.map() {
        None => (reader.one::<String>(service, "schedule")?.value, defaults::OVERLAP),
        Some(mapping) => {
            let overlap = reader.truth(mapping, "overlap").unwrap_or(defaults::OVERLAP);
            (reader.one::<String>(mapping, "cron")?.value, overlap)
        }
    };
    Some(Located { value: Schedule { cron, overlap }, place: entry.key_place })
}
