//! Calls for which something has to be found or copied on the disk first. Start reading at [`Node::take_on`].
//!
//! Disks are slow and folders large, so that is done by a task beside the node's loop, for one errand at a time; the
//! others wait their turn. Every time the task comes back the errand is tried from its beginning, by what was found and
//! by how everything stands by then: what has changed meanwhile, be it a secret or a `down`, is never decided over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::{Actor, SecretName, ServiceName};
use tokio::sync::oneshot;

use super::Node;
use super::answer::{Reply, internal, send};
use super::call::Answer;
use super::consider::Programs;
use super::finds::{Chore, Finds, Halt};
use crate::api::bodies::{AcceptedBody, ErrorBody, ErrorKind, FileBody, PlanBody, RunAcceptedBody};

/// The owner of the task.
const OWNER: &str = "node";
/// Errands that wait for their turn; more are refused.
const WAITING_MAX: usize = 16;

/// What is to be done once everything for it was found.
pub(super) enum Errand {
    /// To say what applying a file would do.
    Plan(FileBody, Answer<PlanBody>),
    /// To apply a file.
    Apply(Actor, FileBody, Answer<AcceptedBody>),
    /// To run a command once in the place of a service.
    Run(Actor, ServiceName, Vec<String>, Answer<RunAcceptedBody>),
    /// To make new releases of the services that receive one of these secrets, which have changed.
    ReleaseAnew(Vec<SecretName>),
}

impl Errand {
    /// Whether whoever asked for it has given up waiting: their next call is what they want, and this one is not to be
    /// decided after it.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Plan(_, answer) => answer.is_closed(),
            Self::Apply(_, _, answer) => answer.is_closed(),
            Self::Run(_, _, _, answer) => answer.is_closed(),
            Self::ReleaseAnew(_) => false,
        }
    }

    /// Whether somebody waits for a file to be applied.
    fn brings_file(&self) -> bool {
        matches!(self, Self::Apply(..)) && !self.is_abandoned()
    }
}

/// The errands that are not done.
#[derive(Default)]
pub(super) struct Errands {
    under_way: Option<UnderWay>,
    waiting: VecDeque<Errand>,
}

/// An errand whose chore is being done.
struct UnderWay {
    errand: Errand,
    /// In steady time.
    since: Duration,
    done: oneshot::Receiver<Reply<Finds>>,
}

impl Errands {
    /// Whether a chore is being done.
    pub(super) fn are_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether a file is to be applied that was not decided on yet.
    pub(super) fn bring_file(&self) -> bool {
        self.under_way.iter().map(|it| &it.errand).chain(&self.waiting).any(Errand::brings_file)
    }

    /// What the task that is under way brings; nothing while there is none.
    pub(super) async fn brought(&mut self) -> Reply<Finds> {
        match &mut self.under_way {
            None => std::future::pending().await,
            Some(UnderWay { done, .. }) => done.await.unwrap_or_else(|_| {
                Err(ErrorBody::new(ErrorKind::Internal, "looking for what is named, or copying it, broke off")
                    .with_hint("`mainstay status` shows why"))
            }),
        }
    }
}

impl Node {
    /// Takes an errand on. It is done at once where nothing has to be found or copied for it.
    pub(super) fn take_on(&mut self, errand: Errand) {
        self.try_errand(errand, Ok(Finds::default()));
    }

    /// Goes on with the errand whose chore is done, and with those that waited for it.
    pub(super) fn go_on_with_errands(&mut self, brought: Reply<Finds>) {
        let Some(UnderWay { errand, since, .. }) = self.errands.under_way.take() else { return };
        let took = self.now().steady.saturating_sub(since);
        // Whoever brings a file has it looked at first, and is not to be too late for that.
        self.awaits_file_until = self.awaits_file_until.map(|until| until.saturating_add(took));
        self.try_errand(errand, brought);
        while !self.errands.are_under_way() {
            let Some(next) = self.errands.waiting.pop_front() else { return self.prune_copies() };
            self.take_on(next);
        }
    }

