//! Services that need each other in a circle would wait for ever.

use std::collections::BTreeMap;

use crate::draft::{Draft, Located};
use crate::problem::Problems;
use crate::rule::RuleId;

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    let mut search = Search { draft, state: BTreeMap::new(), path: Vec::new() };
    for service in &draft.services {
        search.visit(&service.name.value, problems);
    }
}

/// Depth-first search over `needs`. Services are few (each takes several of the reader's bounded values),
/// but a chain may be long: the stack of names is kept by hand.
struct Search<'d> {
    draft: &'d Draft,
    state: BTreeMap<&'d model::ServiceName, State>,
    path: Vec<(&'d model::ServiceName, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Entered,
    Done,
}

impl<'d> Search<'d> {
    fn visit(&mut self, start: &'d model::ServiceName, problems: &mut Problems<'_>) {
        self.enter(start);
        while let Some((name, next)) = self.path.last_mut() {
            let name = *name;
            let needs: &'d [Located<model::ServiceName>] =
                self.draft.service(name).map(|service| service.needs.as_slice()).unwrap_or_default();
            let Some(needed) = needs.get(*next) else {
                self.state.insert(name, State::Done);
                self.path.pop();
                continue;
            };
            *next += 1;
            match self.state.get(&needed.value) {
                None => self.enter(&needed.value),
                Some(State::Entered) => self.report(needed, problems),
                Some(State::Done) => {}
            }
        }
    }

    fn enter(&mut self, name: &'d model::ServiceName) {
        if !self.state.contains_key(name) {
            self.state.insert(name, State::Entered);
            self.path.push((name, 0));
        }
    }

    fn report(&self, closing: &Located<model::ServiceName>, problems: &mut Problems<'_>) {
        let circle = self.path.iter().map(|(name, _)| *name).skip_while(|name| **name != closing.value);
        let mut names: Vec<&str> = circle.map(|name| name.as_str()).collect();
        names.push(closing.value.as_str());
        let message = match names.len() {
            2 => format!("`{}` needs itself", names[0]),
            _ => format!("these services wait for each other: {}", names.join(" -> ")),
        };
        problems.report_with(RuleId::NeedsCycle, closing.place, message, "delete one of these `needs`");
    }
}
