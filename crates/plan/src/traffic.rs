//! Which replicas the edge sends requests to, and which of those that are to go may not stop yet.
//!
//! Start reading at [`endpoints`], then [`withdraw`]. Invariant: what is stopped on purpose was withdrawn
//! before, and an edge that runs has said that it sends nothing there any more, or was given [`WITHDRAWAL_MAX`] for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use model::{ServiceName, UnitId};

/// How long a replica that is to go is kept for an edge that does not say that it has taken note. One that takes
/// longer serves nobody well, and must not hold up a release for ever.
pub const WITHDRAWAL_MAX: Duration = Duration::from_secs(30);

/// A replica of a service that a route leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Which.
    pub unit: UnitId,
    /// How it does.
    pub state: State,
}

/// How a replica does, as far as requests are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being found out whether it runs.
    Unknown,
    /// It is ready at this address.
    Ready(SocketAddr),
    /// It is not, or not any more.
    Unready,
}

/// The replicas that take requests, by service.
pub type Endpoints = BTreeMap<ServiceName, BTreeMap<UnitId, SocketAddr>>;

/// Where requests go now: to the replicas that are ready and not `leaving`. `None` while it is not known of one of
/// them whether it runs: an edge that works goes on as it does.
pub fn endpoints<'a>(
    routed: impl IntoIterator<Item = &'a ServiceName>,
    replicas: &[Replica],
    leaving: &BTreeSet<UnitId>,
) -> Option<Endpoints> {
    let mut endpoints: Endpoints = routed.into_iter().map(|service| (service.clone(), BTreeMap::new())).collect();
    for replica in replicas.iter().filter(|replica| !leaving.contains(&replica.unit)) {
        let Some(of_service) = replica.unit.service().and_then(|service| endpoints.get_mut(service)) else { continue };
        match replica.state {
            State::Unknown => return None,
            State::Ready(address) => drop(of_service.insert(replica.unit.clone(), address)),
            State::Unready => {}
        }
    }
    Some(endpoints)
}

/// Where an edge may send requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// There is no edge, or it works by nothing yet.
    Nowhere,
    /// To these replicas: those it works by, and those that it was told of since.
    These(BTreeSet<UnitId>),
    /// It was told by an earlier node.
    Anywhere,
}

impl Reach {
    fn holds(&self, unit: &UnitId) -> bool {
        match self {
            Reach::Nowhere => false,
            Reach::These(units) => units.contains(unit),
            Reach::Anywhere => true,
        }
    }
}

/// Replicas that are to go, and since when, in steady time.
pub type Withdrawals = BTreeMap<UnitId, Duration>;

/// What becomes of replicas that are to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// Those that may not stop yet.
    pub kept: BTreeSet<UnitId>,
    /// Since when each of them, kept or not, is to go.
    pub since: Withdrawals,
    /// When the next of them may stop whatever the edge says, in steady time.
    pub wake_at: Option<Duration>,
}

/// Withdraws the replicas that are to go; some of them were to go `before` already.
pub fn withdraw(
    leaving: impl IntoIterator<Item = UnitId>,
    before: &Withdrawals,
    reach: &Reach,
    now: Duration,
) -> Withdrawn {
    let mut withdrawn = Withdrawn::default();
    for unit in leaving {
        let since = before.get(&unit).copied().unwrap_or(now);
        let until = since.saturating_add(WITHDRAWAL_MAX);
        if reach.holds(&unit) && now < until {
            withdrawn.kept.insert(unit.clone());
            withdrawn.wake_at = Some(withdrawn.wake_at.map_or(until, |at| at.min(until)));
        }
        withdrawn.since.insert(unit, since);
    }
    withdrawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(names: &[&str]) -> BTreeSet<UnitId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Replicas as `api.1.1 ready 7001`, `api.1.2 unready` or `api.1.3 unknown`.
    fn replicas(text: &str) -> Vec<Replica> {
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let state = match words[1..] {
                ["ready", port] => State::Ready(SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))),
                ["unready"] => State::Unready,
                ["unknown"] => State::Unknown,
                _ => panic!("no state: {line}"),
            };
            Replica { unit: words[0].parse().unwrap(), state }
        };
        text.lines().map(read).collect()
    }

    fn check(text: &str, leaving: &[&str], expected: Option<&str>) {
        let routed: [ServiceName; 2] = ["api".parse().unwrap(), "web".parse().unwrap()];
        let found = endpoints(&routed, &replicas(text), &units(leaving));
        let line = |(service, of): (&ServiceName, &BTreeMap<UnitId, SocketAddr>)| {
            let of: Vec<String> = of.iter().map(|(unit, address)| format!("{unit}@{}", address.port())).collect();
            format!("{service}: {}", of.join(" ")).trim_end().to_owned()
        };
        let found = found.map(|found| found.iter().map(line).collect::<Vec<_>>().join("\n"));
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn requests_go_to_what_is_ready_and_stays() {
        check("", &[], Some("api:\nweb:"));
        check("api.1.1 ready 7001\napi.1.2 unready\nworker.1.1 ready 7009", &[], Some("api: api.1.1@7001\nweb:"));
        check("api.1.1 ready 7001\napi.2.1 ready 7002", &["api.1.1"], Some("api: api.2.1@7002\nweb:"));
    }

    #[test]
    fn nothing_is_said_while_one_that_stays_is_being_found() {
        check("api.1.1 ready 7001\nweb.1.1 unknown", &[], None);
        check("api.1.1 ready 7001\nweb.1.1 unknown", &["web.1.1"], Some("api: api.1.1@7001\nweb:"));
        check("api.1.1 ready 7001\nworker.1.1 unknown", &[], Some("api: api.1.1@7001\nweb:"));
    }

    #[test]
    fn what_leaves_is_kept_until_the_edge_lets_go_of_it() {
        let at = Duration::from_secs;
        let leaving = units(&["api.1.1", "api.1.2"]);
        let reach = Reach::These(units(&["api.1.1", "api.2.1"]));
        let first = withdraw(leaving.clone(), &Withdrawals::default(), &reach, at(100));
        assert_eq!((&first.kept, first.wake_at), (&units(&["api.1.1"]), Some(at(130))));
        assert_eq!(withdraw(leaving.clone(), &first.since, &Reach::Anywhere, at(110)).kept, leaving);
        assert_eq!(withdraw(leaving, &first.since, &Reach::Nowhere, at(110)).kept, units(&[]));
    }

    #[test]
    fn an_edge_that_says_nothing_is_not_waited_for_for_ever() {
        let (one, now) = (units(&["api.1.1"]), Duration::from_secs(100));
        let first = withdraw(one.clone(), &Withdrawals::default(), &Reach::Anywhere, now);
        let late = withdraw(one.clone(), &first.since, &Reach::Anywhere, now + WITHDRAWAL_MAX);
        assert_eq!((late.kept, late.wake_at), (units(&[]), None));
        // It was wanted again in between: the next time counts from anew.
        let wanted = withdraw([], &late.since, &Reach::Anywhere, now + WITHDRAWAL_MAX);
        assert_eq!(withdraw(one.clone(), &wanted.since, &Reach::Anywhere, now + WITHDRAWAL_MAX).kept, one);
    }
}
