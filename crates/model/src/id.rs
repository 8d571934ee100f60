//! Identities: of releases, replicas, supervised units, processes and content.

use std::fmt;
use std::str::FromStr;

use crate::name::{ResourceName, ServiceName};
use crate::time::Timestamp;

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The number that follows.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_type!(
    /// The number of a release of one service in one environment; the first is 1.
    ReleaseNumber
);
number_type!(
    /// The number of a replica within its release; the first is 1.
    ReplicaNumber
);
number_type!(
    /// The number of a run of a job, counted over the service's life; the first is 1.
    RunNumber
);

/// What the edge is called where services and resources have names of their own; none of them may have this one.
const EDGE: &str = "edge";

/// One supervised child: a replica, a data service's server, a release's `run` hook, a job's run or the edge.
/// Each has one shim, one folder and one log. Its text form (`api.3.1`, `db`, `api.3.release`,
/// `digest.3.run.17`, `edge`) names that folder: names hold no dot, so the form reads back unambiguously.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UnitId {
    /// A data service's server process.
    Resource(ResourceName),
    /// The hook that runs once before a release's replicas start.
    ReleaseRun(ServiceName, ReleaseNumber),
    /// A running copy of a release.
    Replica(ServiceName, ReleaseNumber, ReplicaNumber),
    /// One run of a scheduled service or of a one-off command.
    Run(ServiceName, ReleaseNumber, RunNumber),
    /// The edge.
    Edge,
}

impl UnitId {
    /// The service this unit belongs to, if it belongs to one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            UnitId::Resource(_) | UnitId::Edge => None,
            UnitId::ReleaseRun(service, _) | UnitId::Replica(service, ..) | UnitId::Run(service, ..) => Some(service),
        }
    }

    /// The release this unit belongs to, if it belongs to one.
    pub fn release(&self) -> Option<ReleaseNumber> {
        match self {
            UnitId::Resource(_) | UnitId::Edge => None,
            UnitId::ReleaseRun(_, release) | UnitId::Replica(_, release, _) | UnitId::Run(_, release, _) => {
                Some(*release)
            }
        }
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitId::Resource(name) => f.pad(name.as_str()),
            UnitId::Edge => f.pad(EDGE),
            UnitId::ReleaseRun(service, release) => f.pad(&format!("{service}.{release}.release")),
            UnitId::Replica(service, release, replica) => f.pad(&format!("{service}.{release}.{replica}")),
            UnitId::Run(service, release, run) => f.pad(&format!("{service}.{release}.run.{run}")),
        }
    }
}

impl fmt::Debug for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text does not name a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a unit: expected a form such as api.3.1, db, api.3.release or digest.3.run.17")]
pub struct UnitIdError(String);

impl FromStr for UnitId {
    type Err = UnitIdError;

    fn from_str(text: &str) -> Result<Self, UnitIdError> {
        parse_unit(text).ok_or_else(|| UnitIdError(text.to_owned()))
    }
}

fn parse_unit(text: &str) -> Option<UnitId> {
    let number = |part: &str| crate::quantity::parse_digits(part).and_then(|n| u32::try_from(n).ok());
    let parts: Vec<&str> = text.split('.').collect();
    let unit = match parts.as_slice() {
        [EDGE] => UnitId::Edge,
        [resource] => UnitId::Resource(resource.parse().ok()?),
        [service, release, "release"] => UnitId::ReleaseRun(service.parse().ok()?, ReleaseNumber(number(release)?)),
        [service, release, "run", run] => {
            UnitId::Run(service.parse().ok()?, ReleaseNumber(number(release)?), RunNumber(number(run)?))
        }
        [service, release, replica] => {
            UnitId::Replica(service.parse().ok()?, ReleaseNumber(number(release)?), ReplicaNumber(number(replica)?))
        }
        _ => return None,
    };
    Some(unit)
}

impl TryFrom<String> for UnitId {
    type Error = UnitIdError;

    fn try_from(text: String) -> Result<Self, UnitIdError> {
        text.parse()
    }
}

impl From<UnitId> for String {
    fn from(id: UnitId) -> String {
        id.to_string()
    }
}

/// A process id of the operating system, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One boot of one machine; Linux gives it in `/proc/sys/kernel/random/boot_id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// What tells one process from every other that had or will have its pid. Whoever holds one compares
/// it with the operating system's before every signal, and on any mismatch sends none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ProcessIdentity {
    /// The boot the process was started in.
    pub boot: BootId,
    /// Its process id.
    pub pid: Pid,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)).
    pub started: u64,
}

/// The SHA-256 digest of some content, printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// A text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    /// The first 12 hexadecimal digits, enough for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bad = || DigestError(text.to_owned());
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, start) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[start..start + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// How a process ended, and when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exit {
    /// When its parent learned of it.
    pub at: Timestamp,
    /// With what.
    pub status: ExitStatus,
}

/// The number of the signal that nothing survives.
pub const SIGKILL: i32 = 9;

/// With what a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel ended it for passing its memory limit.
    OutOfMemory,
    /// It could not be started at all; the shim's message says why.
    NotStarted,
    /// It is gone and nobody kept its status: its shim was killed, or the machine restarted.
    Unknown,
}

impl ExitStatus {
    /// Whether the process did what it was started for.
    pub const fn is_success(self) -> bool {
        matches!(self, ExitStatus::Code(0))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signal(signal) => write!(f, "ended by signal {signal}"),
            ExitStatus::OutOfMemory => f.write_str("ended by the kernel: out of its memory limit"),
            ExitStatus::NotStarted => f.write_str("could not be started"),
            ExitStatus::Unknown => f.write_str("gone, with no exit status kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_ids_read_back() {
        for text in ["db", "api.3.1", "api.3.release", "digest.3.run.17", "edge"] {
            assert_eq!(text.parse::<UnitId>().unwrap().to_string(), text);
        }
        for bad in ["", "api.", "api.x.1", "api.1", "a.1.1.1", "a.1.run.", "../x", "a.1.run.x", "A"] {
            assert!(bad.parse::<UnitId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_read_back() {
        let digest = Digest([0xab; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.short(), "abababababab");
        assert!("ab".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }
}
