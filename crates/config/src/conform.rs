//! Holds a tree against the shape of the file: kinds, keys and forms, everything that can be told
//! without knowing what the names refer to.

use std::collections::HashSet;
use std::fmt;

use crate::concealed;
use crate::form::{Form, NameKind};
use crate::problem::{Problems, closest, suggestion_of};
use crate::rule::RuleId;
use crate::shape::{Record, Shape, Tagged};
use crate::source::Place;
use crate::support::{carries_out_key, carries_out_word};
use crate::tree::{Mapping, Node, Scalar, Value};

/// How a place of the file is named in problems: `services.api.health`.
#[derive(Clone, Copy)]
pub(crate) struct Trail<'t> {
    parent: Option<&'t Trail<'t>>,
    name: &'t str,
}

impl<'t> Trail<'t> {
    pub(crate) const TOP: Trail<'static> = Trail { parent: None, name: "" };

    pub(crate) fn to(&'t self, name: &'t str) -> Trail<'t> {
        Trail { parent: (!self.name.is_empty()).then_some(self), name }
    }

    fn path(self) -> String {
        match self.parent {
            Some(parent) => format!("{}.{}", parent.path(), self.name),
            None => self.name.to_owned(),
        }
    }

    /// Whether a key below this place is carried out.
    fn carries_out(&self, key: &str) -> bool {
        carries_out_key(&self.to(key).path())
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.is_empty() {
            true => f.write_str("the file"),
            false => write!(f, "`{}`", self.path()),
        }
    }
}

/// Whether everything that is needed has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// Yes: this is all that an environment sees.
    Whole,
    /// No: an environment may add what is missing.
    Partial,
}

/// Reports where a tree does not have its shape.
pub(crate) fn check(root: &Node, record: &'static Record, completeness: Completeness, problems: &mut Problems<'_>) {
    let mut check = Conformity { completeness, problems };
    match &root.value {
        Value::Map(mapping) => check.record(mapping, record, Trail::TOP, Place::START, None),
        Value::Broken => {}
        _ => check.wrong_kind(root, &Shape::Record(record), Trail::TOP),
    }
}

struct Conformity<'p, 's> {
    completeness: Completeness,
    problems: &'p mut Problems<'s>,
}

impl Conformity<'_, '_> {
    /// `at` is what is marked when something is missing: the key of this value.
    fn value(&mut self, node: &Node, shape: &'static Shape, trail: Trail<'_>, at: Place) {
        match (&node.value, shape) {
            (Value::Broken, _) => {}
            (Value::Null, _) => self.empty(shape, trail, at),
            (_, Shape::Either(shapes)) => self.either(node, shapes, shape, trail, at),
            (Value::Scalar(scalar), Shape::One(form)) => self.form(scalar, node.place, *form),
            (Value::List(items), Shape::List { item, distinct }) => self.list(items, item, *distinct, trail),
            (Value::Map(mapping), Shape::Named { name, value }) => {
                for entry in &mapping.entries {
                    if let Err(complaint) = name.check(&entry.key) {
                        self.problems.add(complaint.rule, entry.key_place, complaint.message, complaint.hint);
                    }
                    if *name == NameKind::Secret && !concealed::in_place_of_source(&entry.value).is_empty() {
                        self.no_source(&entry.key, entry.key_place);
                        continue;
                    }
                    self.value(&entry.value, value, trail.to(&entry.key), entry.key_place);
                }
            }
            (Value::Map(mapping), Shape::Record(record)) => self.record(mapping, record, trail, at, None),
            (Value::Map(mapping), Shape::Tagged(tagged)) => self.tagged(mapping, tagged, trail, at),
            (Value::Map(_), Shape::Unsettled) => {}
            _ => self.wrong_kind(node, shape, trail),
        }
    }

    /// What stands there may be the secret's value: it is not repeated.
    fn no_source(&mut self, secret: &str, place: Place) {
        let message = format!("the secret `{secret}` has something else than where its value comes from");
        let hint = format!(
            "the value never stands in the file: write `{secret}: set`, then `mainstay secret set {secret}`; or let it \
             be made: `{secret}: {{ generate: 32B }}`"
        );
        self.problems.report_with(RuleId::InvalidValue, place, message, hint);
    }

