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

/// The deadlines of one thread's connections.
#[derive(Default)]
pub(crate) struct Deadlines {
    marks: RefCell<Vec<Weak<Mark>>>,
    now: Rc<Cell<Duration>>,
}

/// What one connection waits for, and until when.
#[derive(Default)]
struct Mark {
    at: Cell<Option<Duration>>,
    waker: RefCell<Option<Waker>>,
}

/// The deadline of one connection: of one thing at a time.
pub(crate) struct Deadline {
    mark: Rc<Mark>,
    now: Rc<Cell<Duration>>,
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
        Deadline { mark, now: Rc::clone(&self.now) }
    }

    /// The time on the steady clock, as of the last look.
    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }

    /// Wakes those whose time has come. To be called every [`PERIOD`].
    pub(crate) fn look(&self, now: Duration) {
        self.now.set(now);
        let mut due = Vec::new();
        self.marks.borrow_mut().retain(|mark| {
            let Some(mark) = mark.upgrade() else { return false };
            if mark.at.get().is_some_and(|at| at <= now) {
                due.extend(mark.waker.take());
            }
            true
        });
        due.into_iter().for_each(Waker::wake);
    }
}

impl Deadline {
    /// Drives a future until it is done, or until so much time has passed.
    pub(crate) async fn limit<T>(&self, span: Duration, future: impl Future<Output = T>) -> Result<T, Late> {
        self.extend(span);
        let mut future = pin!(future);
        let outcome = poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            if self.mark.at.get().is_some_and(|at| at <= self.now.get()) {
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
        self.mark.at.set(Some(self.now.get().saturating_add(span)));
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
