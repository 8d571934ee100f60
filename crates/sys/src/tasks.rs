//! Named tasks: each has an owner, a state and a last error that the operator can see.
//!
//! Start reading at [`Tasks::spawn`]; tasks that end together are a [`Group`]. Invariant: this is the only place
//! that starts tasks and threads of the runtime; a task's panic ends that task and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use model::Timestamp;

/// Failed tasks that are remembered; the oldest goes first.
pub const FAILED_MAX: usize = 64;

/// The tasks of one node. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    spawned: u64,
    running: BTreeMap<u64, TaskEntry>,
    failed: VecDeque<TaskEntry>,
}

/// One task, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// What it does, in few words.
    pub name: String,
    /// Which part of the program it belongs to.
    pub owner: &'static str,
    /// When it was spawned.
    pub since: Timestamp,
    /// Why it ended; absent while it runs.
    pub error: Option<String>,
}

/// A task that was spawned. Dropping this lets it run on.
#[derive(Debug)]
pub struct Task {
    handle: tokio::task::JoinHandle<()>,
    tasks: Tasks,
    number: u64,
}

impl Task {
    /// Ends the task at its next pause; it leaves no error behind.
    pub fn abort(self) {
        self.handle.abort();
        self.tasks.ledger().running.remove(&self.number);
    }

    /// Waits for its end.
    pub async fn ended(self) {
        // Its own outcome is in the ledger; that it was aborted is no news to whoever did it.
        drop(self.handle.await);
    }
}

impl Tasks {
    /// Runs a future as a task of this name. A task that ends well leaves nothing behind; one that fails
    /// or panics stays listed with its error.
    pub fn spawn<F, E>(&self, owner: &'static str, name: impl Into<String>, future: F) -> Task
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let number = self.begin(owner, name.into());
        let tasks = self.clone();
        let watched = async move {
            let outcome = Guarded(Box::pin(future)).await;
            tasks.end(number, error_of(outcome));
        };
        #[expect(clippy::disallowed_methods, reason = "this is the home that the ban points to")]
        let handle = tokio::spawn(watched);
        Task { handle, tasks: self.clone(), number }
    }

    /// The same for work that blocks: it gets a thread. It cannot be aborted once it has begun.
    pub fn spawn_blocking<W, E>(&self, owner: &'static str, name: impl Into<String>, work: W) -> Task
    where
        W: FnOnce() -> Result<(), E> + Send + 'static,
        E: fmt::Display,
    {
        let number = self.begin(owner, name.into());
        let tasks = self.clone();
        let watched = move || tasks.end(number, error_of(caught(work)));
        #[expect(clippy::disallowed_methods, reason = "this is the home that the ban points to")]
        let handle = tokio::task::spawn_blocking(watched);
        Task { handle, tasks: self.clone(), number }
    }

    /// All that run, oldest first, then those that failed, oldest first.
    pub fn list(&self) -> Vec<TaskEntry> {
        let ledger = self.ledger();
        ledger.running.values().chain(&ledger.failed).cloned().collect()
    }

    fn begin(&self, owner: &'static str, name: String) -> u64 {
        let mut ledger = self.ledger();
        ledger.spawned += 1;
        let number = ledger.spawned;
        ledger.running.insert(number, TaskEntry { name, owner, since: crate::clock::now().wall, error: None });
        number
    }

    fn end(&self, number: u64, error: Option<String>) {
        let mut ledger = self.ledger();
        let entry = ledger.running.remove(&number);
        if let (Some(entry), Some(error)) = (entry, error) {
            if ledger.failed.len() == FAILED_MAX {
                ledger.failed.pop_front();
            }
            ledger.failed.push_back(TaskEntry { error: Some(error), ..entry });
        }
    }

    /// Every change of the ledger is a single step, so one that a panic interrupted is still whole.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tasks of one owner that end together.
#[derive(Debug)]
pub struct Group {
    tasks: Tasks,
    owner: &'static str,
    members: Vec<Task>,
}

impl Group {
    /// A group without tasks.
    pub fn new(tasks: Tasks, owner: &'static str) -> Self {
        Self { tasks, owner, members: Vec::new() }
    }

    /// Runs a future as a task of the group.
    pub fn spawn<F, E>(&mut self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.members.retain(|task| !task.handle.is_finished());
        self.members.push(self.tasks.spawn(self.owner, name, future));
    }

    /// Waits until all have ended, and aborts those that have not by then.
    pub async fn finish(self, limit: Duration) {
        let until = tokio::time::Instant::now() + limit;
        for mut task in self.members {
            if tokio::time::timeout_at(until, &mut task.handle).await.is_err() {
                task.abort();
            }
        }
    }
}

/// Work that was begun and gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// The program ends.
    #[error("it was cut off, because the program ends")]
    CutOff,
}

/// Does work that blocks in a thread, for the task that waits for it: name, owner and end are that task's.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    #[expect(clippy::disallowed_methods, reason = "this is the home that the ban points to")]
    let handle = tokio::task::spawn_blocking(|| caught(work));
    handle.await.map_err(|_| Broken::CutOff)?.map_err(Broken::Panicked)
}

