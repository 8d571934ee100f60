//! Who listens on a port, as far as this process may see. Start reading at [`Taken`].

use std::fmt;
use std::fs;

use model::{Pid, Port};

use crate::process;

/// The state of a listening socket in `/proc/net/tcp` (proc_net_tcp, `TCP_LISTEN`).
const LISTENS: &str = "0A";

/// Somebody listens on a port already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} listens on port {port} already: stop it, or choose another port", .by.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
pub struct Taken {
    /// The port.
    pub port: Port,
    /// Who, where that can be known.
    pub by: Option<Owner>,
}

impl Taken {
    /// A port that was found taken, with who has it now.
    pub(crate) fn now(port: Port) -> Self {
        Self { port, by: owner_of(port) }
    }
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name the kernel knows it by.
    pub name: String,
    /// Its process id.
    pub pid: Pid,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// The process that listens on a port; `None` where it is another user's, or gone.
fn owner_of(port: Port) -> Option<Owner> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| table.lines()).filter_map(|it| inode(it, port)).collect();
    let holds = |pid: Pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| sockets.iter().any(|inode| target.as_os_str() == format!("socket:[{inode}]").as_str()))
    };
    // The name is for people: where processes cannot be looked at, the port is taken all the same.
    let found = process::list().ok()?.into_iter().find(|seen| !sockets.is_empty() && holds(seen.pid))?;
    Some(Owner { name: found.name, pid: found.pid })
}

/// The inode of the socket in a line of the table, if it listens on this port.
fn inode(line: &str, port: Port) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, hex) = fields.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(hex, 16).ok()? == port.number() && *fields.get(3)? == LISTENS;
    is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}
