//! How the node answers calls. Start reading at [`Node::answer`]. What has to look at files of the project first is an
//! [`Errand`] and answered later.
//!
//! Every mutating call is journaled with its actor before it is carried out; a journal that cannot be
//! written refuses it.

use std::collections::{BTreeMap, BTreeSet};

use model::cause::chain;
use model::stack::{CommandLine, Source};
use model::{Actor, ByteSize, EntryId, Exit, ExitStatus, Happening, ServiceName, Span, UnitId};
use plan::change::Presence;
use plan::release::Command;
use supervise::control_group;
use supervise::supervisor::{State, UnitStatus};
use sys::Now;
use tokio::sync::oneshot;

use super::Node;
use super::call::{Ask, Call};
use super::carry::programs_user;
use super::consider::{Against, Considered, Programs, consider};
use super::errands::Errand;
use super::finds::{Chore, Copies, Finds, Halt, SoughtProgram};
use super::jobs::exit_of;
use super::status::{self, Memory, Sources, state_word};
use super::troubles::About;
use crate::api::bodies::{
    AcceptedBody, DownCause, ErrorBody, ErrorKind, FactBody, FileBody, NodeBody, PlanBody, RunAcceptedBody,
    RunStateBody, StatusBody, StepBody,
};

pub(super) type Reply<T> = Result<T, ErrorBody>;

pub(super) fn internal(error: &dyn std::error::Error) -> ErrorBody {
    ErrorBody::new(ErrorKind::Internal, chain(error))
}

/// Whether something of a unit may be there of which no process id is known yet.
fn may_be_there(state: State) -> bool {
    matches!(state, State::Finding | State::Stopping)
}

/// How a unit stands, if something of it is there, may be, or is to be. Nothing starts a unit that is left alone.
fn presence(unit: &UnitStatus, leaves: bool) -> Option<Presence> {
    match unit.state {
        state if !(unit.stays() || unit.pid.is_some() || may_be_there(state)) => None,
        State::Waiting if unit.left_alone => None,
        _ if leaves => Some(Presence::Stopping),
        State::BackingOff | State::CrashLoop => Some(Presence::Failing),
        State::Waiting
        | State::Preparing
        | State::Launching
        | State::Starting
        | State::Completing
        | State::Stopping
        | State::Clearing => Some(Presence::UnderWay),
        // What a node that was just started has not found out yet runs, as far as is known.
        State::Finding | State::Ready | State::Unready | State::Succeeded | State::Failed | State::Down => {
            Some(Presence::Up)
        }
    }
}

/// How a run ended.
fn ending_text(exit: &Exit, unit: Option<&UnitStatus>) -> String {
    let why = unit.filter(|_| exit.status == ExitStatus::NotStarted).and_then(|unit| unit.last_failure.as_ref());
    why.map_or_else(|| exit.status.to_string(), |failure| failure.what.to_string())
}

/// How a run stands that has not ended.
fn going_text(unit: Option<&UnitStatus>, now: Now) -> String {
    let note = unit.and_then(|unit| status::note(unit, now));
    note.unwrap_or_else(|| state_word(unit.map_or(State::Waiting, |unit| unit.state)).to_owned())
}

pub(super) fn send<T>(answer: oneshot::Sender<Reply<T>>, reply: Reply<T>) {
    // The caller may have hung up; what was done stays done.
    drop(answer.send(reply));
}

impl Node {
    /// Answers one call, or takes it on as an errand.
    pub(super) fn answer(&mut self, call: Call) {
        let Call { actor, what } = call;
        match what {
            Ask::Status(answer) => send(answer, self.status()),
            Ask::Plan(file, answer) => self.take_on(Errand::Plan(file, answer)),
            Ask::Apply(file, answer) => self.take_on(Errand::Apply(actor, file, answer)),
            Ask::Down(cause, answer) => send(answer, self.down(&actor, cause)),
            Ask::Restart(service, within, answer) => send(answer, self.restart(&actor, &service, within)),
            Ask::Run(service, words, answer) => self.take_on(Errand::Run(actor, service, words, answer)),
            Ask::RunState(unit, answer) => {
                self.note_asked_after(&unit);
                send(answer, self.run_state(&unit));
            }
            Ask::RunHasEnded(unit, answer) => send(answer, self.run_state(&unit).map(|state| state.ended)),
            Ask::Secrets(answer) => send(answer, self.secrets()),
            Ask::SecretGet(name, version, answer) => send(answer, self.secret(&actor, &name, version)),
            Ask::SecretSet(name, value, answer) => send(answer, self.set_secret(&actor, name, &value)),
            Ask::SecretImport(import, answer) => send(answer, self.import_secrets(&actor, &import)),
            Ask::SecretRemove(name, answer) => send(answer, self.remove_secret(&actor, &name)),
            Ask::Refused(call, reason, answer) => {
                send(answer, self.tell(&actor, Happening::Refused { call }, &reason));
            }
        }
    }

