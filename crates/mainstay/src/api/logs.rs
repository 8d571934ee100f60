//! Reading the units' logs, for the API and for `mainstay logs` where no node runs: which units are meant,
//! from when on, and the waiting for more.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use model::{Span, Timestamp, UnitId};
use supervise::log::Line;
use supervise::log::reader::{Query, Reader};

use super::bodies::{ErrorBody, ErrorKind, LogLineBody};

/// From one look for new lines to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is asked for, as it comes over the wire.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(crate) struct LogsQuery {
    /// Services, resources or units, separated by commas.
    pub(crate) of: Option<String>,
    /// A time, or how long ago.
    pub(crate) since: Option<String>,
    /// A text that lines must contain.
    pub(crate) grep: Option<String>,
    /// Whether to go on with what comes.
    #[serde(default)]
    pub(crate) follow: bool,
}

/// What is asked for, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    of: BTreeSet<String>,
    since: Option<Timestamp>,
    grep: Option<String>,
    follow: bool,
}

impl Selection {
    /// Understands a query at a moment.
    pub(crate) fn new(query: &LogsQuery, now: Timestamp) -> Result<Self, ErrorBody> {
        let names = query.of.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty());
        let since = query.since.as_deref().map(|text| moment(text, now)).transpose()?;
        Ok(Self {
            of: names.map(str::to_owned).collect(),
            since,
            grep: query.grep.clone().filter(|text| !text.is_empty()),
            follow: query.follow,
        })
    }

    /// What one unit prints, as it comes.
    pub(crate) fn of_unit(unit: &UnitId) -> Self {
        Self { of: [unit.to_string()].into(), since: None, grep: None, follow: true }
    }

    /// Refuses a name that is neither among these nor that of a unit in the folder of logs, nor of its service.
    pub(crate) fn check_names(&self, known: BTreeSet<String>, folder: &Path) -> Result<(), ErrorBody> {
        // What cannot be listed is told when it is read.
        let Ok(units) = units(folder) else { return Ok(()) };
        let services = units.iter().filter_map(UnitId::service).map(ToString::to_string);
        let resources = units.iter().filter(|unit| unit.service().is_none()).map(ToString::to_string);
        let known: BTreeSet<String> = known.into_iter().chain(services).chain(resources).collect();
        let is_known = |name: &String| known.contains(name) || units.iter().any(|unit| unit.to_string() == *name);
        let Some(unknown) = self.of.iter().find(|name| !is_known(name)) else { return Ok(()) };
        let there = match known.is_empty() {
            true => "there are no logs yet".to_owned(),
            false => format!("there are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        Err(ErrorBody::new(ErrorKind::NotFound, format!("nothing here is called {unknown}")).with_hint(there))
    }

    /// Whether a unit is meant: by its own name or by its service's.
    fn covers(&self, unit: &UnitId) -> bool {
        self.of.is_empty()
            || self.of.contains(&unit.to_string())
            || unit.service().is_some_and(|service| self.of.contains(service.as_str()))
    }
}

/// A moment as people give it: a time, or how long ago.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, ErrorBody> {
    match (text.parse::<Span>(), text.parse::<Timestamp>()) {
        (Ok(span), _) => Ok(now.before(span.duration())),
        (_, Ok(moment)) => Ok(moment),
        (Err(_), Err(_)) => Err(ErrorBody::new(ErrorKind::Invalid, format!("`{text}` is no moment"))
            .with_hint("give a time such as 2026-11-20T17:00:00Z, or how long ago, such as 15m")),
    }
}

