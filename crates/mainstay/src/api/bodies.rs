//! The JSON bodies of the control API. Sizes are bytes, times RFC 3339, spans milliseconds.
//!
//! What is written here is a promise to scripts: a field keeps its name and meaning, new ones are added.

use model::{
    ByteSize, Entry, EntryId, EnvironmentName, Pid, ReleaseNumber, ReplicaNumber, ResourceName, SecretName,
    ServiceName, StackName, Timestamp, UnitId,
};
use vault::SecretValue;

/// A stack file as the caller has it, and from where.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct FileBody {
    /// The file's absolute path: its folder is the project folder, in which relative paths are meant.
    pub(crate) path: String,
    /// The file's text.
    pub(crate) text: String,
    /// Which environment; `development` when absent.
    #[schemars(with = "Option<String>")]
    pub(crate) environment: Option<EnvironmentName>,
}

/// What applying a file would do.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct PlanBody {
    /// The environment planned for.
    #[schemars(with = "String")]
    pub(crate) environment: EnvironmentName,
    /// Whether there is anything to do.
    pub(crate) changes: bool,
    /// Why it cannot be carried out, as sentences; empty when it can.
    #[serde(default)]
    pub(crate) refusals: Vec<String>,
    /// The plan in words, as `mainstay plan` prints it.
    pub(crate) text: String,
    /// The steps in order.
    pub(crate) steps: Vec<StepBody>,
    /// What follows from the objectives.
    pub(crate) facts: Vec<FactBody>,
    /// Sentences that need attention but refuse nothing.
    pub(crate) warnings: Vec<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct StepBody {
    /// `create`, `start`, `retry`, `replace`, `change`, `remove` or `keep`.
    pub(crate) action: String,
    /// What it concerns (`service api`, `resource db`).
    pub(crate) subject: String,
    /// Why, one sentence each.
    pub(crate) reasons: Vec<String>,
}

/// One fact derived from an objective.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct FactBody {
    /// The objective it follows from.
    pub(crate) objective: String,
    /// The fact as a sentence.
    pub(crate) text: String,
    /// What acts on it; absent when nothing does, be it not yet or because there is nothing to do about it.
    pub(crate) consumer: Option<String>,
}

/// The answer to an accepted change.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct AcceptedBody {
    /// The journal entry that records it.
    #[schemars(with = "u64")]
    pub(crate) entry: EntryId,
}

/// How the stack is.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct StatusBody {
    /// When this was so, by the node's clock.
    #[schemars(with = "String")]
    pub(crate) at: Timestamp,
    /// The stack's name.
    #[schemars(with = "String")]
    pub(crate) stack: StackName,
    /// The environment.
    #[schemars(with = "String")]
    pub(crate) environment: EnvironmentName,
    /// Whether everything that is wanted runs and is ready.
    pub(crate) settled: bool,
    /// Whether all of it is being stopped.
    pub(crate) stopping: bool,
    /// The node.
    pub(crate) node: NodeBody,
    /// Every process of the platform itself: the node and the shims.
    pub(crate) processes: Vec<ProcessBody>,
    /// What the edge listens on.
    pub(crate) edge: EdgeBody,
    /// The services by name.
    pub(crate) services: Vec<ServiceBody>,
    /// The resources by name.
    pub(crate) resources: Vec<ResourceBody>,
    /// The objectives.
    pub(crate) objectives: Vec<ObjectiveBody>,
    /// What needs a person's attention, as sentences.
    pub(crate) problems: Vec<String>,
}

impl StatusBody {
    /// Everything that runs or is to run as a process of its own: the resources, the replicas, the edge.
    pub(crate) fn units(&self) -> impl Iterator<Item = (UnitId, &UnitBody)> {
        let resources = self.resources.iter().map(|it| (UnitId::Resource(it.name.clone()), &it.unit));
        let replicas = self.services.iter().flat_map(|service| &service.replicas);
        let edge = self.edge.unit.iter().map(|unit| (UnitId::Edge, unit));
        resources.chain(replicas.map(|it| (it.id.clone(), &it.unit))).chain(edge)
    }
}

/// The node's own process.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct NodeBody {
    /// This program's version.
    pub(crate) version: String,
    /// Its process id.
    #[schemars(with = "u32")]
    pub(crate) pid: Pid,
    /// How long it has run, in milliseconds.
    pub(crate) uptime_ms: u64,
    /// Its resident memory in bytes.
    #[schemars(with = "Option<u64>")]
    pub(crate) memory: Option<ByteSize>,
    /// The state directory.
    pub(crate) state: String,
    /// How services are kept apart from each other and from the node.
    pub(crate) isolation: String,
}

