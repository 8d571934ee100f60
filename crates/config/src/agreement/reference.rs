//! Names that refer to services, resources and secrets, and names that nothing may have.

use std::collections::BTreeSet;

use crate::draft::{Draft, Located};
use crate::problem::{Problems, suggestion};
use crate::rule::RuleId;

/// Names that mean something else to the command line and to the state directory.
const RESERVED: [&str; 7] = ["all", "edge", "mainstay", "node", "none", "self", "shim"];

/// Whether nothing of the user's may have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    names(draft, problems);
    let services: Vec<&str> = draft.services.iter().map(|s| s.name.value.as_str()).collect();
    let resources: Vec<&str> = draft.resources.iter().map(|r| r.name.value.as_str()).collect();
    let secrets: BTreeSet<&str> = draft.secrets.iter().map(|secret| secret.name.value.as_str()).collect();
    for service in &draft.services {
        if problems.is_full() {
            return;
        }
        for used in &service.uses {
            resource(used, &services, &resources, problems);
        }
        for needed in &service.needs {
            self::service(needed, "needs", &services, &resources, problems);
        }
        for secret in &service.secrets {
            self::secret(secret, &secrets, problems);
        }
    }
    for route in draft.routes() {
        if let Some(to) = &route.to {
            self::service(to, "to", &services, &resources, problems);
        }
    }
    unused_secrets(draft, problems);
}

fn names(draft: &Draft, problems: &mut Problems<'_>) {
    let services = draft.services.iter().map(|s| (s.name.value.as_str(), s.name.place, "service"));
    let resources = draft.resources.iter().map(|r| (r.name.value.as_str(), r.name.place, "resource"));
    for (name, place, what) in services.chain(resources) {
        if is_reserved(name) {
            let message = format!("a {what} cannot be called `{name}`: the platform uses this name");
            problems.report_with(
                RuleId::ReservedName,
                place,
                message,
                format!("names in use: {}", RESERVED.join(", ")),
            );
        }
    }
    for resource in &draft.resources {
        let name = resource.name.value.as_str();
        if draft.services.iter().any(|service| service.name.value.as_str() == name) {
            let message = format!("a service is already called `{name}`");
            problems.report_with(RuleId::ReservedName, resource.name.place, message, "rename one of the two");
        }
    }
}

fn resource(used: &Located<model::ResourceName>, services: &[&str], resources: &[&str], problems: &mut Problems<'_>) {
    let name = used.value.as_str();
    if resources.contains(&name) || problems.is_full() {
        return;
    }
    let hint = match services.contains(&name) {
        true => format!("`{name}` is a service: list it under `needs`"),
        false => suggestion(name, "resources", resources),
    };
    problems.report_with(RuleId::UnknownReference, used.place, format!("there is no resource `{name}`"), hint);
}

fn service(
    named: &Located<model::ServiceName>,
    key: &str,
    services: &[&str],
    resources: &[&str],
    problems: &mut Problems<'_>,
) {
    let name = named.value.as_str();
    if services.contains(&name) || problems.is_full() {
        return;
    }
    let hint = match key == "needs" && resources.contains(&name) {
        true => format!("`{name}` is a resource: list it under `uses`"),
        false => suggestion(name, "services", services),
    };
    problems.report_with(RuleId::UnknownReference, named.place, format!("there is no service `{name}`"), hint);
}

fn secret(named: &Located<model::SecretName>, known: &BTreeSet<&str>, problems: &mut Problems<'_>) {
    let name = named.value.as_str();
    if known.contains(name) || problems.is_full() {
        return;
    }
    let hint = match crate::problem::closest(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("add it at the top of the file: secrets: {{ {name}: set }}, or {name}: {{ generate: 32B }}"),
    };
    problems.report_with(RuleId::UnknownReference, named.place, format!("there is no secret `{name}`"), hint);
}

fn unused_secrets(draft: &Draft, problems: &mut Problems<'_>) {
    for secret in &draft.secrets {
        let used = draft.services.iter().any(|s| s.secrets.iter().any(|used| used.value == secret.name.value))
            || draft.backups.iter().any(|backups| backups.credentials.contains(&secret.name.value));
        if !used {
            let message = format!("no service receives the secret `{}`", secret.name.value);
            problems.report_with(
                RuleId::UnusedSecret,
                secret.name.place,
                message,
                "list it under `secrets` of a service, or delete it",
            );
        }
    }
}
