//! Deadlines of connections: one mark each, looked over ten times a second, instead of a timer per operation.
//!
//! Start reading at [`Deadline::limit`]. Times are therefore kept to within [`PERIOD`].

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How often the marks are looked over.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

/// How long a connection that waits for a request still waits once its edge drains: one that is on its way is answered.
pub(crate) const DRAIN_IDLE_TIME_MAX: Duration = Duration::from_millis(500);

/// The deadlines of one thread's connections.
#[derive(Default)]
pub(crate) struct Deadlines {
    marks: RefCell<Vec<Weak<Mark>>>,
    clock: Rc<Clock>,
}

/// What is the same for all connections of a thread.
#[derive(Default)]
struct Clock {
    now: Cell<Duration>,
    /// Since when the edge drains.
    draining: Cell<Option<Duration>>,
}

/// What one connection waits for, and until when.
#[derive(Default)]
struct Mark {
    at: Cell<Option<Duration>>,
    /// Nothing is under way: a draining edge does not wait until `at`.
    idle: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The deadline of one connection: of one thing at a time.
pub(crate) struct Deadline {
    mark: Rc<Mark>,
    clock: Rc<Clock>,
}

/// It was not done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not done in time")]
pub(crate) struct Late;

impl Deadlines {
    /// A deadline for a new connection.
    pub(crate) fn register(&self) -> Deadline {
        let mark = Rc::new(Mark::default());
        self.marks.borrow_mut().push(Rc::downgrade(&mark));
        Deadline { mark, clock: Rc::clone(&self.clock) }
    }

    /// The time on the steady clock, as of the last look.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now.get()
    }

    /// From now on nobody waits long for another request.
    pub(crate) fn drain(&self) {
        self.clock.draining.set(Some(self.now()));
    }

    /// Whether the edge drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.clock.draining.get().is_some()
    }

    /// Wakes those whose time has come. To be called every [`PERIOD`].
    pub(crate) fn look(&self, now: Duration) {
        self.clock.now.set(now);
        let mut due = Vec::new();
        self.marks.borrow_mut().retain(|mark| {
            let Some(mark) = mark.upgrade() else { return false };
            if mark.is_due(&self.clock) {
                due.extend(mark.waker.take());
            }
            true
        });
        due.into_iter().for_each(Waker::wake);
    }
}

impl Mark {
    fn is_due(&self, clock: &Clock) -> bool {
        let drained = clock.draining.get().filter(|_| self.idle.get()).map(|since| since + DRAIN_IDLE_TIME_MAX);
        let at = self.at.get().map(|at| drained.map_or(at, |drained| drained.min(at)));
        at.is_some_and(|at| at <= clock.now.get())
    }
}

impl Deadline {
    /// As [`Deadline::limit`], for a wait while nothing is under way: it ends early when the edge drains.
    pub(crate) async fn limit_idle<T>(&self, span: Duration, future: impl Future<Output = T>) -> Result<T, Late> {
        self.mark.idle.set(true);
        let outcome = self.limit(span, future).await;
        self.mark.idle.set(false);
        outcome
    }

    /// Drives a future until it is done, or until so much time has passed.
    pub(crate) async fn limit<T>(&self, span: Duration, future: impl Future<Output = T>) -> Result<T, Late> {
        self.extend(span);
        self.drive(future).await
    }

    /// Drives a future that says itself until when it may take ([`Deadline::set`]).
    pub(crate) async fn drive<T>(&self, future: impl Future<Output = T>) -> Result<T, Late> {
        let mut future = pin!(future);
        let outcome = poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            if self.mark.is_due(&self.clock) {
                return Poll::Ready(Err(Late));
            }
            let mut waker = self.mark.waker.borrow_mut();
            match &mut *waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
        self.mark.at.set(None);
        outcome
    }

    /// Sets the deadline of what is being driven anew: there was progress.
    pub(crate) fn extend(&self, span: Duration) {
        self.set(self.now().saturating_add(span));
    }

    /// What is being driven may take until then.
    pub(crate) fn set(&self, until: Duration) {
        self.mark.at.set(Some(until));
    }

    /// The time on the steady clock, as of the last look.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now.get()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::task::Context;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_not_done_in_time_ends_at_the_first_look_after() {
        let deadlines = Deadlines::default();
        let deadline = deadlines.register();
        deadlines.look(SECOND);
        let mut waiting = pin!(deadline.limit(SECOND, pending::<()>()));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        deadlines.look(SECOND * 2 - PERIOD);
        assert_eq!(poll(), Poll::Pending);
        deadlines.look(SECOND * 2);
        assert_eq!(poll(), Poll::Ready(Err(Late)));
    }

    #[test]
    fn progress_puts_the_deadline_off() {
        let deadlines = Deadlines::default();
        let deadline = deadlines.register();
        let mut waiting = pin!(deadline.limit(SECOND, pending::<()>()));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        deadlines.look(SECOND / 2);
        deadline.extend(SECOND);
        deadlines.look(SECOND);
        assert_eq!(poll(), Poll::Pending);
        deadlines.look(SECOND * 2);
        assert_eq!(poll(), Poll::Ready(Err(Late)));
    }

    #[test]
    fn a_draining_edge_waits_for_what_is_under_way_and_not_for_what_is_idle() {
        let deadlines = Deadlines::default();
        let (busy, idle) = (deadlines.register(), deadlines.register());
        let mut busy = pin!(busy.limit(SECOND * 9, pending::<()>()));
        let mut idle = pin!(idle.limit_idle(SECOND * 9, pending::<()>()));
        let context = &mut Context::from_waker(Waker::noop());
        deadlines.look(SECOND);
        deadlines.drain();
        assert_eq!((busy.as_mut().poll(context), idle.as_mut().poll(context)), (Poll::Pending, Poll::Pending));
        deadlines.look(SECOND + DRAIN_IDLE_TIME_MAX);
        assert_eq!((busy.as_mut().poll(context), idle.as_mut().poll(context)), (Poll::Pending, Poll::Ready(Err(Late))));
    }

    #[test]
    fn what_is_done_is_done_and_the_gone_are_forgotten() {
        let deadlines = Deadlines::default();
        let deadline = deadlines.register();
        let mut done = pin!(deadline.limit(Duration::ZERO, async { 7 }));
        assert_eq!(done.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(7)));
        drop(deadlines.register());
        deadlines.look(SECOND);
        assert_eq!(deadlines.marks.borrow().len(), 1);
    }
}
