//! Reads `.env` files: names and values, one per line, all problems at once.
//!
//! Understood: `NAME=value`, an optional `export` before it, values in single quotes (taken as they stand) or
//! double quotes (`\n`, `\r`, `\t`, `\"`, `\\` and `\$` mean what they mean elsewhere), comments after `#` at
//! the start of a line or after a blank, a byte order mark, CRLF. Refused, because tools disagree on it: values over several lines,
//! `$VARIABLE` expansion outside single quotes, and a name given twice. No problem ever shows a value. What stands before
//! `=` may be a piece of one that was broken over lines: of that no more is shown than the character that is in no name.

use std::collections::BTreeMap;
use std::fmt;

use model::{NameError, SecretName};
use zeroize::Zeroizing;

use crate::secret::{SecretValue, SecretValueError};

/// One line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DotenvError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: DotenvProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DotenvProblem {
    /// There is no `=`.
    NoEquals,
    /// What stands before `=` is not a variable's name.
    Name(NameError),
    /// The name was given before.
    Twice {
        /// The name.
        name: SecretName,
        /// The line where it was given first.
        first: usize,
    },
    /// A quote is not closed on its line.
    OpenQuote,
    /// Something other than a comment follows the closing quote.
    AfterQuote,
    /// A `$` outside single quotes.
    Expansion,
    /// A backslash and a character that together mean nothing here.
    Escape,
    /// The value cannot be a secret's.
    Value(SecretValueError),
}

impl fmt::Display for DotenvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DotenvProblem::NoEquals => f.write_str("expected NAME=value"),
            DotenvProblem::Name(NameError::Character { character, rule }) if !character.is_ascii_digit() => {
                write!(f, "the name before '=' is not one: {character:?} cannot stand here: {rule}")
            }
            DotenvProblem::Name(NameError::Character { rule, .. }) => {
                write!(f, "the name before '=' is not one, since it starts with a digit: {rule}")
            }
            DotenvProblem::Name(error) => write!(f, "the name before '=' is not one: {error}"),
            DotenvProblem::Twice { name, first } => write!(f, "{name} was given on line {first} already"),
            DotenvProblem::OpenQuote => f.write_str(
                "the quote is not closed on this line: a value of several lines is set with \
                 `mainstay secret set NAME < FILE`",
            ),
            DotenvProblem::AfterQuote => f.write_str("only a comment may follow the closing quote"),
            DotenvProblem::Expansion => {
                f.write_str("'$' is not expanded here: write the value itself, in single quotes if it holds a '$'")
            }
            DotenvProblem::Escape => {
                f.write_str("a backslash in double quotes stands before n, r, t, \", \\ or $: use single quotes")
            }
            // Without the name: the last line of a value that was broken over lines may end in a '='.
            DotenvProblem::Value(SecretValueError::Empty) => f.write_str(
                "the value after '=' is empty, and no secret's is: write a value, or take the line out; a secret that \
                 is set already is removed with `mainstay secret remove`",
            ),
            DotenvProblem::Value(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// The names and values of a `.env` text in its order, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Vec<(SecretName, SecretValue)>, Vec<DotenvError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut seen: BTreeMap<SecretName, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        match parse_line(content) {
            Ok(None) => {}
            Ok(Some((name, value))) => match seen.insert(name.clone(), line) {
                Some(first) => {
                    seen.insert(name.clone(), first);
                    problems.push(DotenvError { line, problem: DotenvProblem::Twice { name, first } });
                }
                None => entries.push((name, value)),
            },
            Err(problem) => problems.push(DotenvError { line, problem }),
        }
    }
    match problems.is_empty() {
        true => Ok(entries),
        false => Err(problems),
    }
}

fn parse_line(line: &str) -> Result<Option<(SecretName, SecretValue)>, DotenvProblem> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=').ok_or(DotenvProblem::NoEquals)?;
    let name = name.trim_end().parse().map_err(DotenvProblem::Name)?;
    let value = parse_value(value.trim_start())?;
    let value = SecretValue::new(std::mem::take(&mut *Zeroizing::new(value))).map_err(DotenvProblem::Value)?;
    Ok(Some((name, value)))
}

