//! A Procfile: one line for each process, `name: command`.

use super::{Program, dependency, name};

pub(super) fn programs(text: &str, manifests: &str) -> Vec<Program> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let processes: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, run)| (name.trim(), run.trim())).collect();
    let release = processes.iter().find(|(name, _)| *name == "release").map(|(_, run)| super::detect::started(run));
    let started = processes.iter().filter(|(name, run)| *name != "release" && !run.is_empty());
    let mut programs: Vec<Program> = started
        .filter_map(|(process, run)| {
            Some(Program {
                name: name(process)?,
                found: "`Procfile`: the processes it lists".to_owned(),
                run: super::detect::started(run),
                listens: *process == "web" || run.contains("$PORT"),
                release: None,
                remarks: Vec::new(),
                database: dependency::database(manifests),
                redis: dependency::redis(manifests),
            })
        })
        .collect();
    if let Some(first) = programs.first_mut() {
        first.release = release;
    }
    programs
}