    pub(super) fn tell(&mut self, actor: &Actor, what: Happening, reason: &str) -> Reply<EntryId> {
        let at = self.now().wall;
        self.store.tell(at, actor, what, reason, Vec::new()).map_err(|error| {
            internal(&error).with_hint("nothing is changed while the journal cannot be written; see `mainstay status`")
        })
    }

    pub(super) fn while_running(&self) -> Reply<()> {
        match self.stopping {
            true => Err(ErrorBody::new(ErrorKind::Busy, "the stack is being stopped")
                .with_hint("`mainstay down` waits until that is done; `mainstay up` then starts it again")),
            false => Ok(()),
        }
    }

    fn status(&self) -> Reply<StatusBody> {
        let (Some(current), Some(derived)) = (&self.applied.current, &self.derived) else {
            return Err(ErrorBody::new(ErrorKind::NotFound, "nothing has been applied yet")
                .with_hint("`mainstay up` applies the file"));
        };
        let units = self.supervisor.snapshot();
        // Where processes cannot be looked at there are no figures; the supervisor says why not.
        let listing = sys::process::list().ok();
        let memory = |whose: Memory<'_>| self.memory(&whose, listing.as_deref());
        Ok(status::body(Sources {
            stack: &current.stack,
            derived,
            units: &units,
            stopping: self.stopping,
            now: self.now(),
            releases: &self.release_views(&units),
            edge: &self.edge,
            versions: &self
                .servers
                .iter()
                .filter_map(|(name, server)| Some((name.clone(), server.version()?)))
                .collect(),
            node: NodeBody {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: self.pid,
                uptime_ms: u64::try_from(self.now().steady.saturating_sub(self.started).as_millis())
                    .unwrap_or(u64::MAX),
                memory: memory(Memory::Process(self.pid)),
                state: self.store.layout.state().display().to_string(),
                isolation: self.machine.isolation.to_string(),
            },
            problems: self.problems(),
            memory: &memory,
        }))
    }

    fn problems(&self) -> Vec<String> {
        let listing = self.supervisor.listing_trouble().map(ToString::to_string);
        let journal = self.backlog.trouble().map(|why| format!("the journal cannot be written: {why}"));
        let first = [listing, journal].into_iter().flatten();
        // A probe or a preparation that says no is told with its unit; what is left here is a defect.
        let broken = self.tasks.list().into_iter().filter_map(|task| {
            let error = task.error?;
            Some(format!("the task \"{}\" of {}, begun at {}, broke: {error}", task.name, task.owner, task.since))
        });
        first.chain(self.troubles.texts()).chain(broken).collect()
    }

    fn memory(&self, whose: &Memory<'_>, listing: Option<&[sys::process::Seen]>) -> Option<ByteSize> {
        match whose {
            Memory::Process(pid) => {
                let own = listing?.iter().find(|seen| seen.pid == *pid)?;
                Some(sys::process::usage(*pid, std::slice::from_ref(own)).memory)
            }
            Memory::Unit(unit, pid) => {
                let group = self.machine.limits.group(&self.tag, unit);
                let reading = group.as_ref().and_then(control_group::read);
                match reading {
                    Some(reading) => Some(reading.memory),
                    None => Some(sys::process::usage(*pid, listing?).memory),
                }
            }
        }
    }

    /// The units of which something is there, or may be, and how they stand.
    pub(super) fn presences(&self) -> BTreeMap<UnitId, Presence> {
        // What stops while the node goes on is about to be replaced or restarted, and that is no news to a plan.
        let begun = |unit: &UnitStatus| self.awaits_file_until.is_some() && unit.state == State::Stopping;
        let leaves = |unit: &UnitStatus| self.stopping || begun(unit);
        let units = self.supervisor.snapshot().into_iter();
        units.filter_map(|unit| Some((unit.unit.clone(), presence(&unit, leaves(&unit))?))).collect()
    }

