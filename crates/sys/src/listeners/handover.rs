//! Sockets that go from one process to another that runs already: between a node and a unit's shim, over a socket in the
//! unit's folder, and from a node to the shim's child, over one in a folder of the child's.
//!
//! A [`Keeper`] is the shim's side: whoever may give the shim orders is given copies of what it holds, and may hand it
//! other sockets to hold instead, which it answers with those. An [`Intake`] is the child's: it is handed sockets with a
//! few words about them, and answers once it has them. The node is [`Shim`] to the one and [`give`]s to the other.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;

use super::SOCKETS_MAX;
use crate::{local_socket, process};

/// The socket's name in the unit's folder, and in the one of its child.
pub const SOCKET_NAME: &str = "l";
/// What is sent beside the descriptors where there is nothing to say about them: something has to be.
const NO_WORDS: &str = "l";
/// Words beside descriptors, in bytes.
const WORDS_MAX: usize = 64;
/// Nodes that a shim answers at the same time; a further one takes the place of the first.
const CALLERS_MAX: usize = 4;
/// How long either side of a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// From one try to the next to reach a child that does not listen yet.
const REACH_AGAIN: Duration = Duration::from_millis(20);
/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Room for the descriptors' own header and numbers.
const ANCILLARY_BYTES: usize = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));

/// A shim's side: holds the unit's sockets, for its child and for nodes.
#[derive(Debug)]
pub struct Keeper {
    listener: UnixListener,
    sockets: Vec<OwnedFd>,
    callers: Vec<UnixStream>,
}

impl Keeper {
    /// One that waits in the unit's folder.
    pub fn new(folder: &Path, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let listener = local_socket::listen(folder, SOCKET_NAME)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, sockets, callers: Vec::new() })
    }

    /// The sockets.
    pub fn sockets(&self) -> &[OwnedFd] {
        &self.sockets
    }

    /// What to wait for before [`Keeper::serve`] has anything to do.
    pub fn awaited(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.callers.iter().map(AsFd::as_fd))
    }

    /// Gives copies to everybody who waits for them and may have them, and takes what is handed over. Waits for nobody.
    pub fn serve(&mut self) -> Result<(), String> {
        for caller in std::mem::take(&mut self.callers) {
            if self.hear(&caller) {
                self.callers.push(caller);
            }
        }
        while let Ok((caller, _)) = self.listener.accept() {
            process::peer::check(caller.as_fd()).map_err(|refusal| refusal.to_string())?;
            let given = caller.set_nonblocking(true).and_then(|()| send(&caller, NO_WORDS, &self.sockets));
            match given {
                Ok(()) if self.callers.len() < CALLERS_MAX => self.callers.push(caller),
                Ok(()) => {
                    self.callers.remove(0);
                    self.callers.push(caller);
                }
                // Whoever has gone meanwhile needs none.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(format!("its sockets cannot be given: {error}")),
            }
        }
        Ok(())
    }

    /// Takes what a caller hands over; whether it may say more.
    fn hear(&mut self, caller: &UnixStream) -> bool {
        match receive(caller) {
            Ok(Some(Handed { sockets, .. })) if !sockets.is_empty() => {
                self.sockets = sockets;
                send(caller, NO_WORDS, &self.sockets).is_ok()
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }
}

/// A child's side: is handed sockets.
#[derive(Debug)]
pub struct Intake {
    listener: tokio::net::UnixListener,
    /// Who may be about to hand some over: the last that came.
    caller: Option<UnixStream>,
}

/// Sockets that were handed over.
#[derive(Debug)]
pub struct Handed {
    /// What was said about them.
    pub words: String,
    /// The sockets.
    pub sockets: Vec<OwnedFd>,
}

impl Intake {
    /// One that waits in a folder. To be called on a thread that drives tasks.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let listener = local_socket::listen(folder, SOCKET_NAME)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: tokio::net::UnixListener::from_std(listener)?, caller: None })
    }

    /// The next that are handed over by root or this process's own user, who is told so. Whoever hands over what cannot be
    /// taken whole is told that by the end of the connection. May be dropped and called anew.
    pub async fn next(&mut self) -> Handed {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((caller, _)) if process::peer::check_user(&caller).is_ok() => self.caller = caller.into_std().ok(),
                    Ok(_) => {}
                    // Out of descriptors: what was handed over is used meanwhile.
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                handed = hear(self.caller.as_ref()), if self.caller.is_some() => {
                    let caller = self.caller.take();
                    let Ok(Some(handed)) = handed else { continue };
                    // A node that is gone hands them over again if it was not told.
                    let _told = caller.map(|caller| send(&caller, NO_WORDS, &[]));
                    return handed;
                }
            }
        }
    }
}

/// The shim of a unit, as a node reaches it.
#[derive(Debug)]
pub(crate) struct Shim {
    stream: UnixStream,
    sockets: Vec<OwnedFd>,
}

impl Shim {
    /// One that runs; it says first what it holds.
    pub(crate) async fn reach(unit: &Path) -> io::Result<Self> {
        let stream = connect(unit)?;
        let sockets = answer(&stream).await?.sockets;
        Ok(Self { stream, sockets })
    }

    /// Copies of what it held at first. Nothing when asked again.
    pub(crate) fn sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
    }

    /// Has it hold these instead.
    pub(crate) async fn hand(&mut self, sockets: &[OwnedFd]) -> io::Result<()> {
        send(&self.stream, NO_WORDS, sockets)?;
        answer(&self.stream).await.map(drop)
    }
}

