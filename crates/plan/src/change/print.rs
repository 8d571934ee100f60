//! The plan in plain words, grouped by what happens. The order in which it happens is the steps' own.

use std::fmt;

use model::ServiceName;
use model::stack::Capacity;

use super::{Action, ChangePlan, Step, Subject, Warning};
use crate::objectives::{Promise, Reserved, Standing};

const GROUPS: [(Action, &str); 7] = [
    (Action::Create, "will create"),
    (Action::Start, "will start"),
    (Action::Retry, "will try again"),
    (Action::Replace, "will replace"),
    (Action::Change, "will change"),
    (Action::Remove, "will remove"),
    (Action::Keep, "will keep"),
];

/// Names longer than this do not widen the first column.
const NAME_COLUMN_MAX: usize = 20;

impl fmt::Display for ChangePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Plan for {} ({})", self.stack, self.environment)?;
        let width = self.steps.iter().map(|step| step.subject.name().len()).max().unwrap_or(0).min(NAME_COLUMN_MAX);
        for (action, title) in GROUPS {
            let steps: Vec<&Step> = self.steps.iter().filter(|step| step.action == action).collect();
            if !steps.is_empty() {
                writeln!(f, "\n{title}")?;
                steps.into_iter().try_for_each(|step| write_step(f, step, width))?;
            }
        }
        write_promises(f, self)?;
        write_reserved(f, &self.reserved)?;
        write_list(f, "attention", &self.warnings)?;
        write_list(f, "this cannot be carried out", &self.refusals)?;
        match (self.is_refused(), self.does_anything(), self.differs) {
            (true, ..) => writeln!(f, "\nNothing is changed until that is mended."),
            (false, true, _) => Ok(()),
            (false, false, true) => {
                writeln!(f, "\nNothing is started or stopped: what else the file says now counts from here on.")
            }
            (false, false, false) if self.warnings.contains(&Warning::NoNode) => {
                writeln!(f, "\nEverything is as the file says, except that no node runs.")
            }
            (false, false, false) if self.warnings.iter().any(|it| matches!(it, Warning::Held(_))) => {
                writeln!(f, "\nEverything is as the file says, except what is held.")
            }
            (false, false, false) if self.is_under_way() => {
                writeln!(f, "\nNothing new to do: what is still under way leads to what the file says.")
            }
            (false, false, false) => writeln!(f, "\nNothing to do: everything is as the file says."),
        }
    }
}

/// The first two notes share the step's line, as its summary; each further one has its own.
fn write_step(f: &mut fmt::Formatter<'_>, step: &Step, width: usize) -> fmt::Result {
    let notes: Vec<String> = step.notes.iter().map(ToString::to_string).collect();
    let (summary, rest) = notes.split_at(notes.len().min(2));
    writeln!(f, "  {:width$}  {}", step.subject.name(), summary.join(", "))?;
    rest.iter().try_for_each(|note| writeln!(f, "  {:width$}  {note}", ""))
}

fn write_promises(f: &mut fmt::Formatter<'_>, plan: &ChangePlan) -> fmt::Result {
    if plan.promises.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nwhat follows from the objectives")?;
    for promise in &plan.promises {
        writeln!(f, "  {}", promise_text(promise))?;
        let facts = plan.facts.iter().filter(|fact| fact.from == promise.objective);
        facts.into_iter().try_for_each(|fact| writeln!(f, "    {fact}"))?;
    }
    Ok(())
}

fn promise_text(promise: &Promise) -> String {
    let Promise { objective, stated, standing, contradicted } = promise;
    match standing {
        _ if *contradicted => format!("{objective} {stated}: cannot be kept, see below"),
        Standing::Kept | Standing::Broken => format!("{objective} {stated}: {standing}"),
        Standing::Unproven => format!("{objective} {stated}: unproven, nothing measures it yet"),
    }
}

fn write_reserved(f: &mut fmt::Formatter<'_>, reserved: &Reserved) -> fmt::Result {
    let Reserved { memory, cpu, server, elsewhere, memory_unlimited, cpu_unlimited } = reserved;
    if memory.as_bytes() == 0 && cpu.as_millicores() == 0 {
        return Ok(());
    }
    writeln!(f, "\nreserved of the server (limits of services, memory of resources)")?;
    if memory.as_bytes() > 0 {
        writeln!(f, "  {memory} of {} memory{}", server.memory, uncounted(memory_unlimited))?;
    }
    if cpu.as_millicores() > 0 {
        writeln!(f, "  {cpu} of {} processor cores{}", server.cpu, uncounted(cpu_unlimited))?;
    }
    if let Some(machine) = elsewhere {
        let Capacity { cpu, memory } = machine;
        writeln!(f, "  counted by what `server` states; this machine has {memory} memory and {cpu} processor cores")?;
    }
    Ok(())
}

/// What is said of services that may take what they can get.
fn uncounted(services: &[ServiceName]) -> String {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; without a limit, so not counted: {}", names.join(", ")),
    }
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    items.iter().try_for_each(|item| writeln!(f, "  - {item}"))
}

impl Subject {
    /// Its name, without saying what it is: names are unique over all in
    /// what a person reads.
    pub fn name(&self) -> &str {
        match self {
            Subject::Resource(name) => name.as_str(),
            Subject::Service(name) => name.as_str(),
            Subject::Edge => "edge",
        }
    }
}

impl fmt::Display for Subject {
    /// `service api`, `resource db`, `the edge`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Resource(name) => write!(f, "resource {name}"),
            Subject::Service(name) => write!(f, "service {name}"),
            Subject::Edge => f.write_str("the edge"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Create => "create",
            Action::Start => "start",
            Action::Retry => "retry",
            Action::Replace => "replace",
            Action::Change => "change",
            Action::Remove => "remove",
            Action::Keep => "keep",
        })
    }
}