/// Gives the lines of a folder of logs to `each`, oldest first; with `follow` it goes on until `wanted` says
/// no. Blocks.
pub(crate) fn read(
    folder: &Path,
    selection: &Selection,
    each: &mut dyn FnMut(LogLineBody) -> io::Result<()>,
    wanted: &dyn Fn() -> bool,
) -> io::Result<()> {
    let query = Query { since: selection.since, grep: selection.grep.clone() };
    let mut reader = Reader::new([], query);
    loop {
        // Asked before reading, so that what was printed before the end is read.
        let last = !selection.follow || !wanted();
        let there = units(folder)?;
        reader.keep(|unit| there.contains(unit));
        for unit in there.into_iter().filter(|unit| selection.covers(unit)) {
            let logs = folder.join(unit.to_string());
            reader.add(unit, logs);
        }
        while let Some(line) = reader.next()? {
            each(line.into())?;
        }
        if last {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The units that have logs: one folder each.
fn units(folder: &Path) -> io::Result<BTreeSet<UnitId>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    };
    let mut units = BTreeSet::new();
    for entry in entries {
        units.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(units)
}

impl From<Line> for LogLineBody {
    fn from(line: Line) -> Self {
        use supervise::log::Stream;
        let stream = match line.stream {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Shim => "shim",
        };
        Self { at: line.at, unit: line.unit, stream: stream.to_owned(), line: line.line, cut: line.cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_spans_ago() {
        let now: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        assert_eq!(moment("15m", now).unwrap().to_string(), "2026-11-20T17:45:00.000Z");
        assert_eq!(moment("2026-11-20T00:00:00Z", now).unwrap().to_string(), "2026-11-20T00:00:00.000Z");
        assert_eq!(moment("yesterday", now).unwrap_err().message, "`yesterday` is no moment");
    }

    #[test]
    fn a_service_covers_its_units() {
        let covers = |of: &str, unit: &str| {
            let query = LogsQuery { of: Some(of.to_owned()), ..LogsQuery::default() };
            Selection::new(&query, Timestamp::from_millis(0)).unwrap().covers(&unit.parse().unwrap())
        };
        assert!(covers("api", "api.3.1"));
        assert!(covers("web,db", "db"));
        assert!(covers("api.3.1", "api.3.1"));
        assert!(covers("", "api.3.1"));
        assert!(!covers("api.3.1", "api.3.2"));
        assert!(!covers("web", "api.3.1"));
    }

    #[test]
    fn a_name_that_nothing_has_is_refused() {
        let folder = std::env::temp_dir().join(format!("mainstay-api-log-names-{}", std::process::id()));
        for unit in ["api.1.1", "old.2.run.1", "db"] {
            std::fs::create_dir_all(folder.join(unit)).unwrap();
        }
        let refused = |of: &str, known: &[&str], folder: &Path| {
            let query = LogsQuery { of: Some(of.to_owned()), ..LogsQuery::default() };
            let selection = Selection::new(&query, Timestamp::from_millis(0)).unwrap();
            let known = known.iter().map(|&name| name.to_owned()).collect();
            selection.check_names(known, folder).err().map(|error| (error.message, error.hint.unwrap()))
        };
        for of in ["", "api", "api.1.1", "old", "old.2.run.1,db", "web"] {
            assert_eq!(refused(of, &["web"], &folder), None, "{of}");
        }
        let told = |message: &str, hint: &str| Some((message.to_owned(), hint.to_owned()));
        let there = "there are api, db, old, web";
        assert_eq!(refused("api,nosuch", &["web"], &folder), told("nothing here is called nosuch", there));
        assert_eq!(refused("api.1.2", &["web"], &folder), told("nothing here is called api.1.2", there));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(refused("api", &[], &folder), told("nothing here is called api", "there are no logs yet"));
    }

    #[test]
    fn lines_come_in_order_of_time_and_filtered() {
        let folder = std::env::temp_dir().join(format!("mainstay-api-logs-{}", std::process::id()));
        let line = |second: u32, unit: &str, text: &str| {
            format!(
                "{{\"at\":\"2026-11-20T17:00:{second:02}.000Z\",\"unit\":\"{unit}\",\"stream\":\"out\",\"line\":\"{text}\"}}\n"
            )
        };
        for (unit, lines) in
            [("api.1.1", line(1, "api.1.1", "one") + &line(3, "api.1.1", "three")), ("db", line(2, "db", "two"))]
        {
            std::fs::create_dir_all(folder.join(unit)).unwrap();
            std::fs::write(folder.join(unit).join(format!("{unit}.000001.log")), lines).unwrap();
        }
        let read_all = |query: LogsQuery| {
            let selection = Selection::new(&query, Timestamp::from_millis(0)).unwrap();
            let mut found = Vec::new();
            let mut each = |line: LogLineBody| {
                found.push(line.line);
                Ok(())
            };
            read(&folder, &selection, &mut each, &|| false).unwrap();
            found
        };
        assert_eq!(read_all(LogsQuery::default()), ["one", "two", "three"]);
        assert_eq!(read_all(LogsQuery { of: Some("api".to_owned()), ..LogsQuery::default() }), ["one", "three"]);
        assert_eq!(read_all(LogsQuery { grep: Some("t".to_owned()), ..LogsQuery::default() }), ["two", "three"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
