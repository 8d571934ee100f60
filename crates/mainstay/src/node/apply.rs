//! Applying a file. Start reading at [`Node::apply`].
//!
//! Everything that can fail comes first and changes nothing that runs, and what takes long of that first of all and beside
//! the node's loop; then one change of the records makes the file what is applied, wholly or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use model::cause::chain;
use model::credential::SecretPath;
use model::stack::SecretSource;
use model::{Actor, Happening, ReleaseNumber, ServiceName, Stack, Timestamp, UnitId};
use plan::release::Decision;
use services::artefact;
use services::release::{Record as Release, SiteRecord};
use services::user::Owner;
use services::volume;
use supervise::supervisor::Notice;

use super::answer::{Reply, internal};
use super::applied::{self, Applied, Current, Dropped, KnownResource, RELEASES_KEPT};
use super::consider::{Considered, Programs, credential_paths};
use super::finds::{Finds, Halt};
use super::troubles::About;
use super::uid_registry::{self, UserIdError};
use super::{Node, carry};
use crate::api::bodies::{AcceptedBody, ErrorBody, ErrorKind, FileBody};

/// Random bytes of a generated password.
const PASSWORD_BYTES: u32 = 24;

impl Node {
    /// Applies a file: everything that can fail comes first, then one change of the records. Halts until what it names was
    /// found and is kept.
    pub(super) fn apply(
        &mut self,
        actor: &Actor,
        file: &FileBody,
        programs: Programs,
        finds: &Finds,
        reason: &str,
    ) -> Result<AcceptedBody, Halt> {
        self.while_running()?;
        let mut found = self.consider(file, programs, finds)?;
        if found.plan.is_refused() {
            let refusals: Vec<String> = found.plan.refusals.iter().map(ToString::to_string).collect();
            self.tell(actor, Happening::Refused { call: "apply".to_owned() }, &refusals.join("; "))?;
            let body = ErrorBody::new(ErrorKind::Refused, "this cannot be carried out, and nothing is changed");
            return Err(ErrorBody { problems: refusals, ..body }.into());
        }
        std::mem::take(&mut found.copies).are_kept(&self.store.layout.artefacts(), finds)?;
        let at = self.now().wall;
        if self.make_secrets(&found, at)? {
            // What was made may have another version than was taken for its first: a name that was removed
            // and comes back goes on counting.
            found = self.consider(file, programs, finds)?;
        }
        let mut next = self.next_applied(&found, at)?;
        self.make_folders(&found, &next)?;
        let dropped = Dropped { releases: drop_old_releases(&mut next), sites: drop_old_sites(&mut next) };
        let steps = found.plan.steps.iter().filter(|step| step.action != plan::change::Action::Keep).count();
        let entry = self.tell(actor, Happening::Applied { steps }, reason)?;
        applied::save_applied(&mut self.store.records, &next, &dropped).map_err(|error| internal(&error))?;
        // It is applied: nothing from here on may fail the call.
        for (service, release) in made_releases(&found) {
            let reason = changes_text(&found, &service);
            self.backlog.push(Notice {
                at,
                what: Happening::ReleaseMade { service, release },
                reason,
                evidence: Vec::new(),
            });
        }
        self.applied = next;
        self.resume();
        self.clean_up();
        Ok(AcceptedBody { entry })
    }

    /// Makes the generated secrets and passwords that are missing; tells whether any was.
    fn make_secrets(&mut self, found: &Considered, at: Timestamp) -> Reply<bool> {
        let generated = found.stack.secrets.iter().filter_map(|(name, source)| match source {
            SecretSource::Generate { bytes } => Some((SecretPath::Named(name.clone()), *bytes)),
            SecretSource::Set => None,
        });
        let credentials = credential_paths(&found.stack).into_iter().map(|path| (path, PASSWORD_BYTES));
        let mut made = false;
        for (path, bytes) in generated.chain(credentials) {
            made |= self.store.ensure_generated(at, &path, bytes).map_err(|error| internal(&error))?;
        }
        Ok(made)
    }

