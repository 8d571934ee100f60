//! Problems of the stack file as a person reads them: the line, the text marked, what to do.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Terminal, human, printable};

/// One problem, with everything that printing it takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Finding {
    /// `error`, `unsupported` or `warning`.
    pub(crate) severity: Severity,
    /// The rule that is broken.
    pub(crate) rule: String,
    /// The file.
    pub(crate) file: String,
    /// The line it starts in, from 1.
    pub(crate) line: usize,
    /// The character of that line it starts at, from 1.
    pub(crate) column: usize,
    /// The text that stands there.
    pub(crate) marked: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// The bytes of the text that are marked.
    #[serde(skip)]
    pub(crate) bytes: std::ops::Range<usize>,
}

/// On a line or two, for where the file's text is not at hand.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, rule, file, line, column, message, hint, .. } = self;
        write!(f, "{file}:{line}:{column}: {}[{rule}]: {message}", severity.as_str())?;
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Finding {
    /// The problem in one line, for where its text is not at hand.
    pub(crate) fn line(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}:{}: {}{hint}", self.file, self.line, self.column, self.message)
    }
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// The file cannot be used.
    Error,
    /// The file asks for what this version does not carry out.
    Unsupported,
    /// The file can be used; somebody should look.
    Warning,
}

impl Severity {
    /// Whether a file with such a problem is refused.
    pub(crate) fn refuses(self) -> bool {
        self != Severity::Warning
    }

    const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Unsupported => "unsupported",
            Severity::Warning => "warning",
        }
    }

    fn level(self) -> Level<'static> {
        match self {
            Severity::Error => Level::ERROR,
            Severity::Unsupported => Level::ERROR.with_name(self.as_str()),
            Severity::Warning => Level::WARNING,
        }
    }
}

/// Every problem as a block of its own, marked in the text it was found in, for standard output.
pub(crate) fn render(findings: &[Finding], text: &str, terminal: &Terminal) -> String {
    blocks(findings, text, terminal.has_colour(), terminal)
}

/// The same for standard error.
pub(crate) fn render_note(findings: &[Finding], text: &str, terminal: &Terminal) -> String {
    blocks(findings, text, terminal.notes_have_colour(), terminal)
}

fn blocks(findings: &[Finding], text: &str, colour: bool, terminal: &Terminal) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(terminal.width());
    findings.iter().map(|finding| format!("{}\n\n", block(finding, text, &renderer))).collect()
}

fn block(finding: &Finding, text: &str, renderer: &Renderer) -> String {
    let message = printable(&finding.message);
    let snippet = Snippet::source(text)
        .path(finding.file.as_str())
        .annotation(AnnotationKind::Primary.span(within(text, &finding.bytes)));
    let group = finding.severity.level().primary_title(message).id(finding.rule.as_str()).element(snippet);
    let hint = finding.hint.as_deref().map(|hint| Level::HELP.with_name("hint").message(printable(hint)));
    renderer.render(&[group.elements(hint)])
}

/// The marked bytes, held within the text and within their first line, at character boundaries: a section
/// that is marked whole would bury its key.
fn within(text: &str, bytes: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(bytes.start.min(text.len()));
    let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let end = text.floor_char_boundary(bytes.end.min(line_end));
    start..end.max(start)
}

/// How many problems of which kind, as a sentence; `None` when there are none.
pub(crate) fn summary(findings: &[Finding]) -> Option<String> {
    let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts: Vec<String> = [
        (number(Severity::Error), "error"),
        (number(Severity::Unsupported), "unsupported line"),
        (number(Severity::Warning), "warning"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, noun)| human::count(count, noun))
    .collect();
    (!parts.is_empty()).then(|| human::list(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn finding(severity: Severity, text: &str, marked: &str, message: &str, hint: Option<&str>) -> Finding {
        let from = text.find(marked).unwrap();
        let before = &text[..from];
        Finding {
            severity,
            rule: "unknown-key".to_owned(),
            file: "mainstay.yaml".to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
            marked: marked.to_owned(),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
            bytes: from..from + marked.len(),
        }
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "an expectation is written where it is used")]
    fn check(text: &str, findings: &[Finding], expected: Expect) {
        expected.assert_eq(&render(findings, text, &Terminal::plain()));
    }

    #[test]
    fn a_problem_shows_its_line() {
        let text = "stack: shop\nservices:\n  api:\n    rnu: ./api\n";
        let findings = [
            finding(Severity::Error, text, "rnu", "unknown key `rnu`", Some("did you mean `run`?")),
            finding(Severity::Unsupported, text, "services", "not supported yet: such services", None),
        ];
        check(
            text,
            &findings,
            expect![[r#"
            error[unknown-key]: unknown key `rnu`
             --> mainstay.yaml:4:5
              |
            4 |     rnu: ./api
              |     ^^^
              |
              = hint: did you mean `run`?

            unsupported[unknown-key]: not supported yet: such services
             --> mainstay.yaml:2:1
              |
            2 | services:
              | ^^^^^^^^

        "#]],
        );
        assert_eq!(summary(&findings), Some("1 error and 1 unsupported line".to_owned()));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn text_that_would_act_on_the_terminal_does_not() {
        let text = "stack: \u{1b}[2J\n";
        let findings = [finding(Severity::Error, text, "\u{1b}[2J", "bad \u{1b}[2J name", None)];
        let shown = render(&findings, text, &Terminal::plain());
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn marks_stay_within_the_text() {
        assert_eq!(within("ä: 1\nb", &(1..99)), 0..5);
        assert_eq!(within("", &(5..9)), 0..0);
        assert_eq!(within("a\nb", &(0..3)), 0..1);
    }
}
