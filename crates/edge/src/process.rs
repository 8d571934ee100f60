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

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::control::{self, MessageError, ToEdge, ToNode};
use crate::evidence::{Arm, Counts};
use crate::live::Live;
use crate::thread;

/// Seconds of evidence of all threads that wait for the node.
const EVIDENCE_MAX: usize = 64;

/// What an edge is started with.
#[derive(Debug)]
pub struct Start {
    /// Listeners for plain HTTP, one for each thread, or none.
    pub plain: Vec<TcpListener>,
    /// Listeners for HTTPS, one for each thread, or none.
    pub secure: Vec<TcpListener>,
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
        #[source]
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
    let shared = Shared { live, evidence, log, connections: Arc::new(AtomicU64::new(0)) };
    let threads = start.plain.len().max(start.secure.len());
    let (mut plain, mut secure) = (start.plain.into_iter(), start.secure.into_iter());
    for number in 0..threads as u64 {
        let listeners = thread::Listeners { plain: plain.next(), secure: secure.next() };
        let (shared, seed) = (shared.clone(), start.seed.wrapping_add(number));
        sys::cores::start(&format!("edge-{number}"), move || thread::run(listeners, shared, seed))
            .map_err(EdgeError::Thread)?;
    }
    let listener = control_socket(&start.control)
        .map_err(|source| EdgeError::Control { at: start.control.clone(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EdgeError::Runtime)?;
    runtime.block_on(listen(listener, settings, counted, &shared.connections));
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

/// Listens to one node after the other: a new one takes the place of one that is gone.
async fn listen(
    listener: UnixListener,
    settings: watch::Sender<Arc<Live>>,
    mut counted: mpsc::Receiver<Vec<(Arm, Counts)>>,
    connections: &AtomicU64,
) {
    let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
    let mut node: Option<UnixStream> = None;
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let hello = ToNode::Hello { version: control::VERSION, settings: settings.borrow().settings.number };
                node = Some(stream);
                say(&mut node, &hello).await;
            }
            told = hear(&mut node) => match told {
                Ok(Some(told)) => {
                    let answer = obey(told, &settings);
                    say(&mut node, &answer).await;
                }
                Ok(None) | Err(_) => node = None,
            },
            Some(arms) = counted.recv() => {
                let connections = connections.load(Ordering::Relaxed);
                say(&mut node, &ToNode::Evidence { arms, connections, panics: sys::cores::panics() }).await;
            }
        }
    }
}

async fn hear(node: &mut Option<UnixStream>) -> Result<Option<ToEdge>, MessageError> {
    match node {
        Some(stream) => {
            stream.readable().await?;
            control::read(stream).await
        }
        None => std::future::pending().await,
    }
}

/// A node that does not listen is gone; another one will come.
async fn say(node: &mut Option<UnixStream>, message: &ToNode) {
    if let Some(stream) = node
        && control::write(stream, message).await.is_err()
    {
        *node = None;
    }
}

fn obey(told: ToEdge, settings: &watch::Sender<Arc<Live>>) -> ToNode {
    match told {
        ToEdge::Settings(wanted) => {
            let number = wanted.number;
            let renewed = settings.borrow().renewed(*wanted);
            settings.send_replace(Arc::new(renewed));
            ToNode::Applied { settings: number }
        }
        ToEdge::Certificates(_) => ToNode::Refused { why: "certificates are not served yet".to_owned() },
        ToEdge::Drain { .. } => ToNode::Refused { why: "draining is not done yet".to_owned() },
    }
}
