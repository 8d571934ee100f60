//! The reference pages, made from the shape of the file, its rules and the annotated example.

use crate::form::Form;
use crate::rule::RuleId;
use crate::shape::file::{ENVIRONMENT, FILE};
use crate::shape::{Key, Presence, Record, Shape, Tagged};
use crate::support;

/// A file that uses every key that is carried out today, with what each is for.
pub const ANNOTATED_EXAMPLE: &str = include_str!("annotated.yaml");

const HEAD: &str = "\
<!-- Made by `UPDATE=1 cargo test -p config`; change crates/config/src/shape and annotated.yaml instead. -->

# mainstay.yaml

One file describes one stack. `mainstay check` reads it and reports all its problems at once; `mainstay plan` shows
what would be done; `mainstay up` does it.

The file is plain YAML 1.2: no anchors, aliases, merge keys or tags, and every key stands once. Unknown keys are
refused. A key that starts with `x-` is yours, anywhere in the file: nothing reads it.

| written | means |
| --- | --- |
| `250ms`, `30s`, `15m`, `1h30m`, `35d` | a span of time |
| `512MiB`, `10GiB`, `64kB` | a size in powers of two (`KiB`, `MiB`, `GiB`, `TiB`) or ten (`kB`, `MB`, `GB`, `TB`) |
| `99.9%` | a share |
| `100/min`, `5/s`, `1000/h` | a rate |
| `0.5`, `2` | processor cores |
| `\"0 6 * * MON\"` | a schedule: minute, hour, day of month, month, weekday |

Keys marked *not supported yet* are read and checked, and then refused.

## Example

Every key that is carried out today:

```yaml
";

/// The reference page of the file.
pub fn reference_markdown() -> String {
    let mut page = Page { text: format!("{HEAD}{ANNOTATED_EXAMPLE}```\n\n") };
    page.record("The top of the file", &FILE, "");
    page.below(FILE.keys, "");
    page.heading("environments.*", "What differs in one environment, in the shape of the file itself.");
    page.table(ENVIRONMENT.keys.iter().filter(|key| FILE.key(key.name).is_none()), "", &[]);
    page.line("Besides these, an environment takes every key of the file's top but `stack` and `environments`.");
    let own = ENVIRONMENT.keys.iter().filter(|key| FILE.key(key.name).is_none());
    for key in own {
        page.shape(&key.shape, &format!("environments.*.{}", key.name));
    }
    page.text.truncate(page.text.trim_end().len());
    page.text.push('\n');
    page.text
}