    pub(super) fn consider(&mut self, file: &FileBody, programs: Programs, finds: &Finds) -> Result<Considered, Halt> {
        let units = self.presences();
        // Nothing goes on of what is being stopped.
        let held = if self.stopping { BTreeSet::new() } else { self.troubles.held().cloned().collect() };
        let mut free_port = || self.supervisor.server_port();
        consider(
            file,
            &mut Against {
                machine: &self.machine,
                layout: &self.store.layout,
                applied: &self.applied,
                vault: &self.store.vault,
                programs,
                units: &units,
                held: &held,
                unattended: false,
                free_port: &mut free_port,
            },
            finds,
        )
    }

    /// What applying a file would do. Where one is awaited that is something in any case: what is held back until then
    /// begins.
    pub(super) fn plan(&mut self, file: &FileBody, finds: &Finds) -> Result<PlanBody, Halt> {
        let plan = plan_body(&self.consider(file, Programs::Current, finds)?);
        Ok(PlanBody { changes: plan.changes || self.awaits_file_until.is_some(), ..plan })
    }

    fn down(&mut self, actor: &Actor, cause: Option<DownCause>) -> Reply<AcceptedBody> {
        if cause == Some(DownCause::FileRefused) {
            return self.end_for_refused_file(actor);
        }
        let entry = self.tell(actor, Happening::DownRequested, "a person asked for it")?;
        self.stop_for_good();
        Ok(AcceptedBody { entry })
    }

    /// Ends a node that was started for a file which was refused, unless it has something to look after or to stop.
    fn end_for_refused_file(&mut self, actor: &Actor) -> Reply<AcceptedBody> {
        self.heed_refused_file();
        self.while_running()?;
        if !self.is_idle() || self.errands.are_under_way() {
            return Err(ErrorBody::new(
                ErrorKind::Refused,
                "the node looks after what runs, or was given another file",
            ));
        }
        let reason = "the file that the node was started for was refused, and nothing else runs";
        let entry = self.tell(actor, Happening::DownRequested, reason)?;
        // Nobody wants it stopped at the next start.
        self.stop_everything();
        Ok(AcceptedBody { entry })
    }

    fn restart(&mut self, actor: &Actor, service: &ServiceName, within: Option<Span>) -> Reply<AcceptedBody> {
        self.while_running()?;
        if self.carried(service)?.schedule.is_some() {
            return Err(ErrorBody::new(
                ErrorKind::Refused,
                format!("{service} runs by a schedule; there is nothing to restart"),
            )
            .with_hint("`mainstay run` starts a command in its place now"));
        }
        self.unless_held(service)?;
        let what = Happening::RestartRequested { service: service.clone() };
        let entry = self.tell(actor, what, "a person asked for it")?;
        self.begin_restart(service, within);
        Ok(AcceptedBody { entry })
    }

    fn known(&self, service: &ServiceName) -> Reply<&model::stack::Service> {
        let stack = self.applied.current.as_ref().map(|current| &current.stack);
        stack.and_then(|stack| stack.services.get(service)).ok_or_else(|| {
            let names: Vec<&str> = stack.iter().flat_map(|it| it.services.keys()).map(ServiceName::as_str).collect();
            let is_resource = stack.is_some_and(|it| it.resources.keys().any(|name| name.as_str() == service.as_str()));
            let message = match is_resource {
                true => format!("{service} is a resource: only services are restarted, and run commands"),
                false => format!("there is no service {service}"),
            };
            ErrorBody::new(ErrorKind::NotFound, message).with_hint(format!("the services are {}", names.join(", ")))
        })
    }

    /// A service of which something runs.
    fn carried(&self, service: &ServiceName) -> Reply<&model::stack::Service> {
        let known = self.known(service)?;
        match known.source {
            Source::Static { .. } => {
                Err(ErrorBody::new(ErrorKind::Refused, format!("{service} is a folder of files: nothing of it runs"))
                    .with_hint("`mainstay up` gives the edge its files as they are now"))
            }
            _ => Ok(known),
        }
    }

    /// Refuses what would start something of a service of which nothing can be started.
    fn unless_held(&self, service: &ServiceName) -> Reply<()> {
        match self.hold_of(service) {
            Some(why) => Err(ErrorBody::new(ErrorKind::Refused, why)),
            None => Ok(()),
        }
    }

