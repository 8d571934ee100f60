//! One thread of the edge: it accepts connections and serves them. Start reading at [`run`].

use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::deadline;
use crate::evidence::{Arm, Counts};
use crate::listening::Accepting;
use crate::process::{Shared, Taken};
use crate::worker::Worker;

/// Looks between two reports of evidence: a second.
const EVIDENCE_LOOKS: u32 = 10;

/// What one thread is started with besides what all share.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// Random.
    pub(crate) seed: u64,
    /// Which of all it is, from 0.
    pub(crate) number: usize,
}

/// Serves until the edge is told to drain, and then until every connection has ended or the time for that is over. What
/// is still open then is closed by dropping it. A thread that cannot accept ends with why: as long as its sockets listen,
/// the kernel leads its share of the clients to them.
pub(crate) async fn run(mut shared: Shared, start: Start) -> io::Result<()> {
    let live = Arc::clone(&shared.live.borrow_and_update());
    let certificates = Arc::clone(&shared.certificates.borrow_and_update());
    // Both may have come before this thread began; then it says so like any other.
    let mut taken = vec![Taken::Settings(live.settings.number), Taken::Certificates(certificates.number)];
    let is_first = start.number == 0;
    let worker = Rc::new(Worker::new(live, certificates, start.seed, shared.log.clone(), shared.threads, is_first));
    worker.look(sys::clock::now().steady);
    let (fail, mut failed) = mpsc::channel(1);
    let mut accepting = Accepting::new(start.number, shared.threads, Arc::clone(&shared.admission), fail);
    accepting.follow(&shared.sockets.borrow_and_update(), &worker)?;
    let mut looks = tokio::time::interval(deadline::PERIOD);
    let mut count = 0_u32;
    let mut ends = None;
    loop {
        for taken in taken.drain(..) {
            // The main thread is only gone when the process ends.
            let _gone = shared.taken.send(taken).await.is_err();
        }
        tokio::select! {
            Ok(()) = shared.live.changed() => {
                let live = Arc::clone(&shared.live.borrow_and_update());
                taken.push(Taken::Settings(live.settings.number));
                worker.renew(live);
                accepting.follow(&shared.sockets.borrow(), &worker)?;
            }
            Ok(()) = shared.certificates.changed() => {
                let certificates = Arc::clone(&shared.certificates.borrow_and_update());
                taken.push(Taken::Certificates(certificates.number));
                worker.renew_certificates(certificates);
                accepting.follow(&shared.sockets.borrow(), &worker)?;
            }
            Ok(()) = shared.sockets.changed() => accepting.follow(&shared.sockets.borrow_and_update(), &worker)?,
            within = asked_to_drain(&mut shared.drain), if ends.is_none() => {
                worker.deadlines.drain();
                ends = Some(worker.now().saturating_add(within));
            }
            Some(why) = failed.recv() => return Err(why),
            _ = looks.tick() => {
                worker.look(sys::clock::now().steady);
                if ends.is_some_and(|ends| worker.open.get() == 0 || ends <= worker.now()) {
                    break;
                }
                count = count.wrapping_add(1);
                if count.is_multiple_of(EVIDENCE_LOOKS) {
                    report(&worker, &shared.evidence);
                }
            }
        }
    }
    report(&worker, &shared.evidence);
    Ok(())
}

/// Waits until the edge is to drain, and says within which time.
async fn asked_to_drain(drain: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match drain.wait_for(Option::is_some).await.map(|within| *within) {
        Ok(Some(within)) => within,
        // The main thread is only gone when the process ends.
        Ok(None) | Err(_) => pending().await,
    }
}

/// Hands over what was counted. Where there is no room, it stays counted until there is.
fn report(worker: &Worker, evidence: &mpsc::Sender<Vec<(Arm, Counts)>>) {
    let Ok(room) = evidence.try_reserve() else { return };
    let arms: Vec<(Arm, Counts)> = worker.take_evidence().into_iter().collect();
    if !arms.is_empty() {
        room.send(arms);
    }
}