/// Why a task is to be listed as failed.
fn error_of<E: fmt::Display>(outcome: Result<Result<(), E>, String>) -> Option<String> {
    match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("panicked: {panic}")),
    }
}

/// What a function gives, or with which words it panicked.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "without a message".to_owned())
    })
}

/// A future whose panic is its result.
struct Guarded<F>(Pin<Box<F>>);

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.0.as_mut();
        match caught(|| inner.poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_and_panics_stay_listed() {
        let tasks = Tasks::default();
        let fine = tasks.spawn("test", "fine", async { Ok::<(), String>(()) });
        let failing = tasks.spawn("test", "failing", async { Err("no luck".to_owned()) });
        let panicking = tasks.spawn("test", "panicking", async {
            if tasks_exist() {
                panic!("number {}", 7);
            }
            Ok::<(), String>(())
        });
        let lasting = tasks.spawn("test", "lasting", std::future::pending::<Result<(), String>>());
        for task in [fine, failing, panicking] {
            task.ended().await;
        }
        let listed: Vec<_> = tasks.list().into_iter().map(|entry| (entry.name, entry.error)).collect();
        let name = |text: &str| text.to_owned();
        assert_eq!(
            listed,
            [
                (name("lasting"), None),
                (name("failing"), Some(name("no luck"))),
                (name("panicking"), Some(name("panicked: number 7")))
            ]
        );
        lasting.abort();
        assert_eq!(tasks.list().len(), 2);
    }

    #[tokio::test]
    async fn work_that_blocks_is_listed_like_any_other() {
        let tasks = Tasks::default();
        tasks.spawn_blocking("test", "fine", || Ok::<(), String>(())).ended().await;
        tasks.spawn_blocking("test", "failing", || Err("no luck".to_owned())).ended().await;
        let panicking = || {
            if tasks_exist() {
                panic!("number {}", 7);
            }
            Ok::<(), String>(())
        };
        tasks.spawn_blocking("test", "panicking", panicking).ended().await;
        let listed: Vec<_> = tasks.list().into_iter().map(|entry| (entry.name, entry.error.unwrap())).collect();
        let pair = |name: &str, error: &str| (name.to_owned(), error.to_owned());
        assert_eq!(listed, [pair("failing", "no luck"), pair("panicking", "panicked: number 7")]);
    }

    #[tokio::test]
    async fn a_panic_of_blocking_work_is_an_answer() {
        assert_eq!(blocking(|| 7).await, Ok(7));
        let panicked = blocking(|| assert!(!tasks_exist(), "they do")).await;
        assert_eq!(panicked, Err(Broken::Panicked("they do".to_owned())));
    }

    #[tokio::test]
    async fn a_group_waits_for_its_tasks() {
        let mut group = Group::new(Tasks::default(), "test");
        let (done, ended) = std::sync::mpsc::channel();
        group.spawn("slow", async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            done.send(())
        });
        group.finish(Duration::from_secs(3600)).await;
        assert_eq!(ended.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_group_aborts_who_is_late() {
        let tasks = Tasks::default();
        let mut group = Group::new(tasks.clone(), "test");
        group.spawn("late", std::future::pending::<Result<(), String>>());
        group.finish(Duration::ZERO).await;
        assert_eq!(tasks.list(), []);
    }

    fn tasks_exist() -> bool {
        true
    }
}
