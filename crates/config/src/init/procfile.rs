//! A Procfile: one line for each process, `name: command`.

use std::collections::BTreeSet;

use super::{Program, dependency, name};

/// Most processes that are taken over; a longer list is not one of processes.
const PROCESSES_MAX: usize = 20;

pub(super) fn programs(text: &str, manifests: &str) -> Vec<Program> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let processes: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, run)| (name.trim(), run.trim())).collect();
    let release = processes.iter().find(|(name, _)| *name == "release").map(|(_, run)| super::detect::started(run));
    let (database, redis) = (dependency::database(manifests), dependency::redis(manifests));
    let started = processes.iter().filter(|(name, run)| *name != "release" && !run.is_empty());
    let mut names = BTreeSet::new();
    let mut programs: Vec<Program> = started
        .filter_map(|(process, run)| {
            let name = name(process).filter(|name| names.insert(name.clone()))?;
            Some(Program {
                name,
                found: "`Procfile`: the processes it lists".to_owned(),
                run: super::detect::started(run),
                listens: *process == "web" || run.contains("$PORT"),
                release: None,
                remarks: Vec::new(),
                database,
                redis,
            })
        })
        .take(PROCESSES_MAX)
        .collect();
    if let Some(first) = programs.first_mut() {
        first.release = release;
    }
    programs
}
