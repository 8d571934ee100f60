//! The resolved stack of one environment: every default filled in, every name checked.
//!
//! Invariant: a `Stack` that `config` returned without errors holds no dangling name: each `uses`,
//! `needs`, `secrets` and route target exists.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::edge::{Edge, Route};
use crate::endpoint::{Port, UrlPath};
use crate::name::{
    BucketName, EnvironmentName, ResourceName, SecretName, ServiceName, StackName, VariableName, VolumeName,
};
use crate::quantity::{ByteSize, CpuShare, Percent};
use crate::time::{Span, TimeZoneName};

/// One environment of a stack, as the file describes it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stack {
    /// The stack's name.
    pub name: StackName,
    /// The environment this is.
    pub environment: EnvironmentName,
    /// The zone in which schedules are meant.
    pub timezone: TimeZoneName,
    /// Whether a broken objective or an unavailable limit warns instead of refusing.
    pub advisory: bool,
    /// What the server of this environment has; the machine itself when absent.
    pub server: Option<Capacity>,
    /// The promises.
    pub objectives: Objectives,
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// The resources by name.
    pub resources: BTreeMap<ResourceName, Resource>,
    /// Where each secret's value comes from.
    pub secrets: BTreeMap<SecretName, SecretSource>,
    /// The edge, where there is one.
    #[serde(default)]
    pub edge: Option<Edge>,
    /// Whether full copies are kept somewhere, and where.
    pub backups: Option<Backups>,
}

impl Stack {
    /// The routes of the edge, in the file's order.
    pub fn routes(&self) -> &[Route] {
        self.edge.as_ref().map(|edge| edge.routes.as_slice()).unwrap_or_default()
    }
}

/// What a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capacity {
    /// Processor cores.
    pub cpu: CpuShare,
    /// Memory.
    pub memory: ByteSize,
}

/// The promises of the file. Absent ones are not made.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Objectives {
    /// Share of requests that succeed.
    pub availability: Option<Percent>,
    /// How fast requests are answered.
    pub latency: Option<LatencyObjective>,
    /// How soon after a loss the stack serves again.
    pub rto: Option<Span>,
    /// How much acknowledged work a loss may cost, as time.
    pub rpo: Option<Span>,
}

/// A latency that a share of the requests stays under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LatencyObjective {
    /// The share of requests (`p95` is 95 %).
    pub quantile: Percent,
    /// The time within which they are answered.
    pub within: Span,
}

/// Code of the user's.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    /// What carries it.
    pub source: Source,
    /// Whether its replicas listen, and where.
    pub listen: Listen,
    /// Resources whose connection variables it receives.
    pub uses: Vec<ResourceName>,
    /// Services that must be ready before it starts.
    pub needs: Vec<ServiceName>,
    /// Secrets it receives, each under its name.
    pub secrets: Vec<SecretName>,
    /// Plain environment variables.
    pub env: BTreeMap<VariableName, String>,
    /// The user it runs as; its own unprivileged user when absent.
    pub user: Option<String>,
    /// Folders of its own that outlive its replicas.
    pub volumes: Vec<Volume>,
    /// How many copies run.
    pub replicas: Replicas,
    /// How its health is told.
    pub health: Health,
    /// What it may take from the machine.
    pub limits: Limits,
    /// What runs once before a release's replicas start.
    pub release_run: Option<CommandLine>,
    /// How an environment moves from one release to the next.
    pub rollout: Rollout,
    /// When it runs, if it is a job rather than something that stays up.
    pub schedule: Option<Schedule>,
}

/// Whether a service's replicas listen on a TCP port. One that does is told the number in `PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listen {
    /// They do not.
    None,
    /// Each on a port of its own that the node chooses.
    Chosen,
    /// On this port; never with a second replica beside it.
    Fixed(Port),
}

impl Listen {
    /// Whether replicas have a port at all.
    pub const fn listens(self) -> bool {
        !matches!(self, Listen::None)
    }
}

/// What carries a service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A command started as a process.
    Run(CommandLine),
    /// A container image.
    Image(String),
    /// A folder from which a container image is built.
    Build(PathBuf),
    /// A folder of static files, served by the edge.
    Static {
        /// The folder, relative to the file.
        folder: PathBuf,
        /// Whether unknown paths are answered with `index.html`.
        spa: bool,
    },
}

/// A command and its arguments, as split from the file's text; never empty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// A command from its words; `None` without a first word.
    pub fn new(words: Vec<String>) -> Option<Self> {
        words.first().is_some_and(|program| !program.is_empty()).then_some(Self(words))
    }

    /// The program: the first word.
    pub fn program(&self) -> &str {
        &self.0[0]
    }

    /// The words after the program.
    pub fn arguments(&self) -> &[String] {
        &self.0[1..]
    }

    /// All words.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// How many copies of a service run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replicas {
    /// The file does not say: the availability objective decides.
    Derived,
    /// Exactly so many, at least 1.
    Fixed(u32),
    /// Between two bounds, by a measured quantity.
    Scaled {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
        /// The processor share aimed for.
        cpu: Percent,
    },
}

/// How a service's health is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Health {
    /// When it answers this, it may get work. Without one, an accepted connection on its port, or
    /// that it runs when it has no port, is enough.
    pub ready: Option<Check>,
    /// When it fails this for long enough, it is restarted.
    pub live: Option<Check>,
    /// How long it may take to finish after it is asked to stop.
    pub drain: Span,
}

/// One question to a replica.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// An HTTP GET that is answered with a status from 200 to 399.
    Http(UrlPath),
    /// A TCP connection that is accepted.
    Tcp,
    /// A command that exits with 0, run in the replica's own environment.
    Command(CommandLine),
}

