//! Who is at the other end of the control socket, and whether they may be there.
//!
//! Admin is user 0 and the node's own user. The platform's own services are refused whatever their user:
//! without root they have the node's own, and a service may be told to run as root. They are known by
//! their environment's mark and by a shim among their ancestors; a child can clear the first and cannot
//! leave the second, since a shim adopts whatever its descendants orphan.

use std::path::{Path, PathBuf};

use model::{Actor, Pid};

/// The variable that every process of a unit is started with.
pub(crate) const UNIT_MARK: &str = "MAINSTAY_UNIT";

/// The hidden command that shims are started by.
pub(crate) const SHIM_COMMAND: &str = "shim";

/// How many parents are looked at. A longer line of descent is refused, since it cannot be judged.
const ANCESTORS_MAX: usize = 64;

/// The other end of a connection, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its effective user when it connected.
    pub(crate) uid: u32,
    /// Its process when it connected; absent when that is not visible from here.
    pub(crate) pid: Option<Pid>,
}

impl Peer {
    /// The peer of a connection.
    pub(crate) fn of(stream: &tokio::net::UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).map(Pid);
        Ok(Self { uid: credentials.uid(), pid })
    }

    /// As whom its calls are journaled.
    pub(crate) fn actor(self) -> Actor {
        Actor::Local { uid: self.uid }
    }
}

/// Why a peer may not use the control API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is neither root nor the node's user.
    #[error("user {uid} may not use the control API: only root and user {node} may")]
    ForeignUser {
        /// Its user.
        uid: u32,
        /// The node's.
        node: u32,
    },
    /// It belongs to a unit of the stack.
    #[error("process {pid} belongs to {unit} of this machine's stacks; services may not use the control API")]
    OfAService {
        /// Its process.
        pid: Pid,
        /// Its unit as far as that is known.
        unit: String,
    },
    /// Its process cannot be looked at.
    #[error("the calling process cannot be identified, so it could be a service's")]
    Unknown,
}

/// One process in a peer's line of descent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ancestor {
    /// Its process id.
    pub(crate) pid: Pid,
    /// The unit named by the mark in its environment.
    pub(crate) mark: Option<String>,
    /// Whether it is a shim.
    pub(crate) shim: bool,
}

/// Whether a peer may use the API. `descent` is the peer itself and its ancestors up to process 1;
/// `None` when it could not be read to its end.
pub(crate) fn judge(peer: Peer, node_uid: u32, descent: Option<&[Ancestor]>) -> Result<(), Refusal> {
    if peer.uid != 0 && peer.uid != node_uid {
        return Err(Refusal::ForeignUser { uid: peer.uid, node: node_uid });
    }
    let descent = descent.filter(|line| !line.is_empty()).ok_or(Refusal::Unknown)?;
    let Some(inside) = descent.iter().position(|process| process.shim || process.mark.is_some()) else {
        return Ok(());
    };
    let unit = descent[inside].mark.clone().unwrap_or_else(|| "a unit".to_owned());
    Err(Refusal::OfAService { pid: descent[0].pid, unit })
}

/// The processes of the machine, as far as a line of descent needs them.
#[derive(Debug, Clone)]
pub(crate) struct ProcessTable {
    proc: PathBuf,
    program: String,
}

impl ProcessTable {
    /// The kernel's own. `program` is this program's file name, by which shims are known.
    pub(crate) fn kernel(program: &str) -> Self {
        Self { proc: PathBuf::from("/proc"), program: program.to_owned() }
    }

    /// A process and its ancestors; `None` when one of them cannot be read or there are too many.
    pub(crate) fn descent(&self, pid: Pid) -> Option<Vec<Ancestor>> {
        let mut line = Vec::new();
        let mut next = pid;
        while line.len() < ANCESTORS_MAX {
            let (ancestor, parent) = self.ancestor(next)?;
            line.push(ancestor);
            match parent {
                0 => return Some(line),
                parent => next = Pid(parent),
            }
        }
        None
    }

    fn ancestor(&self, pid: Pid) -> Option<(Ancestor, u32)> {
        let folder = self.proc.join(pid.to_string());
        let parent = parent(&std::fs::read_to_string(folder.join("stat")).ok()?)?;
        // Another user's environment and that of a process that forbids it cannot be read. The line of
        // descent still tells.
        let mark = std::fs::read(folder.join("environ")).ok().and_then(|environment| mark(&environment));
        let shim = std::fs::read(folder.join("cmdline")).is_ok_and(|words| is_shim(&words, &self.program));
        Some((Ancestor { pid, mark, shim }, parent))
    }
}

