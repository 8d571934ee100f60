//! The forms a single value may have: how each is checked, described and written in the JSON Schema.
//!
//! Start reading at [`Form::check`]. A form only says yes or no; the drafts read the value itself.

use std::fmt;
use std::str::FromStr;

use model::{
    BucketName, ByteSize, CpuShare, EnvironmentName, NameError, Percent, Port, Rate, ResourceName, SecretName,
    ServiceName, Span, StackName, TimeZoneName, UrlPath, VariableName, VolumeName,
};

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

/// The kinds of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Stack,
    Environment,
    Service,
    Resource,
    Secret,
    Variable,
    Volume,
    Bucket,
    Alert,
    /// A user of the operating system.
    User,
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

/// What a value without quotes is by the core schema of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Core {
    Text,
    Truth,
    Whole,
    Fraction,
}

fn core(scalar: &Scalar) -> Core {
    if !scalar.plain {
        return Core::Text;
    }
    let text = scalar.text.as_str();
    if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") {
        return Core::Truth;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let of_base = |prefix: &str, base: u32| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(base)))
    };
    if digits(unsigned) || of_base("0o", 8) || of_base("0x", 16) {
        return Core::Whole;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Core::Fraction;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let numeric = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    match some_digit && numeric(whole) && numeric(fraction) && exponent.is_none_or(digits) {
        true => Core::Fraction,
        false => Core::Text,
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
            Form::Mail => pattern("^[^@ ]+@[^@ ]+$"),
            Form::Url => pattern("^https?://"),
            Form::Command | Form::Zone | Form::Host | Form::Network => json!({ "type": "string", "minLength": 1 }),
        }
    }
}

impl NameKind {
    /// What bears the name, with its article.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            NameKind::Stack => "a stack",
            NameKind::Environment => "an environment",
            NameKind::Service => "a service",
            NameKind::Resource => "a resource",
            NameKind::Secret => "a secret",
            NameKind::Variable => "an environment variable",
            NameKind::Volume => "a volume",
            NameKind::Bucket => "a bucket",
            NameKind::Alert => "an alert receiver",
            NameKind::User => "a user of the operating system",
        }
    }

    /// The regular expression of JSON Schema that such names match.
    pub(crate) const fn pattern(self) -> &'static str {
        match self {
            NameKind::Secret | NameKind::Variable => "^[A-Za-z_][A-Za-z0-9_]{0,119}$",
            NameKind::User => "^[a-z_][a-z0-9_-]{0,31}$",
            NameKind::Resource => "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$",
            _ => "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        }
    }

    pub(crate) fn check(self, text: &str) -> Result<(), Complaint> {
        let outcome: Result<(), NameError> = match self {
            NameKind::Stack => text.parse::<StackName>().map(drop),
            NameKind::Environment => text.parse::<EnvironmentName>().map(drop),
            NameKind::Service | NameKind::Alert => text.parse::<ServiceName>().map(drop),
            NameKind::Resource => text.parse::<ResourceName>().map(drop),
            NameKind::Secret => text.parse::<SecretName>().map(drop),
            NameKind::Variable => text.parse::<VariableName>().map(drop),
            NameKind::Volume => text.parse::<VolumeName>().map(drop),
            NameKind::Bucket => text.parse::<BucketName>().map(drop),
            NameKind::User => return user(text),
        };
        let complain = |message: String| Complaint::new(RuleId::InvalidName, message);
        if let Err(error) = outcome {
            let complaint = complain(format!("{text:?} cannot be the name of {}: {error}", self.what()));
            let mended = self.mended(text);
            return Err(match self.check_quietly(&mended) {
                true => complaint.hint(format!("write `{mended}`")),
                false => complaint,
            });
        }
        if self == NameKind::Resource && text.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("{text:?} cannot be the name of a resource: its variables would start with a digit");
            return Err(complain(message).hint("start the name with a letter"));
        }
        Ok(())
    }

    fn check_quietly(self, text: &str) -> bool {
        match self {
            NameKind::Secret | NameKind::Variable => text.parse::<VariableName>().is_ok(),
            NameKind::User => false,
            _ => text.parse::<ServiceName>().is_ok(),
        }
    }

    /// The nearest text that may be a name, for a hint.
    fn mended(self, text: &str) -> String {
        match self {
            NameKind::Secret | NameKind::Variable => {
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
            }
            _ => {
                let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
                text.chars().map(fit).collect::<String>().trim_matches('-').to_owned()
            }
        }
    }
}

fn user(text: &str) -> Result<(), Complaint> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let fits =
        text.starts_with(first) && text.len() <= 32 && text.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-');
    match fits {
        true => Ok(()),
        false => Err(Complaint::new(
            RuleId::InvalidName,
            format!("{text:?} cannot be the name of a user: lower-case letters, digits, '_' and '-', at most 32"),
        )),
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

/// Refuses what YAML reads as a number or a truth value where a text is wanted.
fn is_text(scalar: &Scalar) -> Result<(), Complaint> {
    let kind = match core(scalar) {
        Core::Text => return Ok(()),
        Core::Truth => "true or false",
        Core::Whole | Core::Fraction => "a number",
    };
    let text = &scalar.text;
    Err(Complaint::kind(format!("`{text}` is {kind} here, not a text")).hint(format!("write \"{text}\"")))
}

fn truth(scalar: &Scalar) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    if scalar.plain && matches!(text, "true" | "false") {
        return Ok(());
    }
    let complaint = Complaint::kind(format!("`{text}` is not `true` or `false`"));
    Err(match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "y" => complaint.hint("write `true`, without quotes"),
        "no" | "off" | "false" | "n" => complaint.hint("write `false`, without quotes"),
        _ => complaint,
    })
}

