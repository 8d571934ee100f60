//! How one unit is started: a value that leaves nothing to choose, made by `services` and `resources`,
//! carried to the shim through a pipe.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use model::{Address, ByteSize, Digest, Limits, UnitId};
use sys::listeners::Listening;
use zeroize::Zeroizing;

/// Everything a shim needs to run its child. Written with the port placeholder [`PORT_MARK`] where the
/// node's choice of port is to stand; see [`Launch::with_port`].
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Launch {
    /// The unit this is.
    pub unit: UnitId,
    /// The digest of what makes the unit what it is, as `plan` knows it.
    pub digest: Digest,
    /// The program's path.
    pub program: PathBuf,
    /// The arguments after the program. Never a secret: every process of the machine can read them.
    pub arguments: Vec<String>,
    /// The environment, whole: nothing is inherited.
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// The working directory.
    pub folder: PathBuf,
    /// As whom it runs; as the node's own user when absent.
    pub user: Option<UserIds>,
    /// Whether, where only root may listen on its port, it may listen there all the same. Only where the node is root.
    #[serde(default)]
    pub privileged_port: bool,
    /// What it may take from the machine.
    pub limits: Limits,
    /// The control group that holds it; made and removed by the shim. Absent where limits cannot be had.
    pub control_group: Option<ControlGroup>,
    /// Where its output goes.
    pub log: LogPolicy,
    /// Folders and files that it must not see. Only for a program that is not root, and only where
    /// [`crate::isolation::available`] says that files can be hidden: elsewhere the launch fails.
    pub hidden: Vec<PathBuf>,
    /// What it sees all the same, below what is hidden.
    #[serde(default)]
    pub shown: Vec<PathBuf>,
    /// Where it is going to listen, if it listens.
    pub address: Option<Address>,
    /// Where it listens on sockets that it inherits.
    #[serde(default)]
    pub listening: Listening,
}

/// A variable's value. `Debug` never shows one, since any of them may be or hold a secret.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EnvironmentValue(pub Zeroizing<String>);

impl fmt::Debug for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl From<String> for EnvironmentValue {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

/// A user and group of the operating system, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UserIds {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A control group of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlGroup {
    /// One folder of the unified hierarchy (cgroup v2).
    Unified(PathBuf),
    /// One folder per controller (cgroup v1), in the order cpu, memory, pids.
    PerController {
        /// Under the `cpu` hierarchy.
        cpu: PathBuf,
        /// Under the `memory` hierarchy.
        memory: PathBuf,
        /// Under the `pids` hierarchy.
        pids: PathBuf,
    },
}

/// Where output goes and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogPolicy {
    /// The folder of the unit's log files.
    pub folder: PathBuf,
    /// The size at which a file is closed and the next begun.
    pub file_max: ByteSize,
    /// How many closed files are kept.
    pub files_max: u32,
}

/// Stands in arguments and environment values for the port that the node chooses at start.
pub const PORT_MARK: &str = "\u{1}PORT\u{1}";

impl Launch {
    /// This launch with the node's choice of port in place of every [`PORT_MARK`].
    #[must_use]
    pub fn with_port(mut self, port: model::Port) -> Self {
        let number = port.number().to_string();
        for argument in &mut self.arguments {
            *argument = argument.replace(PORT_MARK, &number);
        }
        for value in self.environment.values_mut() {
            if value.0.contains(PORT_MARK) {
                *value = EnvironmentValue::from(value.0.replace(PORT_MARK, &number));
            }
        }
        self.address = Some(Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port.number()))));
        self
    }
}
