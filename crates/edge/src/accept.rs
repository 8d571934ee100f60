//! A client's way in: accepted, counted, and its handshake carried out. Start reading at [`accept`].

use std::io;
use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::admission::{Admission, Admitted, Full};
use crate::answer::Reason;
use crate::serve::{self, Additions, Origin, Own};
use crate::tls;
use crate::worker::Worker;

/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// What is read of a client that is turned away: bytes left unread would take the answer with them.
const UNREAD_BYTES_MAX: usize = 4 << 10;

/// What is spoken at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1.1 as it is.
    Plain,
    /// TLS, and in it what both sides agree on.
    Secure,
}

/// Takes connections as they come. To be dropped when no more are wanted.
pub(crate) async fn accept(
    listener: net::TcpListener,
    speech: Speech,
    worker: Rc<Worker>,
    admission: Arc<Admission>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors or memory: those that are open go on.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let admitted = match admission.admit(peer.ip(), &worker.live().settings) {
            Ok(admitted) => admitted,
            Err(full) => {
                turn_away(&stream, full, speech, &worker);
                continue;
            }
        };
        // An answer in several pieces must not wait for the client's acknowledgement.
        drop(stream.set_nodelay(true));
        let (worker, admission) = (Rc::clone(&worker), Arc::clone(&admission));
        let open = Open::new(&worker, admitted);
        sys::cores::spawn_here(async move {
            match speech {
                Speech::Plain => serve::h1::connection(&worker, stream, Origin::plain(peer)).await,
                Speech::Secure => secure(&worker, stream, peer, &admission).await,
            }
            drop(open);
        });
    }
}

/// Says why, as far as that costs nothing: nobody waits for a client that is one too many.
fn turn_away(stream: &TcpStream, full: Full, speech: Speech, worker: &Worker) {
    if speech == Speech::Secure {
        return;
    }
    let reason = match full {
        Full::Edge => Reason::Overloaded,
        Full::Client => Reason::TooManyConnections,
    };
    let mut answer = Vec::new();
    Own::refusal(reason, &worker.ids.next(), None).write(&Additions::default(), false, false, &mut answer);
    // Whether it hears the answer or not, it is turned away.
    drop(stream.try_read(&mut [0; UNREAD_BYTES_MAX]));
    drop(stream.try_write(&answer));
}

async fn secure(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, admission: &Admission) {
    let Some(handshake) = admission.begin_handshake() else { return };
    let certificates = worker.certificates();
    let deadline = worker.deadlines.register();
    let outcome = deadline.limit(HANDSHAKE_TIME_MAX, tls::accept(stream, &certificates)).await;
    drop((handshake, certificates));
    let Ok(Ok(secured)) = outcome else { return admission.note_failed_handshake() };
    let origin = Origin { peer, certified: Some(secured.certified) };
    match secured.h2 {
        true => serve::h2::connection(worker, secured.stream, origin).await,
        false => serve::h1::connection(worker, secured.stream, origin).await,
    }
}

/// Counts a connection of this thread while it is open.
struct Open {
    worker: Rc<Worker>,
    _admitted: Admitted,
}

impl Open {
    fn new(worker: &Rc<Worker>, admitted: Admitted) -> Self {
        worker.open.set(worker.open.get() + 1);
        Self { worker: Rc::clone(worker), _admitted: admitted }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.open.set(self.worker.open.get() - 1);
    }
}
