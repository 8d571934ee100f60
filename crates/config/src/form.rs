//! The forms a single value may have: how each is checked, described and written in the JSON Schema.
//!
//! Start reading at [`Form::check`]. A form only says yes or no; the drafts read the value itself.

mod name;
mod number;
mod text;

use std::fmt;
use std::str::FromStr;

use model::{ByteSize, Percent, Port, Rate, Span, UrlPath};

pub(crate) use name::NameKind;
use number::{cores, is_text, only_true, truth, whole};
use text::{cron, field_name, host, mail, network, origin, url, zone};

use crate::command;
use crate::rule::RuleId;
use crate::tree::Scalar;

/// A form of a single value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Any text of one line.
    Text { what: &'static str },
    /// Any text, number or truth value, kept as it is written.
    Raw,
    /// A name of this kind.
    Name(NameKind),
    /// One of these words.
    Word(&'static [Word]),
    /// `true` or `false`.
    Truth,
    /// `true`, where leaving the key out says the opposite.
    True,
    /// A whole number between two bounds.
    Whole { min: u32, max: u32 },
    /// Processor cores.
    Cores,
    /// A size of at least so many bytes.
    Size { min: ByteSize },
    /// A span of time of at least this.
    Span { min: Span },
    /// A share.
    Share,
    /// So many per second, minute or hour.
    Rate,
    /// A TCP port.
    Port,
    /// A URL's path.
    Path,
    /// A program and its arguments.
    Command,
    /// Five fields as crontab(5) has them.
    Cron,
    /// A zone of the IANA database.
    Zone,
    /// A host name in which `{tenant}` may stand for one label.
    Host,
    /// A network such as 10.0.0.0/8.
    Network,
    /// An origin as browsers send it, or `*`.
    Origin,
    /// The name of an HTTP header.
    FieldName,
    /// An address for mail.
    Mail,
    /// An http or https URL.
    Url,
}

/// A word that a key takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) doc: &'static str,
}

