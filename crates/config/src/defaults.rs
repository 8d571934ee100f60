//! Every default of the file, with its reason. Nothing else in this crate invents a value.

use model::stack::{Eviction, Replicas, Rollout};
use model::{ByteSize, EnvironmentName, Percent, Span, TimeZoneName, UrlPath};

/// The environment that is meant when none is asked for. On a developer's machine nothing more should
/// need to be said; a server says `--env production` once, in its unit file.
pub const ENVIRONMENT: &str = "development";

/// Schedules are meant in a zone without clock changes unless the file says otherwise.
pub const TIMEZONE: &str = "UTC";

/// Long enough for a slow request or a job's step, short enough that stopping a stack stays bearable.
pub const DRAIN: Span = Span::secs(30);

/// PostgreSQL is useful from here on, and a stack of several still fits a small server.
pub const POSTGRES_MEMORY: ByteSize = ByteSize::mebibytes(256);

/// Below this PostgreSQL cannot hold its own shared memory and a handful of connections.
pub const POSTGRES_MEMORY_MIN: ByteSize = ByteSize::mebibytes(64);

/// Oldest PostgreSQL that is operated: older ones have no support of their own makers.
pub const POSTGRES_VERSION_MIN: u32 = 13;

/// No released PostgreSQL is beyond this for years; a larger number is a slip of the keyboard.
pub const POSTGRES_VERSION_MAX: u32 = 30;

/// A cache or queue of a small product.
pub const REDIS_MEMORY: ByteSize = ByteSize::mebibytes(64);

/// Redis itself takes a few mebibytes; less would leave nothing for data.
pub const REDIS_MEMORY_MIN: ByteSize = ByteSize::mebibytes(8);

/// Losing data is never a default: a cache asks for it.
pub const EVICT: Eviction = Eviction::Noeviction;

/// What RabbitMQ needs to start and hold a modest backlog.
pub const RABBITMQ_MEMORY: ByteSize = ByteSize::mebibytes(256);

/// No program starts in less.
pub const LIMIT_MEMORY_MIN: ByteSize = ByteSize::mebibytes(4);

/// More replicas of one service than one machine has any use for.
pub const REPLICAS_MAX: u32 = 100;

/// The objective decides (two where 99.9 % or more is promised and it listens, else one).
pub const REPLICAS: Replicas = Replicas::Derived;

/// The processor share that scaling aims for, as Kubernetes' autoscaler is usually set.
pub const SCALE_CPU: Percent = Percent::whole(80);

/// A new release is ready before the old one stops.
pub const ROLLOUT: Rollout = Rollout::Rolling;

/// Two runs of one job at the same time are a surprise.
pub const OVERLAP: bool = false;

/// A static folder answers what is in it and nothing else.
pub const SPA: bool = false;

/// Earlier versions of objects take space; who wants them says so.
pub const VERSIONS: bool = false;

/// A route without a path answers for its whole host.
pub const ROUTE_PATH: &str = "/";

/// Cookies go to other origins only where the file says so.
pub const CORS_CREDENTIALS: bool = false;

/// Browsers cap it at hours; a change of the file is to be seen within a coffee break.
pub const CORS_KEEP: Span = Span::secs(600);

/// A quiet hour in most places, and before the working day's first change.
pub const BACKUP_SCHEDULE: &str = "0 2 * * *";

/// Bytes of a generated secret: fewer can be guessed, more help nobody.
pub const SECRET_BYTES: std::ops::RangeInclusive<u64> = 16..=1024;

/// [`ENVIRONMENT`] as a name.
pub(crate) fn environment() -> Option<EnvironmentName> {
    ENVIRONMENT.parse().ok()
}

/// [`TIMEZONE`] as a zone.
pub(crate) fn timezone() -> TimeZoneName {
    TimeZoneName::utc()
}

/// [`ROUTE_PATH`] as a path.
pub(crate) fn route_path() -> Option<UrlPath> {
    ROUTE_PATH.parse().ok()
}
