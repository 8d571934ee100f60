//! Environment variables: each of a service's comes from one place.

use std::collections::BTreeMap;

use model::VariableName;

use crate::draft::{Draft, Located, ServiceDraft};
use crate::problem::Problems;
use crate::rule::RuleId;
use crate::source::Place;

/// What the platform itself tells every service starts with this.
const PREFIX: &str = "MAINSTAY_";

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    for service in &draft.services {
        let mut owners = injected(draft, service, problems);
        for secret in &service.secrets {
            let variable = Located { value: VariableName::from(secret.value.clone()), place: secret.place };
            claim(&mut owners, &variable, "the secret of that name".to_owned(), problems);
        }
        for (volume, variable) in &service.volumes {
            claim(&mut owners, variable, format!("volume `{}`", volume.value), problems);
        }
        for (variable, value) in &service.env {
            claim(&mut owners, variable, "`env`".to_owned(), problems);
            if let Some(expansion) = in_braces(value).or_else(|| bare(value)) {
                let message =
                    format!("{} is passed as it is written: nothing is put in place of {expansion}", variable.value);
                let hint = "write the value out; what `uses` and `secrets` give are variables of their own";
                problems.report_with(RuleId::NotSubstituted, variable.place, message, hint);
            }
        }
    }
}

/// The variables that the service receives whatever it says: its port and its resources.
fn injected(draft: &Draft, service: &ServiceDraft, problems: &mut Problems<'_>) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::from([("PORT".to_owned(), "the platform: the port of a replica".to_owned())]);
    for (index, used) in service.uses.iter().enumerate() {
        if service.uses[..index].iter().any(|before| before.value == used.value) {
            continue;
        }
        let Some(kind) = draft.resource(&used.value).and_then(|resource| resource.kind.as_ref()) else {
            continue;
        };
        for suffix in kind.variable_suffixes() {
            let name = format!("{}_{suffix}", used.value.variable_prefix());
            let owner = format!("resource `{}`", used.value);
            if let Some(first) = owners.insert(name.clone(), owner) {
                clash(&name, used.place, &first, problems);
            }
        }
    }
    owners
}

/// What a value seems to expect to be replaced, as Compose and shells do it: `${B}` of `http://${B:-localhost}`.
fn in_braces(value: &str) -> Option<String> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    value
        .split("${")
        .skip(1)
        .map(|rest| &rest[..rest.find(|c| !name(c)).unwrap_or(rest.len())])
        .find(|found| found.parse::<VariableName>().is_ok())
        .map(|found| format!("${{{found}}}"))
}

/// The same as shells alone do it: `$PATH` of `$PATH:/opt/bin`. Of values such as `pa$word` or `$2b$10$Xq` nothing is
/// expected: the name has to be written as those of the environment are, and to be a whole part of a path, list or URL.
fn bare(value: &str) -> Option<String> {
    let is_large = |name: &str| !name.bytes().any(|byte| byte.is_ascii_lowercase());
    value
        .split([':', '/', ',', ';', '=', '@', '&', '?', '.', '-', ' '])
        .find(|part| part.strip_prefix('$').is_some_and(|name| is_large(name) && name.parse::<VariableName>().is_ok()))
        .map(str::to_owned)
}

fn claim(
    owners: &mut BTreeMap<String, String>,
    variable: &Located<VariableName>,
    owner: String,
    problems: &mut Problems<'_>,
) {
    let name = variable.value.as_str();
    if name.starts_with(PREFIX) {
        let message = format!("{name} starts with {PREFIX}, which the platform keeps for itself");
        problems.report_with(RuleId::VariableConflict, variable.place, message, "choose another name");
        return;
    }
    match owners.get(name) {
        Some(first) => clash(name, variable.place, first, problems),
        None => {
            owners.insert(name.to_owned(), owner);
        }
    }
}

fn clash(name: &str, place: Place, first: &str, problems: &mut Problems<'_>) {
    let message = format!("{name} is already set by {first}");
    problems.report_with(RuleId::VariableConflict, place, message, "rename one of the two, or delete it");
}
