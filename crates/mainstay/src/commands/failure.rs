//! Why a command ends without having done what it was asked: the one place where errors become what a person
//! reads and what a script tests.

use std::error::Error;
use std::process::ExitCode;

use model::cause::causes;

use crate::api::bodies::{ErrorBody, ErrorKind};
use crate::api::client::ClientError;
use crate::terminal::{Terminal, Tone};

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused, or failed.
    Failed,
    /// The command line cannot be understood.
    Usage,
    /// Not ready within the time given.
    NotReady,
    /// No node runs.
    NoNode,
    /// Another process has the state directory.
    InUse,
    /// There is no such command to run, by the number that shells have for it.
    NoCommand,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotReady => 3,
            Exit::NoNode => 4,
            Exit::InUse => 5,
            Exit::NoCommand => 127,
        }
    }
}

/// What a person is told when a command fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) message: String,
    /// The causes behind it, outermost first.
    pub(crate) causes: Vec<String>,
    /// Details, one line or block each.
    pub(crate) problems: Vec<String>,
    /// What to do, a line each.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// A failure without causes.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.into(),
            causes: Vec::new(),
            problems: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// A failure from an error and its sources.
    pub(crate) fn of(error: &dyn Error) -> Self {
        Self { causes: causes(error), ..Self::new(error.to_string()) }
    }

    /// An operation of the system's that failed, with what was being done.
    pub(crate) fn doing(what: impl Into<String>, error: &dyn Error) -> Self {
        let Self { message, mut causes, .. } = Self::of(error);
        causes.insert(0, message);
        Self { causes, ..Self::new(what) }
    }

    /// The same with one thing more to do about it.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Tells the person, and gives the exit code.
    pub(crate) fn tell(&self, terminal: &Terminal) -> ExitCode {
        if !self.message.is_empty() {
            terminal.note(&self.text(terminal));
        }
        ExitCode::from(self.exit.code())
    }

    /// What the person is told.
    pub(crate) fn text(&self, terminal: &Terminal) -> String {
        let mut text = format!("{} {}", terminal.paint_note(Tone::Bad, "error:"), self.message);
        for cause in &self.causes {
            text.push_str(&format!("\n  because: {cause}"));
        }
        for problem in &self.problems {
            text.push_str(&format!("\n  {}", problem.replace('\n', "\n  ")));
        }
        for hint in &self.hints {
            text.push_str(&format!("\n{} {hint}", terminal.paint_note(Tone::Strong, "hint:")));
        }
        text
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(body) => body.into(),
            ClientError::NoNode { .. } => {
                Self::of(&error).with_exit(Exit::NoNode).with_hint("start it with `mainstay up`")
            }
            ClientError::Unreachable { .. } => Self::of(&error)
                .with_hint("only root and the user that started the node may use it: try as that user, or with sudo"),
            ClientError::TimedOut { node, .. } => Self::of(&error).with_hint(match node {
                Some(pid) => format!(
                    "what it runs goes on without it; if it stays silent, end it with `kill -9 {pid}` and say `mainstay up`"
                ),
                None => "what it runs goes on without it: try again".to_owned(),
            }),
            _ => Self::of(&error),
        }
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        let message = match body.kind {
            ErrorKind::Internal => format!("the node failed: {}", body.message),
            _ => body.message,
        };
        Self { problems: body.problems, hints: body.hint.into_iter().collect(), ..Self::new(message) }
    }
}

impl From<std::io::Error> for Failure {
    /// For writing to standard output only. A reader that has gone away, as `head` does, is no failure worth
    /// words.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(""),
            _ => Self::doing("cannot write to standard output", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "an expectation is written where it is used")]
    fn check(failure: &Failure, exit: u8, expected: Expect) {
        expected.assert_eq(&failure.text(&Terminal::plain()));
        assert_eq!(failure.exit.code(), exit);
    }

    #[test]
    fn no_node_says_how_to_start_one() {
        let error = ClientError::NoNode { socket: "/run/mainstay/x/control.sock".into() };
        check(
            &error.into(),
            4,
            expect![[r#"
                error: no node runs for this stack (/run/mainstay/x/control.sock)
                hint: start it with `mainstay up`"#]],
        );
    }

    #[test]
    fn a_silent_node_is_named_by_its_process() {
        let error = ClientError::TimedOut { after: std::time::Duration::from_secs(70), node: Some(model::Pid(77)) };
        check(
            &error.into(),
            1,
            expect![[r#"
            error: the node did not answer within 70 s
            hint: what it runs goes on without it; if it stays silent, end it with `kill -9 77` and say `mainstay up`"#]],
        );
    }

    #[test]
    fn a_refusal_shows_its_problems() {
        let body = ErrorBody {
            problems: vec!["mainstay.yaml:3:1: one".to_owned(), "two\n  hint: x".to_owned()],
            ..ErrorBody::new(ErrorKind::Invalid, "the file has 2 problems")
        };
        check(
            &body.into(),
            1,
            expect![[r#"
                error: the file has 2 problems
                  mainstay.yaml:3:1: one
                  two
                    hint: x"#]],
        );
    }

    #[test]
    fn causes_are_shown_in_order() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = ClientError::Unreachable { socket: "/run/c.sock".into(), source };
        check(
            &error.into(),
            1,
            expect![[r#"
                error: the control socket /run/c.sock cannot be used
                  because: permission denied
                hint: only root and the user that started the node may use it: try as that user, or with sudo"#]],
        );
    }
}
