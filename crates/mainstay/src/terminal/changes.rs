//! What changed from one look at the status to the next, a line each: the live view of `up`.

use std::collections::BTreeMap;

use super::{Terminal, Tone, printable, tone_of_state};
use crate::api::bodies::{StatusBody, UnitBody};

/// What was seen last.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    seen: BTreeMap<String, (String, Option<String>)>,
    problems: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    subject: String,
    state: String,
    more: Option<String>,
}

impl Change {
    /// The change as a line for standard error.
    pub(crate) fn paint(&self, terminal: &Terminal) -> String {
        let state = terminal.paint_note(tone_of_state(&self.state), &self.state);
        match &self.more {
            Some(more) => {
                format!("{:<14} {state} {}", self.subject, terminal.paint_note(Tone::Quiet, &printable(more)))
            }
            None => format!("{:<14} {state}", self.subject),
        }
    }
}

impl Changes {
    /// What is different from the last call.
    pub(crate) fn between(&mut self, status: &StatusBody) -> Vec<Change> {
        let units: BTreeMap<String, &UnitBody> = status.units().map(|(id, unit)| (id.to_string(), unit)).collect();
        let mut changes: Vec<Change> = units.iter().filter_map(|(name, unit)| self.look(name, unit)).collect();
        let gone: Vec<String> = self.seen.keys().filter(|name| !units.contains_key(*name)).cloned().collect();
        for name in gone {
            self.seen.remove(&name);
            // A release's hook is listed until it has succeeded.
            let hook = name.parse().is_ok_and(|unit| matches!(unit, model::UnitId::ReleaseRun(..)));
            let state = if hook { "succeeded" } else { "stopped" };
            changes.push(Change { subject: name, state: state.to_owned(), more: None });
        }
        let new_problems = status.problems.iter().filter(|problem| !self.problems.contains(problem));
        changes.extend(new_problems.map(|problem| Change {
            subject: "problem".to_owned(),
            state: problem.clone(),
            more: None,
        }));
        self.problems.clone_from(&status.problems);
        changes
    }

    fn look(&mut self, name: &str, unit: &UnitBody) -> Option<Change> {
        let now = (unit.state.clone(), unit.note.clone());
        if self.seen.get(name) == Some(&now) {
            return None;
        }
        self.seen.insert(name.to_owned(), now);
        let more = unit.note.clone().or_else(|| unit.address.clone().filter(|_| unit.state == "ready"));
        Some(Change { subject: name.to_owned(), state: unit.state.clone(), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let mut status: StatusBody =
            serde_json::from_str(include_str!("../commands/samples/status-trouble.json")).unwrap();
        let lines = |changes: Vec<Change>| -> Vec<String> {
            changes.iter().map(|change| change.paint(&Terminal::plain())).collect()
        };
        let mut changes = Changes::default();
        let first = lines(changes.between(&status));
        assert_eq!(first.len(), 5, "{first:?}");
        assert_eq!(first[0], "db             preparing");
        assert!(changes.between(&status).is_empty());
        status.resources[0].unit.state = "ready".to_owned();
        status.resources[0].unit.address = Some("127.0.0.1:5432".to_owned());
        status.services.clear();
        let second = lines(changes.between(&status));
        assert_eq!(second, ["db             ready 127.0.0.1:5432", "web.2.1        stopped", "web.2.2        stopped"]);
    }
}
