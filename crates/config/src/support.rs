//! What the file may ask for and this version does not carry out. Carrying something out starts with
//! deleting its row.
//!
//! Start reading at [`NOT_YET`], then [`find`].

use crate::problem::Problems;
use crate::rule::RuleId;
use crate::source::Place;
use crate::tree::{Entry, Mapping, Node, Value};

/// A thing that is not carried out yet.
#[derive(Debug)]
pub(crate) struct NotYet {
    /// Where it stands; `*` is any name.
    pub(crate) path: &'static str,
    pub(crate) when: When,
    /// What it is, as the end of a sentence.
    pub(crate) what: &'static str,
    /// What can be done today.
    pub(crate) instead: &'static str,
    pub(crate) mend: Mend,
}

/// When it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The key is there.
    Present,
    /// The value is a mapping.
    Mapping,
    /// The value is this word.
    Is(&'static str),
    /// The value is a mapping of this kind: it has the word at its tag.
    Kind { tag: &'static str, word: &'static str },
    /// The value is a number other than 0.
    NotZero,
}

/// How a file does without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mend {
    /// The entry is deleted.
    Delete,
    /// Another entry takes its place: what it belongs to needs one.
    Replace,
}

impl NotYet {
    /// Whether it is about this word at this path, of a file or of its shape.
    fn is_of_word(&self, path: &str, wanted: &str) -> bool {
        match self.when {
            When::Is(word) => word == wanted && leads_to(self.path, path),
            When::Kind { tag, word } => path
                .rsplit_once('.')
                .is_some_and(|(around, key)| key == tag && word == wanted && leads_to(self.path, around)),
            When::Present | When::Mapping | When::NotZero => false,
        }
    }
}

/// Every such thing, in the file's order.
pub(crate) const NOT_YET: &[NotYet] = &[
    source("services.*.image", "containers", "start the program itself with `run`"),
    source("services.*.build", "building images", "start the program itself with `run`"),
    row("services.*.replicas", When::Mapping, "scaling between bounds", "write a number, such as your `min`"),
    row("services.*.release.schema", When::Present, "guarding database migrations", "delete the key"),
    row("services.*.rollout", strategy("blue-green"), "blue-green releases", "write `rollout: { strategy: rolling }`"),
    row("services.*.rollout", strategy("canary"), "canary releases", "write `rollout: { strategy: rolling }`"),
    row("resources.*", kind("rabbitmq"), "RabbitMQ", "delete it, and use one from elsewhere with `env` and `secrets`"),
    row("resources.*.standbys", When::NotZero, "standby copies of a resource", "write 0, or delete the key"),
    row("resources.*.pool", When::Present, "pooling of connections", "delete the key"),
    row("edge.tls", When::Mapping, "certificates of a public authority", "write `tls: local`"),
    row("edge.routes.limit.per", When::Is("tenant"), "limits for each tenant", "write `per: ip`"),
    row("edge.routes.limit.per", When::Is("token"), "limits for each token", "write `per: ip`"),
    row("edge.routes.limit.per", When::Is("route"), "limits for a whole route", "write `per: ip`"),
    row("edge.protect.waf", When::Is("detect"), "the web application firewall", "write `waf: off`, or delete the key"),
    row("edge.protect.waf", When::Is("block"), "the web application firewall", "write `waf: off`, or delete the key"),
    row("backups", When::Present, "backups", "delete it, and copy the data by a scheduled service of yours"),
    row(
        "telemetry",
        When::Present,
        "keeping metrics, logs and traces",
        "delete it: `mainstay logs` shows recent output",
    ),
    row("alerts", When::Present, "alerts", "delete it, and watch `mainstay status`"),
    row(
        "access",
        When::Present,
        "users and tokens",
        "delete it: the control socket belongs to the node's user and root",
    ),
];

const fn row(path: &'static str, when: When, what: &'static str, instead: &'static str) -> NotYet {
    NotYet { path, when, what, instead, mend: Mend::Delete }
}

/// A service needs a source: without this one, another.
const fn source(path: &'static str, what: &'static str, instead: &'static str) -> NotYet {
    NotYet { path, when: When::Present, what, instead, mend: Mend::Replace }
}

const fn strategy(word: &'static str) -> When {
    When::Kind { tag: "strategy", word }
}

const fn kind(word: &'static str) -> When {
    When::Kind { tag: "type", word }
}

/// What is said about it.
pub(crate) fn message(row: &NotYet) -> String {
    format!("not supported yet: {}", row.what)
}

/// Whether the key at this path of a file is carried out, wholly or for some values.
pub(crate) fn carries_out_key(path: &str) -> bool {
    of_key(path).is_none()
}

/// Whether this word at this path of a file is carried out.
pub(crate) fn carries_out_word(path: &str, word: &str) -> bool {
    of_word(path, word).is_none()
}

/// The row of the whole of a key.
pub(crate) fn of_key(path: &str) -> Option<&'static NotYet> {
    NOT_YET.iter().find(|row| row.when == When::Present && leads_to(row.path, path))
}

/// The row of a word.
pub(crate) fn of_word(path: &str, word: &str) -> Option<&'static NotYet> {
    NOT_YET.iter().find(|row| row.is_of_word(path, word))
}