/// Hands sockets to the process that has an [`Intake`] in this folder, which may be about to begin.
pub async fn give(folder: &Path, words: &str, sockets: &[OwnedFd]) -> io::Result<()> {
    let reach = async {
        loop {
            match connect(folder) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    tokio::time::sleep(REACH_AGAIN).await;
                }
                other => return other,
            }
        }
    };
    let stream = tokio::time::timeout(ANSWER_MAX, reach).await??;
    send(&stream, words, sockets)?;
    answer(&stream).await.map(drop)
}

fn connect(folder: &Path) -> io::Result<UnixStream> {
    let stream = local_socket::connect(folder, SOCKET_NAME)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// What the other side says next, in its time.
async fn answer(stream: &UnixStream) -> io::Result<Handed> {
    let heard = tokio::time::timeout(ANSWER_MAX, hear(Some(stream))).await??;
    heard.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "it ended, or is out of descriptors"))
}

/// Waits for what a stream brings; `None` at its end. For ever where there is no stream.
async fn hear(stream: Option<&UnixStream>) -> io::Result<Option<Handed>> {
    let Some(stream) = stream else { return std::future::pending().await };
    let watched = tokio::net::UnixStream::from_std(stream.try_clone()?)?;
    watched.async_io(Interest::READABLE, || receive(stream)).await
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::WouldBlock)
}

/// Sends one message, which fits into what waits for its reader.
fn send(stream: &UnixStream, words: &str, sockets: &[OwnedFd]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other(format!("more than {SOCKETS_MAX} sockets cannot be given at once")));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(stream, &[IoSlice::new(words.as_bytes())], &mut ancillary, flags)?;
    Ok(())
}

/// Takes one message, without waiting; `None` at the end. Sockets come all or not at all: those for which this process had
/// room are closed again where it had none for the rest.
fn receive(stream: &UnixStream) -> io::Result<Option<Handed>> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut words = [0_u8; WORDS_MAX];
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut words)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("no descriptors are left for all sockets that were sent"));
    }
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    let words = words.get(..received.bytes).unwrap_or_default();
    Ok((!words.is_empty()).then(|| Handed { words: String::from_utf8_lossy(words).into_owned(), sockets }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use model::Port;

    use super::*;
    use crate::listeners::bind;

    /// From one look at who waits for a keeper to the next.
    const POLL: Duration = Duration::from_millis(1);

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-handover-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn listening() -> (Port, OwnedFd) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        (Port::new(socket.local_addr().unwrap().port()).unwrap(), socket.into())
    }

    fn ports(sockets: &[OwnedFd]) -> Vec<Port> {
        sockets.iter().map(|it| bind::port_of(it).unwrap()).collect()
    }

    /// Lets a keeper serve while something happens.
    async fn kept<T>(keeper: &mut Keeper, meanwhile: impl Future<Output = T>) -> T {
        let mut meanwhile = std::pin::pin!(meanwhile);
        loop {
            tokio::select! {
                result = &mut meanwhile => return result,
                () = tokio::time::sleep(POLL) => keeper.serve().unwrap(),
            }
        }
    }

    /// Fails when what is fetched is no copy, or what is handed over does not take its place.
    #[tokio::test]
    async fn a_shim_gives_what_it_holds_and_holds_what_it_is_handed() {
        let folder = Folder::new("keeper");
        let ((old, socket), (new, other)) = (listening(), listening());
        let mut keeper = Keeper::new(&folder.0, vec![socket]).unwrap();
        let mut shim = kept(&mut keeper, Shim::reach(&folder.0)).await.unwrap();
        assert_eq!(ports(&shim.sockets()), [old]);
        kept(&mut keeper, shim.hand(&[other])).await.unwrap();
        assert_eq!(ports(keeper.sockets()), [new]);
        assert!(std::net::TcpStream::connect(("127.0.0.1", old.number())).is_err(), "nobody holds it any more");
        let mut next = kept(&mut keeper, Shim::reach(&folder.0)).await.unwrap();
        drop(keeper);
        let copies = next.sockets();
        assert_eq!(ports(&copies), [new]);
        // The copy alone keeps the port.
        std::net::TcpStream::connect(("127.0.0.1", new.number())).unwrap();
    }

    /// Fails when callers that say nothing are kept without bound, or keep others from being heard.
    #[tokio::test]
    async fn callers_that_say_nothing_are_in_nobodys_way() {
        let folder = Folder::new("callers");
        let mut keeper = Keeper::new(&folder.0, vec![listening().1]).unwrap();
        let mut silent = Vec::new();
        for _ in 0..CALLERS_MAX + 2 {
            silent.push(kept(&mut keeper, Shim::reach(&folder.0)).await.unwrap());
        }
        assert_eq!(keeper.callers.len(), CALLERS_MAX);
        let (port, socket) = listening();
        kept(&mut keeper, silent.last_mut().unwrap().hand(&[socket])).await.unwrap();
        assert_eq!(ports(keeper.sockets()), [port]);
        drop(silent);
        keeper.serve().unwrap();
        assert_eq!(keeper.callers.len(), 0);
    }

    /// Fails when a child is given up that does not listen yet, or what it is handed or told is not what was given.
    #[tokio::test]
    async fn a_child_is_handed_sockets_once_it_listens() {
        let folder = Folder::new("intake");
        let (port, socket) = listening();
        let sockets = [socket];
        let child = async {
            tokio::task::yield_now().await;
            Intake::new(&folder.0).unwrap().next().await
        };
        let (given, handed) = tokio::join!(give(&folder.0, "8443", &sockets), child);
        given.unwrap();
        assert_eq!((handed.words.as_str(), ports(&handed.sockets)), ("8443", vec![port]));
    }
}
