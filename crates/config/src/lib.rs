//! From the text of `mainstay.yaml` to the checked [`model::Stack`] of one environment, with every
//! problem of the file at once: rule, place, the text marked, a hint.
//!
//! Start reading at [`check`]. The way: text, tree (`tree`), and of each environment (`environment`): merged
//! over the rest (`overlay`), held against the shape of the file (`shape`, `conform`), read (`draft`), parts
//! held against each other (`agreement`), what is not carried out yet (`support`) and what stays without it
//! (`remainder`). Last, defaults filled in (`resolve`).
//! Invariant: pure. Texts and listings come in as arguments; nothing here reads a file, a clock or the
//! environment.

mod agreement;
mod command;
mod concealed;
mod conform;
pub mod defaults;
mod draft;
mod environment;
mod foreign;
mod form;
mod init;
mod overlay;
mod places;
mod problem;
mod reference;
mod remainder;
mod resolve;
mod rule;
mod schema;
mod shape;
mod source;
mod support;
mod tree;

use model::{EnvironmentName, Stack};

pub use command::{CommandError, split as split_command};
pub use init::{
    FOLDERS_OF_PAGES, FirstFile, Listed, Listing, PAGES_LISTED_MAX, PARTS_OF_PROGRAMS, PassedOver, READ_FOR_INIT,
    READ_FOR_INIT_MAX, init,
};
pub use places::{Located, Places};
pub use problem::{PROBLEMS_MAX, Problem};
pub use reference::{ANNOTATED_EXAMPLE, reference_markdown, rules_markdown};
pub use rule::{RuleId, Severity};
pub use schema::schema;
pub use source::{NotText, Place, Position, SourceFile};
pub use tree::{DEPTH_MAX, KEY_BYTES_MAX, NODES_MAX, TEXT_BYTES_MAX};

use crate::conform::Completeness;
use crate::environment::Overlay;
use crate::problem::{Problems, suggestion, suggestion_of};
use crate::shape::file::{ENVIRONMENT, FILE};
use crate::tree::{Entry, Mapping, Node, Value};

/// Most environments of a file: each is merged and checked by itself.
pub const ENVIRONMENTS_MAX: usize = 32;

/// What became of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The stack of the environment, unless an error was found. It is there when all problems are
    /// warnings or things not supported yet; whether those stop the caller is the caller's to say.
    pub stack: Option<Stack>,
    /// What of the stack stays without the lines that are not supported yet; `None` where there are no such lines,
    /// where an error was found, and where what stays is no stack.
    pub remainder: Option<Stack>,
    /// Every problem, in the order of the text.
    pub problems: Vec<Problem>,
    /// Where each value of the environment stands.
    pub places: Places,
    /// The environments that the file describes, in its order.
    pub environments: Vec<EnvironmentName>,
}

impl Checked {
    /// Whether something of this severity was found.
    pub fn has(&self, severity: Severity) -> bool {
        self.problems.iter().any(|problem| problem.severity == severity)
    }

    /// A problem found by somebody else, placed at a dotted path of the file (`services.api.replicas`).
    pub fn problem_at(
        &self,
        source: &SourceFile,
        path: &str,
        severity: Severity,
        message: String,
        hint: Option<String>,
    ) -> Problem {
        let place = self.places.nearest(path);
        let marked = place.marked(&source.text).to_owned();
        Problem { rule: RuleId::Objective, severity, file: source.name.clone(), place, marked, message, hint }
    }
}

/// Checks a file and resolves one environment of it, `development` when none is asked for.
pub fn check(source: &SourceFile, environment: Option<&EnvironmentName>) -> Checked {
    let mut problems = Problems::new(source);
    let mut checked = Checked {
        stack: None,
        remainder: None,
        problems: Vec::new(),
        places: Places::default(),
        environments: Vec::new(),
    };
    let mut concealed = Vec::new();
    if let Some(root) = tree::read(source, &mut problems) {
        concealed = concealed::places(&root);
        check_tree(&root, environment, &mut checked, &mut problems);
    }
    checked.problems = problems.finish(&concealed::blotted(&source.text, &concealed));
    if checked.has(Severity::Error) {
        (checked.stack, checked.remainder) = (None, None);
    }
    checked
}

/// The text as it may be shown: what stands where a secret's source belongs, and may be its value, is blotted
/// out. Every other character stays where it is.
pub fn shown(source: &SourceFile) -> String {
    let root = tree::read(source, &mut Problems::new(source));
    concealed::blotted(&source.text, &root.as_ref().map(concealed::places).unwrap_or_default())
}

