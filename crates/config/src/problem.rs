//! What is wrong with a file, with the place, the text marked, and what to do about it.

use std::collections::HashSet;
use std::fmt;

use crate::rule::{RuleId, Severity};
use crate::source::{Place, SourceFile};

/// Most problems that are kept of one file; a file with more has one cause for many of them.
pub const PROBLEMS_MAX: usize = 1000;

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule that is broken.
    pub rule: RuleId,
    /// How much it matters.
    pub severity: Severity,
    /// The file's name.
    pub file: String,
    /// Where.
    pub place: Place,
    /// The text that stands there, its first line.
    pub marked: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}[{}]: {}", self.file, self.place.start, self.severity, self.rule, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects problems while a file is read.
pub(crate) struct Problems<'s> {
    source: &'s SourceFile,
    found: Vec<Problem>,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(source: &'s SourceFile) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds a problem without a hint.
    pub(crate) fn report(&mut self, rule: RuleId, place: Place, message: impl Into<String>) {
        self.add(rule, place, message.into(), None);
    }

    /// Adds a problem with what to do about it.
    pub(crate) fn report_with(
        &mut self,
        rule: RuleId,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(rule, place, message.into(), Some(hint.into()));
    }

    pub(crate) fn add(&mut self, rule: RuleId, place: Place, message: String, hint: Option<String>) {
        if self.is_full() || self.knows(rule, place, &message) {
            return;
        }
        self.found.push(Problem {
            rule,
            message: shortened(message),
            hint: hint.map(shortened),
            severity: rule.severity(),
            file: self.source.name.clone(),
            place,
            marked: String::new(),
        });
    }

    /// Whether nothing more is taken in, so that looking for more is wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    fn knows(&self, rule: RuleId, place: Place, message: &str) -> bool {
        self.found.iter().any(|p| p.rule == rule && p.place == place && p.message == message)
    }

    /// Adds those of another collection that are not here yet, each with a remark.
    pub(crate) fn absorb(&mut self, others: Problems<'_>, remark: &str) {
        for other in others.found {
            if !self.is_full() && !self.knows(other.rule, other.place, &other.message) {
                self.found.push(Problem { message: format!("{}{remark}", other.message), ..other });
            }
        }
    }

    /// The errors that were none before the lines went that are not supported yet: what they mark goes with those.
    /// None can be told when more was wrong before than was kept.
    pub(crate) fn fallen_since(mut self, before: &Problems<'_>) -> Self {
        let is_new = |p: &Problem| !before.is_full() && !before.knows(p.rule, p.place, &p.message);
        self.found.retain(|p| p.severity == Severity::Error && is_new(p));
        for problem in &mut self.found {
            // What disagrees with what stays can be put right; what asks for what is gone cannot.
            if problem.rule != RuleId::Disagreement {
                problem.hint = Some("delete it too".to_owned());
            }
            problem.rule = RuleId::NotSupportedYet;
            problem.severity = problem.rule.severity();
            problem.message = format!("with the unsupported lines deleted, {}", problem.message);
        }
        self
    }

    /// Where the problems are.
    pub(crate) fn places(&self) -> HashSet<Place> {
        self.found.iter().map(|problem| problem.place).collect()
    }

    /// Whether something already was found wrong within this place.
    pub(crate) fn any_within(&self, place: Place) -> bool {
        self.found.iter().any(|p| p.place.from >= place.from && p.place.to <= place.to)
    }

    /// A collection of its own over the same text.
    pub(crate) fn apart(&self) -> Problems<'s> {
        Problems::new(self.source)
    }

    /// All problems in the order of the text, with what stands there in the text that may be shown.
    pub(crate) fn finish(mut self, shown: &str) -> Vec<Problem> {
        for problem in &mut self.found {
            problem.marked = shortened(problem.place.marked(shown).to_owned());
        }
        self.found.sort_by_key(|p| (p.place.from, p.severity, p.rule));
        self.found
    }
}

/// Longest text of a problem, in characters: a value of the file may be as long as the file.
const TEXT_CHARACTERS_MAX: usize = 400;

fn shortened(mut text: String) -> String {
    if let Some((byte, _)) = text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        text.truncate(byte);
        text.push('…');
    }
    text
}

/// The closest of the known names, if one is close enough to have been meant.
pub(crate) fn closest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = |name: &&str| {
        let distance = strsim::damerau_levenshtein(found, name);
        let longer = found.chars().count().max(name.chars().count());
        distance < longer && distance <= (longer / 3).max(1)
    };
    if found.len() > NAME_COMPARED_MAX {
        return None;
    }
    known
        .into_iter()
        .take(NAMES_COMPARED_MAX)
        .filter(|name| name.len() <= NAME_COMPARED_MAX)
        .filter(near)
        .min_by_key(|name| strsim::damerau_levenshtein(found, name))
}

/// Shortest text that counts as part of a longer name: `lru` is of `allkeys-lru`.
const PART_BYTES_MIN: usize = 3;

/// Longest name that is compared for "did you mean": the comparison takes the product of both lengths.
const NAME_COMPARED_MAX: usize = 60;

/// Most names that one is compared with.
const NAMES_COMPARED_MAX: usize = 200;

/// Most names that a hint lists.
const NAMES_LISTED_MAX: usize = 30;

/// "did you mean" where something is close, else all that is known.
pub(crate) fn suggestion(found: &str, what: &str, known: &[&str]) -> String {
    suggestion_of(found, what, known, |_| true)
}

/// The same where not all that is known is carried out: a list leaves the rest out.
pub(crate) fn suggestion_of(found: &str, what: &str, known: &[&str], is_carried_out: impl Fn(&str) -> bool) -> String {
    let part_of = || known.iter().copied().find(|name| found.len() >= PART_BYTES_MIN && name.contains(found));
    match closest(found, known.iter().copied()).or_else(part_of) {
        Some(name) if is_carried_out(name) => format!("did you mean `{name}`?"),
        Some(name) => format!("did you mean `{name}`? it is not supported yet"),
        None => listed(what, &known.iter().copied().filter(|name| is_carried_out(name)).collect::<Vec<_>>()),
    }
}

fn listed(what: &str, names: &[&str]) -> String {
    match names.len() {
        0 => format!("there are no {what}"),
        1..=NAMES_LISTED_MAX => format!("{what}: {}", names.join(", ")),
        _ => format!("{what}: {}, …", names[..NAMES_LISTED_MAX].join(", ")),
    }
}