fn parse_value(text: &str) -> Result<String, DotenvProblem> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'').ok_or(DotenvProblem::OpenQuote)?;
        return only_a_comment(after).map(|()| value.to_owned());
    }
    match text.strip_prefix('"') {
        Some(rest) => parse_double_quoted(rest),
        None => {
            let bare = bare_value(text);
            match bare.contains('$') {
                true => Err(DotenvProblem::Expansion),
                false => Ok(bare.to_owned()),
            }
        }
    }
}

fn parse_double_quoted(text: &str) -> Result<String, DotenvProblem> {
    let mut value = Zeroizing::new(String::new());
    let mut characters = text.chars();
    loop {
        let next = match characters.next().ok_or(DotenvProblem::OpenQuote)? {
            '"' => break,
            '$' => return Err(DotenvProblem::Expansion),
            '\\' => match characters.next().ok_or(DotenvProblem::OpenQuote)? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('"' | '\\' | '$') => same,
                _ => return Err(DotenvProblem::Escape),
            },
            plain => plain,
        };
        value.push(next);
    }
    only_a_comment(characters.as_str())?;
    Ok(std::mem::take(&mut *value))
}

/// A value without quotes ends at a `#` that follows a blank, or stands at its start.
fn bare_value(text: &str) -> &str {
    let mut after_blank = true;
    for (at, character) in text.char_indices() {
        if character == '#' && after_blank {
            return text[..at].trim_end();
        }
        after_blank = character.is_whitespace();
    }
    text.trim_end()
}

fn only_a_comment(after: &str) -> Result<(), DotenvProblem> {
    let rest = after.trim_start();
    match rest.is_empty() || rest.starts_with('#') {
        true => Ok(()),
        false => Err(DotenvProblem::AfterQuote),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: &Expect) {
        let printed = match parse(text) {
            Ok(entries) => {
                entries.iter().map(|(name, value)| format!("{name} = {:?}\n", value.expose())).collect::<String>()
            }
            Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
        };
        expected.assert_eq(&printed);
    }

    #[test]
    fn names_values_comments_and_quotes() {
        check(
            "\u{feff}# a comment\r\n\r\nA=1\nexport B = two words # why\n  C='it is $5 # here' # comment\n\
             D=\"line\\nbreak \\\"x\\\" \\$5\"\nF=pa#ss\nexported=yes\nG='a=b'\n",
            &expect![[r#"
                A = "1"
                B = "two words"
                C = "it is $5 # here"
                D = "line\nbreak \"x\" $5"
                F = "pa#ss"
                exported = "yes"
                G = "a=b"
            "#]],
        );
    }

    #[test]
    fn every_problem_is_told_and_no_value_is_shown() {
        check(
            "A=ok\nmissing hunter2\n2B=hunter2\nA=hunter2\nC=\"hunter2\nD='hunter2\nE='x' hunter2\nF=$hunter2\n\
             G=\"${hunter2}\"\nH=\"\\q\"\nI=a\0b\nhunter2-x=1\nA\u{1b}[2J=hunter2\nE2=\nE3=''\nE4=#nothing",
            &expect![[r#"
                line 2: expected NAME=value
                line 3: the name before '=' is not one, since it starts with a digit: a variable's name is letters, digits and '_', and does not start with a digit
                line 4: A was given on line 1 already
                line 5: the quote is not closed on this line: a value of several lines is set with `mainstay secret set NAME < FILE`
                line 6: the quote is not closed on this line: a value of several lines is set with `mainstay secret set NAME < FILE`
                line 7: only a comment may follow the closing quote
                line 8: '$' is not expanded here: write the value itself, in single quotes if it holds a '$'
                line 9: '$' is not expanded here: write the value itself, in single quotes if it holds a '$'
                line 10: a backslash in double quotes stands before n, r, t, ", \ or $: use single quotes
                line 11: the value holds a NUL byte, which no environment variable can carry
                line 12: the name before '=' is not one: '-' cannot stand here: a variable's name is letters, digits and '_', and does not start with a digit
                line 13: the name before '=' is not one: '\u{1b}' cannot stand here: a variable's name is letters, digits and '_', and does not start with a digit
                line 14: the value after '=' is empty, and no secret's is: write a value, or take the line out; a secret that is set already is removed with `mainstay secret remove`
                line 15: the value after '=' is empty, and no secret's is: write a value, or take the line out; a secret that is set already is removed with `mainstay secret remove`
                line 16: the value after '=' is empty, and no secret's is: write a value, or take the line out; a secret that is set already is removed with `mainstay secret remove`
            "#]],
        );
    }
}
