//! The JSON bodies of the control API. Sizes are bytes, times RFC 3339, spans milliseconds.
//!
//! What is written here is a promise to scripts: a field keeps its name and meaning, new ones are added.

use model::{
    ByteSize, Entry, EntryId, EnvironmentName, Pid, ReleaseNumber, ReplicaNumber, ResourceName, SecretName,
    ServiceName, StackName, Timestamp, UnitId,
};

/// A stack file as the caller has it, and from where.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct FileBody {
    /// The file's absolute path: its folder is the project folder, in which relative paths are meant.
    pub path: String,
    /// The file's text.
    pub text: String,
    /// Which environment; `development` when absent.
    #[schemars(with = "Option<String>")]
    pub environment: Option<EnvironmentName>,
}

/// What applying a file would do.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct PlanBody {
    /// The environment planned for.
    #[schemars(with = "String")]
    pub environment: EnvironmentName,
    /// Whether there is anything to do.
    pub changes: bool,
    /// The plan in words, as `mainstay plan` prints it.
    pub text: String,
    /// The steps in order.
    pub steps: Vec<StepBody>,
    /// What follows from the objectives.
    pub facts: Vec<FactBody>,
    /// Sentences that need attention but refuse nothing.
    pub warnings: Vec<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct StepBody {
    /// `create`, `change`, `replace`, `remove` or `keep`.
    pub action: String,
    /// What it concerns (`service api`, `resource db`).
    pub subject: String,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// One fact derived from an objective.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct FactBody {
    /// The objective it follows from.
    pub objective: String,
    /// The fact as a sentence.
    pub text: String,
    /// Who acts on it; absent when nothing carries it out yet.
    pub consumer: Option<String>,
}

/// The answer to an accepted change.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct AcceptedBody {
    /// The journal entry that records it.
    #[schemars(with = "u64")]
    pub entry: EntryId,
}

/// How the stack is.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct StatusBody {
    /// When this was so, by the node's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The stack's name.
    #[schemars(with = "String")]
    pub stack: StackName,
    /// The environment.
    #[schemars(with = "String")]
    pub environment: EnvironmentName,
    /// Whether everything that is wanted runs and is ready.
    pub settled: bool,
    /// The node.
    pub node: NodeBody,
    /// Every process of the platform itself: the node and the shims.
    pub processes: Vec<ProcessBody>,
    /// What the edge listens on.
    pub edge: EdgeBody,
    /// The services by name.
    pub services: Vec<ServiceBody>,
    /// The resources by name.
    pub resources: Vec<ResourceBody>,
    /// The objectives.
    pub objectives: Vec<ObjectiveBody>,
    /// What needs a person's attention, as sentences.
    pub problems: Vec<String>,
}

/// The node's own process.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct NodeBody {
    /// This program's version.
    pub version: String,
    /// Its process id.
    #[schemars(with = "u32")]
    pub pid: Pid,
    /// How long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// Its resident memory in bytes.
    #[schemars(with = "Option<u64>")]
    pub memory: Option<ByteSize>,
    /// The state directory.
    pub state: String,
    /// How services are kept apart from each other and from the node.
    pub isolation: String,
}

/// One process of the platform.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ProcessBody {
    /// `node` or `shim`.
    pub kind: String,
    /// The unit that a shim holds.
    #[schemars(with = "Option<String>")]
    pub unit: Option<UnitId>,
    /// Its process id.
    #[schemars(with = "u32")]
    pub pid: Pid,
    /// Its resident memory in bytes; absent when it cannot be read.
    #[schemars(with = "Option<u64>")]
    pub memory: Option<ByteSize>,
}

/// The edge.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct EdgeBody {
    /// What it listens on, as URLs with the port always shown. Empty while there is no edge.
    pub listeners: Vec<String>,
}

/// One service.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ServiceBody {
    /// Its name.
    #[schemars(with = "String")]
    pub name: ServiceName,
    /// `ready`, `starting`, `changing`, `degraded`, `failing`, `scheduled` or `stopped`.
    pub state: String,
    /// The release that is wanted.
    #[schemars(with = "u32")]
    pub release: ReleaseNumber,
    /// What that release is made of, shortened.
    pub digest: String,
    /// How many replicas are wanted.
    pub wanted: u32,
    /// How many are ready.
    pub ready: u32,
    /// The replicas, and the runs that are going on.
    pub replicas: Vec<ReplicaBody>,
    /// When a scheduled service runs next.
    #[schemars(with = "Option<String>")]
    pub next_run: Option<Timestamp>,
    /// How the last run of a scheduled service ended, as a sentence.
    pub last_run: Option<String>,
}

