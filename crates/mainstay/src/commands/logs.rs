//! `mainstay logs`: what the units printed. Works without a node too: the files are read where they are.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::check;
use super::failure::Failure;
use super::session::Session;
use crate::api::bodies::{LogLineBody, StatusBody};
use crate::api::client::{Client, ClientError, query};
use crate::api::logs::{self, LogsQuery, Selection};
use crate::terminal::{Terminal, Tone, printable};
use model::UnitId;

/// Shows what services and resources printed
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Services, resources or single units (api, db, api.3.1); all when absent.
    #[arg(value_name = "NAME")]
    of: Vec<String>,
    /// Goes on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// No line before this: how long ago (15m) or a time (2026-11-20T17:00:00Z).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only lines that contain this text.
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
}

impl Arguments {
    fn query(&self) -> LogsQuery {
        LogsQuery {
            of: (!self.of.is_empty()).then(|| self.of.join(",")),
            since: self.since.clone(),
            grep: self.grep.clone(),
            follow: self.follow,
        }
    }
}

/// Prints the lines as they come.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let query = arguments.query();
    let client = session.client()?;
    if query.of.is_some() {
        check_names(&query, &client, session).await?;
    }
    let mut printer = Printer::new(&session.terminal);
    let where_others_are = match follow(&client, &query, &mut printer).await {
        Err(ClientError::NoNode { .. }) => {
            read_files(&query, session, &mut printer)?;
            "no node runs: `mainstay up` starts one"
        }
        other => other.map(|()| "`mainstay status` shows what there is")?,
    };
    printer.finish(where_others_are)?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a name that nothing has: neither the stack, as the node knows it or else the file, nor a unit with logs.
async fn check_names(query: &LogsQuery, client: &Client, session: &Session) -> Result<(), Failure> {
    let known = match client.status().await {
        Ok(status) => names(&status),
        Err(ClientError::NoNode { .. }) => names_in_file(session),
        // Nothing was applied yet.
        Err(ClientError::Refused(_)) => BTreeSet::new(),
        Err(error) => return Err(error.into()),
    };
    let selection = Selection::new(query, sys::clock::now().wall)?;
    Ok(selection.check_names(known, &session.layout()?.logs())?)
}

/// What there is, whether it has printed something or not.
fn names(status: &StatusBody) -> BTreeSet<String> {
    let services = status.services.iter().map(|service| service.name.to_string());
    let edge = status.edge.unit.is_some().then(|| UnitId::Edge.to_string());
    services.chain(status.resources.iter().map(|resource| resource.name.to_string())).chain(edge).collect()
}

/// What the file has. One that is missing or refused has nothing: what printed something is known all the same.
fn names_in_file(session: &Session) -> BTreeSet<String> {
    let judged = session.file().and_then(|file| check::judged(&file, session));
    let Some((stack, _)) = judged.ok().and_then(|judged| judged.accepted) else { return BTreeSet::new() };
    let services = stack.services.keys().map(ToString::to_string);
    let edge = stack.edge.is_some().then(|| UnitId::Edge.to_string());
    services.chain(stack.resources.keys().map(ToString::to_string)).chain(edge).collect()
}

/// Asks the node for lines and prints each as it comes.
async fn follow(client: &Client, query: &LogsQuery, printer: &mut Printer<'_>) -> Result<(), ClientError> {
    client.lines(&path(query), |line: LogLineBody| printer.take(&line)).await
}

/// The address of a query.
fn path(logs: &LogsQuery) -> String {
    let texts = [("of", &logs.of), ("since", &logs.since), ("grep", &logs.grep)];
    let mut parts: Vec<(&str, String)> =
        texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    if logs.follow {
        parts.push(("follow", "true".to_owned()));
    }
    format!("/v1/logs{}", query(&parts))
}

fn read_files(query: &LogsQuery, session: &Session, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let layout = session.layout()?;
    let selection = Selection::new(query, sys::clock::now().wall)?;
    let mut each = |line: LogLineBody| match printer.take(&line) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(io::ErrorKind::BrokenPipe.into()),
    };
    match logs::read(&layout.logs(), &selection, &mut each, &|| true) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing(format!("cannot read the logs in {}", layout.logs().display()), &error))
        }
        _ => Ok(()),
    }
}

/// Prints lines, and keeps the error that ended it.
struct Printer<'t> {
    terminal: &'t Terminal,
    printed: bool,
    failed: Option<io::Error>,
}

impl<'t> Printer<'t> {
    fn new(terminal: &'t Terminal) -> Self {
        Self { terminal, printed: false, failed: None }
    }

    fn take(&mut self, line: &LogLineBody) -> ControlFlow<()> {
        self.printed = true;
        match self.print(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn print(&self, line: &LogLineBody) -> io::Result<()> {
        match self.terminal.is_json() {
            true => self.terminal.print_json_line(line),
            false => {
                let mut out = io::stdout().lock();
                writeln!(out, "{}", text(line, self.terminal))
            }
        }
    }

    fn finish(self, where_others_are: &str) -> io::Result<()> {
        if !self.printed {
            self.terminal.note(&format!("no such lines; {where_others_are}"));
        }
        self.failed.map_or(Ok(()), Err)
    }
}

/// A line as a person reads it: time of day, unit, text.
fn text(line: &LogLineBody, terminal: &Terminal) -> String {
    let at = line.at.to_string();
    let unit = terminal.paint(Tone::Strong, &format!("{:<12}", line.unit));
    let said = printable(&line.line);
    let said = match line.stream.as_str() {
        "err" => terminal.paint(Tone::Caution, &said),
        "shim" => terminal.paint(Tone::Quiet, &format!("({said})")),
        _ => said,
    };
    format!("{} {unit} {said}", terminal.paint(Tone::Quiet, &at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_well() {
        let line = |stream: &str, text: &str| LogLineBody {
            at: "2026-11-20T17:04:05.678Z".parse().unwrap(),
            unit: "api.3.1".parse().unwrap(),
            stream: stream.to_owned(),
            line: text.to_owned(),
            cut: false,
        };
        let plain = Terminal::plain();
        assert_eq!(text(&line("out", "hello"), &plain), "2026-11-20T17:04:05.678Z api.3.1      hello");
        assert_eq!(
            text(&line("shim", "3 lines dropped"), &plain),
            "2026-11-20T17:04:05.678Z api.3.1      (3 lines dropped)"
        );
        assert!(!text(&line("err", "\u{1b}[2J"), &plain).contains('\u{1b}'));
    }

    #[test]
    fn a_query_is_escaped() {
        let query =
            LogsQuery { of: Some("api,db".to_owned()), grep: Some("a b&c=ä".to_owned()), follow: true, since: None };
        assert_eq!(path(&query), "/v1/logs?of=api%2Cdb&grep=a%20b%26c%3D%C3%A4&follow=true");
        assert_eq!(path(&LogsQuery::default()), "/v1/logs");
    }
}
