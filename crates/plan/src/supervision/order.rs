//! Who waits for whom: requirements before a start, dependents before a stop.
//!
//! Start reading at [`unmet`]. Invariant: only what is wanted or runs is looked at.

use std::collections::BTreeMap;

use model::UnitId;

use super::{Phase, Requirement, Standing, Unit};

/// The first requirement of `unit` that does not hold now.
pub fn unmet<'a, E: AsRef<Standing>>(unit: &'a Unit, units: &BTreeMap<UnitId, E>) -> Option<&'a Requirement> {
    unit.requires.iter().find(|requirement| !holds(requirement, units))
}

/// Whether a requirement holds now.
fn holds<E: AsRef<Standing>>(requirement: &Requirement, units: &BTreeMap<UnitId, E>) -> bool {
    let meant = |id: &UnitId| units.get(id).map(AsRef::as_ref);
    match requirement {
        Requirement::Resource(name) => meant(&UnitId::Resource(name.clone())).is_some_and(Standing::serves),
        Requirement::Service(_) => units.iter().any(|(id, entry)| meets(id, requirement) && entry.as_ref().ready()),
        Requirement::Success(unit) => meant(unit).is_some_and(Standing::succeeded),
    }
}

/// Whether a unit is one of those that a requirement speaks of.
pub fn meets(id: &UnitId, requirement: &Requirement) -> bool {
    match (requirement, id) {
        (Requirement::Resource(name), UnitId::Resource(resource)) => name == resource,
        (Requirement::Service(name), UnitId::Replica(service, ..)) => name == service,
        (Requirement::Success(unit), id) => unit == id,
        _ => false,
    }
}

/// A unit that is to go as well, still there, and needs `id` while it goes.
pub fn dependent_to_stop_first<'a, E: AsRef<Standing>>(
    id: &UnitId,
    units: &'a BTreeMap<UnitId, E>,
) -> Option<&'a UnitId> {
    units.iter().find_map(|(other, entry)| {
        let needs = |unit: &Unit| unit.requires.iter().any(|requirement| meets(id, requirement));
        let standing = entry.as_ref();
        (other != id && going(standing) && standing.observed.running.as_ref().is_some_and(needs)).then_some(other)
    })
}

/// Whether units that are to go all wait for each other: then none may wait.
pub fn deadlocked<E: AsRef<Standing>>(units: &BTreeMap<UnitId, E>) -> bool {
    let mut there = units.iter().filter(|(_, entry)| going(entry.as_ref())).peekable();
    there.peek().is_some()
        && there.all(|(id, entry)| {
            let free = dependent_to_stop_first(id, units).is_none();
            !free && entry.as_ref().observed.stop.is_none()
        })
}

/// Whether a unit is not wanted and something of it may still be there.
fn going(standing: &Standing) -> bool {
    standing.wanted.is_none() && !standing.left_alone && standing.observed.phase != Phase::Down
}