/// Why a value does not have the wanted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) rule: RuleId,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Complaint {
    pub(crate) fn new(rule: RuleId, message: impl Into<String>) -> Self {
        Self { rule, message: message.into(), hint: None }
    }

    fn invalid(message: impl fmt::Display) -> Self {
        Self::new(RuleId::InvalidValue, message.to_string())
    }

    fn kind(message: impl Into<String>) -> Self {
        Self::new(RuleId::WrongKind, message)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Form {
    /// Whether a value has this form.
    pub(crate) fn check(self, scalar: &Scalar) -> Result<(), Complaint> {
        match self {
            Form::Truth => truth(scalar),
            Form::True => truth(scalar).and_then(|()| only_true(scalar)),
            Form::Whole { min, max } => whole(scalar, min, max),
            Form::Port => whole(scalar, 1, u32::from(u16::MAX)),
            Form::Cores => cores(scalar),
            Form::Raw => no_nul(&scalar.text),
            Form::Word(words) => word(scalar, words),
            _ => self.text(&scalar.text).and_then(|()| is_text(scalar)),
        }
    }

    /// Whether a text has this form, where the form is one of text.
    fn text(self, text: &str) -> Result<(), Complaint> {
        match self {
            Form::Text { what } => one_line(text, what),
            Form::Name(kind) => kind.check(text),
            Form::Size { min } => at_least(mended::<ByteSize>(text, &sized(text))?, min, text),
            Form::Span { min } => {
                at_least(mended::<Span>(text, &[format!("{text}ms"), format!("{text}s")])?, min, text)
            }
            Form::Share => mended::<Percent>(text, &[format!("{text}%")]).map(drop),
            Form::Rate => {
                mended::<Rate>(text, &[format!("{text}in"), format!("{text}/s"), format!("{text}/min")]).map(drop)
            }
            Form::Path => mended::<UrlPath>(text, &[format!("/{text}")]).map(drop),
            Form::Zone => zone(text),
            Form::Command => command::split(text)
                .map(drop)
                .map_err(|error| Complaint::new(RuleId::CommandSyntax, error.to_string()).hint(error.hint())),
            Form::Cron => cron(text),
            Form::Host => host(text),
            Form::Network => network(text),
            Form::Origin => origin(text),
            Form::FieldName => field_name(text),
            Form::Mail => mail(text),
            Form::Url => url(text),
            Form::Raw | Form::Word(_) | Form::Truth | Form::True => Ok(()),
            Form::Whole { .. } | Form::Cores | Form::Port => Ok(()),
        }
    }

    /// The form in a few words, with its article.
    pub(crate) fn describe(self) -> String {
        match self {
            Form::Text { what } => what.to_owned(),
            Form::Raw => "a text, number, true or false".to_owned(),
            Form::Name(kind) => format!("the name of {}", kind.what()),
            Form::Word(words) => words.iter().map(|w| format!("`{}`", w.word)).collect::<Vec<_>>().join(" or "),
            Form::Truth => "`true` or `false`".to_owned(),
            Form::True => "`true`".to_owned(),
            Form::Whole { min, max: u32::MAX } => format!("a whole number, {min} or more"),
            Form::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Form::Cores => "a number of cores such as `2` or `0.5`".to_owned(),
            Form::Size { min } if min.as_bytes() > 0 => format!("a size such as `512MiB`, {min} or more"),
            Form::Size { .. } => "a size such as `512MiB`".to_owned(),
            Form::Span { .. } => "a span such as `200ms`, `30s`, `15m`, `1h30m` or `35d`".to_owned(),
            Form::Share => "a share such as `99.9%`".to_owned(),
            Form::Rate => "a rate such as `100/min`".to_owned(),
            Form::Port => "a port, 1 to 65535".to_owned(),
            Form::Path => "a path such as `/readyz`".to_owned(),
            Form::Command => "a command such as `bin/server --verbose`".to_owned(),
            Form::Cron => "a schedule of five fields such as `0 6 * * MON`".to_owned(),
            Form::Zone => "a time zone such as `Europe/Berlin`".to_owned(),
            Form::Host => "a host name such as `{tenant}.example.com`".to_owned(),
            Form::Network => "a network such as `10.0.0.0/8`".to_owned(),
            Form::Origin => "an origin such as `https://app.example.com`".to_owned(),
            Form::FieldName => "a header's name such as `x-client`".to_owned(),
            Form::Mail => "a mail address".to_owned(),
            Form::Url => "an http or https URL".to_owned(),
        }
    }

    /// What the form is in JSON Schema.
    pub(crate) fn schema(self) -> serde_json::Value {
        use serde_json::json;
        let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
        match self {
            Form::Text { .. } => json!({ "type": "string", "minLength": 1 }),
            Form::Raw => json!({ "type": ["string", "number", "boolean"] }),
            Form::Name(kind) => pattern(kind.pattern()),
            Form::Word(words) => json!({ "enum": words.iter().map(|w| w.word).collect::<Vec<_>>() }),
            Form::Truth => json!({ "type": "boolean" }),
            Form::True => json!({ "const": true }),
            Form::Whole { min, max: u32::MAX } => json!({ "type": "integer", "minimum": min }),
            Form::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Form::Cores => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Form::Size { .. } => pattern(r"^[0-9]+(\.[0-9]{1,3})? *([KMGT]iB|[kMGT]?B)$"),
            Form::Span { .. } => pattern(r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
            Form::Share => pattern(r"^[0-9]{1,3}(\.[0-9]{1,3})?%$"),
            Form::Rate => pattern(r"^[0-9]+/(s|min|h)$"),
            Form::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
            Form::Path => pattern(r"^/[!-~]*$"),
            Form::Cron => pattern(r"^\S+ +\S+ +\S+ +\S+ +\S+$"),
            Form::Origin => pattern(r"^(\*|https?://[^/\s]+)$"),
            Form::FieldName => pattern(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),
            Form::Mail => pattern("^[^@ ]+@[^@ ]+$"),
            Form::Url => pattern("^https?://"),
            Form::Command | Form::Zone | Form::Host | Form::Network => json!({ "type": "string", "minLength": 1 }),
        }
    }
}

fn parsed<T>(text: &str) -> Result<T, Complaint>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(Complaint::invalid)
}

/// As [`parsed`], with those of the candidates that do read as a hint.
fn mended<T>(text: &str, candidates: &[String]) -> Result<T, Complaint>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    parsed(text).map_err(|complaint| {
        let good: Vec<&str> = candidates.iter().filter(|c| c.parse::<T>().is_ok()).map(String::as_str).collect();
        match good.is_empty() {
            true => complaint,
            false => complaint.hint(format!("write {}", good.join(" or "))),
        }
    })
}

/// A size whose unit is missing or in another case: `512m`, `1mb`, `100`.
fn sized(text: &str) -> [String; 2] {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    match text[number.len()..].trim().chars().next().map(|c| c.to_ascii_lowercase()) {
        Some('k') => [format!("{number}KiB"), format!("{number}kB")],
        Some('g') => [format!("{number}GiB"), format!("{number}GB")],
        Some('t') => [format!("{number}TiB"), format!("{number}TB")],
        _ => [format!("{number}MiB"), format!("{number}MB")],
    }
}

fn at_least<T: PartialOrd + fmt::Display + Copy>(value: T, min: T, text: &str) -> Result<(), Complaint> {
    match value >= min {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text} is too little: at least {min} is needed here"))),
    }
}

fn word(scalar: &Scalar, words: &[Word]) -> Result<(), Complaint> {
    if words.iter().any(|word| word.word == scalar.text) {
        return Ok(());
    }
    let known: Vec<&str> = words.iter().map(|word| word.word).collect();
    let hint = crate::problem::suggestion(&scalar.text, "known words", &known);
    Err(Complaint::invalid(format!("{:?} is not known here", scalar.text)).hint(hint))
}

fn no_nul(text: &str) -> Result<(), Complaint> {
    match text.contains('\0') {
        true => Err(Complaint::invalid("a value cannot hold the character U+0000")),
        false => Ok(()),
    }
}

fn one_line(text: &str, what: &str) -> Result<(), Complaint> {
    if text.trim().is_empty() {
        return Err(Complaint::invalid(format!("an empty text is not {what}")));
    }
    match text.chars().any(char::is_control) {
        true => Err(Complaint::invalid(format!("{text:?} is not {what}: it holds a line break or control character"))),
        false => Ok(()),
    }
}

/// The port a checked number is.
pub(crate) fn port(text: &str) -> Option<Port> {
    text.parse().ok().and_then(Port::new)
}