    pub(super) fn run_once(
        &mut self,
        actor: &Actor,
        service: &ServiceName,
        words: &[String],
        finds: &Finds,
    ) -> Result<RunAcceptedBody, Halt> {
        self.while_running()?;
        let stated = self.carried(service)?.user.clone();
        self.unless_held(service)?;
        let line = CommandLine::new(words.to_vec())
            .ok_or_else(|| ErrorBody::new(ErrorKind::Invalid, "a command has at least one word"))?;
        let project = self.applied.current.as_ref().and_then(|current| current.path.parent().map(ToOwned::to_owned));
        let search = self.machine.search(&project.unwrap_or_default());
        let user = programs_user(&self.machine, &self.applied, service, stated.as_deref());
        let sought = SoughtProgram { word: line.program().to_owned(), search, user };
        let Some(found) = finds.program(&sought) else { return Err(Halt::Needs(Chore::Find(sought.into()))) };
        let found = found.as_ref().map_err(|error| ErrorBody::new(ErrorKind::Invalid, chain(error)))?;
        let copies = Copies { programs: vec![found.clone()], ..Copies::default() };
        copies.are_kept(&self.store.layout.artefacts(), finds)?;
        let words = self.store.vault.masked(&line.words().join(" ")).map_err(|error| internal(&error))?;
        self.tell(actor, Happening::RunRequested { service: service.clone() }, &words)?;
        let command = Command { line, program: found.program.clone() };
        let unit = self.run_by_hand(service, command).ok_or_else(|| {
            let why = self.troubles.of(&About::Runs(service.clone())).unwrap_or("it has no release");
            ErrorBody::new(ErrorKind::Internal, why)
        })?;
        Ok(RunAcceptedBody { unit })
    }

    fn run_state(&self, unit: &UnitId) -> Reply<RunStateBody> {
        let run = self.applied.runs.get(unit);
        let run = run.ok_or_else(|| ErrorBody::new(ErrorKind::NotFound, format!("there is no run {unit}")))?;
        let found = self.supervisor.snapshot().into_iter().find(|it| it.unit == *unit);
        let exit = run.ended.clone().or_else(|| found.as_ref().and_then(|unit| exit_of(unit, self.now())));
        let (code, signal) = match exit.as_ref().map(|exit| exit.status) {
            Some(ExitStatus::Code(code)) => (Some(code), None),
            Some(ExitStatus::Signal(signal)) => (None, Some(signal)),
            Some(ExitStatus::OutOfMemory) => (None, Some(model::SIGKILL)),
            Some(ExitStatus::NotStarted | ExitStatus::Unknown) | None => (None, None),
        };
        let text = match &exit {
            Some(exit) => ending_text(exit, found.as_ref()),
            None => going_text(found.as_ref(), self.now()),
        };
        let waits_for = match &exit {
            Some(_) => None,
            None => found.as_ref().and_then(|unit| status::before_first_start(unit, self.now())),
        };
        Ok(RunStateBody { unit: unit.clone(), ended: exit.is_some(), waits_for, code, signal, text })
    }
}

/// A plan as the API gives it.
pub(crate) fn plan_body(found: &Considered) -> PlanBody {
    let plan = &found.plan;
    let step = |step: &plan::change::Step| StepBody {
        action: step.action.to_string(),
        subject: step.subject.to_string(),
        reasons: step.notes.iter().map(ToString::to_string).collect(),
    };
    let fact = |fact: &plan::objectives::Fact| FactBody {
        objective: fact.from.as_str().to_owned(),
        text: fact.to_string(),
        consumer: match fact.consumer() {
            plan::objectives::Consumer::ReplicaCount => Some("rollouts".to_owned()),
            plan::objectives::Consumer::Edge => Some("the edge".to_owned()),
            plan::objectives::Consumer::Nothing | plan::objectives::Consumer::NotCarriedOutYet(_) => None,
        },
    };
    PlanBody {
        environment: plan.environment.clone(),
        changes: plan.changes_anything(),
        refusals: plan.refusals.iter().map(ToString::to_string).collect(),
        text: plan.to_string(),
        steps: plan.steps.iter().map(step).collect(),
        facts: plan.facts.iter().map(fact).collect(),
        warnings: plan.warnings.iter().map(ToString::to_string).collect(),
    }
}