    /// What is applied once this is.
    fn next_applied(&self, found: &Considered, at: Timestamp) -> Reply<Applied> {
        let mut next = self.applied.clone();
        if self.machine.root {
            next.users = self.user_ids(found)?;
        }
        next.resources.values_mut().for_each(|known| known.wanted = false);
        for (name, (port, server)) in &found.servers {
            let Some(resource) = found.stack.resources.get(name) else { continue };
            let known = KnownResource { resource: resource.clone(), port: *port, major: server.major(), wanted: true };
            next.resources.insert(name.clone(), known);
        }
        let mut releases = BTreeMap::new();
        for (service, (decision, content)) in &found.releases {
            let number = decision.number();
            releases.insert(service.clone(), number);
            if matches!(decision, Decision::Make { .. }) {
                let release = Release { service: service.clone(), number, made: at, content: content.clone() };
                next.releases.entry(service.clone()).or_default().push(release);
            }
        }
        let mut sites = BTreeMap::new();
        for (service, (decision, site)) in &found.sites {
            let number = decision.number();
            sites.insert(service.clone(), number);
            if matches!(decision, Decision::Make { .. }) {
                let site = SiteRecord { service: service.clone(), number, made: at, site: site.clone() };
                next.sites.entry(service.clone()).or_default().push(site);
            }
        }
        for (service, about) in &found.stack.services {
            if about.schedule.is_some() {
                let mut job = next.job(service, at);
                if !self.has_schedule(&found.stack, service) {
                    // Nothing of a schedule that begins now was missed before it.
                    job.considered = at;
                }
                next.jobs.insert(service.clone(), job);
            }
        }
        next.current = Some(Current {
            path: found.path.clone(),
            text: found.text.clone(),
            stack: found.stack.clone(),
            releases,
            sites,
            at,
        });
        Ok(next)
    }

    /// A user id for each service and resource, which no account and no other stack of this machine has.
    fn user_ids(&self, found: &Considered) -> Reply<BTreeMap<Owner, u32>> {
        self.give_out_user_ids(uid_registry::owners(&found.stack)).map_err(|error| match error {
            UserIdError::Exhausted(_) | UserIdError::Shared { .. } => ErrorBody::new(ErrorKind::Refused, chain(&error)),
            _ => internal(&error),
        })
    }

    /// Makes sure that the user ids of what was applied last are this state directory's, before anything runs as them: one
    /// that comes back from a backup may find them given to another stack.
    pub(super) fn claim_user_ids(&self) -> Result<(), UserIdError> {
        match self.machine.root && !self.applied.users.is_empty() {
            true => self.give_out_user_ids([]).map(drop),
            false => Ok(()),
        }
    }

    fn give_out_user_ids(&self, owners: impl IntoIterator<Item = Owner>) -> Result<BTreeMap<Owner, u32>, UserIdError> {
        let (folder, state) = (Path::new(uid_registry::FOLDER), self.store.layout.state());
        uid_registry::give_out(folder, state, &self.applied.users, owners, &self.machine.taken_uids())
    }

    /// Whether a service ran by the very schedule before that a stack gives it.
    fn has_schedule(&self, stack: &Stack, service: &ServiceName) -> bool {
        let of = |stack: &Stack| Some((stack.services.get(service)?.schedule.clone()?, stack.timezone.clone()));
        self.applied.current.as_ref().and_then(|current| of(&current.stack)) == of(stack)
    }

    /// The folders that services find when they start.
    fn make_folders(&self, found: &Considered, next: &Applied) -> Reply<()> {
        for (name, service) in &found.stack.services {
            let user = carry::service_user(&self.machine, next, name, service.user.as_deref())
                .map_err(|error| ErrorBody::new(ErrorKind::Refused, chain(&error)))?;
            let place = carry::service_place(&self.machine, &self.store.layout, name);
            let volumes = service.volumes.iter().map(|it| place.volumes.join(it.name.as_str()));
            let home = self.machine.root.then(|| place.home.clone());
            for folder in volumes.chain(home) {
                volume::make(&folder, user).map_err(|error| internal(&error))?;
            }
            if let Some(group) = next.users.get(&Owner::Hook(name.clone())) {
                let home = carry::hook_home(&self.store.layout, name);
                volume::make_hook_home(&home, *group).map_err(|error| internal(&error))?;
            }
        }
        Ok(())
    }