/// The row of some values of a key that are no words.
pub(crate) fn of_values(path: &str) -> Option<&'static NotYet> {
    NOT_YET.iter().find(|row| matches!(row.when, When::Mapping | When::NotZero) && leads_to(row.path, path))
}

/// Whether the path of a row is this path, of a file or of its shape.
fn leads_to(wanted: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (wanted.split('.'), path.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (wanted, found) if wanted == found => {}
            _ => return false,
        }
    }
}

/// An entry of a file that asks for what is not carried out yet.
pub(crate) struct Found<'t> {
    row: &'static NotYet,
    entry: &'t Entry,
}

impl Found<'_> {
    /// Names the entry by its key: it is to go with everything below it.
    pub(crate) fn report(&self, problems: &mut Problems<'_>) {
        problems.report_with(RuleId::NotSupportedYet, self.key_place(), message(self.row), self.row.instead);
    }

    /// Where its key stands.
    pub(crate) fn key_place(&self) -> Place {
        self.entry.key_place
    }

    pub(crate) fn mend(&self) -> Mend {
        self.row.mend
    }
}

/// Every entry that asks for what is not carried out yet. Below such an entry no others are looked for.
pub(crate) fn find(root: &Mapping) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    search(root, "", &mut found);
    found
}

fn search<'t>(mapping: &'t Mapping, around: &str, found: &mut Vec<Found<'t>>) {
    for entry in &mapping.entries {
        let known =
            |path: &str| NOT_YET.iter().any(|row| row.path == path || row.path.starts_with(&format!("{path}.")));
        let path = [entry.key.as_str(), "*"]
            .into_iter()
            .map(|name| if around.is_empty() { name.to_owned() } else { format!("{around}.{name}") })
            .find(|path| known(path));
        let Some(path) = path else {
            continue;
        };
        match NOT_YET.iter().find(|row| row.path == path && applies(row.when, &entry.value)) {
            Some(row) => found.push(Found { row, entry }),
            None => search_below(&entry.value, &path, found),
        }
    }
}

/// What stands in a list has the list's own path.
fn search_below<'t>(node: &'t Node, path: &str, found: &mut Vec<Found<'t>>) {
    match &node.value {
        Value::Map(below) => search(below, path, found),
        Value::List(items) => items.iter().for_each(|item| search_below(item, path, found)),
        Value::Null | Value::Scalar(_) | Value::Broken => {}
    }
}

fn applies(when: When, node: &Node) -> bool {
    match when {
        When::Present => true,
        When::Mapping => node.map().is_some(),
        When::Is(word) => text(node) == Some(word),
        When::Kind { tag, word } => node.map().and_then(|map| text(&map.get(tag)?.value)) == Some(word),
        When::NotZero => text(node).is_some_and(|text| text != "0"),
    }
}

fn text(node: &Node) -> Option<&str> {
    node.scalar().map(|scalar| scalar.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_file_are_found_in_the_table() {
        assert!(!carries_out_key("backups"));
        assert!(!carries_out_key("services.api.image"));
        assert!(carries_out_key("services.api.run"));
        assert!(carries_out_key("services.edge"), "a name is no key");
        assert!(!carries_out_word("services.api.rollout.strategy", "canary"));
        assert!(!carries_out_word("edge.protect.waf", "block"));
        assert!(carries_out_word("edge.protect.waf", "off"));
        assert!(carries_out_word("services.api.rollout.strategy", "rolling"));
    }

    /// The hints of the rules' samples, which hold one of every kind.
    #[test]
    fn no_hint_suggests_what_is_not_supported() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
        let samples = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
        let text: String = samples.map(Result::unwrap).collect();
        let hints = text.lines().filter_map(|line| line.trim_start().strip_prefix("hint: "));
        let wrong: Vec<&str> = hints.filter(|hint| suggests_unsupported(hint)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_is_suggested_is_found() {
        assert!(suggests_unsupported("add a `backups` section"));
        assert!(suggests_unsupported("known keys: run, image"));
        assert!(suggests_unsupported("write `strategy: canary`"));
        assert!(!suggests_unsupported("did you mean `canary`? it is not supported yet"));
        assert!(!suggests_unsupported("write `strategy: rolling`"));
    }

    /// Whether a hint names, as text for the file, what the table holds, and does not say so.
    fn suggests_unsupported(hint: &str) -> bool {
        let quoted = hint.split('`').skip(1).step_by(2);
        let listed = hint.strip_prefix("known ").and_then(|list| list.split_once(": "));
        let listed = listed.into_iter().flat_map(|(_, names)| names.split(", "));
        let words = quoted.flat_map(|text| text.split([' ', ':', ',', '{', '}'])).chain(listed);
        let unsupported = words.into_iter().any(|word| NOT_YET.iter().any(|row| name_of(row) == Some(word)));
        unsupported && !hint.contains("not supported yet") && !hint.starts_with("delete")
    }

    /// The key or word that is not carried out at all; the name in a path such as `edge` may be another key's too.
    fn name_of(row: &NotYet) -> Option<&'static str> {
        match row.when {
            When::Present => row.path.rsplit('.').next(),
            When::Kind { word, .. } | When::Is(word) => Some(word),
            When::Mapping | When::NotZero => None,
        }
    }
}
