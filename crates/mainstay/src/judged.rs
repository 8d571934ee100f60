//! A stack file judged whole: what `config` finds in its text, and what its objectives make impossible on
//! this machine. `check`, `plan`, `up` and the node all ask here, so that none accepts what another refuses.

use config::{Checked, SourceFile};
use model::EnvironmentName;
use model::stack::{Capacity, Stack};
use plan::objectives::{Derived, derive};

use crate::terminal::problem::{Finding, Severity};

/// What became of a file.
pub(crate) struct Judged {
    /// The stack and what follows from its objectives; absent when the file is refused.
    pub(crate) accepted: Option<(Stack, Derived)>,
    /// Everything found, in the order of the text.
    pub(crate) findings: Vec<Finding>,
}

/// Judges a file for one environment, on a machine that has so much to give.
pub(crate) fn judge(source: &SourceFile, environment: Option<&EnvironmentName>, machine: Capacity) -> Judged {
    let mut checked = config::check(source, environment);
    let derived = checked.stack.as_ref().map(|stack| derive(stack, machine));
    let contradictions = derived.as_ref().map(|derived| contradictions(&checked, source, derived)).unwrap_or_default();
    let mut findings: Vec<Finding> = checked.problems.iter().map(finding).chain(contradictions).collect();
    findings.sort_by_key(|finding| finding.bytes.start);
    let refused = findings.iter().any(|finding| finding.severity.refuses());
    Judged { accepted: checked.stack.take().zip(derived).filter(|_| !refused), findings }
}

fn contradictions(checked: &Checked, source: &SourceFile, derived: &Derived) -> Vec<Finding> {
    let placed = derived.contradictions.iter().map(|contradiction| {
        let severity = match contradiction.severity {
            plan::objectives::Severity::Error => config::Severity::Error,
            plan::objectives::Severity::Warning => config::Severity::Warning,
        };
        let (message, hint) = (contradiction.what.to_string(), Some(contradiction.hint()));
        finding(&checked.problem_at(source, &contradiction.path, severity, message, hint))
    });
    placed.collect()
}

fn finding(problem: &config::Problem) -> Finding {
    Finding {
        severity: match problem.severity {
            config::Severity::Error => Severity::Error,
            config::Severity::Unsupported => Severity::Unsupported,
            config::Severity::Warning => Severity::Warning,
        },
        rule: problem.rule.as_str().to_owned(),
        file: problem.file.clone(),
        line: problem.place.start.line,
        column: problem.place.start.column,
        marked: problem.marked.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
        bytes: problem.place.from..problem.place.to,
    }
}
