//! Binding a port. Start reading at [`sockets`].

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use model::Port;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with, sockopt};

use super::owner::Taken;

/// Connections that wait to be accepted on one socket; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// From here on everybody may listen, where the machine does not say otherwise.
const UNPRIVILEGED_FROM: u16 = 1024;

/// Why a port cannot be listened on, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// Somebody listens there already.
    #[error(transparent)]
    Taken(Taken),
    /// Only root may.
    #[error(
        "only root may listen on port {port} here: choose a port from {from} on, run the node as root, or allow it with \
         `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
    )]
    Privileged {
        /// The port.
        port: Port,
        /// The first port that others may listen on.
        from: u16,
    },
    /// The operating system refuses it otherwise.
    #[error("cannot listen on port {port}: {reason}")]
    Other {
        /// The port.
        port: Port,
        /// The operating system's words.
        reason: String,
    },
}

/// So many sockets that listen on a port together, on all addresses.
pub(super) fn sockets(port: Port, count: usize) -> Result<Vec<OwnedFd>, Barred> {
    if let Some(barred) = barred(port) {
        return Err(barred);
    }
    (0..count).map(|_| socket(port, true).map_err(|error| diagnose(port, &error))).collect()
}

/// Why a port cannot be listened on; `None` when it can. Other programs that share ports of their own are in the way
/// all the same.
pub fn barred(port: Port) -> Option<Barred> {
    socket(port, false).err().map(|error| diagnose(port, &error))
}

/// The port that a socket listens on; `None` for one that does not.
pub(super) fn port_of(socket: impl AsFd) -> Option<Port> {
    let listens = sockopt::socket_acceptconn(&socket).ok()?;
    let address = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?;
    Port::new(address.port()).filter(|_| listens)
}

fn socket(port: Port, shared: bool) -> io::Result<OwnedFd> {
    match bound(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.number())), shared) {
        // A machine without IPv6.
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            Ok(bound(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.number())), shared)?)
        }
        other => Ok(other?),
    }
}

fn bound(address: SocketAddr, shared: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    // Connections of before that linger are not in the way.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn diagnose(port: Port, error: &io::Error) -> Barred {
    match error.kind() {
        ErrorKind::AddrInUse => Barred::Taken(Taken::now(port)),
        ErrorKind::PermissionDenied => Barred::Privileged { port, from: unprivileged_from() },
        _ => Barred::Other { port, reason: error.to_string() },
    }
}

/// Whether only root may listen on a port.
pub fn is_privileged(port: u16) -> bool {
    port < unprivileged_from()
}

/// The first port that everybody may listen on.
pub(crate) fn unprivileged_from() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    text.trim().parse().unwrap_or(UNPRIVILEGED_FROM)
}