/// One process of the platform.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ProcessBody {
    /// `node` or `shim`.
    pub(crate) kind: String,
    /// The unit that a shim holds.
    #[schemars(with = "Option<String>")]
    pub(crate) unit: Option<UnitId>,
    /// Its process id.
    #[schemars(with = "u32")]
    pub(crate) pid: Pid,
    /// Its resident memory in bytes; absent when it cannot be read.
    #[schemars(with = "Option<u64>")]
    pub(crate) memory: Option<ByteSize>,
}

/// The edge.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct EdgeBody {
    /// Where clients reach each of its hosts, as URLs with the port always shown, by HTTPS where that is served; `{tenant}`
    /// stands for any one label. Empty while there is no edge.
    pub(crate) addresses: Vec<String>,
    /// Whether its certificates are made by the stack's own authority, which clients trust once they are told to.
    #[serde(default)]
    pub(crate) own_authority: bool,
    /// Its process; absent where there is no edge.
    #[serde(default)]
    pub(crate) unit: Option<UnitBody>,
    /// Whether it works by the routes and replicas as they are now.
    #[serde(default)]
    pub(crate) applied: bool,
    /// Connections of clients that are open.
    #[serde(default)]
    pub(crate) connections: u64,
}

/// The requests to a service in the last ten seconds.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct TrafficBody {
    /// How many there were each second.
    pub(crate) per_second: f64,
    /// The share of them that failed, from 0 to 1: answers of 500 and above, and none.
    pub(crate) failed: f64,
    /// Within how many milliseconds 95 of 100 were answered, to within a quarter.
    pub(crate) p95_ms: f64,
}

/// One service.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ServiceBody {
    /// Its name.
    #[schemars(with = "String")]
    pub(crate) name: ServiceName,
    /// `ready`, `starting`, `changing`, `going back` (changing to what an older release was), `restarting`, `blocked`
    /// (the new release fails, the old one runs on), `held` (it cannot be told how it is to run, so nothing new of it
    /// is started), `degraded`, `failing`, `scheduled`, `stopping` or `stopped`.
    pub(crate) state: String,
    /// The release that is wanted.
    #[schemars(with = "u32")]
    pub(crate) release: ReleaseNumber,
    /// What that release is made of, shortened.
    pub(crate) digest: String,
    /// How many replicas are wanted.
    pub(crate) wanted: u32,
    /// How many of that release are ready.
    pub(crate) ready: u32,
    /// How many of any release are ready: while one takes the place of another, these serve.
    pub(crate) serving: u32,
    /// Where the change to that release stands, as a sentence; absent when there is none.
    pub(crate) change: Option<String>,
    /// The replicas, and the runs that are going on.
    pub(crate) replicas: Vec<ReplicaBody>,
    /// When a scheduled service runs next.
    #[schemars(with = "Option<String>")]
    pub(crate) next_run: Option<Timestamp>,
    /// How the last run of a scheduled service ended, as a sentence.
    pub(crate) last_run: Option<String>,
    /// The requests that reached it through the edge in the last ten seconds; absent when there were none.
    #[serde(default)]
    pub(crate) traffic: Option<TrafficBody>,
}

/// One running copy, or one run.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ReplicaBody {
    /// The unit's id.
    #[schemars(with = "String")]
    pub(crate) id: UnitId,
    /// The release it is a copy of.
    #[schemars(with = "u32")]
    pub(crate) release: ReleaseNumber,
    /// Its number within the release; absent for a run.
    #[schemars(with = "Option<u32>")]
    pub(crate) replica: Option<ReplicaNumber>,
    /// What all units have.
    #[serde(flatten)]
    pub(crate) unit: UnitBody,
}

/// What is known of one unit.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct UnitBody {
    /// Its phase, in a word or two (`ready`, `starting`, `waiting`, `backing off`, `crash loop`, …).
    pub(crate) state: String,
    /// Since when.
    #[schemars(with = "Option<String>")]
    pub(crate) since: Option<Timestamp>,
    /// Its process id.
    #[schemars(with = "Option<u32>")]
    pub(crate) pid: Option<Pid>,
    /// Where it listens.
    pub(crate) address: Option<String>,
    /// Its memory in bytes; absent when it cannot be read.
    #[schemars(with = "Option<u64>")]
    pub(crate) memory: Option<ByteSize>,
    /// How often it was started again after it ended by itself.
    pub(crate) restarts: u32,
    /// What it waits for, or why it last failed, as a sentence.
    pub(crate) note: Option<String>,
}

/// One resource.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ResourceBody {
    /// Its name.
    #[schemars(with = "String")]
    pub(crate) name: ResourceName,
    /// `postgres` or `redis`.
    pub(crate) kind: String,
    /// The version that runs.
    pub(crate) version: Option<String>,
    /// What all units have.
    #[serde(flatten)]
    pub(crate) unit: UnitBody,
}

