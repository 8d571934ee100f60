//! Where the edge listens: sockets that it was given, how each is spoken at, and which thread accepts on it. Start
//! reading at [`Sockets`].
//!
//! Sockets are told apart by what the kernel calls them: one that is given again, as another copy, goes on being accepted
//! on without a pause.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;

use model::Port;
use tokio::sync::{mpsc, oneshot};

use crate::accept::accept;
use crate::admission::Admission;
use crate::worker::Worker;

/// What stands for the port of HTTPS where that is not served.
const NO_HTTPS: &str = "-";

/// The port of HTTPS, as it is said beside sockets: in an argument of the process, or when others are handed over.
pub fn https_words(https: Option<Port>) -> String {
    https.map_or_else(|| NO_HTTPS.to_owned(), |port| port.to_string())
}

/// The other way round; none where the words are no port.
pub fn https_of(words: &str) -> Option<Port> {
    words.parse().ok().and_then(Port::new)
}

/// What is spoken at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speech {
    /// HTTP/1.1 as it is.
    Plain,
    /// TLS, and in it what both sides agree on.
    Secure,
}

/// What makes it another accepting.
type Kind = (u64, Speech);

/// All sockets of the edge. Replaced whole; none once nothing more is to be accepted.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    plain: Vec<Socket>,
    secure: Vec<Socket>,
}

#[derive(Debug)]
struct Socket {
    listener: TcpListener,
    kind: Kind,
}

impl Sockets {
    /// These, of which those of one port speak TLS.
    pub(crate) fn new(listeners: Vec<TcpListener>, https: Option<Port>) -> io::Result<Self> {
        let mut sockets = Self::default();
        for listener in listeners {
            let is_secure = https.is_some_and(|https| is_on(&listener, https));
            let speech = if is_secure { Speech::Secure } else { Speech::Plain };
            let socket = Socket { kind: (sys::listeners::identity(&listener)?, speech), listener };
            let of_speech = if is_secure { &mut sockets.secure } else { &mut sockets.plain };
            of_speech.push(socket);
        }
        Ok(sockets)
    }

    /// How many threads it takes to accept on each by one of its own.
    pub(crate) fn threads(&self) -> usize {
        self.plain.len().max(self.secure.len())
    }

    /// Those that one of so many threads accepts on: every socket is some thread's, however many of either there are.
    fn of_thread(&self, thread: usize, threads: NonZeroU32) -> impl Iterator<Item = &Socket> {
        let threads = usize::try_from(threads.get()).unwrap_or(usize::MAX);
        let of_speech = [&self.plain, &self.secure].into_iter();
        of_speech.flat_map(move |sockets| sockets.iter().skip(thread).step_by(threads))
    }
}

fn is_on(listener: &TcpListener, port: Port) -> bool {
    listener.local_addr().is_ok_and(|address| address.port() == port.number())
}

/// What one thread accepts on. It ends with this.
pub(crate) struct Accepting {
    thread: usize,
    threads: NonZeroU32,
    admission: Arc<Admission>,
    /// Where it is told why a socket cannot be accepted on.
    fail: mpsc::Sender<io::Error>,
    /// What was begun; it ends when this is dropped.
    begun: BTreeMap<Kind, oneshot::Sender<()>>,
}

impl Accepting {
    /// Nothing yet, by one of so many threads.
    pub(crate) fn new(
        thread: usize,
        threads: NonZeroU32,
        admission: Arc<Admission>,
        fail: mpsc::Sender<io::Error>,
    ) -> Self {
        Self { thread, threads, admission, fail, begun: BTreeMap::new() }
    }

    /// Accepts on this thread's part of these sockets from now on, and on no other: once there are settings to serve by, and
    /// over TLS certificates to answer with. Until then clients wait in the backlog, rather than being told that nothing is
    /// here.
    pub(crate) fn follow(&mut self, sockets: &Sockets, worker: &Rc<Worker>) -> io::Result<()> {
        let mut ours: BTreeMap<Kind, &Socket> =
            sockets.of_thread(self.thread, self.threads).map(|socket| (socket.kind, socket)).collect();
        self.begun.retain(|kind, _| ours.contains_key(kind));
        ours.retain(|kind, _| !self.begun.contains_key(kind) && can_serve(worker, kind.1));
        for (kind, socket) in ours {
            let (keep, ended) = oneshot::channel();
            let accepting =
                accept(socket.listener.try_clone()?, kind.1, Rc::clone(worker), Arc::clone(&self.admission));
            sys::cores::spawn_here(until_ended(accepting, ended, self.fail.clone()));
            self.begun.insert(kind, keep);
        }
        Ok(())
    }
}

fn can_serve(worker: &Worker, speech: Speech) -> bool {
    worker.live().settings.number != 0 && (speech == Speech::Plain || worker.certificates().number != 0)
}

/// Accepts until that is not wanted any more. Whoever waits by then is accepted first.
async fn until_ended(
    accepting: impl Future<Output = io::Result<std::convert::Infallible>>,
    ended: oneshot::Receiver<()>,
    fail: mpsc::Sender<io::Error>,
) {
    tokio::select! {
        biased;
        Err(why) = accepting => {
            // One is enough: the thread ends with it.
            drop(fail.try_send(why));
        }
        _dropped = ended => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// Fails when a socket is nobody's, or two threads', where there are more or fewer sockets than threads.
    #[test]
    fn every_socket_is_one_threads() {
        let (listeners, secure) = ((0..5).map(|_| listener()), listener());
        let https = Port::new(secure.local_addr().unwrap().port());
        let sockets = Sockets::new(listeners.chain([secure]).collect(), https).unwrap();
        for threads in [1, 2, 7] {
            let threads = NonZeroU32::new(threads).unwrap();
            let of = |thread| sockets.of_thread(thread, threads).map(|it| it.kind);
            let mut all: Vec<Kind> = (0..7).take(usize::try_from(threads.get()).unwrap()).flat_map(of).collect();
            assert_eq!(all.iter().filter(|(_, speech)| *speech == Speech::Secure).count(), 1);
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 6, "{threads}");
        }
    }

    /// Fails when a copy of a socket is taken for another one.
    #[test]
    fn a_copy_is_the_same_socket() {
        let one = listener();
        let copy = one.try_clone().unwrap();
        let kinds = |sockets: &Sockets| sockets.plain.iter().map(|it| it.kind).collect::<Vec<_>>();
        let (one, copy) = (Sockets::new(vec![one], None).unwrap(), Sockets::new(vec![copy, listener()], None).unwrap());
        assert_eq!(kinds(&one)[0], kinds(&copy)[0]);
        assert_ne!(kinds(&copy)[0], kinds(&copy)[1]);
    }

    #[test]
    fn the_words_about_sockets_are_read_as_they_are_written() {
        for https in [None, Port::new(8443)] {
            assert_eq!(https_of(&https_words(https)), https);
        }
        assert_eq!(https_of("x"), None);
    }
}
