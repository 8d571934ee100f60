//! One thread of the edge: it accepts connections and serves them. Start reading at [`run`].

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::deadline;
use crate::evidence::{Arm, Counts};
use crate::process::Shared;
use crate::serve;
use crate::worker::Worker;

/// Connections of clients that are served at the same time by the whole edge.
pub(crate) const CONNECTIONS_MAX: u64 = 20_000;
/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Looks between two reports of evidence: a second.
const EVIDENCE_LOOKS: u32 = 10;

/// Serves until the process ends.
pub(crate) async fn run(listener: TcpListener, mut shared: Shared, seed: u64) {
    let live = Arc::clone(&shared.live.borrow_and_update());
    let mut number = live.settings.number;
    let worker = Rc::new(Worker::new(live, seed, shared.log.clone()));
    worker.look(sys::clock::now().steady);
    sys::cores::spawn_here(accept(listener, Rc::clone(&worker), Arc::clone(&shared.connections)));
    let mut looks = tokio::time::interval(deadline::PERIOD);
    let mut count = 0_u32;
    // Settings may have come before this thread began.
    let mut taken = 0;
    loop {
        if taken != number {
            // The main thread is only gone when the process ends.
            let _gone = shared.taken.send(number).await.is_err();
            taken = number;
        }
        tokio::select! {
            changed = shared.live.changed() => {
                if changed.is_err() {
                    return;
                }
                report(&worker, &shared.evidence);
                let live = Arc::clone(&shared.live.borrow_and_update());
                number = live.settings.number;
                worker.renew(live);
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
fn report(worker: &Worker, evidence: &mpsc::Sender<Vec<(Arm, Counts)>>) {
    let arms: Vec<(Arm, Counts)> = worker.take_evidence().into_iter().collect();
    if !arms.is_empty() {
        drop(evidence.try_send(arms));
    }
}

async fn accept(listener: TcpListener, worker: Rc<Worker>, connections: Arc<AtomicU64>) {
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
            serve::h1::connection(&worker, stream, peer, false).await;
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
