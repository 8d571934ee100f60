//! One look of the node: what is to run now is asked, and the supervisor is told. Start reading at [`Node::look`].
//!
//! What is to run is for [`carry`] to say, and when it runs for the supervisor; this brings the two together, until
//! nothing changes.

use model::cause::chain;
use model::{Address, UnitId};
use plan::traffic::{self, Reach, Replica};
use supervise::supervisor::{State, UnitStatus};

use super::carry::{self, Look, Scene, Traffic};
use super::edge::settings::{folders, settings};
use super::server::Server;
use super::troubles::About;
use super::{Node, PERIOD, applied, consider};

/// Looks in a row after one event. Each answers what the last one changed; more than a few are a defect,
/// and the rest waits for the next event.
const LOOKS_MAX: usize = 8;

impl Node {
    /// Asks what is to run now and tells the supervisor, until nothing changes.
    pub(super) fn look(&mut self) {
        for _ in 0..LOOKS_MAX {
            let units = self.supervisor.snapshot();
            let seen: Vec<(UnitId, State, bool)> =
                units.iter().map(|unit| (unit.unit.clone(), unit.state, unit.stays())).collect();
            let due = self.agenda.look_at.is_some_and(|at| at <= self.now().steady);
            if self.seen.as_ref() == Some(&seen) && !due {
                return;
            }
            self.seen = Some(seen);
            let runs_are_noted = self.end_runs(&units);
            if due && !self.unserved.is_empty() {
                self.find_software();
            }
            let Some(mut look) = self.scene(&units).map(|scene| carry::wanted(&scene)) else { return };
            self.agenda.withdrawals = std::mem::take(&mut look.withdrawals);
            self.tell_supervisor(look);
            if !runs_are_noted {
                self.look_soon();
            }
            self.direct_requests(&units);
        }
    }

    fn look_soon(&mut self) {
        let soon = self.now().steady.saturating_add(PERIOD);
        self.agenda.look_at = Some(self.agenda.look_at.map_or(soon, |at| at.min(soon)));
    }

    /// Looks for the software of data services anew: what was missing may have been installed.
    fn find_software(&mut self) {
        tokio::task::block_in_place(|| self.machine.find_software());
        self.find_servers();
    }

    fn scene<'a>(&'a self, units: &'a [UnitStatus]) -> Option<Scene<'a>> {
        Some(Scene {
            machine: &self.machine,
            layout: &self.store.layout,
            tag: &self.tag,
            applied: &self.applied,
            current: self.applied.current.as_ref()?,
            replicas: &self.derived.as_ref()?.replicas,
            servers: &self.servers,
            unserved: &self.unserved,
            vault: &self.store.vault,
            units,
            traffic: Traffic { reach: self.reach(units), withdrawals: &self.agenda.withdrawals },
            now: self.now(),
        })
    }

    fn tell_supervisor(&mut self, look: Look) {
        self.troubles.clear(&About::Look);
        self.troubles.note_holds(look.holds.iter().map(|(subject, why)| (subject.clone(), chain(why))));
        self.agenda.look_at = look.wake_at;
        if !look.holds.is_empty() {
            self.look_soon();
        }
        self.changes = look.changes;
        for (service, replicas) in look.rollouts {
            if self.applied.rollouts.get(&service) == Some(&replicas) {
                continue;
            }
            if let Err(error) = applied::save_rollout(&mut self.store.records, &service, &replicas) {
                // What is not written down is not done: the next look tries again.
                self.troubles.note(About::Look, chain(&error));
                self.look_soon();
                return;
            }
            self.applied.rollouts.insert(service, replicas);
        }
        let digests = look.wanted.iter().map(|wanted| (wanted.unit.id.clone(), wanted.unit.digest));
        let told = (digests.collect(), look.held.clone());
        let completions_may_differ = look.wanted.iter().any(|wanted| wanted.unit.completed.is_some());
        if told == self.told && !completions_may_differ {
            return;
        }
        self.told = told;
        self.supervisor.want(look.wanted, &look.held);
    }

    /// Where the edge may send requests: nowhere, where there is no process of it. The next one begins with what it is
    /// told.
    pub(super) fn reach(&self, units: &[UnitStatus]) -> Reach {
        let may_run = |unit: &&UnitStatus| unit.unit == UnitId::Edge && !matches!(unit.state, State::Down);
        match units.iter().find(may_run) {
            Some(unit) if unit.pid.is_some() || unit.state == State::Finding => self.edge.reach(),
            _ => Reach::Nowhere,
        }
    }

    /// Tells the edge where requests go now.
    fn direct_requests(&mut self, units: &[UnitStatus]) {
        let now = self.now().wall;
        let (Some(current), Some(derived)) = (&self.applied.current, &self.derived) else { return };
        let Some(edge) = &current.stack.edge else { return self.edge.forget() };
        let replicas: Vec<Replica> = units.iter().filter_map(replica).collect();
        let leaving = self.agenda.withdrawals.keys().chain(self.agenda.withdrawn.keys()).cloned().collect();
        let folders = folders(&self.applied, &self.store.layout.artefacts());
        let routed = edge.routes.iter().map(|route| &route.to).filter(|to| !folders.contains_key(*to));
        if let Some(endpoints) = traffic::endpoints(routed, &replicas, &leaving) {
            let settings = settings(edge, derived.route_timeout, &endpoints, folders);
            self.edge.tell(settings, &endpoints, now);
        }
    }

    /// Finds the server of each resource that is applied.
    pub(super) fn find_servers(&mut self) {
        self.servers.clear();
        self.unserved.clear();
        let Some(current) = &self.applied.current else { return };
        for name in current.stack.resources.keys() {
            let Some(known) = self.applied.resources.get(name) else { continue };
            let user = carry::resource_user(&self.machine, &self.applied, name);
            let place = consider::place(name, &self.store.layout, user);
            let cpu = self.machine.capacity.cpu;
            match Server::new(place, &known.resource, known.port, &self.machine.software, cpu) {
                Ok(server) => drop(self.servers.insert(name.clone(), server)),
                Err(why) => drop(self.unserved.insert(name.clone(), why)),
            }
        }
    }
}

/// A replica as far as requests are concerned; nothing for other units.
fn replica(unit: &UnitStatus) -> Option<Replica> {
    if !matches!(unit.unit, UnitId::Replica(..)) {
        return None;
    }
    let state = match (unit.state, &unit.address) {
        (State::Finding, _) => traffic::State::Unknown,
        (State::Ready, Some(Address::Tcp(address))) => traffic::State::Ready(*address),
        _ => traffic::State::Unready,
    };
    Some(Replica { unit: unit.unit.clone(), state })
}
