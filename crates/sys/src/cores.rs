//! Threads that each run their own tasks: for work that is spread over cores and shares nothing.
//!
//! Start reading at [`start`]. A task never moves from one thread to another, so what it holds needs no lock. A task's
//! panic ends that task and is counted.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
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
    let handle = tokio::task::spawn_local(Counted(task));
    drop(handle);
}

/// A task whose panic is counted. An `async` block around it would hold it twice: as it came and as it is awaited.
struct Counted<F>(F);

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        #[expect(unsafe_code, reason = "the task within is pinned as the whole is")]
        // SAFETY: the task is never moved out of the whole, which has no destructor and is `Unpin` only where the task is.
        let task = unsafe { self.map_unchecked_mut(|counted| &mut counted.0) };
        let guard = CountPanic;
        let polled = task.poll(context);
        std::mem::forget(guard);
        polled
    }
}

/// Tasks that have panicked since the process began.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Dropped only when a task unwinds.
struct CountPanic;

impl Drop for CountPanic {
    fn drop(&mut self) {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }
}
