//! Keys of Compose files, and what says the same here.
//!
//! Start reading at [`hint`]. Nothing is accepted because of it: it only turns a refusal into advice.

use crate::shape::Record;
use crate::shape::file::FILE;
use crate::shape::service::SERVICE;

/// What to write in place of a key that a mapping does not have, if it is a known one from elsewhere.
pub(crate) fn hint(record: &'static Record, key: &str) -> Option<&'static str> {
    let known = match record {
        record if std::ptr::eq(record, &raw const SERVICE) => OF_SERVICE,
        record if std::ptr::eq(record, &raw const FILE) => OF_FILE,
        _ => return None,
    };
    let of_health = std::ptr::eq(record, &raw const SERVICE) && key.starts_with("health");
    let hint = known.iter().find(|(name, _)| *name == key).map(|(_, hint)| *hint);
    hint.or(of_health.then_some("write `health`: health: { ready: /path }"))
}

const OF_SERVICE: &[(&str, &str)] = &[
    ("depends_on", "write `uses` for resources and `needs` for services: uses: [db], needs: [api]"),
    ("links", "write `uses` for resources and `needs` for services: uses: [db], needs: [api]"),
    ("environment", "write `env`, a mapping: env: { NAME: value }"),
    ("env_file", "write plain values under `env`; `mainstay secret import FILE.env` takes secrets in"),
    ("command", "write `run`: the program and its arguments"),
    ("entrypoint", "write `run`: the program and its arguments"),
    ("working_dir", "a command starts in the file's folder: run: sh -c 'cd FOLDER && exec COMMAND'"),
    ("restart", "delete it: a service that ends is started again"),
    ("ports", "write `port: auto`, or the one port that it listens on: port: 8080"),
    ("expose", "write `port: auto`, or the one port that it listens on: port: 8080"),
    ("deploy", "write `replicas`, and `limits` for memory and processor"),
    ("scale", "write `replicas`"),
    ("mem_limit", "write `limits`: limits: { memory: 512MiB }"),
    ("cpus", "write `limits`: limits: { cpu: 0.5 }"),
    ("stop_grace_period", "write `health`: health: { drain: 10s }"),
    ("container_name", "delete it: a service is called by its key"),
    ("networks", "delete it: services of one file reach each other on this machine"),
];

const OF_FILE: &[(&str, &str)] = &[
    ("name", "write `stack`"),
    ("networks", "delete it: services of one file reach each other on this machine"),
    ("version", "delete it"),
    ("volumes", "a volume belongs to a service: services.NAME.volumes"),
];
