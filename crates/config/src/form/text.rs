//! Texts with a grammar of their own: zones, schedules, hosts, networks, origins, addresses.

use model::{HostPattern, Network, TimeZoneName};

use super::{Complaint, parsed};
use crate::rule::RuleId;

pub(super) fn zone(text: &str) -> Result<(), Complaint> {
    parsed::<TimeZoneName>(text)
        .map(drop)
        .map_err(|complaint| complaint.hint("write `UTC`, or a region and city as in `Europe/Berlin`"))
}

pub(super) fn cron(text: &str) -> Result<(), Complaint> {
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
    match crontab(text) {
        Ok(crontab) if comes(&crontab) => Ok(()),
        Ok(_) => Err(Complaint::new(RuleId::ImpossibleSchedule, format!("{text:?} never comes"))
            .hint("no month that it names has a day that it names: choose other days or months")),
        Err(error) => Err(misread_field(text).unwrap_or_else(|| {
            Complaint::new(RuleId::ScheduleSyntax, format!("{text:?} is not a schedule: {}", last_line(&error)))
        })),
    }
}

fn crontab(text: &str) -> Result<cronexpr::Crontab, cronexpr::Error> {
    let mut options = cronexpr::ParseOptions::default();
    options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
    cronexpr::parse_crontab_with(text, options)
}

/// The fields of a schedule, and what each may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT"),
];

/// The first field that cannot be read where all others are `*`.
fn misread_field(text: &str) -> Option<Complaint> {
    let alone = |index: usize, word: &str| {
        let mut words = ["*"; FIELDS.len()];
        words[index] = word;
        words.join(" ")
    };
    let mut fields = text.split_ascii_whitespace().zip(FIELDS).enumerate();
    let (_, (word, (name, holds))) = fields.find(|(index, (word, _))| crontab(&alone(*index, word)).is_err())?;
    let complaint = Complaint::new(RuleId::ScheduleSyntax, format!("{word:?} is no {name}, in {text:?}"));
    Some(complaint.hint(format!("a {name} is {holds}; `*`, lists (1,3), ranges (1-5) and steps (*/2) can stand there")))
}

/// Starts of the looks that [`comes`] takes. Each look is over four years, and days of the week fall on the same days
/// of the year again after 28.
const CALENDAR_CYCLE: [&str; 7] = [
    "2000-01-01T00:00:00Z",
    "2004-01-01T00:00:00Z",
    "2008-01-01T00:00:00Z",
    "2012-01-01T00:00:00Z",
    "2016-01-01T00:00:00Z",
    "2020-01-01T00:00:00Z",
    "2024-01-01T00:00:00Z",
];

/// Whether there is any day on which a schedule runs.
fn comes(crontab: &cronexpr::Crontab) -> bool {
    CALENDAR_CYCLE.iter().any(|start| crontab.find_next(*start).is_ok())
}

/// The parser's own drawing of the place is left out: the problem marks it already.
fn last_line(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_matches([' ', '^', '\t']).to_owned()
}

pub(super) fn host(text: &str) -> Result<(), Complaint> {
    parsed::<HostPattern>(text).map(drop)
}

pub(super) fn network(text: &str) -> Result<(), Complaint> {
    parsed::<Network>(text).map(drop)
}

/// What browsers send in `Origin`: scheme, host and the port where it is not the scheme's own.
pub(super) fn origin(text: &str) -> Result<(), Complaint> {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let (host, port) = match authority
        .map(|it| it.split_once(':').map_or((it, None), |(host, port)| (host, Some(port))))
    {
        None if text == "*" => return Ok(()),
        None => return Err(Complaint::invalid(format!("{text:?} is not an origin such as https://app.example.com"))),
        Some(parts) => parts,
    };
    let is_name =
        host.parse::<HostPattern>().is_ok_and(|it| it.to_string() == host && matches!(it, HostPattern::Exact(_)));
    let is_port = port.is_none_or(|port| super::port(port).is_some());
    match is_name && is_port {
        true => Ok(()),
        false => {
            Err(Complaint::invalid(format!("{text:?} is not an origin: a host in lower case, perhaps a port, no path")))
        }
    }
}

/// A token as RFC 9110, section 5.6.2 has it.
pub(super) fn field_name(text: &str) -> Result<(), Complaint> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.bytes().all(fits) {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not the name of a header"))),
    }
}

pub(super) fn mail(text: &str) -> Result<(), Complaint> {
    let fits = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !text.contains(char::is_whitespace) && self::host(host).is_ok()
    });
    match fits {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not a mail address"))),
    }
}

pub(super) fn url(text: &str) -> Result<(), Complaint> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic())) {
        true => Ok(()),
        false => Err(Complaint::invalid(format!("{text:?} is not an http or https URL"))),
    }
}
