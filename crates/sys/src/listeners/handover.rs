//! How a node that was started later comes by the sockets of a shim that runs: over a socket in the unit's folder,
//! which gives them to whoever may give the shim orders, and closes.
//!
//! Start reading at [`Giver`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::SOCKETS_MAX;
use crate::{local_socket, process};

/// The socket's name in the unit's folder.
pub const SOCKET_NAME: &str = "l";
/// What is sent beside the descriptors: something has to be.
const BYTE: [u8; 1] = [b'l'];
/// Room for the descriptors' own header and numbers.
const ANCILLARY_BYTES: usize = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));

/// Gives copies of a unit's sockets away.
#[derive(Debug)]
pub struct Giver {
    listener: UnixListener,
    sockets: Vec<OwnedFd>,
}

impl Giver {
    /// One that waits in the unit's folder.
    pub fn new(folder: &Path, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let listener = local_socket::listen(folder, SOCKET_NAME)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, sockets })
    }

    /// The sockets.
    pub fn sockets(&self) -> &[OwnedFd] {
        &self.sockets
    }

    /// Gives copies to everybody who waits for them and may have them.
    pub fn give(&self) -> Result<(), String> {
        while let Ok((stream, _)) = self.listener.accept() {
            process::peer::check(stream.as_fd()).map_err(|refusal| refusal.to_string())?;
            let sockets: Vec<BorrowedFd<'_>> = self.sockets.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
                return Err(format!("more than {SOCKETS_MAX} sockets cannot be given at once"));
            }
            // Whoever has gone meanwhile needs none.
            let _gone =
                sendmsg(&stream, &[IoSlice::new(&BYTE)], &mut ancillary, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        Ok(())
    }
}

impl AsFd for Giver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Copies of the sockets that the shim of a unit holds.
pub(crate) async fn fetch(folder: &Path) -> io::Result<Vec<OwnedFd>> {
    let stream = local_socket::connect(folder, SOCKET_NAME)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    stream.async_io(Interest::READABLE, || receive(&stream)).await
}

fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listeners::bind;

    #[tokio::test]
    async fn what_is_fetched_listens_on_the_same_port() {
        let folder = std::env::temp_dir().join(format!("mainstay-handover-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let giver = Giver::new(&folder, vec![socket.into()]).unwrap();
        let (fetched, ()) = tokio::join!(fetch(&folder), async { giver.give().unwrap() });
        drop(giver);
        let fetched = fetched.unwrap();
        assert_eq!(fetched.iter().map(|it| bind::port_of(it).unwrap().number()).collect::<Vec<_>>(), [port]);
        // The copy alone keeps the port.
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
