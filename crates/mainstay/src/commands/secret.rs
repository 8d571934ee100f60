//! `mainstay secret`: values that services receive and nothing else shows.
//!
//! A value comes from a prompt without echo, from standard input or from a file, never from the command
//! line: every process of the machine can read that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use model::SecretName;
use model::stack::SecretSource;
use zeroize::Zeroizing;

use super::check::judged;
use super::failure::Failure;
use super::secret_access::Access;
use super::session::Session;
use crate::api::bodies::{SecretBody, SecretImportBody, SecretValueBody};
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{Terminal, Tone, hidden, human};

/// Sets, lists, shows and removes secrets
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What is done with secrets.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Gives a secret a new version
    ///
    /// The value is asked for without echo, or read from standard input when that is no terminal; one line
    /// feed at its end is left out. It is never an argument, since every process of the machine can read
    /// those.
    Set {
        /// The secret.
        name: SecretName,
        /// A value where none may be; taken so that the refusal does not repeat it.
        #[arg(hide = true)]
        value: Option<OsString>,
    },
    /// Lists the secrets without their values
    List,
    /// Prints a secret's value; the read is journaled
    Get {
        /// The secret.
        name: SecretName,
        /// Which version; the newest when absent.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Removes a secret and all its versions
    Remove {
        /// The secret.
        name: SecretName,
    },
    /// Sets the secrets of a .env file, all or none
    Import {
        /// The file; - is standard input.
        // Not `file`: arguments of one name are one argument, and that is the global --file.
        #[arg(value_name = "FILE")]
        source: PathBuf,
    },
}

