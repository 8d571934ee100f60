//! What a rollout sees of supervision.
//!
//! Start reading at [`observe`]. Which replicas are to exist is for `plan::rollout` to say.

use model::{ServiceName, UnitId};
use plan::rollout::{Hook, Observed, State};
use supervise::supervisor::{State as UnitState, UnitStatus};

use crate::release::Record as Release;

/// How the replicas of a service do. `None` while it is not known of one of them whether it runs: the
/// rollout then stays as it is.
pub fn observe(service: &ServiceName, units: &[UnitStatus]) -> Option<Vec<Observed>> {
    let mut found = Vec::new();
    for unit in units {
        let UnitId::Replica(of, release, number) = &unit.unit else { continue };
        if of != service {
            continue;
        }
        let state = match (unit.state, unit.stays()) {
            (UnitState::Finding, _) => return None,
            (UnitState::Down, false) => continue,
            (_, false) => State::Stopping,
            (UnitState::Ready, true) => State::Ready { since: unit.since },
            (state, true) => of_wanted(state),
        };
        found.push(Observed { release: *release, number: *number, state });
    }
    Some(found)
}

/// Where the hook of a release stands.
pub fn hook(release: &Release, units: &[UnitStatus]) -> Hook {
    if release.content.hook.is_none() {
        return Hook::None;
    }
    let id = UnitId::ReleaseRun(release.service.clone(), release.number);
    match units.iter().find(|unit| unit.unit == id).map(|unit| unit.state) {
        Some(UnitState::Succeeded) => Hook::Succeeded,
        Some(UnitState::Failed | UnitState::BackingOff | UnitState::CrashLoop) => Hook::Failed,
        _ => Hook::Pending,
    }
}

fn of_wanted(state: UnitState) -> State {
    match state {
        UnitState::Unready | UnitState::BackingOff | UnitState::CrashLoop | UnitState::Failed => State::Failing,
        // One that is wanted and stops is being restarted: it comes back by itself.
        _ => State::Starting,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{ReleaseNumber, ReplicaNumber};

    use super::*;

    const NOW: Duration = Duration::from_secs(500);

    /// A unit that has been as it is for 40 seconds.
    fn unit(id: &str, state: UnitState, wanted: bool) -> UnitStatus {
        UnitStatus {
            unit: id.parse().unwrap(),
            wanted,
            left_alone: false,
            state,
            since: NOW - Duration::from_secs(40),
            digest: None,
            pid: None,
            shim: None,
            address: None,
            started: None,
            restarts: 0,
            failures: 0,
            liveness_failures: 0,
            last_failure: None,
            waiting: None,
            trouble: None,
        }
    }

    fn check(units: &[(&str, UnitState, bool)], expected: Option<&[(u32, u32, State)]>) {
        let units: Vec<UnitStatus> = units.iter().map(|(id, state, wanted)| unit(id, *state, *wanted)).collect();
        let found = observe(&"api".parse().unwrap(), &units);
        let found: Option<Vec<_>> =
            found.map(|found| found.iter().map(|it| (it.release.0, it.number.0, it.state)).collect());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn replicas_are_seen_as_they_do() {
        check(
            &[
                ("api.1.1", UnitState::Ready, true),
                ("api.1.2", UnitState::Stopping, false),
                ("api.1.3", UnitState::Down, false),
                ("api.2.1", UnitState::BackingOff, true),
                ("api.2.2", UnitState::Stopping, true),
                ("api.2.3", UnitState::Down, true),
                ("api.2.release", UnitState::Succeeded, true),
                ("web.1.1", UnitState::Finding, true),
                ("db", UnitState::Ready, true),
            ],
            Some(&[
                (1, 1, State::Ready { since: Duration::from_secs(460) }),
                (1, 2, State::Stopping),
                (2, 1, State::Failing),
                (2, 2, State::Starting),
                (2, 3, State::Starting),
            ]),
        );
    }

    #[test]
    fn what_is_left_alone_is_not_on_its_way_out() {
        let alone = UnitStatus { left_alone: true, ..unit("api.1.1", UnitState::Waiting, false) };
        let expected = Observed { release: ReleaseNumber(1), number: ReplicaNumber(1), state: State::Starting };
        assert_eq!(observe(&"api".parse().unwrap(), &[alone]), Some(vec![expected]));
    }

    #[test]
    fn nothing_is_said_while_one_is_being_found() {
        check(&[("api.1.1", UnitState::Ready, true), ("api.1.2", UnitState::Finding, true)], None);
    }

    #[test]
    fn a_hook_is_pending_until_it_is_known_to_have_ended() {
        let mut release = crate::process::tests::record();
        let of = |release: &Release, state| hook(release, &[unit("api.3.release", state, true)]);
        assert_eq!(of(&release, UnitState::Succeeded), Hook::Succeeded);
        assert_eq!(of(&release, UnitState::Starting), Hook::Pending);
        assert_eq!(of(&release, UnitState::BackingOff), Hook::Failed);
        assert_eq!(hook(&release, &[unit("api.2.release", UnitState::Succeeded, true)]), Hook::Pending);
        release.content.hook = None;
        assert_eq!(hook(&release, &[]), Hook::None);
    }
}
