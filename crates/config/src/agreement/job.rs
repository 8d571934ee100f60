//! A scheduled service runs and ends: what only makes sense for one that stays up is refused.

use crate::draft::{Draft, ServiceDraft};
use crate::problem::Problems;
use crate::rule::RuleId;

pub(super) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    for service in draft.services.iter().filter(|service| service.schedule.is_some()) {
        keys(service, problems);
    }
    let scheduled = |name| draft.service(name).is_some_and(|service: &ServiceDraft| service.schedule.is_some());
    for needed in draft.services.iter().flat_map(|service| &service.needs).filter(|needed| scheduled(&needed.value)) {
        let message = format!("`{}` is scheduled: it is never ready, so nothing can need it", needed.value);
        let hint = "for work before a release starts there is `release: { run: … }`";
        problems.report_with(RuleId::ScheduledService, needed.place, message, hint);
    }
    for to in draft.routes().iter().filter_map(|route| route.to.as_ref()).filter(|to| scheduled(&to.value)) {
        let message = format!("`{}` is scheduled: no request can go to it", to.value);
        problems.report_with(RuleId::ScheduledService, to.place, message, "route to a service that stays up");
    }
}

fn keys(service: &ServiceDraft, problems: &mut Problems<'_>) {
    let present = [
        ("port", service.port.as_ref().map(|port| port.place)),
        ("replicas", service.replicas.as_ref().map(|replicas| replicas.place)),
        ("health.ready", service.ready.as_ref().map(|ready| ready.place)),
        ("health.live", service.live.as_ref().map(|live| live.place)),
        ("rollout", service.rollout.as_ref().map(|rollout| rollout.place)),
    ];
    for (key, place) in present.into_iter().filter_map(|(key, place)| Some((key, place?))) {
        let message = format!("`{}` is scheduled, so `{key}` means nothing for it", service.name.value);
        problems.report_with(RuleId::ScheduledService, place, message, format!("delete `{key}` or `schedule`"));
    }
}
