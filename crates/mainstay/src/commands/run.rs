//! `mainstay run`: one command in the place of a service, with its output here.

use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use model::{ServiceName, UnitId};

use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::LOOK_EVERY;
use crate::api::bodies::{ErrorKind, LogLineBody, RunBody, RunStateBody};
use crate::api::client::{Client, ClientError};
use crate::terminal::Terminal;

/// Runs a command once with a service's environment, user and limits
///
/// The command runs on the node and goes on when this program is interrupted. One that has not begun, because what
/// it needs is not ready, begins only while this program waits for it. Its output is shown here and kept in the logs;
/// it has no standard input. This program ends with its exit code: 128 and the signal's number when a signal ended
/// it, 127 when there is no such command. As JSON each line of the output is an object, and how it ended is the last.
// The usage is stated because the manual page, unlike the help, is made without the -- otherwise.
#[derive(Debug, clap::Args)]
#[command(override_usage = "mainstay run <SERVICE> -- <COMMAND>...")]
pub(crate) struct Arguments {
    /// The service in whose place it runs.
    service: ServiceName,
    /// The command and its arguments, after --.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    words: Vec<String>,
}

/// Starts the run, shows its output, and ends as it ends.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    let accepted =
        client.run(&arguments.service, &RunBody { words: arguments.words.clone() }).await.map_err(refused)?;
    let state = watched(&client, &accepted.unit, &session.terminal).await?;
    if session.terminal.is_json() {
        session.terminal.print_json_line(&state)?;
    }
    if state.code != Some(0) {
        session.terminal.note(&format!("{}: {}", state.unit, state.text));
    }
    Ok(ExitCode::from(code(&state)))
}

/// Shows the output of a run to its end, and how it ended.
async fn watched(client: &Client, unit: &UnitId, terminal: &Terminal) -> Result<RunStateBody, ClientError> {
    let output = client.run_output(unit, |line| pass_on(&line, terminal));
    let ((), state) = tokio::try_join!(output, ended(client, unit, terminal))?;
    Ok(state)
}

/// Waits until a run has ended; what it waits for before it begins is said, each thing once.
async fn ended(client: &Client, unit: &UnitId, terminal: &Terminal) -> Result<RunStateBody, ClientError> {
    let mut told = Told::default();
    loop {
        let state = client.run_state(unit).await?;
        if state.ended {
            return Ok(state);
        }
        if let Some(text) = told.news(state) {
            terminal.note(&text);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What was last said to keep a run from beginning.
#[derive(Default)]
struct Told(Option<String>);

impl Told {
    /// What is to be said of a run that has not begun, unless it was.
    fn news(&mut self, state: RunStateBody) -> Option<String> {
        let reason = state.waits_for.filter(|reason| self.0.as_ref() != Some(reason))?;
        self.0 = Some(reason);
        Some(format!("{} has not begun: {}", state.unit, state.text))
    }
}

/// Gives a line of the command's on as it is, since whoever runs a command wants its own output; as JSON with when and on
/// which stream it came.
fn pass_on(line: &LogLineBody, terminal: &Terminal) -> ControlFlow<()> {
    let end = if line.cut { "" } else { "\n" };
    let written = match line.stream.as_str() {
        _ if terminal.is_json() => terminal.print_json_line(line),
        "out" => write!(std::io::stdout().lock(), "{}{end}", line.line),
        _ => write!(std::io::stderr().lock(), "{}{end}", line.line),
    };
    match written {
        Ok(()) => ControlFlow::Continue(()),
        // Nobody reads any more; the command goes on, and so does the wait for its exit code.
        Err(_) => ControlFlow::Break(()),
    }
}

/// The node calls invalid what it cannot find a program for.
fn refused(error: ClientError) -> Failure {
    let no_command = matches!(&error, ClientError::Refused(body) if body.kind == ErrorKind::Invalid);
    let failure = Failure::from(error);
    if no_command { failure.with_exit(Exit::NoCommand) } else { failure }
}

/// What shells add to the number of a signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// The command's own exit code, as a shell gives it; 1 where it has none or one that no process can end with.
fn code(state: &RunStateBody) -> u8 {
    let code = state.code.or_else(|| state.signal.and_then(|signal| BY_SIGNAL.checked_add(signal)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Failed.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bodies::ErrorBody;

    #[test]
    fn it_ends_as_a_shell_would() {
        let ended = |code, signal| {
            let unit = "api.3.run.1".parse().unwrap();
            super::code(&RunStateBody { unit, ended: true, waits_for: None, code, signal, text: String::new() })
        };
        assert_eq!(ended(Some(0), None), 0);
        assert_eq!(ended(Some(3), None), 3);
        assert_eq!(ended(None, Some(9)), 137);
        assert_eq!(ended(None, Some(15)), 143);
        assert_eq!(ended(None, None), 1);
        assert_eq!(ended(Some(-1), None), 1);
        assert_eq!(ended(None, Some(i32::MAX)), 1);
    }

    #[test]
    fn each_thing_that_a_run_waits_for_is_said_once() {
        let mut told = Told::default();
        let mut news = |waits_for: Option<&str>, text: &str| {
            let unit = "api.3.run.1".parse().unwrap();
            let (waits_for, text) = (waits_for.map(str::to_owned), text.to_owned());
            told.news(RunStateBody { unit, ended: false, waits_for, code: None, signal: None, text })
        };
        let said = |text: &str| Some(format!("api.3.run.1 has not begun: {text}"));
        assert_eq!(news(Some("no space"), "no space; tried again in 2s"), said("no space; tried again in 2s"));
        assert_eq!(news(Some("no space"), "no space; tried again in 1s"), None);
        assert_eq!(news(Some("waits for db"), "waits for db"), said("waits for db"));
        assert_eq!(news(None, "running"), None);
    }

    #[test]
    fn a_missing_command_is_told_from_a_missing_service() {
        let exit = |kind| refused(ClientError::Refused(ErrorBody::new(kind, "no"))).exit.code();
        assert_eq!(exit(ErrorKind::Invalid), 127);
        assert_eq!(exit(ErrorKind::NotFound), 1);
        assert_eq!(refused(ClientError::NoNode { socket: "/s".into() }).exit, Exit::NoNode);
    }
}
