//! Splits a command into words, as a shell would without expanding anything.
//!
//! What only a shell understands (pipes, variables, redirections) is refused, not passed on as text:
//! who writes it expects it to work.

use model::stack::CommandLine;

/// Why a text is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no word.
    #[error("a command cannot be empty")]
    Empty,
    /// A quote is opened and not closed.
    #[error("a quote ({0}) is not closed")]
    OpenQuote(char),
    /// A backslash ends the text.
    #[error("nothing follows the last backslash")]
    LoneBackslash,
    /// Something only a shell understands.
    #[error("`{0}` means something to a shell, and no shell is run")]
    Shell(String),
    /// A character no argument can hold.
    #[error("a command cannot hold the character U+0000")]
    Nul,
}

impl CommandError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            CommandError::Empty => "write the program and its arguments",
            CommandError::OpenQuote(_) => "close the quote, or put a backslash before it",
            CommandError::LoneBackslash => "delete the backslash, or write two",
            CommandError::Shell(_) => "quote it if it is meant as text, or ask for a shell: sh -c '…'",
            CommandError::Nul => "delete the character",
        }
    }
}

/// The words of a command: blanks separate, `'…'` is taken as it stands, in `"…"` a backslash takes the
/// special meaning of `"`, `\` and `$`, and outside quotes that of any character.
pub fn split(text: &str) -> Result<CommandLine, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\0' => return Err(CommandError::Nul),
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => single_quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(rest.next().ok_or(CommandError::LoneBackslash)?),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' => {
                return Err(CommandError::Shell(operator(c, rest.as_str())));
            }
            '~' | '#' if word.is_none() => return Err(CommandError::Shell(c.to_string())),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if let Some(first) = words.first().filter(|first| assigns(first)) {
        return Err(CommandError::Shell(first.clone()));
    }
    CommandLine::new(words).ok_or(CommandError::Empty)
}

fn single_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    for c in rest {
        match c {
            '\'' => return Ok(()),
            '\0' => return Err(CommandError::Nul),
            _ => word.push(c),
        }
    }
    Err(CommandError::OpenQuote('\''))
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(()),
            '\0' => return Err(CommandError::Nul),
            '$' | '`' => return Err(CommandError::Shell(operator(c, rest.as_str()))),
            '\\' => match rest.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err(CommandError::OpenQuote('"')),
            },
            _ => word.push(c),
        }
    }
    Err(CommandError::OpenQuote('"'))
}

/// The whole of what a shell would take: `&&`, `>>`, `$NAME`.
fn operator(first: char, rest: &str) -> String {
    let more: String = match first {
        '$' => rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '}')).collect(),
        _ => rest.chars().take_while(|c| *c == first).take(1).collect(),
    };
    format!("{first}{more}")
}

/// Whether a first word sets a variable (`PORT=80 server`), which a shell does.
fn assigns(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.parse::<model::VariableName>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        let check = |text: &str, words: &[&str]| assert_eq!(split(text).unwrap().words(), words, "{text}");
        check("bin/server  --port 80", &["bin/server", "--port", "80"]);
        check("sh -c 'a | b && c > d'", &["sh", "-c", "a | b && c > d"]);
        check(r#"say "it's \"so\"" '' a\ b"#, &["say", "it's \"so\"", "", "a b"]);
        check(r#"a"b"'c'd --x="y z""#, &["abcd", "--x=y z"]);
        check(r"grep '\d' C:\\x", &["grep", r"\d", r"C:\x"]);
    }

    #[test]
    fn what_a_shell_would_do_is_refused() {
        let check = |text: &str, error: &str| assert_eq!(split(text).unwrap_err().to_string(), error, "{text}");
        check("a | b", "`|` means something to a shell, and no shell is run");
        check("a && b", "`&&` means something to a shell, and no shell is run");
        check("a >> b", "`>>` means something to a shell, and no shell is run");
        check("a $HOME/x", "`$HOME` means something to a shell, and no shell is run");
        check("a \"${X}\"", "`${X}` means something to a shell, and no shell is run");
        check("rm *.log", "`*` means something to a shell, and no shell is run");
        check("PORT=80 a", "`PORT=80` means something to a shell, and no shell is run");
        check("'a", "a quote (') is not closed");
        check("a \"b", "a quote (\") is not closed");
        check("a \\", "nothing follows the last backslash");
        check("  ", "a command cannot be empty");
        check("'' a", "a command cannot be empty");
    }
}
