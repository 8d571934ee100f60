//! One environment of a file held against the rules: as it is written, and as it remains without the lines that
//! are not supported yet, so that what falls with them is told together with them.
//!
//! Start reading at [`check`].

use model::EnvironmentName;

use crate::conform::{self, Completeness};
use crate::draft::{self, Draft};
use crate::problem::Problems;
use crate::remainder::{self, Remainder};
use crate::shape::file::MERGED;
use crate::source::Place;
use crate::tree::{Mapping, Node, Value};
use crate::{agreement, overlay};

/// What one environment says, without keys that no environment takes.
pub(crate) struct Overlay {
    pub(crate) name: EnvironmentName,
    pub(crate) content: Mapping,
}

/// An environment that was checked.
pub(crate) struct Whole {
    /// The file with the environment merged over it.
    pub(crate) merged: Mapping,
    pub(crate) draft: Draft,
    /// What was read of what remains, where lines are to go.
    pub(crate) remainder: Option<Draft>,
}

/// Checks one environment whole, and of the others the structure: a slip in `production` is to be found on the
/// developer's machine.
pub(crate) fn check(base: &Mapping, chosen: &Overlay, others: &[Overlay], problems: &mut Problems<'_>) -> Whole {
    let (merged, draft) = check_layers(base, &chosen.content, &chosen.name, problems);
    let remainder = Remainder::of(base, &chosen.content, problems);
    let (rest, remainder) = remainder.map(|remainder| check_remainder(remainder, &chosen.name, problems)).unzip();
    for other in others.iter().filter(|other| other.name != chosen.name) {
        check_other(base, rest.as_ref().map(|rest| &rest.base), other, problems);
    }
    Whole { merged, draft, remainder }
}

fn check_layers(
    base: &Mapping,
    overlay: &Mapping,
    name: &EnvironmentName,
    problems: &mut Problems<'_>,
) -> (Mapping, Draft) {
    let merged = check_structure(base, overlay, problems);
    let draft = draft::read(&merged, name.clone(), problems);
    agreement::check(&draft, problems);
    (merged, draft)
}

/// Names what falls with the lines that are gone, and what falls with that. Each turn takes a line away, so it ends.
fn check_remainder(
    mut remainder: Remainder,
    name: &EnvironmentName,
    problems: &mut Problems<'_>,
) -> (Remainder, Draft) {
    loop {
        let mut after = problems.apart();
        let (_, draft) = check_layers(&remainder.base, &remainder.overlay, name, &mut after);
        let fallen = after.fallen_since(problems);
        let less = remainder.without(&fallen.places());
        problems.absorb(fallen, "");
        match less {
            Some(less) => remainder = less,
            None => return (remainder, draft),
        }
    }
}

/// `rest` is what remains of the file where lines of it are to go.
fn check_other(base: &Mapping, rest: Option<&Mapping>, other: &Overlay, problems: &mut Problems<'_>) {
    let remark = format!(" (in environment `{}`)", other.name);
    let mut before = problems.apart();
    check_structure(base, &other.content, &mut before);
    let fallen = rest.map(|rest| {
        let mut after = problems.apart();
        check_structure(rest, &other.content, &mut after);
        after.fallen_since(&before)
    });
    problems.absorb(before, &remark);
    if let Some(fallen) = fallen {
        problems.absorb(fallen, &remark);
    }
}

/// What is not carried out has its form, and need not be complete.
fn check_structure(base: &Mapping, overlay: &Mapping, problems: &mut Problems<'_>) -> Mapping {
    let merged = overlay::merge(base, overlay, problems);
    conform::check(&node(merged.clone()), &MERGED, Completeness::Partial, problems);
    conform::check(&node(remainder::carried_out(&merged)), &MERGED, Completeness::Whole, problems);
    merged
}

/// A mapping as the top of a file.
pub(crate) fn node(mapping: Mapping) -> Node {
    Node { place: Place::START, value: Value::Map(mapping) }
}
