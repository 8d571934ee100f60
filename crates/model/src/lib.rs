//! The nouns every other crate speaks: the [`Stack`] that a file describes, and the typed names, ids,
//! quantities and times it is made of.
//!
//! Start reading at [`stack`]. Invariant: nothing here reads a file, a clock, the network or the
//! environment, and nothing here decides anything.

pub mod stack;

pub mod cause;
pub mod credential;
pub mod edge;
pub mod endpoint;
pub mod event;
pub mod host;
pub mod id;
pub mod name;
pub mod network;
pub mod quantity;
pub mod time;

pub use credential::{Holder, SecretPath, SecretPathError};
pub use endpoint::{Address, Port, UrlPath};
pub use event::{Actor, Entry, EntryId, Happening};
pub use host::{HostError, HostPattern};
pub use id::{
    BootId, Digest, Exit, ExitStatus, Pid, ProcessIdentity, ReleaseNumber, ReplicaNumber, RunNumber, SIGKILL, UnitId,
};
pub use name::{
    BucketName, EnvironmentName, NameError, ResourceName, SecretName, ServiceName, StackName, VariableName, VolumeName,
};
pub use network::{Network, NetworkError};
pub use quantity::{ByteSize, CpuShare, Percent, QuantityError, Rate, RatePeriod};
pub use stack::{Limits, Stack};
pub use time::{Span, TimeError, TimeZoneName, Timestamp};
