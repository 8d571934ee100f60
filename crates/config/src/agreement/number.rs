//! Numbers and words that have to fit together.

use model::stack::Replicas;

use crate::draft::{Draft, ServiceDraft};
use crate::problem::Problems;
use crate::rule::RuleId;

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    for service in &draft.services {
        spa(service, problems);
        replicas(service, problems);
        steps(service, problems);
    }
}

fn spa(service: &ServiceDraft, problems: &mut Problems<'_>) {
    if let (Some(place), Some(_), None) = (service.spa, &service.source, service.folder()) {
        let message = format!("`spa` goes with `static`, which `{}` is not", service.name.value);
        problems.report_with(RuleId::ConflictingKeys, place, message, "delete `spa`");
    }
}

fn replicas(service: &ServiceDraft, problems: &mut Problems<'_>) {
    let Some(replicas) = &service.replicas else {
        return;
    };
    if let Replicas::Scaled { min, max, .. } = replicas.value
        && min > max
    {
        let message = format!("`min` is {min} and `max` is {max}");
        problems.report_with(RuleId::Disagreement, replicas.place, message, "`min` is at most `max`");
    }
}

fn steps(service: &ServiceDraft, problems: &mut Problems<'_>) {
    let Some(rollout) = &service.rollout else {
        return;
    };
    let steps = &rollout.value.steps;
    for (before, after) in steps.iter().zip(steps.iter().skip(1)) {
        if after.value <= before.value {
            let message = format!("the step {} does not follow {}", after.value, before.value);
            problems.report_with(RuleId::Disagreement, after.place, message, "write the steps smallest first");
        }
    }
    if let Some(approve) = &rollout.value.approve
        && !steps.is_empty()
        && !steps.iter().any(|step| step.value == approve.value)
    {
        let message = format!("{} is not one of the steps", approve.value);
        let known: Vec<String> = steps.iter().map(|step| step.value.to_string()).collect();
        problems.report_with(RuleId::Disagreement, approve.place, message, format!("steps: {}", known.join(", ")));
    }
}
