//! How what is to stay up stands, by its units. Start reading at [`conditions`].

use std::collections::{BTreeMap, BTreeSet};

use model::edge::Edge;
use model::{ResourceName, ServiceName, UnitId};

use super::{RunningResource, RunningService, Subject};

/// How a unit stands of which something is there, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It runs.
    Up,
    /// It is on its way up, or is being stopped to make way for another or to be started again.
    UnderWay,
    /// It is being stopped and is not to come back by itself.
    Stopping,
    /// It failed and waits for its next try.
    Failing,
}

/// What keeps a service, a resource or the edge from being as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing of it is there: it was stopped, or the machine was restarted.
    Gone,
    /// It is being stopped, and something of it is still there.
    Stopping,
    /// These of its units failed, and wait for their next try.
    Failing(Vec<UnitId>),
    /// These of its units are on their way up, or on their way out for what takes their place.
    UnderWay(Vec<UnitId>),
}

impl Condition {
    /// Whether it has to be started, whatever else is done to it.
    pub const fn is_down(&self) -> bool {
        matches!(self, Condition::Gone | Condition::Stopping)
    }
}

/// How what is to stay up stands, where that is not as it is to be.
pub fn conditions(
    services: &BTreeMap<ServiceName, RunningService>,
    resources: &BTreeMap<ResourceName, RunningResource>,
    edge: Option<&Edge>,
    units: &BTreeMap<UnitId, Presence>,
) -> BTreeMap<Subject, Condition> {
    let lasting = services.iter().filter(|(_, service)| service.schedule.is_none() && service.replicas > 0);
    let services = lasting.filter_map(|(name, service)| {
        let own = units.iter().filter(|(unit, _)| unit.service() == Some(name) && !matches!(unit, UnitId::Run(..)));
        Some((Subject::Service(name.clone()), condition(own, |unit| service.is_to_stay(unit))?))
    });
    let resources = resources.iter().filter(|(_, resource)| resource.runs).filter_map(|(name, _)| {
        let own = units.get_key_value(&UnitId::Resource(name.clone()));
        Some((Subject::Resource(name.clone()), condition(own.into_iter(), |_| true)?))
    });
    let edge = edge.and_then(|_| condition(units.get_key_value(&UnitId::Edge).into_iter(), |_| true));
    services.chain(resources).chain(edge.map(|condition| (Subject::Edge, condition))).collect()
}

impl RunningService {
    /// Whether a unit of it is no replica that makes way for another. A hook makes way for nothing: it ends.
    fn is_to_stay(&self, unit: &UnitId) -> bool {
        match unit {
            UnitId::Replica(_, release, number) => *release == self.release && number.0 <= self.replicas,
            UnitId::ReleaseRun(..) | UnitId::Run(..) | UnitId::Resource(_) | UnitId::Edge => true,
        }
    }
}

/// What keeps something from being as it is to be, by its units; nothing when it is up. A release's hook alone keeps
/// nothing up.
fn condition<'a>(
    own: impl Iterator<Item = (&'a UnitId, &'a Presence)> + Clone,
    is_to_stay: impl Fn(&UnitId) -> bool,
) -> Option<Condition> {
    let failing = own.clone().filter(|(_, presence)| **presence == Presence::Failing);
    let failing: Vec<UnitId> = failing.map(|(unit, _)| unit.clone()).collect();
    if !failing.is_empty() {
        return Some(Condition::Failing(failing));
    }
    let under_way = own.clone().filter(|(unit, presence)| **presence == Presence::UnderWay || !is_to_stay(unit));
    let under_way: Vec<UnitId> = under_way.map(|(unit, _)| unit.clone()).collect();
    let lasting = own.filter(|(unit, _)| !matches!(unit, UnitId::ReleaseRun(..)));
    let lasting: BTreeSet<Presence> = lasting.map(|(_, presence)| *presence).collect();
    if lasting.is_empty() {
        return Some(Condition::Gone);
    }
    if lasting == BTreeSet::from([Presence::Stopping]) {
        return Some(Condition::Stopping);
    }
    (!under_way.is_empty()).then_some(Condition::UnderWay(under_way))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two replicas of release 2 are to stay.
    fn check(units: &[(&str, Presence)], expected: Option<&Condition>) {
        let service = RunningService {
            release: model::ReleaseNumber(2),
            replicas: 2,
            schedule: None,
            uses: Vec::new(),
            needs: Vec::new(),
        };
        let units: BTreeMap<UnitId, Presence> =
            units.iter().map(|(unit, presence)| (unit.parse().unwrap(), *presence)).collect();
        assert_eq!(condition(units.iter(), |unit| service.is_to_stay(unit)).as_ref(), expected, "{units:?}");
    }

    #[test]
    fn what_its_units_come_to() {
        use Presence::{Failing, Stopping, UnderWay, Up};
        check(&[], Some(&Condition::Gone));
        check(&[("api.2.release", Up)], Some(&Condition::Gone));
        check(&[("api.2.1", Stopping), ("api.2.2", Up)], None);
        check(&[("api.2.1", Stopping), ("api.2.2", Stopping)], Some(&Condition::Stopping));
        let failing = |unit: &str| Condition::Failing(vec![unit.parse().unwrap()]);
        check(&[("api.1.1", Up), ("api.2.release", Failing)], Some(&failing("api.2.release")));
        check(&[("api.1.1", Stopping), ("api.2.1", Failing)], Some(&failing("api.2.1")));
        let under_way = |units: &[&str]| Condition::UnderWay(units.iter().map(|it| it.parse().unwrap()).collect());
        check(&[("api.1.1", Up), ("api.1.release", Up), ("api.2.1", Up)], Some(&under_way(&["api.1.1"])));
        check(&[("api.2.1", UnderWay), ("api.2.2", Up), ("api.2.3", Up)], Some(&under_way(&["api.2.1", "api.2.3"])));
        check(&[("api.2.release", UnderWay), ("api.2.1", Up)], Some(&under_way(&["api.2.release"])));
        check(&[("api.2.1", Up), ("api.2.2", Up), ("api.2.release", Up)], None);
    }
}