/// Largest text that is read for a secret or an import.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Carries out one action.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let terminal = &session.terminal;
    match arguments.action {
        Action::Set { name, value: Some(_) } => return Err(on_the_command_line(&name)),
        Action::Set { name, value: None } => {
            let value = read_value(&name)?;
            // Before the way is opened, which makes a state directory where there is none.
            value.checked()?;
            Access::open(session).await?.set(&name, &value).await?;
            tell_set(&[name], session)?;
        }
        Action::List => list(Access::of_what_is_there(session).await?, session).await?,
        Action::Get { name, version } => {
            let mut access = there(&name, session).await?;
            match access.get(&name, version).await {
                Ok(value) => get(&value, terminal)?,
                Err(failure) => return Err(not_given(failure, access.list().await, &name, session)),
            }
        }
        Action::Remove { name } => {
            there(&name, session).await?.remove(&name).await?;
            terminal.note(&format!("{name} and all its versions are removed"));
        }
        Action::Import { source } => {
            let text = read_import(&session.folder().join(&source), source.as_os_str() == "-")?;
            text.checked()?;
            tell_set(&Access::open(session).await?.import(&text).await?, session)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The way to a secret that is to be there.
async fn there(name: &SecretName, session: &Session) -> Result<Access, Failure> {
    match Access::of_what_is_there(session).await? {
        Some(access) => Ok(access),
        None => {
            let state = session.state()?;
            let failure = Failure::new(format!("there is no secret {name}: {} is not there yet", state.display()))
                .with_hint("`mainstay secret set` makes it, and so does `mainstay up`");
            Err(explained(failure, name, session))
        }
    }
}

async fn list(access: Option<Access>, session: &Session) -> Result<(), Failure> {
    let terminal = &session.terminal;
    let why_none = match &access {
        Some(_) => String::new(),
        None => format!(", since {} is not there yet", session.state()?.display()),
    };
    let secrets = match access {
        Some(mut access) => access.list().await?,
        None => Vec::new(),
    };
    if terminal.is_json() {
        return Ok(terminal.print_json(&secrets)?);
    }
    if secrets.is_empty() {
        terminal.note(&format!("there are no secrets{why_none}; `mainstay secret set NAME` makes one"));
        return Ok(());
    }
    Ok(terminal.print(&listing(&secrets, sys::clock::now().wall, terminal))?)
}

fn listing(secrets: &[SecretBody], now: model::Timestamp, terminal: &Terminal) -> String {
    let mut table = Table::new(&[
        ("SECRET", Align::Left),
        ("VERSION", Align::Right),
        ("KEPT", Align::Right),
        ("SET", Align::Left),
        ("USED BY", Align::Left),
    ]);
    for secret in secrets {
        let users: Vec<String> = secret.used_by.iter().map(ToString::to_string).collect();
        table.row(vec![
            Cell::toned(Tone::Strong, secret.name.as_str()),
            secret.version.to_string().into(),
            secret.versions.to_string().into(),
            format!("{} ago", human::span(now.since(secret.set_at))).into(),
            users.join(", ").into(),
        ]);
    }
    table.render(terminal)
}

fn get(value: &SecretValueBody, terminal: &Terminal) -> Result<(), Failure> {
    match terminal.is_json() {
        true => Ok(terminal.print_json(value)?),
        false => Ok(terminal.print(&value.value)?),
    }
}

/// What was set, for programs.
#[derive(serde::Serialize)]
struct SetReport<'a> {
    set: &'a [SecretName],
    /// Those of them that the file does not declare.
    undeclared: Vec<&'a SecretName>,
}

fn tell_set(names: &[SecretName], session: &Session) -> Result<(), Failure> {
    let declared = declared(session);
    let is_undeclared = |name: &&SecretName| declared.as_ref().is_some_and(|declared| !declared.contains_key(*name));
    let undeclared: Vec<&SecretName> = names.iter().filter(is_undeclared).collect();
    let terminal = &session.terminal;
    if terminal.is_json() {
        return Ok(terminal.print_json(&SetReport { set: names, undeclared })?);
    }
    let listed = |names: &mut dyn Iterator<Item = &SecretName>| {
        human::list(&names.map(ToString::to_string).collect::<Vec<String>>())
    };
    terminal.note(&format!("set {}", listed(&mut names.iter())));
    if !undeclared.is_empty() {
        terminal.note(&format!(
            "the file does not declare {}, so no service receives it: write it under `secrets` and in the lists of the \
             services that need it, or remove it with `mainstay secret remove`",
            listed(&mut undeclared.into_iter())
        ));
    }
    Ok(())
}

/// The secrets that the file declares. A file that is missing or cannot be used says nothing, and hinders nobody from
/// setting secrets.
fn declared(session: &Session) -> Option<BTreeMap<SecretName, SecretSource>> {
    let judged = judged(&session.file().ok()?, session).ok()?;
    judged.accepted.map(|(stack, _)| stack.secrets)
}

/// Why a secret was not given, now that it was looked which there are.
fn not_given(
    failure: Failure,
    there: Result<Vec<SecretBody>, Failure>,
    name: &SecretName,
    session: &Session,
) -> Failure {
    match there {
        Ok(there) if there.iter().any(|secret| secret.name == *name) => failure,
        Ok(_) => explained(failure, name, session),
        Err(unseen) => {
            let untold = format!("whether there is a secret {name} cannot be told: {}", unseen.message);
            Failure { problems: vec![untold], ..failure }
        }
    }
}

/// Why there is no such secret: of a generated one that was not made yet, what makes it.
fn explained(failure: Failure, name: &SecretName, session: &Session) -> Failure {
    let generated = declared(session).is_some_and(|it| matches!(it.get(name), Some(SecretSource::Generate { .. })));
    match generated {
        true => Failure::new(format!("{name} has no value yet")).with_hint("the next `mainstay up` makes it"),
        false => failure,
    }
}

fn on_the_command_line(name: &SecretName) -> Failure {
    Failure::new(format!("the value for {name} was given on the command line, where every process can read it"))
        .with_hint("it was not set: choose another one, and type it when asked or pass it on standard input")
}

/// Reads a value without showing it.
fn read_value(name: &SecretName) -> Result<SecretValueBody, Failure> {
    let stdin = std::io::stdin();
    let mut text = match stdin.is_terminal() {
        true => prompt(name)?,
        false => read_text(stdin.lock(), "standard input")?,
    };
    let line_end = if text.ends_with("\r\n") { 2 } else { usize::from(text.ends_with('\n')) };
    let length = text.len() - line_end;
    text.truncate(length);
    Ok(SecretValueBody { value: std::mem::take(&mut *text) })
}

fn prompt(name: &SecretName) -> Result<Zeroizing<String>, Failure> {
    let typed = hidden::ask(&format!("value of {name}"));
    let typed = typed.map_err(|error| Failure::doing(format!("cannot read a value for {name}"), &error))?;
    typed.ok_or_else(|| Failure::new(format!("{name} was not set: no value was given")))
}

fn read_import(path: &std::path::Path, from_stdin: bool) -> Result<SecretImportBody, Failure> {
    let mut text = match from_stdin {
        true => read_text(std::io::stdin().lock(), "standard input")?,
        false => {
            let file = std::fs::File::open(path)
                .map_err(|error| Failure::doing(format!("cannot read {}", path.display()), &error))?;
            read_text(file, &path.display().to_string())?
        }
    };
    Ok(SecretImportBody { text: std::mem::take(&mut *text) })
}

fn read_text(source: impl Read, name: &str) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    source
        .take(TEXT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::doing(format!("cannot read {name}"), &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > TEXT_BYTES_MAX) {
        return Err(Failure::new(format!("{name} holds more than {TEXT_BYTES_MAX} bytes")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            Err(Failure::new(format!("{name} is not UTF-8 text")).with_hint("encode it first, for example as base64"))
        }
    }
}