/// What a service may take from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Processor time.
    pub cpu: Option<CpuShare>,
    /// Memory, the page cache it dirties included.
    pub memory: Option<ByteSize>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

/// A folder that outlives replicas.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Its name: a folder of that name is kept under the state directory.
    pub name: VolumeName,
    /// The variable that tells the service where it is.
    pub variable: VariableName,
}

/// How an environment moves from one release to the next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollout {
    /// One replica at a time; a new one is ready before an old one stops.
    Rolling,
    /// All old replicas stop, then the new ones start.
    Recreate,
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Schedule {
    /// Five fields, as crontab(5) has them; checked by `config`.
    pub cron: String,
    /// Whether a run may start while the last one still goes.
    pub overlap: bool,
}

/// A data service that the platform operates.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// PostgreSQL.
    Postgres(Postgres),
    /// Redis.
    Redis(Redis),
    /// An S3-compatible object store.
    Objects(Objects),
    /// RabbitMQ.
    #[serde(rename = "rabbitmq")]
    RabbitMq(RabbitMq),
}

impl Resource {
    /// The port that the file fixes, if it does.
    pub const fn port(&self) -> Option<Port> {
        match self {
            Resource::Postgres(postgres) => postgres.port,
            Resource::Redis(redis) => redis.port,
            Resource::RabbitMq(rabbitmq) => rabbitmq.port,
            Resource::Objects(_) => None,
        }
    }

    /// The kind as the file's `type` writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Resource::Postgres(_) => "postgres",
            Resource::Redis(_) => "redis",
            Resource::Objects(_) => "objects",
            Resource::RabbitMq(_) => "rabbitmq",
        }
    }

    /// What follows [`ResourceName::variable_prefix`] and `_` in the names of the variables that a
    /// service using this resource receives.
    pub const fn variable_suffixes(&self) -> &'static [&'static str] {
        match self {
            Resource::Postgres(_) => &["URL", "HOST", "PORT", "NAME", "USER", "PASSWORD"],
            Resource::Redis(_) => &["URL", "HOST", "PORT", "USER", "PASSWORD"],
            Resource::Objects(_) => &["ENDPOINT", "REGION", "BUCKET", "BUCKETS", "ACCESS_KEY", "SECRET_KEY"],
            Resource::RabbitMq(_) => &["URL", "HOST", "PORT", "USER", "PASSWORD"],
        }
    }
}

/// What a PostgreSQL resource is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Postgres {
    /// The major version; the newest installed one when absent.
    pub version: Option<u32>,
    /// The memory it is sized to.
    pub memory: ByteSize,
    /// A fixed port; the node chooses one, and keeps it, when absent.
    pub port: Option<Port>,
    /// Copies besides the primary.
    pub standbys: u32,
    /// Server connections of the pooler.
    pub pool: Option<u32>,
}

/// What a Redis resource is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Redis {
    /// The most memory its data may take.
    pub memory: ByteSize,
    /// What happens when that is full.
    pub evict: Eviction,
    /// A fixed port; the node chooses one, and keeps it, when absent.
    pub port: Option<Port>,
    /// Copies besides the primary.
    pub standbys: u32,
}

/// What Redis does when its memory is full (`maxmemory-policy` of redis.conf).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eviction {
    /// Writes fail; nothing is lost.
    Noeviction,
    /// The least recently used key goes.
    AllkeysLru,
    /// The least frequently used key goes.
    AllkeysLfu,
    /// A random key goes.
    AllkeysRandom,
    /// The least recently used key that has an expiry goes.
    VolatileLru,
    /// The least frequently used key that has an expiry goes.
    VolatileLfu,
    /// A random key that has an expiry goes.
    VolatileRandom,
    /// The key that expires soonest goes.
    VolatileTtl,
}

impl Eviction {
    /// Every policy, in the order of the documentation.
    pub const ALL: [Eviction; 8] = [
        Eviction::Noeviction,
        Eviction::AllkeysLru,
        Eviction::AllkeysLfu,
        Eviction::AllkeysRandom,
        Eviction::VolatileLru,
        Eviction::VolatileLfu,
        Eviction::VolatileRandom,
        Eviction::VolatileTtl,
    ];

    /// The policy as redis.conf and the file write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Eviction::Noeviction => "noeviction",
            Eviction::AllkeysLru => "allkeys-lru",
            Eviction::AllkeysLfu => "allkeys-lfu",
            Eviction::AllkeysRandom => "allkeys-random",
            Eviction::VolatileLru => "volatile-lru",
            Eviction::VolatileLfu => "volatile-lfu",
            Eviction::VolatileRandom => "volatile-random",
            Eviction::VolatileTtl => "volatile-ttl",
        }
    }

    /// Whether data may go away on purpose: such a store is a cache, and no RPO holds for it.
    pub const fn evicts(self) -> bool {
        !matches!(self, Eviction::Noeviction)
    }
}

/// The most buckets of an object store.
pub const BUCKETS_MAX: usize = 1000;

/// What an object store is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Objects {
    /// Its buckets, at least one and at most [`BUCKETS_MAX`].
    pub buckets: Vec<BucketName>,
    /// Whether earlier versions of an object are kept.
    pub versions: bool,
}

/// What a RabbitMQ resource is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RabbitMq {
    /// The memory it is sized to.
    pub memory: ByteSize,
    /// A fixed port; the node chooses one, and keeps it, when absent.
    pub port: Option<Port>,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A person sets it.
    Set,
    /// So many random bytes, made on first need and given as base64url without padding.
    Generate {
        /// Random bytes, 16 to 1024.
        bytes: u32,
    },
}

/// Where copies of the data go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backups {
    /// When full copies are made.
    pub schedule: String,
    /// How many places they go to.
    pub destinations: usize,
}
