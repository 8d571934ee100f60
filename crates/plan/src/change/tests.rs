//! Plans as a person reads them: with what they are made here. Each subject has a module of its own.

mod conditions;
mod edge;
mod refusals;
mod soundness;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use model::stack::SecretSource;
use model::{ReleaseNumber, Stack};

use super::{Abilities, ChangePlan, Desired, Running, RunningResource, RunningService, decide};
use crate::lint::lint;
use crate::objectives::derive;
use crate::release;
use crate::sample::{content, machine};

const SHOP: &str = "
    service api port=auto replicas=2 uses=db,cache release=./migrate memory=256MiB
    service worker uses=db needs=api
    service nightly uses=db schedule=0_2_*_*_*
    resource db postgres version=15 memory=512MiB
    resource cache redis memory=64MiB evict=allkeys-lru
";

/// A machine on which everything can be done.
fn able() -> Abilities {
    Abilities { users: true, ..Abilities::default() }
}

/// What runs when `before` has been applied for a while.
pub(crate) fn running(before: &Stack) -> Running {
    let counts = derive(before, machine()).replicas;
    let service = |(name, it): (&model::ServiceName, &model::stack::Service)| {
        let schedule = it.schedule.as_ref().map(|it| it.cron.clone());
        let (uses, needs) = (it.uses.clone(), it.needs.clone());
        (name.clone(), RunningService { release: ReleaseNumber(3), replicas: counts[name], schedule, uses, needs })
    };
    let resource = |(name, it): (&model::ResourceName, &model::stack::Resource)| {
        let version = (it.kind() == "postgres").then_some(15);
        let folder = format!("/var/lib/mainstay/resources/{name}").into();
        (name.clone(), RunningResource { resource: it.clone(), version, folder, runs: true })
    };
    Running {
        services: before.services.iter().map(service).collect(),
        resources: before.resources.iter().map(resource).collect(),
        edge: before.edge.clone(),
        ..Running::default()
    }
}

/// The plan from what `running` leaves to `after`; `before` is what was released last.
fn plan(before: &Stack, running: &Running, after: &Stack, abilities: &Abilities) -> ChangePlan {
    plan_with(before, running, after, abilities, |_| ())
}

fn plan_with(
    before: &Stack,
    running: &Running,
    after: &Stack,
    abilities: &Abilities,
    edit: impl Fn(&mut release::Content),
) -> ChangePlan {
    let derived = derive(after, machine());
    let releases: BTreeMap<_, _> = after
        .services
        .iter()
        .map(|(name, it)| {
            let mut wanted = content(it);
            edit(&mut wanted);
            let last = before.services.get(name).map(content);
            (name.clone(), (release::decide(last.as_ref().map(|it| (ReleaseNumber(3), it)), &wanted), wanted))
        })
        .collect();
    let secrets = |is_set_by_hand: bool| -> BTreeSet<_> {
        let of_kind = after.secrets.iter().filter(|(_, it)| (**it == SecretSource::Set) == is_set_by_hand);
        of_kind.map(|(name, _)| name.clone()).collect()
    };
    let (unset_secrets, unmade_secrets) = (secrets(true), secrets(false));
    let desired = Desired {
        stack: after,
        applied: Some(before),
        derived: &derived,
        releases: &releases,
        sites: &BTreeMap::new(),
        unset_secrets: &unset_secrets,
        unmade_secrets: &unmade_secrets,
        abilities,
    };
    let plan = decide(&desired, running);
    assert_eq!(lint(&plan, after, running), [], "{plan}");
    plan
}