fn check_tree(root: &Node, wanted: Option<&EnvironmentName>, checked: &mut Checked, problems: &mut Problems<'_>) {
    let Value::Map(file) = &root.value else {
        conform::check(root, &FILE, Completeness::Partial, problems);
        return;
    };
    let base = Mapping { entries: file.entries.iter().filter(|e| e.key != "environments").cloned().collect() };
    conform::check(&environment::node(base.clone()), &FILE, Completeness::Partial, problems);

    let overlays = overlays(file, problems);
    checked.environments = overlays.iter().map(|overlay| overlay.name.clone()).collect();
    let Some(chosen) = choose(file, wanted, &checked.environments, problems) else {
        return;
    };
    let content = overlays.iter().find(|it| it.name == chosen).map(|it| it.content.clone()).unwrap_or_default();
    let whole = environment::check(&base, &Overlay { name: chosen, content }, &overlays, problems);
    checked.places = Places::of(&whole.merged);
    checked.stack = resolve::stack(whole.draft);
    checked.remainder = whole.remainder.and_then(resolve::stack);
}

fn overlays(file: &Mapping, problems: &mut Problems<'_>) -> Vec<Overlay> {
    let Some(entry) = file.get("environments") else {
        return Vec::new();
    };
    let Value::Map(environments) = &entry.value.value else {
        let alone = environment::node(Mapping { entries: vec![entry.clone()] });
        conform::check(&alone, &FILE, Completeness::Partial, problems);
        return Vec::new();
    };
    if environments.entries.len() > ENVIRONMENTS_MAX {
        let message = format!("there are more than {ENVIRONMENTS_MAX} environments");
        problems.report_with(RuleId::TooLarge, entry.key_place, message, "delete those that nobody asks for any more");
        return Vec::new();
    }
    environments.entries.iter().filter_map(|entry| overlay(entry, problems)).collect()
}

fn overlay(entry: &Entry, problems: &mut Problems<'_>) -> Option<Overlay> {
    let name = match form::NameKind::Environment.check(&entry.key) {
        // It was checked this moment.
        Ok(()) => entry.key.parse().ok(),
        Err(complaint) => {
            problems.add(complaint.rule, entry.key_place, complaint.message, complaint.hint);
            None
        }
    };
    let content = match &entry.value.value {
        Value::Map(mapping) => known_keys(mapping, &entry.key, problems),
        Value::Broken => return None,
        Value::Null => {
            let message = format!("`environments.{}` has no value", entry.key);
            problems.report_with(RuleId::EmptyValue, entry.key_place, message, "write {} if nothing differs in it");
            return None;
        }
        Value::Scalar(_) | Value::List(_) => {
            let message = format!("`environments.{}` is not a mapping", entry.key);
            problems.report(RuleId::WrongKind, entry.value.place, message);
            return None;
        }
    };
    Some(Overlay { name: name?, content })
}

fn known_keys(mapping: &Mapping, name: &str, problems: &mut Problems<'_>) -> Mapping {
    let known: Vec<&str> = ENVIRONMENT.keys.iter().map(|key| key.name).collect();
    let mut entries = Vec::with_capacity(mapping.entries.len());
    for entry in &mapping.entries {
        match ENVIRONMENT.key(&entry.key) {
            Some(_) => entries.push(entry.clone()),
            None => {
                let message = format!("`environments.{name}` has no key `{}`", entry.key);
                let hint = suggestion_of(&entry.key, "known keys", &known, support::carries_out_key);
                problems.report_with(RuleId::UnknownKey, entry.key_place, message, hint);
            }
        }
    }
    Mapping { entries }
}

/// The environment that is judged; a file without any is its own `development`.
fn choose(
    file: &Mapping,
    wanted: Option<&EnvironmentName>,
    known: &[EnvironmentName],
    problems: &mut Problems<'_>,
) -> Option<EnvironmentName> {
    let default = defaults::environment();
    let Some(wanted) = wanted else {
        return default;
    };
    if known.contains(wanted) || Some(wanted) == default.as_ref() {
        return Some(wanted.clone());
    }
    let place = file.get("environments").map_or(Place::START, |entry| entry.key_place);
    let mut names: Vec<&str> = known.iter().map(EnvironmentName::as_str).collect();
    if !names.contains(&defaults::ENVIRONMENT) {
        names.push(defaults::ENVIRONMENT);
    }
    let hint = suggestion(wanted.as_str(), "environments", &names);
    problems.report_with(RuleId::UnknownEnvironment, place, format!("there is no environment `{wanted}`"), hint);
    None
}
