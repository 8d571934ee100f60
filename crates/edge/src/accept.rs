//! A client's way in: accepted, counted, and its handshake carried out. Start reading at [`accept`].

use std::convert::Infallible;
use std::io;
use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::admission::{Admission, Admitted, Full};
use crate::answer::Reason;
use crate::listening::Speech;
use crate::policy::network;
use crate::serve::{self, Additions, Origin, Own};
use crate::tls::{self, Secured};
use crate::worker::Worker;

/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// What is read of a client that is turned away: bytes left unread would take the answer with them.
const UNREAD_BYTES_MAX: usize = 4 << 10;

/// Takes connections as they come; ends only with why it cannot. To be dropped when no more are wanted.
pub(crate) async fn accept(
    listener: net::TcpListener,
    speech: Speech,
    worker: Rc<Worker>,
    admission: Arc<Admission>,
) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // It listens no more, and never will again.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(_) => {
                // Out of descriptors or memory, or the client is gone: those that are open go on.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A socket of both families shows IPv4 addresses as IPv6.
        let peer = SocketAddr::new(network::canonical(peer.ip()), peer.port());
        let admitted = match admission.admit(peer.ip(), &worker.live().settings) {
            Ok(admitted) => admitted,
            Err(full) => {
                turn_away(&stream, full, speech, &worker);
                continue;
            }
        };
        // An answer in several pieces must not wait for the client's acknowledgement.
        drop(stream.set_nodelay(true));
        let open = Open::new(&worker, admitted);
        // Tasks of their own kinds: one that needs little does not take the room of one that needs much.
        match speech {
            Speech::Plain => sys::cores::spawn_here(plain(open, stream, peer)),
            Speech::Secure => sys::cores::spawn_here(secure(open, stream, peer)),
        }
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

async fn plain(open: Open, stream: TcpStream, peer: SocketAddr) {
    let origin = Origin { peer, admitted: Rc::clone(&open.admitted), certified: None };
    serve::h1::connection(&open.worker, stream, origin).await;
}

async fn secure(open: Open, stream: TcpStream, peer: SocketAddr) {
    let worker = &open.worker;
    // What a handshake needs is given back with its end, and the version that is not spoken takes no room.
    let Some(secured) = Box::pin(handshake(&open, stream)).await else { return };
    let origin = Origin { peer, admitted: Rc::clone(&open.admitted), certified: Some(secured.certified) };
    match secured.h2 {
        true => Box::pin(serve::h2::connection(worker, secured.stream, origin)).await,
        false => Box::pin(serve::h1::connection(worker, secured.stream, origin)).await,
    }
}

/// Carries out a handshake in its time, if there are not too many.
async fn handshake(Open { worker, admitted }: &Open, stream: TcpStream) -> Option<Secured> {
    let _under_way = admitted.begin_handshake()?;
    let certificates = worker.certificates();
    let deadline = worker.deadlines.register();
    match deadline.limit(HANDSHAKE_TIME_MAX, tls::accept(stream, &certificates)).await {
        Ok(Ok(secured)) => Some(secured),
        Ok(Err(_)) | Err(_) => {
            admitted.note_failed_handshake();
            None
        }
    }
}

/// Counts a connection of this thread while it is open.
struct Open {
    worker: Rc<Worker>,
    admitted: Rc<Admitted>,
}

impl Open {
    fn new(worker: &Rc<Worker>, admitted: Admitted) -> Self {
        worker.open.set(worker.open.get() + 1);
        Self { worker: Rc::clone(worker), admitted: Rc::new(admitted) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.open.set(self.worker.open.get() - 1);
    }
}