/// One running copy, or one run.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ReplicaBody {
    /// The unit's id.
    #[schemars(with = "String")]
    pub id: UnitId,
    /// The release it is a copy of.
    #[schemars(with = "u32")]
    pub release: ReleaseNumber,
    /// Its number within the release; absent for a run.
    #[schemars(with = "Option<u32>")]
    pub replica: Option<ReplicaNumber>,
    /// What all units have.
    #[serde(flatten)]
    pub unit: UnitBody,
}

/// What is known of one unit.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct UnitBody {
    /// Its phase, in a word or two (`ready`, `starting`, `waiting`, `backing off`, `crash loop`, …).
    pub state: String,
    /// Since when.
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// Its process id.
    #[schemars(with = "Option<u32>")]
    pub pid: Option<Pid>,
    /// Where it listens.
    pub address: Option<String>,
    /// Its memory in bytes; absent when it cannot be read.
    #[schemars(with = "Option<u64>")]
    pub memory: Option<ByteSize>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// What it waits for, or why it last failed, as a sentence.
    pub note: Option<String>,
}

/// One resource.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ResourceBody {
    /// Its name.
    #[schemars(with = "String")]
    pub name: ResourceName,
    /// `postgres` or `redis`.
    pub kind: String,
    /// The version that runs.
    pub version: Option<String>,
    /// What all units have.
    #[serde(flatten)]
    pub unit: UnitBody,
}

/// One objective.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ObjectiveBody {
    /// Which (`availability`, `latency`, `recovery time`, `recovery point`).
    pub name: String,
    /// What is promised.
    pub promise: String,
    /// `kept`, `broken` or `unproven`.
    pub verdict: String,
    /// Why that is the verdict.
    pub reason: String,
}

/// One command to run once in the place of a service.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RunBody {
    /// The command's words.
    pub words: Vec<String>,
}

/// A run that was accepted.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RunAcceptedBody {
    /// The unit under which it runs.
    #[schemars(with = "String")]
    pub unit: UnitId,
}

/// How a run stands.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RunStateBody {
    /// The unit under which it runs.
    #[schemars(with = "String")]
    pub unit: UnitId,
    /// Whether it has ended.
    pub ended: bool,
    /// Its exit code; absent while it runs and when a signal ended it.
    pub code: Option<i32>,
    /// How it stands, as a sentence.
    pub text: String,
}

/// One secret without its value.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct SecretBody {
    /// Its name.
    #[schemars(with = "String")]
    pub name: SecretName,
    /// Its newest version.
    pub version: u32,
    /// How many versions are kept.
    pub versions: u32,
    /// When the newest version was set.
    #[schemars(with = "String")]
    pub set_at: Timestamp,
    /// The services that receive it.
    #[schemars(with = "Vec<String>")]
    pub used_by: Vec<ServiceName>,
}

/// A secret's value, in a request or an answer.
#[derive(
    Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
pub struct SecretValueBody {
    /// The value.
    pub value: String,
}

/// Several secrets to set at once: all or none.
#[derive(
    Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
pub struct SecretImportBody {
    /// The text of a `.env` file.
    pub text: String,
}

/// One line of the journal.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct EventBody {
    /// The entry as it is stored.
    #[schemars(with = "serde_json::Value")]
    pub entry: Entry,
    /// What happened, as a sentence.
    pub text: String,
}

/// One line that a unit printed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct LogLineBody {
    /// When its shim read it.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The unit that printed it.
    #[schemars(with = "String")]
    pub unit: UnitId,
    /// `out`, `err`, or `shim` for what the shim itself has to say.
    pub stream: String,
    /// The line without its line feed.
    pub line: String,
    /// Whether it goes on in the unit's next line of the same stream, because it was too long for one.
    #[serde(default)]
    pub cut: bool,
}

/// Why a call was refused or failed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ErrorBody {
    /// A word that scripts can tell apart (`refused`, `not_found`, `invalid`, `busy`, `internal`).
    pub kind: ErrorKind,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Each problem of a file, as `check` prints it, when the file is why.
    pub problems: Vec<String>,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The caller may not do this, or the platform cannot honour it.
    Refused,
    /// There is no such thing.
    NotFound,
    /// What was sent is wrong.
    Invalid,
    /// Another change is under way.
    Busy,
    /// The platform failed.
    Internal,
}