    fn empty(&mut self, shape: &Shape, trail: Trail<'_>, at: Place) {
        let hint = format!("write {}, or delete the key", shape.describe());
        self.problems.report_with(RuleId::EmptyValue, at, format!("{trail} has no value"), hint);
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape, trail: Trail<'_>) {
        let found = match &node.value {
            Value::Null | Value::Broken => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        let message = format!("{trail} is {found}; wanted: {}", shape.describe());
        match (&node.value, shape) {
            (Value::Scalar(scalar), Shape::List { item: Shape::One(form), .. }) if form.check(scalar).is_ok() => {
                let hint = format!("write [{}]", scalar.text);
                self.problems.report_with(RuleId::WrongKind, node.place, message, hint);
            }
            _ => self.problems.report(RuleId::WrongKind, node.place, message),
        }
    }

    fn form(&mut self, scalar: &Scalar, place: Place, form: Form) {
        if let Err(complaint) = form.check(scalar) {
            self.problems.add(complaint.rule, place, complaint.message, complaint.hint);
        }
    }

    fn either(&mut self, node: &Node, shapes: &'static [Shape], whole: &Shape, trail: Trail<'_>, at: Place) {
        let fits = |shape: &&Shape| match &node.value {
            Value::Scalar(_) => matches!(shape, Shape::One(_)),
            Value::List(_) => matches!(shape, Shape::List { .. }),
            _ => matches!(shape, Shape::Record(_) | Shape::Tagged(_) | Shape::Named { .. }),
        };
        let mut fitting = shapes.iter().filter(fits);
        match (fitting.next(), fitting.next(), &node.value) {
            (None, ..) => self.wrong_kind(node, whole, trail),
            (Some(only), None, _) => self.value(node, only, trail, at),
            (Some(first), Some(_), Value::Scalar(scalar)) => {
                let forms =
                    || shapes.iter().filter_map(|shape| if let Shape::One(form) = shape { Some(form) } else { None });
                if forms().any(|form| form.check(scalar).is_ok()) {
                    return;
                }
                match scalar.text.starts_with(|c: char| c.is_ascii_digit()) {
                    true => self.value(node, first, trail, at),
                    false => {
                        let message = format!("{:?} does not fit {trail}; wanted: {}", scalar.text, whole.describe());
                        self.problems.report(RuleId::InvalidValue, node.place, message);
                    }
                }
            }
            (Some(first), Some(_), _) => self.value(node, first, trail, at),
        }
    }

    fn list(&mut self, items: &[Node], item: &'static Shape, distinct: bool, trail: Trail<'_>) {
        let mut seen = HashSet::new();
        for (index, node) in items.iter().enumerate() {
            let number = index.to_string();
            self.value(node, item, trail.to(&number), node.place);
            if let (true, Some(scalar)) = (distinct, node.scalar())
                && !seen.insert(&scalar.text)
            {
                let message = format!("`{}` stands in {trail} a second time", scalar.text);
                self.problems.report_with(RuleId::DuplicateItem, node.place, message, "delete one of the two");
            }
        }
    }

    fn record(
        &mut self,
        mapping: &Mapping,
        record: &'static Record,
        trail: Trail<'_>,
        at: Place,
        kin: Option<&'static Tagged>,
    ) {
        for entry in &mapping.entries {
            match record.key(&entry.key) {
                Some(key) => self.value(&entry.value, &key.shape, trail.to(&entry.key), entry.key_place),
                None => {
                    let known: Vec<&str> = record.keys.iter().map(|key| key.name).collect();
                    if let Some(hint) = crate::foreign::hint(record, &entry.key) {
                        let message = no_key(&entry.key, record.what, trail);
                        self.problems.report_with(RuleId::UnknownKey, entry.key_place, message, hint);
                        continue;
                    }
                    let of_kin = kin.and_then(|tagged| Some((tagged.key, tagged.with_key(&entry.key)?.word)));
                    self.unknown(&entry.key, entry.key_place, record.what, &known, trail, of_kin);
                }
            }
        }
        self.exclusive(mapping, record, trail, at);
        if self.completeness == Completeness::Partial {
            return;
        }
        for key in record.keys {
            let needed = matches!(key.presence, crate::shape::Presence::Needed);
            if needed && mapping.get(key.name).is_none() {
                self.missing(key.name, &key.shape.describe(), trail, at);
            }
        }
    }

    fn missing(&mut self, key: &str, what: &str, trail: Trail<'_>, at: Place) {
        let hint = format!("add `{key}`: {what}");
        self.problems.report_with(RuleId::MissingKey, at, format!("{trail} lacks `{key}`"), hint);
    }

    /// `of_kin` is the tag and word of another kind of the same mapping that has the key.
    fn unknown(
        &mut self,
        key: &str,
        place: Place,
        what: &str,
        known: &[&str],
        trail: Trail<'_>,
        of_kin: Option<(&str, &str)>,
    ) {
        if self.problems.is_full() {
            return;
        }
        let top = trail.name.is_empty();
        let environments_only = top && crate::shape::file::MERGED.key(key).is_some();
        let hint = if environments_only {
            format!("it belongs to an environment: environments.production.{key}")
        } else {
            match (closest(key, known.iter().copied()), of_kin) {
                (None, Some((tag, word))) if carries_out_word(&trail.to(tag).path(), word) => {
                    format!("`{key}` goes with `{tag}: {word}`")
                }
                (None, Some((tag, word))) => {
                    format!("delete it: it goes with `{tag}: {word}`, which is not supported yet")
                }
                (None, None) if known.is_empty() => "delete it".to_owned(),
                _ => suggestion_of(key, "known keys", known, |key| trail.carries_out(key)),
            }
        };
        self.problems.report_with(RuleId::UnknownKey, place, no_key(key, what, trail), hint);
    }

    fn exclusive(&mut self, mapping: &Mapping, record: &Record, trail: Trail<'_>, at: Place) {
        let Some(one_of) = record.one_of else {
            return;
        };
        let mut present = mapping.entries.iter().filter(|entry| one_of.keys.contains(&entry.key.as_str()));
        match (present.next(), present.next()) {
            (Some(first), Some(second)) => {
                let message = format!("{trail} has both `{}` and `{}`", first.key, second.key);
                self.problems.report_with(RuleId::ConflictingKeys, second.key_place, message, "keep one of them");
            }
            (None, _) if one_of.needed && self.completeness == Completeness::Whole => {
                let keys = one_of.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                let message = format!("{trail}, {}, lacks one of {keys}", record.what);
                let carried_out: Vec<&str> = one_of.keys.iter().copied().filter(|key| trail.carries_out(key)).collect();
                let hint = match *carried_out {
                    [only] => format!("add `{only}`"),
                    _ => "add one of them".to_owned(),
                };
                self.problems.report_with(RuleId::MissingKey, at, message, hint);
            }
            _ => {}
        }
    }

    fn tagged(&mut self, mapping: &Mapping, tagged: &'static Tagged, trail: Trail<'_>, at: Place) {
        let Some(entry) = mapping.get(tagged.key) else {
            if self.completeness == Completeness::Whole {
                let path = trail.to(tagged.key).path();
                let words = tagged.variants.iter().map(|v| v.word).filter(|word| carries_out_word(&path, word));
                let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
                self.missing(tagged.key, &words.join(" or "), trail, at);
            }
            return;
        };
        let Some(scalar) = entry.value.scalar() else {
            match entry.value.value {
                Value::Broken => {}
                Value::Null => {
                    let message = format!("{} has no value", trail.to(tagged.key));
                    self.problems.report(RuleId::EmptyValue, entry.key_place, message);
                }
                _ => {
                    let message = format!("{} is not a single word", trail.to(tagged.key));
                    self.problems.report(RuleId::WrongKind, entry.value.place, message);
                }
            }
            return;
        };
        let Some(variant) = tagged.variant(&scalar.text) else {
            let known: Vec<&str> = tagged.variants.iter().map(|v| v.word).collect();
            let path = trail.to(tagged.key).path();
            let hint = suggestion_of(&scalar.text, "known words", &known, |word| carries_out_word(&path, word));
            let message = format!("{:?} is not a known `{}`", scalar.text, tagged.key);
            self.problems.report_with(RuleId::InvalidValue, entry.value.place, message, hint);
            return;
        };
        let others = mapping.entries.iter().filter(|entry| entry.key != tagged.key).cloned().collect();
        self.record(&Mapping { entries: others }, &variant.record, trail, at, Some(tagged));
    }
}

fn no_key(key: &str, what: &str, trail: Trail<'_>) -> String {
    match trail.name.is_empty() {
        true => format!("the file has no key `{key}`"),
        false => format!("{trail}, {what}, has no key `{key}`"),
    }
}
