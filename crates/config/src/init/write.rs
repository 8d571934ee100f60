//! The text of a first file.

use super::{LeftOut, Mentioned, Pages, PassedOver, Program};

/// The name that gives a program the variable it probably reads already: `DATABASE_URL`.
pub(super) const DATABASE: &str = "database";
/// Likewise: `REDIS_URL`.
pub(super) const REDIS: &str = "redis";

/// What the file says of services.
#[derive(Debug, Clone, Copy)]
pub(super) enum Services<'a> {
    /// These.
    Found { programs: &'a [Program], pages: &'a [Pages] },
    /// None; a program is shown as a comment.
    NoProgram,
    /// None, since the pages that were found may not be served; others are shown as a comment.
    NoPages,
}

impl Services<'_> {
    fn programs(&self) -> &[Program] {
        match self {
            Self::Found { programs, .. } => programs,
            Self::NoProgram | Self::NoPages => &[],
        }
    }
}

pub(super) fn file(stack: &str, services: Services<'_>, passed_over: &[PassedOver], mentioned: &Mentioned) -> String {
    let mut text = format!(
        "# The whole stack in one file. `mainstay check` reads it, `mainstay plan` shows what would be done,\n\
         # `mainstay up` does it. Every key: docs/reference/mainstay-yaml.md of Mainstay.\nstack: {}\n",
        scalar(stack)
    );
    not_used(passed_over, &mut text);
    match services {
        Services::NoProgram => text.push_str(NO_PROGRAM),
        Services::NoPages => {
            text.push_str(&commented(NO_PAGES, &pages_service("web", "public"), &edge(stack, &["web"])))
        }
        Services::Found { programs, pages } => {
            text.push_str("\nservices:\n");
            programs.iter().for_each(|program| service(program, &mut text));
            pages.iter().for_each(|pages| text.push_str(&pages_service(&pages.name, &pages.folder)));
        }
    }
    left_out(&mentioned.left_out, &mut text);
    let programs = services.programs();
    let database = mentioned.postgres.is_some() || programs.iter().any(|program| program.database);
    let redis = mentioned.redis || programs.iter().any(|program| program.redis);
    resources(database, redis, mentioned, &mut text);
    if let Services::Found { pages, .. } = services
        && !pages.is_empty()
    {
        let names: Vec<&str> = pages.iter().map(|pages| pages.name.as_str()).collect();
        text.push('\n');
        text.push_str(&edge(stack, &names));
    }
    text.push_str(REST);
    text
}

const NO_PROGRAM: &str = "
# Nothing was found here that can be started. A service is a command, and what it needs:
# services:
#   web:
#     run: bin/server
#     port: auto                # each replica is told its port in PORT
#     health: { ready: / }      # answered with a status from 200 to 399
";

const NO_PAGES: &str = "
# Nothing was found here that can be started as it is. Pages in a folder of their own are served like this:
# services:
";

/// Text that is a comment already, and more that becomes one.
fn commented(begin: &str, service: &str, edge: &str) -> String {
    let lines = service.lines().chain(edge.lines()).map(|line| format!("# {line}\n"));
    std::iter::once(begin.to_owned()).chain(lines).collect()
}

fn pages_service(name: &str, folder: &str) -> String {
    format!(
        "  {}:\n    static: {}  # `mainstay up` copies it, and the edge sends the copy\n",
        scalar(name),
        scalar(folder)
    )
}

/// The first of these services has the stack's host, the others have hosts below it.
fn edge(stack: &str, names: &[&str]) -> String {
    let route = |(at, name): (usize, &&str)| {
        let host = if at == 0 { format!("{stack}.localhost") } else { format!("{name}.{stack}.localhost") };
        format!("    - {{ host: {host}, to: {} }}\n", scalar(name))
    };
    let routes: String = names.iter().enumerate().map(route).collect();
    format!(
        "edge:\n  listen: {{ http: 8080 }}  # this machine's browsers find every host below localhost here\n  routes:\n{routes}"
    )
}

const REST: &str = "
# Secrets by name; a service lists those it receives under `secrets`. Values are never written here:
# `mainstay secret set NAME`, or `mainstay secret import .env`.
# secrets:
#   SESSION_KEY: { generate: 32B }
#   MAIL_PASSWORD: set