    /// Removes what releases and runs that are no longer kept have left, of this application or of one that a
    /// dying node did not finish.
    fn clean_up(&mut self) {
        self.troubles.clear(&About::Remains);
        let folders = [self.store.layout.units(), self.store.layout.logs()].map(|folder| sys::files::names(&folder));
        for names in folders {
            match names {
                // A name that is no unit's is not ours to touch.
                Ok(names) => {
                    let units = names.iter().filter_map(|name| name.parse::<UnitId>().ok());
                    let old: Vec<UnitId> = units.filter(|unit| !self.applied.keeps(unit)).collect();
                    old.iter().for_each(|unit| self.forget(unit));
                }
                Err(error) => self.troubles.note(About::Remains, chain(&error)),
            }
        }
        self.prune_copies();
    }

    /// Removes the copies that nothing needs. One that is being made is not needed yet.
    pub(super) fn prune_copies(&mut self) {
        if self.errands.are_under_way() {
            return;
        }
        if let Err(error) = artefact::prune(&self.store.layout.artefacts(), &self.applied.artefacts()) {
            self.troubles.note(About::Remains, chain(&error));
        }
    }

    /// Removes what a node that died left of copies that it had begun.
    pub(super) fn clear_interrupted_copies(&mut self) {
        if let Err(error) = artefact::remove_incomplete(&self.store.layout.artefacts()) {
            self.troubles.note(About::Remains, chain(&error));
        }
    }
}

/// Takes out of the applied what is over [`RELEASES_KEPT`] releases of a service and wanted by nothing.
fn drop_old_releases(applied: &mut Applied) -> Vec<Release> {
    let mut dropped = Vec::new();
    let current = applied.current.as_ref().map(|current| current.releases.clone()).unwrap_or_default();
    for (service, releases) in &mut applied.releases {
        let running = applied.rollouts.get(service);
        let runs: Vec<ReleaseNumber> = applied
            .runs
            .iter()
            .filter(|(unit, run)| unit.service() == Some(service) && run.ended.is_none())
            .filter_map(|(unit, _)| unit.release())
            .collect();
        let needed = |number: ReleaseNumber| {
            current.get(service) == Some(&number)
                || running.is_some_and(|replicas| replicas.iter().any(|(of, _)| *of == number))
                || runs.contains(&number)
        };
        let over = releases.len().saturating_sub(RELEASES_KEPT);
        let old: Vec<ReleaseNumber> =
            releases.iter().take(over).map(|release| release.number).filter(|number| !needed(*number)).collect();
        dropped.extend(releases.extract_if(.., |release| old.contains(&release.number)));
    }
    dropped
}

/// The same of folders: the newest stay, among them those that an edge which lags behind may still send.
fn drop_old_sites(applied: &mut Applied) -> Vec<SiteRecord> {
    let drop = |sites: &mut Vec<SiteRecord>| {
        let over = sites.len().saturating_sub(RELEASES_KEPT);
        sites.drain(..over).collect::<Vec<_>>()
    };
    applied.sites.values_mut().flat_map(drop).collect()
}

fn made_releases(found: &Considered) -> Vec<(ServiceName, ReleaseNumber)> {
    let of_programs = found.releases.iter().map(|(service, (decision, _))| (service, decision));
    let decided = of_programs.chain(found.sites.iter().map(|(service, (decision, _))| (service, decision)));
    let made = decided.filter_map(|(service, decision)| match decision {
        Decision::Make { number, .. } => Some((service.clone(), *number)),
        Decision::Keep(_) => None,
    });
    made.collect()
}

fn changes_text(found: &Considered, service: &ServiceName) -> String {
    let of_program = found.releases.get(service).map(|(decision, _)| decision);
    match of_program.or_else(|| found.sites.get(service).map(|(decision, _)| decision)) {
        Some(Decision::Make { changes, .. }) if !changes.is_empty() => {
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            changes.join(", ")
        }
        _ => "it is the first".to_owned(),
    }
}