/// The page of the rules of `check`.
pub fn rules_markdown() -> String {
    let mut text = String::from(
        "<!-- Made by `UPDATE=1 cargo test -p config`; change crates/config/src/rule.rs instead. -->\n\n\
         # Rules of `mainstay check`\n\n\
         A problem is printed with its place, how much it matters and the rule's id. An *error* stops everything. \
         *Unsupported* stops everything too, but the file is right: this version does not carry it out yet. A \
         *warning* stops nothing.\n\n\
         Samples that keep and break each rule, with the exact text printed, are in `crates/config/tests/rules`.\n\n\
         | rule | severity | what it demands |\n| --- | --- | --- |\n",
    );
    for rule in RuleId::ALL {
        let row = format!("| `{rule}` | {} | {} |\n", rule.severity(), rule.explanation());
        text.push_str(&row);
    }
    text
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str("\n\n");
    }

    fn heading(&mut self, title: &str, doc: &str) {
        self.text.push_str("## ");
        self.text.push_str(title);
        self.text.push_str("\n\n");
        self.line(doc);
    }

    fn record(&mut self, title: &str, record: &Record, path: &str) {
        let mut what = record.what.chars();
        let first = what.next().map(|c| c.to_ascii_uppercase()).into_iter();
        let mut doc: String = first.chain(what).collect();
        doc.push('.');
        if let Some(one_of) = record.one_of {
            let keys = one_of.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            doc.push_str(&format!(" Exactly one of {keys}."));
        }
        self.heading(title, &doc);
        self.table(record.keys.iter(), path, record.one_of.map_or(&[], |one_of| one_of.keys));
    }

    /// `exclusive` are keys of which there is exactly one.
    fn table<'k>(&mut self, keys: impl Iterator<Item = &'k Key>, path: &str, exclusive: &[&str]) {
        let mut rows = String::new();
        for key in keys {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            let left_out = match key.presence {
                _ if exclusive.contains(&key.name) => String::new(),
                Presence::Needed => "needed".to_owned(),
                Presence::Absent(meaning) => meaning.to_owned(),
                Presence::Default(default) => format!("`{}`", default()),
            };
            let row = format!(
                "| `{}` | {} | {left_out} | {}{} |\n",
                key.name,
                takes(&key.shape),
                key.doc,
                support_note(&path)
            );
            rows.push_str(&row);
        }
        if !rows.is_empty() {
            self.text.push_str("| key | takes | when left out | what it is for |\n| --- | --- | --- | --- |\n");
            self.text.push_str(&rows);
            self.text.push('\n');
        }
    }

    fn below(&mut self, keys: &[Key], path: &str) {
        for key in keys {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            if path != "environments" {
                self.shape(&key.shape, &path);
            }
        }
    }

    fn shape(&mut self, shape: &Shape, path: &str) {
        match shape {
            Shape::One(Form::Word(words)) => {
                self.line(&format!("Words of `{path}`:"));
                for word in *words {
                    let note = support::of_word(path, word.word).map(not_yet).unwrap_or_default();
                    self.text.push_str(&format!("- `{}`: {}{note}\n", word.word, word.doc));
                }
                self.text.push('\n');
            }
            Shape::One(_) | Shape::Unsettled => {}
            Shape::List { item, .. } => self.shape(item, path),
            Shape::Named { value, .. } => self.shape(value, &format!("{path}.*")),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| self.shape(shape, path)),
            Shape::Record(record) => {
                self.record(path, record, path);
                self.below(record.keys, path);
            }
            Shape::Tagged(tagged) => self.tagged(tagged, path),
        }
    }

    fn tagged(&mut self, tagged: &Tagged, path: &str) {
        let doc = format!("One of several kinds; `{}` says which.", tagged.key);
        self.heading(path, &doc);
        for variant in tagged.variants {
            let note = support::of_word(&format!("{path}.{}", tagged.key), variant.word).map(not_yet);
            let title = format!("### {path}: `{}: {}`", tagged.key, variant.word);
            self.line(&title);
            self.line(&format!("{}{}", variant.doc, note.unwrap_or_default()));
            self.table(variant.record.keys.iter(), path, &[]);
            self.below(variant.record.keys, path);
        }
    }
}

fn takes(shape: &Shape) -> String {
    match shape {
        Shape::One(Form::Word(words)) if words.len() > 4 => "one of the words below".to_owned(),
        Shape::List { item, .. } => match &**item {
            Shape::One(form) => format!("a list; each: {}", form.describe()),
            _ => "a list of mappings".to_owned(),
        },
        Shape::Named { name, value } => match value {
            Shape::One(form) => format!("a mapping from the name of {} to {}", name.what(), form.describe()),
            _ => format!("a mapping from the name of {}", name.what()),
        },
        Shape::Record(_) | Shape::Tagged(_) | Shape::Unsettled => "a mapping".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(takes).collect::<Vec<_>>().join(", or "),
        Shape::One(form) => form.describe(),
    }
}

fn support_note(path: &str) -> String {
    match (support::of_key(path), support::of_values(path)) {
        (Some(row), _) => not_yet(row),
        (None, Some(row)) => format!(" *Not supported yet: {}.*", row.what),
        (None, None) => String::new(),
    }
}

fn not_yet(_: &support::NotYet) -> String {
    " *Not supported yet.*".to_owned()
}
