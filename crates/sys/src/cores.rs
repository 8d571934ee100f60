//! Threads that each run their own tasks: for work that is spread over cores and shares nothing.
//!
//! Start reading at [`start`]. A task never moves from one thread to another, so what it holds needs no lock. A task's
//! panic ends that task and is counted.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Threads beside each that wait for disks in its place.
const BLOCKING_THREADS_MAX: usize = 4;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Starts a thread with a runtime of its own that drives one future to its end, and the tasks that it begins with
/// [`spawn_here`].
pub fn start<F, R>(name: &str, main: impl FnOnce() -> F + Send + 'static) -> io::Result<JoinHandle<R>>
where
    F: Future<Output = R> + 'static,
    R: Send + 'static,
{
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()?;
    let local = move || {
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async { main().await })
    };
    #[expect(clippy::disallowed_methods, reason = "this is a home that the ban points to")]
    std::thread::Builder::new().name(name.to_owned()).spawn(local)
}

/// Begins a task on this thread, which must be one that [`start`] made.
pub fn spawn_here(task: impl Future<Output = ()> + 'static) {
    #[expect(clippy::disallowed_methods, reason = "this is the home that the ban points to")]
    let handle = tokio::task::spawn_local(async move {
        let guard = CountPanic;
        task.await;
        std::mem::forget(guard);
    });
    drop(handle);
}

/// Tasks that have panicked since the process began.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Dropped only when a task unwinds or its thread ends.
struct CountPanic;

impl Drop for CountPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
    }
}