/// One objective.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ObjectiveBody {
    /// Which (`availability`, `latency`, `recovery time`, `recovery point`).
    pub(crate) name: String,
    /// What is promised.
    pub(crate) promise: String,
    /// `kept`, `broken` or `unproven`.
    pub(crate) verdict: String,
    /// Why that is the verdict.
    pub(crate) reason: String,
}

/// Why the stack is to stop, where no person wants it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DownCause {
    /// The file that the node was started for was refused, and nothing runs.
    FileRefused,
}

impl DownCause {
    /// As a query holds it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            DownCause::FileRefused => "file_refused",
        }
    }
}

/// One command to run once in the place of a service.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct RunBody {
    /// The command's words.
    pub(crate) words: Vec<String>,
}

/// A run that was accepted.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct RunAcceptedBody {
    /// The unit under which it runs.
    #[schemars(with = "String")]
    pub(crate) unit: UnitId,
}

/// How a run stands.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct RunStateBody {
    /// The unit under which it runs.
    #[schemars(with = "String")]
    pub(crate) unit: UnitId,
    /// Whether it has ended.
    pub(crate) ended: bool,
    /// What keeps it from beginning; absent once it has begun. The same text while that is the same.
    pub(crate) waits_for: Option<String>,
    /// Its exit code; absent while it runs and when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did: 9 too when it passed its memory limit.
    #[serde(default)]
    pub(crate) signal: Option<i32>,
    /// How it stands, as a sentence.
    pub(crate) text: String,
}

/// One secret without its value.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct SecretBody {
    /// Its name.
    #[schemars(with = "String")]
    pub(crate) name: SecretName,
    /// Its newest version.
    pub(crate) version: u32,
    /// How many versions are kept.
    pub(crate) versions: u32,
    /// When the newest version was set.
    #[schemars(with = "String")]
    pub(crate) set_at: Timestamp,
    /// The services that receive it.
    #[schemars(with = "Vec<String>")]
    pub(crate) used_by: Vec<ServiceName>,
}

/// A secret's value, in a request or an answer.
#[derive(
    Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
pub(crate) struct SecretValueBody {
    /// The value.
    pub(crate) value: String,
}

impl SecretValueBody {
    /// The value, if it can be a secret's.
    pub(crate) fn checked(&self) -> Result<SecretValue, ErrorBody> {
        SecretValue::new(self.value.clone()).map_err(|error| ErrorBody::new(ErrorKind::Invalid, error.to_string()))
    }
}

/// Several secrets to set at once: all or none.
#[derive(
    Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
pub(crate) struct SecretImportBody {
    /// The text of a `.env` file.
    pub(crate) text: String,
}

impl SecretImportBody {
    /// The secrets of the text, or everything that is wrong with it.
    pub(crate) fn checked(&self) -> Result<Vec<(SecretName, SecretValue)>, ErrorBody> {
        vault::dotenv::parse(&self.text).map_err(|problems| ErrorBody {
            problems: problems.iter().map(ToString::to_string).collect(),
            ..ErrorBody::new(ErrorKind::Invalid, "nothing was imported: not every line is NAME=VALUE")
        })
    }
}

/// One line of the journal.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct EventBody {
    /// The entry as it is stored.
    #[schemars(with = "serde_json::Value")]
    pub(crate) entry: Entry,
    /// What happened, as a sentence.
    pub(crate) text: String,
}

/// One line that a unit printed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct LogLineBody {
    /// When its shim read it.
    #[schemars(with = "String")]
    pub(crate) at: Timestamp,
    /// The unit that printed it.
    #[schemars(with = "String")]
    pub(crate) unit: UnitId,
    /// `out`, `err`, or `shim` for what the shim itself has to say.
    pub(crate) stream: String,
    /// The line without its line feed.
    pub(crate) line: String,
    /// Whether it goes on in the unit's next line of the same stream, because it was too long for one.
    #[serde(default)]
    pub(crate) cut: bool,
}

/// Why a call was refused or failed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ErrorBody {
    /// A word that scripts can tell apart (`refused`, `not_found`, `invalid`, `busy`, `internal`).
    pub(crate) kind: ErrorKind,
    /// What went wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Each problem of a file, as `check` prints it, when the file is why.
    pub(crate) problems: Vec<String>,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    /// The caller may not do this, or the platform cannot honour it.
    Refused,
    /// There is no such thing.
    NotFound,
    /// What was sent is wrong.
    Invalid,
    /// Another change is under way.
    Busy,
    /// The node is ending: the one after it can be asked.
    Ending,
    /// The platform failed.
    Internal,
}