/// The fourth field of `/proc/PID/stat`; the second, in parentheses, may itself hold blanks and parentheses.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn mark(environment: &[u8]) -> Option<String> {
    let wanted =
        |variable: &&[u8]| variable.starts_with(UNIT_MARK.as_bytes()) && variable.get(UNIT_MARK.len()) == Some(&b'=');
    let variable = environment.split(|byte| *byte == 0).find(wanted)?;
    let value = String::from_utf8_lossy(&variable[UNIT_MARK.len() + 1..]);
    // The value comes from a process that may lie: only a unit's name is repeated.
    let unit = value.rsplit('/').next().and_then(|name| name.parse::<model::UnitId>().ok());
    Some(unit.map_or_else(|| "a unit".to_owned(), |unit| unit.to_string()))
}

/// Whether a command line is a shim's. A shim may be of an older release and so of another path.
fn is_shim(words: &[u8], program: &str) -> bool {
    let mut words = words.split(|byte| *byte == 0);
    let path = words.next().map(String::from_utf8_lossy).unwrap_or_default();
    let name = Path::new(path.as_ref()).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    (name == program || name.starts_with("mainstay")) && words.next() == Some(SHIM_COMMAND.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, mark: Option<&str>, shim: bool) -> Ancestor {
        Ancestor { pid: Pid(pid), mark: mark.map(str::to_owned), shim }
    }

    #[track_caller]
    fn check(uid: u32, descent: Option<&[Ancestor]>, expected: Result<(), &str>) {
        let found = judge(Peer { uid, pid: Some(Pid(9)) }, 1000, descent).map_err(|refusal| refusal.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn admins_are_root_and_the_nodes_user() {
        let plain = [process(9, None, false), process(1, None, false)];
        check(0, Some(&plain), Ok(()));
        check(1000, Some(&plain), Ok(()));
        check(33, Some(&plain), Err("user 33 may not use the control API: only root and user 1000 may"));
    }

    #[test]
    fn services_are_refused_whatever_their_user() {
        let of_api = "process 9 belongs to api.1.1 of this machine's stacks; services may not use the control API";
        check(1000, Some(&[process(9, Some("api.1.1"), false)]), Err(of_api));
        check(0, Some(&[process(9, None, false), process(8, Some("api.1.1"), false)]), Err(of_api));
        let cleared = [process(9, None, false), process(5, None, true), process(1, None, false)];
        let of_some = "process 9 belongs to a unit of this machine's stacks; services may not use the control API";
        check(0, Some(&cleared), Err(of_some));
    }

    #[test]
    fn who_cannot_be_looked_at_is_refused() {
        let unknown = "the calling process cannot be identified, so it could be a service's";
        check(0, None, Err(unknown));
        check(0, Some(&[]), Err(unknown));
    }

    #[test]
    fn a_line_of_descent_is_read_to_process_1() {
        let own = Pid(std::process::id());
        let line = ProcessTable::kernel("mainstay").descent(own).unwrap();
        assert_eq!(line[0].pid, own);
        assert!(line.iter().all(|process| !process.shim));
        assert_eq!(ProcessTable::kernel("mainstay").descent(Pid(u32::MAX)), None);
    }

    #[test]
    fn marks_and_shims_are_known() {
        assert_eq!(parent("12 (a) b) S 7 12 12"), Some(7));
        assert_eq!(mark(b"A=1\0MAINSTAY_UNIT=/x/y/api.3.1\0B=2\0"), Some("api.3.1".to_owned()));
        assert_eq!(mark(b"MAINSTAY_UNIT=\x1b[2J\0"), Some("a unit".to_owned()));
        assert_eq!(mark(b"XMAINSTAY_UNIT=db\0MAINSTAY_UNITS=db\0"), None);
        assert!(is_shim(b"/opt/mainstay\0shim\0", "mainstay"));
        assert!(is_shim(b"/opt/mainstay-0.1\0shim\0", "mainstay"));
        assert!(is_shim(b"/opt/renamed\0shim\0", "renamed"));
        assert!(!is_shim(b"/opt/mainstay\0shimmer\0", "mainstay"));
        assert!(!is_shim(b"/opt/asdf\0shim\0", "mainstay"));
    }
}
