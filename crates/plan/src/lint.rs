//! An independent look at a finished plan: what must be true of every plan, whatever made it.
//!
//! Start reading at [`lint`]. It shares no code with `change::decide`; tests run it on every plan they
//! make, and the node runs it before a plan is carried out.

use std::collections::BTreeSet;

use model::{ResourceName, ServiceName, Stack};

use crate::change::{Action, ChangePlan, Condition, Running, Step, Subject};

/// What is wrong with a plan. Any of these is a mistake in this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Something has no step or several.
    #[error("{subject} has {steps} steps instead of one")]
    StepCount {
        /// What.
        subject: Subject,
        /// How many.
        steps: usize,
    },
    /// A step is about nothing that is wanted or runs.
    #[error("{0} is neither wanted nor running")]
    Unknown(Subject),
    /// Something wanted is removed, or something unwanted is not.
    #[error("{0} must be removed exactly when it is not wanted")]
    WrongRemoval(Subject),
    /// Something that runs is created, or something that does not run is changed or kept.
    #[error("{0} is created although it runs, or kept although it does not")]
    WrongStart(Subject),
    /// Something that is down is left down, or something that is up is started.
    #[error("{0} must be started exactly when it is to stay up and is down")]
    LeftDown(Subject),
    /// Something starts before what it uses.
    #[error("{subject} comes before {before}, which it uses")]
    TooEarly {
        /// What.
        subject: Subject,
        /// What it uses.
        before: Subject,
    },
    /// Something is removed that is used by something wanted.
    #[error("{subject} is removed although {by} uses it")]
    RemovedInUse {
        /// What.
        subject: Subject,
        /// Who uses it.
        by: Subject,
    },
    /// Something is removed before what used it.
    #[error("{subject} is removed before {by}, which used it")]
    RemovedTooEarly {
        /// What.
        subject: Subject,
        /// Who used it.
        by: Subject,
    },
    /// A step gives no reason.
    #[error("{0} is changed without a reason")]
    NoReason(Subject),
}

/// Everything that is wrong with `plan`; empty for a sound one.
pub fn lint(plan: &ChangePlan, stack: &Stack, running: &Running) -> Vec<Flaw> {
    let world = World { plan, stack, running };
    let mut flaws = world.counts();
    flaws.extend(plan.steps.iter().flat_map(|step| world.step(step)));
    flaws.extend(world.order());
    flaws
}

struct World<'a> {
    plan: &'a ChangePlan,
    stack: &'a Stack,
    running: &'a Running,
}

impl World<'_> {
    fn wanted(&self) -> BTreeSet<Subject> {
        let services = self.stack.services.keys().map(service);
        let edge = self.stack.edge.is_some().then_some(Subject::Edge);
        services.chain(self.stack.resources.keys().map(resource)).chain(edge).collect()
    }

    fn runs(&self) -> BTreeSet<Subject> {
        let services = self.running.services.keys().map(service);
        let resources = self.running.resources.iter().filter(|(_, it)| it.runs).map(|(name, _)| resource(name));
        let edge = self.running.edge.is_some().then_some(Subject::Edge);
        services.chain(resources).chain(edge).collect()
    }

    fn position(&self, subject: &Subject) -> Option<usize> {
        self.plan.steps.iter().position(|step| step.subject == *subject)
    }

    fn counts(&self) -> Vec<Flaw> {
        let expected: BTreeSet<Subject> = self.wanted().union(&self.runs()).cloned().collect();
        let count = |subject: &Subject| self.plan.steps.iter().filter(|step| step.subject == *subject).count();
        expected
            .into_iter()
            .map(|subject| (count(&subject), subject))
            .filter(|(steps, _)| *steps != 1)
            .map(|(steps, subject)| Flaw::StepCount { subject, steps })
            .collect()
    }

    fn step(&self, step: &Step) -> Vec<Flaw> {
        let subject = || step.subject.clone();
        let (wanted, runs) = (self.wanted().contains(&step.subject), self.runs().contains(&step.subject));
        let mut flaws = Vec::new();
        if !wanted && !runs {
            flaws.push(Flaw::Unknown(subject()));
        }
        if wanted == (step.action == Action::Remove) {
            flaws.push(Flaw::WrongRemoval(subject()));
        }
        if runs == (step.action == Action::Create) {
            flaws.push(Flaw::WrongStart(subject()));
        }
        let down = self.running.conditions.get(&step.subject).is_some_and(Condition::is_down);
        let starts = wanted && runs && down && !self.running.stays_held(&step.subject, step.action);
        if starts != (step.action == Action::Start) {
            flaws.push(Flaw::LeftDown(subject()));
        }
        if step.notes.is_empty() && step.action != Action::Keep {
            flaws.push(Flaw::NoReason(subject()));
        }
        flaws
    }

    fn order(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (name, it) in &self.stack.services {
            for used in dependencies(&it.uses, &it.needs) {
                flaws.extend(self.used_in_time(&service(name), &used));
            }
        }
        let gone = self.running.services.iter().filter(|(name, _)| !self.stack.services.contains_key(*name));
        for (name, it) in gone {
            for used in dependencies(&it.uses, &it.needs) {
                flaws.extend(self.removed_in_time(&service(name), &used));
            }
        }
        flaws
    }

    fn used_in_time(&self, by: &Subject, used: &Subject) -> Option<Flaw> {
        let (at, used_at) = (self.position(by)?, self.position(used)?);
        if self.plan.steps[used_at].action == Action::Remove {
            return Some(Flaw::RemovedInUse { subject: used.clone(), by: by.clone() });
        }
        (at < used_at).then(|| Flaw::TooEarly { subject: by.clone(), before: used.clone() })
    }

    fn removed_in_time(&self, by: &Subject, used: &Subject) -> Option<Flaw> {
        let (at, used_at) = (self.position(by)?, self.position(used)?);
        let early = self.plan.steps[used_at].action == Action::Remove && used_at < at;
        early.then(|| Flaw::RemovedTooEarly { subject: used.clone(), by: by.clone() })
    }
}

fn service(name: &ServiceName) -> Subject {
    Subject::Service(name.clone())
}

fn resource(name: &ResourceName) -> Subject {
    Subject::Resource(name.clone())
}

fn dependencies(uses: &[ResourceName], needs: &[ServiceName]) -> Vec<Subject> {
    uses.iter().map(resource).chain(needs.iter().map(service)).collect()
}

#[cfg(test)]
mod tests;
