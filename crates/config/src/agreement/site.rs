//! A service that is a folder has files and nothing that runs: what only makes sense for what runs is refused.

use model::stack::Source;

use crate::draft::{Draft, ServiceDraft};
use crate::problem::Problems;
use crate::rule::RuleId;

/// What stands under a folder.
const KEYS: [&str; 2] = ["static", "spa"];

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    let is_folder = |service: &&ServiceDraft| matches!(service.source, Some(Source::Static { .. }));
    for service in draft.services.iter().filter(is_folder) {
        let name = &service.name.value;
        // What carries a service otherwise is reported as a conflict of its own.
        let carries = |key: &str| crate::shape::service::SOURCES.contains(&key) || KEYS.contains(&key);
        for key in service.keys.iter().filter(|key| !carries(&key.value)) {
            let message = format!("`{name}` is a folder, so `{}` means nothing for it", key.value);
            problems.report_with(RuleId::ConflictingKeys, key.place, message, format!("delete `{}`", key.value));
        }
        let is_routed = draft.routes().iter().any(|route| route.to.as_ref().is_some_and(|to| to.value == *name));
        if !is_routed {
            let message = format!("no route leads to `{name}`, so nobody is sent its files");
            problems.report_with(RuleId::Disagreement, service.name.place, message, "add one to `edge.routes`");
        }
    }
    let folder = |name| draft.service(name).is_some_and(|service| is_folder(&service));
    for needed in draft.services.iter().flat_map(|service| &service.needs).filter(|needed| folder(&needed.value)) {
        let message = format!("`{}` is a folder: it never starts, so nothing can wait for it", needed.value);
        problems.report_with(RuleId::Disagreement, needed.place, message, format!("delete `{}`", needed.value));
    }
}
