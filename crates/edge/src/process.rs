//! The edge as a process: its threads, its listeners, and the node's word. Start reading at [`run`].
//!
//! The main thread listens to the node; each other thread accepts connections and serves them. Settings go from the
//! former to the latter as one immutable value, evidence the other way through a bounded channel.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sys::messages::{self, Incoming, MessageError};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::control::{self, ToEdge, ToNode};
use crate::evidence::{Arm, Counts};
use crate::live::Live;
use crate::settings::Settings;
use crate::thread;

/// Seconds of evidence of all threads that wait for the node.
const EVIDENCE_MAX: usize = 64;
/// Threads that wait to say which settings they have taken over.
const TAKES_MAX: usize = 64;

/// What an edge is started with.
#[derive(Debug)]
pub struct Start {
    /// Listeners for plain HTTP, one for each thread.
    pub listeners: Vec<TcpListener>,
    /// Where the node connects to.
    pub control: PathBuf,
    /// Random: for ids and for drawing replicas.
    pub seed: u64,
}

/// The edge cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The socket for the node.
    #[error("cannot listen at {}", at.display())]
    Control {
        /// Where.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// What the threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) evidence: mpsc::Sender<Vec<(Arm, Counts)>>,
    /// Where a thread says which settings it has taken over.
    pub(crate) taken: mpsc::Sender<u64>,
    pub(crate) log: AccessLog,
    pub(crate) connections: Arc<AtomicU64>,
}

/// Serves until the process is ended.
pub fn run(start: Start) -> Result<(), EdgeError> {
    let (log, waiting) = AccessLog::new();
    let writer = sys::cores::start("access-log", move || async move { waiting.write_to(io::stdout()) });
    writer.map_err(EdgeError::Thread)?;
    let (settings, live) = watch::channel(Arc::new(Live::default()));
    let (evidence, counted) = mpsc::channel(EVIDENCE_MAX);
    let (taken, takes) = mpsc::channel(TAKES_MAX);
    let shared = Shared { live, evidence, taken, log, connections: Arc::new(AtomicU64::new(0)) };
    let threads = start.listeners.len();
    for (listener, number) in start.listeners.into_iter().zip(0_u64..) {
        let (shared, seed) = (shared.clone(), start.seed.wrapping_add(number));
        sys::cores::start(&format!("edge-{number}"), move || thread::run(listener, shared, seed))
            .map_err(EdgeError::Thread)?;
    }
    let listener =
        control_socket(&start.control).map_err(|source| EdgeError::Control { at: start.control.clone(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EdgeError::Runtime)?;
    let main = Main { settings, threads, untaken: 0, node: None };
    runtime.block_on(main.listen(listener, counted, takes, &shared.connections));
    Ok(())
}

/// Replaces what an edge that was killed has left.
fn control_socket(at: &PathBuf) -> io::Result<UnixListener> {
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The main thread.
struct Main {
    settings: watch::Sender<Arc<Live>>,
    threads: usize,
    /// Threads that have not taken over the newest settings.
    untaken: usize,
    node: Option<Node>,
}

/// The connection of a node.
struct Node {
    stream: UnixStream,
    incoming: Incoming,
}

impl Main {
    /// Listens to one node after the other: a new one takes the place of one that is gone.
    async fn listen(
        mut self,
        listener: UnixListener,
        mut counted: mpsc::Receiver<Vec<(Arm, Counts)>>,
        mut takes: mpsc::Receiver<u64>,
        connections: &AtomicU64,
    ) {
        let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    self.node = Some(Node { stream, incoming: Incoming::default() });
                    self.say(&ToNode::Hello { version: control::VERSION, settings: self.number() }).await;
                }
                told = hear(&mut self.node) => match told {
                    Ok(Some(ToEdge::Settings(wanted))) => self.take_over(*wanted),
                    Ok(None) | Err(_) => self.node = None,
                },
                Some(number) = takes.recv() => self.note_taken(number).await,
                Some(arms) = counted.recv() => {
                    let connections = connections.load(Ordering::Relaxed);
                    self.say(&ToNode::Evidence { arms, connections, panics: sys::cores::panics() }).await;
                }
            }
        }
    }

    fn number(&self) -> u64 {
        self.settings.borrow().settings.number
    }

    fn take_over(&mut self, wanted: Settings) {
        let renewed = self.settings.borrow().renewed(wanted);
        self.untaken = self.threads;
        self.settings.send_replace(Arc::new(renewed));
    }

    /// Settings count as applied once every thread works by them.
    async fn note_taken(&mut self, number: u64) {
        if number == self.number() {
            self.untaken = self.untaken.saturating_sub(1);
            if self.untaken == 0 {
                self.say(&ToNode::Applied { settings: number }).await;
            }
        }
    }

    /// A node that does not listen is gone; another one will come.
    async fn say(&mut self, message: &ToNode) {
        if let Some(node) = &mut self.node
            && messages::write(&mut node.stream, message).await.is_err()
        {
            self.node = None;
        }
    }
}

async fn hear(node: &mut Option<Node>) -> Result<Option<ToEdge>, MessageError> {
    match node {
        Some(node) => node.incoming.next(&mut node.stream).await,
        None => std::future::pending().await,
    }
}
