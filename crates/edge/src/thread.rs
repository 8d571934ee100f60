//! One thread of the edge: it accepts connections and serves them. Start reading at [`run`].

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::deadline;
use crate::process::Shared;
use crate::serve;
use crate::worker::Worker;

/// Connections of clients that are served at the same time by the whole edge.
pub(crate) const CONNECTIONS_MAX: u64 = 20_000;
/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Looks between two reports of evidence: a second.
const EVIDENCE_LOOKS: u32 = 10;

/// What a thread accepts from.
pub(crate) struct Listeners {
    pub(crate) plain: Option<TcpListener>,
    pub(crate) secure: Option<TcpListener>,
}

/// Serves until the process ends.
pub(crate) async fn run(listeners: Listeners, mut shared: Shared, seed: u64) {
    let live = Arc::clone(&shared.live.borrow_and_update());
    let worker = Rc::new(Worker::new(live, seed, shared.log.clone()));
    worker.look(sys::clock::now().steady);
    if let Some(listener) = listeners.plain {
        sys::cores::spawn_here(accept(listener, false, Rc::clone(&worker), Arc::clone(&shared.connections)));
    }
    if let Some(listener) = listeners.secure {
        sys::cores::spawn_here(accept(listener, true, Rc::clone(&worker), Arc::clone(&shared.connections)));
    }
    let mut looks = tokio::time::interval(deadline::PERIOD);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            changed = shared.live.changed() => {
                if changed.is_err() {
                    return;
                }
                report(&worker, &shared.evidence);
                worker.renew(Arc::clone(&shared.live.borrow_and_update()));
            }
            _ = looks.tick() => {
                worker.look(sys::clock::now().steady);
                count = count.wrapping_add(1);
                if count.is_multiple_of(EVIDENCE_LOOKS) {
                    report(&worker, &shared.evidence);
                }
            }
        }
    }
}

/// Hands over what was counted. When nobody takes it, it is lost: evidence is about now.
fn report(worker: &Worker, evidence: &mpsc::Sender<Vec<(crate::evidence::Arm, crate::evidence::Counts)>>) {
    let arms = crate::control::pairs(worker.take_evidence());
    if !arms.is_empty() {
        drop(evidence.try_send(arms));
    }
}

async fn accept(listener: TcpListener, secure: bool, worker: Rc<Worker>, connections: Arc<AtomicU64>) {
    let Ok(listener) = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener)) else {
        return;
    };
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors or memory: those that are open go on.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let open = Open::new(&connections);
        if connections.load(Ordering::Relaxed) > CONNECTIONS_MAX {
            continue;
        }
        // An answer in several pieces must not wait for the client's acknowledgement.
        drop(stream.set_nodelay(true));
        let worker = Rc::clone(&worker);
        sys::cores::spawn_here(async move {
            serve::h1::connection(&worker, stream, peer, secure).await;
            drop(open);
        });
    }
}

/// Counts a connection while it is open.
struct Open(Arc<AtomicU64>);

impl Open {
    fn new(connections: &Arc<AtomicU64>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