    /// Does an errand as far as can be by what was brought for it. One that was abandoned is dropped, and nothing of it done
    /// but what was copied for it: that is removed with the other copies that nothing needs.
    fn try_errand(&mut self, errand: Errand, brought: Reply<Finds>) {
        if errand.is_abandoned() {
            return;
        }
        match errand {
            Errand::Plan(file, answer) => match attempt(brought, |finds| self.plan(&file, finds)) {
                Tried::Needs(chore, finds) => self.begin(Errand::Plan(file, answer), chore, finds),
                Tried::Done(plan) => send(answer, plan),
            },
            Errand::Apply(actor, file, answer) => {
                let reason = format!("{} was given", file.path);
                let tried = attempt(brought, |finds| self.apply(&actor, &file, Programs::Current, finds, &reason));
                match tried {
                    Tried::Needs(chore, finds) => self.begin(Errand::Apply(actor, file, answer), chore, finds),
                    Tried::Done(applied) => {
                        match applied {
                            Ok(_) => self.carry_on(),
                            // Nothing was decided about the file.
                            Err(ErrorBody { kind: ErrorKind::Busy, .. }) => {}
                            Err(_) => self.heed_refused_file(),
                        }
                        send(answer, applied);
                    }
                }
            }
            Errand::Run(actor, service, words, answer) => {
                match attempt(brought, |finds| self.run_once(&actor, &service, &words, finds)) {
                    Tried::Needs(chore, finds) => self.begin(Errand::Run(actor, service, words, answer), chore, finds),
                    Tried::Done(run) => send(answer, run),
                }
            }
            Errand::ReleaseAnew(names) => match attempt(brought, |finds| self.release_anew(&names, finds)) {
                Tried::Needs(chore, finds) => self.begin(Errand::ReleaseAnew(names), chore, finds),
                Tried::Done(released) => self.note_released_anew(released),
            },
        }
    }

    /// Has the chore of an errand done, or the errand wait while that of another one is. What was found for one that
    /// waits may have changed by its turn, and is looked for anew then.
    fn begin(&mut self, errand: Errand, chore: Chore, finds: Finds) {
        if self.errands.under_way.is_none() {
            let done = self.have_done(chore, finds);
            self.errands.under_way = Some(UnderWay { errand, since: self.now().steady, done });
        } else if self.errands.waiting.len() < WAITING_MAX {
            self.errands.waiting.push_back(errand);
        } else {
            let busy = format!("the node copies files for one call, and {WAITING_MAX} others wait for that");
            let busy = ErrorBody::new(ErrorKind::Busy, busy).with_hint("try again in a moment");
            self.try_errand(errand, Err(busy));
        }
    }

    /// Does a chore beside the loop. The task holds the state directory's lock too: a node that ends does not wait for
    /// it, and the next one does not copy to the same place meanwhile.
    fn have_done(&self, chore: Chore, mut finds: Finds) -> oneshot::Receiver<Reply<Finds>> {
        let (bring, brought) = oneshot::channel();
        let (artefacts, lock) = (self.store.layout.artefacts(), Arc::clone(&self.store.lock));
        let name = match &chore {
            Chore::Find(_) => "look for programs and folders",
            Chore::Keep(_) => "copy programs and folders",
        };
        self.tasks.spawn_blocking(OWNER, name, move || {
            let kept = chore.carry_out(&mut finds, &artefacts);
            // Where the node has ended, nobody is left to bring it to.
            drop(bring.send(kept.map(|()| finds).map_err(|error| internal(&error))));
            drop(lock);
            Ok::<(), std::convert::Infallible>(())
        });
        brought
    }
}

/// What trying an errand came to.
enum Tried<T> {
    /// This has to be done first; and what was found so far.
    Needs(Chore, Finds),
    /// It is done, or refused.
    Done(Reply<T>),
}

fn attempt<T>(brought: Reply<Finds>, errand: impl FnOnce(&Finds) -> Result<T, Halt>) -> Tried<T> {
    let finds = match brought {
        Ok(finds) => finds,
        Err(error) => return Tried::Done(Err(error)),
    };
    match errand(&finds) {
        Ok(done) => Tried::Done(Ok(done)),
        Err(Halt::Refused(error)) => Tried::Done(Err(error)),
        Err(Halt::Needs(chore)) => Tried::Needs(chore, finds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> FileBody {
        FileBody { path: "/shop/mainstay.yaml".to_owned(), text: String::new(), environment: None }
    }

    #[test]
    fn only_a_caller_who_still_waits_brings_a_file() {
        let ((apply, asked), (plan, planned)) = (oneshot::channel(), oneshot::channel());
        let (first, second) = (Errand::Plan(file(), plan), Errand::Apply(Actor::Local { uid: 7 }, file(), apply));
        let (_bring, done) = oneshot::channel();
        let under_way = Some(UnderWay { errand: first, since: Duration::ZERO, done });
        let mut errands = Errands { under_way, waiting: VecDeque::new() };
        assert!(!errands.bring_file(), "a plan decides nothing");
        errands.waiting.push_back(second);
        assert!(errands.bring_file());
        drop(asked);
        assert!(!errands.bring_file(), "its caller has given up");
        assert_eq!(errands.waiting.iter().map(Errand::is_abandoned).collect::<Vec<_>>(), [true]);
        assert!(!errands.under_way.as_ref().is_some_and(|it| it.errand.is_abandoned()));
        drop(planned);
        assert!(errands.under_way.as_ref().is_some_and(|it| it.errand.is_abandoned()));
        assert!(!Errand::ReleaseAnew(Vec::new()).is_abandoned(), "nobody waits for it");
    }
}