# Each environment holds what differs in it.
environments:
  development:
    advisory: true              # promises that cannot be kept on this machine are warnings
";

fn service(program: &Program, text: &mut String) {
    text.push_str(&format!("  {}:\n", scalar(&program.name)));
    for remark in &program.remarks {
        text.push_str(&format!("    # {remark}\n"));
    }
    text.push_str(&format!("    run: {}\n", scalar(&program.run)));
    if program.listens {
        text.push_str("    port: auto                  # the node chooses it; the program reads it from PORT\n");
        text.push_str("    # health: { ready: / }      # a path that is answered once it can work\n");
    }
    let used: Vec<&str> = [(program.database, DATABASE), (program.redis, REDIS)]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, n)| n)
        .collect();
    if !used.is_empty() {
        text.push_str(&format!("    uses: [{}]\n", used.join(", ")));
    }
    if let Some(release) = &program.release {
        text.push_str("    release:\n");
        text.push_str(&format!("      run: {}  # once for each release, before it starts\n", scalar(release)));
    }
}

fn resources(database: bool, redis: bool, mentioned: &Mentioned, text: &mut String) {
    if database || redis {
        text.push_str("\nresources:\n");
    }
    if database {
        let version = mentioned.postgres.flatten().map(|major| format!(", version: {major}")).unwrap_or_default();
        text.push_str("  # Gives DATABASE_URL, DATABASE_HOST and the rest to the services that use it.\n");
        text.push_str(&format!("  {DATABASE}: {{ type: postgres, memory: 256MiB{version} }}\n"));
    }
    if redis {
        text.push_str("  # Gives REDIS_URL, REDIS_HOST and the rest.\n");
        text.push_str(&format!("  {REDIS}: {{ type: redis, memory: 64MiB }}\n"));
    }
}

/// Most services and files that are named as left out.
const LEFT_OUT_MAX: usize = 50;

/// Says what was found and is not in this file.
fn not_used(passed_over: &[PassedOver], text: &mut String) {
    if !passed_over.is_empty() {
        text.push_str("\n# Found, and not used:\n");
    }
    for PassedOver { file, why, remedy } in passed_over.iter().take(LEFT_OUT_MAX) {
        text.push_str(&format!("#   {}: {}\n#     ({remedy})\n", in_comment(file), in_comment(why)));
    }
}

/// Says what a Compose file would start and this file does not.
fn left_out(services: &[LeftOut], text: &mut String) {
    let Some(first) = services.first() else { return };
    text.push_str(&format!(
        "\n# Not taken over from {}: this version starts commands, no containers. Where no service\n\
         # above is it already, add one that runs the same command.\n",
        first.file
    ));
    for service in services.iter().take(LEFT_OUT_MAX) {
        text.push_str(&format!("#   {}: {}\n", in_comment(&service.name), in_comment(&service.what)));
    }
    if let Some(more) = services.len().checked_sub(LEFT_OUT_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("#   and {more} more\n"));
    }
}

/// A text as part of a comment: on one line, of characters that a file may hold.
fn in_comment(text: &str) -> String {
    let shown = |c: char| if c.is_control() || crate::tree::is_invisible(c) { '?' } else { c };
    text.chars().take(IN_COMMENT_MAX).map(shown).collect()
}

/// Longest text in a comment, in characters.
const IN_COMMENT_MAX: usize = 120;

/// A text as YAML: as it stands where that is safe, else in double quotes.
fn scalar(text: &str) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || " /._-'\"$&|=+,()<>;*@%~{}[]".contains(c);
    let colons = text.split(':').skip(1).all(|rest| !rest.is_empty() && !rest.starts_with(' '));
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.')
        && !text.ends_with(' ')
        && text.chars().all(|c| inner(c) || c == ':')
        && colons
        && !is_other_kind(text);
    match plain {
        true => text.to_owned(),
        false => serde_json::Value::String(text.to_owned()).to_string(),
    }
}

/// Whether YAML reads a text without quotes as something else.
fn is_other_kind(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "~" | ".inf" | ".nan")
        || text.parse::<f64>().is_ok()
}