fn only_true(scalar: &Scalar) -> Result<(), Complaint> {
    match scalar.text.as_str() {
        "true" => Ok(()),
        _ => Err(Complaint::invalid("only `true` can stand here").hint("leave the key out")),
    }
}

fn whole(scalar: &Scalar, min: u32, max: u32) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !scalar.plain {
        let complaint = Complaint::kind(format!("{text:?} is a text, not a number"));
        return Err(if digits { complaint.hint(format!("write {text} without quotes")) } else { complaint });
    }
    if !digits {
        return Err(not_whole(text));
    }
    if text.len() > 1 && text.starts_with('0') {
        let complaint = Complaint::invalid(format!("`{text}` starts with 0, which some programs read as base 8"));
        return Err(complaint.hint(format!("write {}", text.trim_start_matches('0'))));
    }
    match text.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        _ if max == u32::MAX => Err(Complaint::invalid(format!("{text} is out of bounds: {min} or more"))),
        _ => Err(Complaint::invalid(format!("{text} is out of bounds: {min} to {max}"))),
    }
}

fn not_whole(text: &str) -> Complaint {
    let joined: String = text.chars().filter(|c| *c != '_').collect();
    if joined != text && !joined.is_empty() && joined.bytes().all(|b| b.is_ascii_digit()) {
        return Complaint::kind(format!("`{text}` is a text, not a number")).hint(format!("write {joined}"));
    }
    let numeric = matches!(core(&Scalar { text: text.to_owned(), plain: true }), Core::Whole | Core::Fraction);
    match numeric {
        true => Complaint::invalid(format!("`{text}` is not a plain whole number")).hint("write digits only"),
        false => Complaint::kind(format!("`{text}` is not a whole number")),
    }
}

fn cores(scalar: &Scalar) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return Err(Complaint::kind(format!("{text:?} is a text, not a number of cores")));
    }
    if text.len() > 1 && text.starts_with('0') && !text.starts_with("0.") {
        return Err(Complaint::invalid(format!("`{text}` starts with 0, which some programs read as base 8")));
    }
    match text.strip_suffix('m').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
        Some(milli) => {
            let complaint = Complaint::kind(format!("`{text}` is not a number of cores"));
            Err(match milli.parse::<u32>() {
                Ok(milli) => complaint.hint(format!("write {}", f64::from(milli) / 1000.0)),
                Err(_) => complaint,
            })
        }
        None => parsed::<CpuShare>(text).map(drop),
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

fn zone(text: &str) -> Result<(), Complaint> {
    parsed::<TimeZoneName>(text)
        .map(drop)
        .map_err(|complaint| complaint.hint("write `UTC`, or a region and city as in `Europe/Berlin`"))
}

fn cron(text: &str) -> Result<(), Complaint> {
    let complain = |message: String| Err(Complaint::new(RuleId::ScheduleSyntax, message));
    if let Some(word) = text.trim().strip_prefix('@') {
        let fields = match word {
            "hourly" => "0 * * * *",
            "daily" | "midnight" => "0 0 * * *",
            "weekly" => "0 0 * * 0",
            "monthly" => "0 0 1 * *",
            _ => return complain(format!("{text:?} is not a schedule of five fields")),
        };
        let complaint = Complaint::new(RuleId::ScheduleSyntax, format!("{text:?} is not a schedule of five fields"));
        return Err(complaint.hint(format!("write \"{fields}\"")));
    }
    let fields = text.split_ascii_whitespace().count();
    if fields != 5 {
        return complain(format!(
            "{text:?} has {fields} fields; a schedule has five: minute, hour, day, month, weekday"
        ));
    }
    let mut options = cronexpr::ParseOptions::default();
    options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
    match cronexpr::parse_crontab_with(text, options) {
        Ok(_) => Ok(()),
        Err(error) => complain(format!("{text:?} is not a schedule: {}", last_line(&error))),
    }
}

/// The parser's own drawing of the place is left out: the problem marks it already.
fn last_line(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_matches([' ', '^', '\t']).to_owned()
}

fn host(text: &str) -> Result<(), Complaint> {
    let label = |label: &str| {
        label == "{tenant}"
            || (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
    };
    let tenants = text.matches("{tenant}").count();
    match text.len() <= 253 && tenants <= 1 && text.split('.').all(label) {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not a host name such as {{tenant}}.example.com"))),
    }
}

fn network(text: &str) -> Result<(), Complaint> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let wide = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return Err(Complaint::invalid(format!("{text:?} is not a network such as 10.0.0.0/8"))),
    };
    match bits.is_none_or(|bits| bits.parse::<u32>().is_ok_and(|bits| bits <= wide)) {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not a network: its prefix is at most {wide}"))),
    }
}

fn mail(text: &str) -> Result<(), Complaint> {
    let fits = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !text.contains(char::is_whitespace) && self::host(host).is_ok()
    });
    match fits {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not a mail address"))),
    }
}

fn url(text: &str) -> Result<(), Complaint> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic())) {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not an http or https URL"))),
    }
}

/// The port a checked number is.
pub(crate) fn port(text: &str) -> Option<Port> {
    text.parse().ok().and_then(Port::new)
}
