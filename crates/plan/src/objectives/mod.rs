//! What the promises of a file come to: facts that other parts act on, and promises it cannot keep.
//!
//! Start reading at [`derive()`]. A [`Fact`] is a number with the objective it follows from and the part
//! that uses it; a [`Contradiction`] names the line that makes a promise impossible and the smallest
//! change that mends it. Never measures anything: whether a promise holds is for a proof to say.

mod contradiction;
mod fact;

use std::collections::BTreeMap;
use std::fmt;

use model::stack::{Capacity, Limits, Listen, Objectives, Replicas, Resource, Service, Source};
use model::{ByteSize, CpuShare, Percent, ServiceName, Span, Stack};

pub use contradiction::{Contradiction, Impossibility, RpoFloor, Severity, Why};
pub use fact::{Consumer, Fact, Missing, Value};

/// From this availability on, a listening service that does not say how many replicas it wants gets
/// [`REPLICAS_REDUNDANT`]: 43 minutes a month do not hold the restarts of a single replica.
pub const REDUNDANT_FROM: Percent = Percent::from_thousandths(99_900);

/// The replicas of a listening service from [`REDUNDANT_FROM`] on.
pub const REPLICAS_REDUNDANT: u32 = 2;

/// The replicas of every other service that stays up.
pub const REPLICAS_ALONE: u32 = 1;

/// What `derive` found out about one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The facts, in the order of the objectives.
    pub facts: Vec<Fact>,
    /// What the file promises and its own lines make impossible.
    pub contradictions: Vec<Contradiction>,
    /// Each promise of the file and where it stands.
    pub promises: Vec<Promise>,
    /// How many replicas each service has; 0 for one that runs on a schedule or is not a process.
    pub replicas: BTreeMap<ServiceName, u32>,
    /// How long a service may take on a route that does not say so itself.
    pub route_timeout: Span,
    /// What the stack may take at most.
    pub reserved: Reserved,
}

/// One of the four objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Share of requests that succeed.
    Availability,
    /// How fast requests are answered.
    Latency,
    /// How soon after a loss the stack serves again.
    Rto,
    /// How much acknowledged work a loss may cost.
    Rpo,
}

/// A promise of the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Promise {
    /// Which objective.
    pub objective: Objective,
    /// The promise as the file makes it: `99.9%`, `p95 within 200ms`.
    pub stated: String,
    /// Whether it holds.
    pub standing: Standing,
    /// Whether the file's own lines make it impossible.
    pub contradicted: bool,
}

/// Where a promise stands. Only a measurement can say anything but unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Measured, and it held.
    Kept,
    /// Measured, and it did not hold.
    Broken,
    /// Nothing has measured it.
    Unproven,
}

/// What the services' limits and the resources' memory add up to, beside what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Memory of every replica with a limit and of every resource.
    pub memory: ByteSize,
    /// Processor time of every replica with a limit.
    pub cpu: CpuShare,
    /// What the server has.
    pub server: Capacity,
    /// What this machine has, where the file states another server.
    pub elsewhere: Option<Capacity>,
    /// The services that state no limit of memory, and so are not in the sum.
    pub memory_unlimited: Vec<ServiceName>,
    /// The same of processor time.
    pub cpu_unlimited: Vec<ServiceName>,
}

/// Derives what follows from the objectives of `stack`, on a server that has what the file says it has,
/// or else what this `machine` has.
pub fn derive(stack: &Stack, machine: Capacity) -> Derived {
    let replicas: BTreeMap<ServiceName, u32> = stack
        .services
        .iter()
        .map(|(name, service)| (name.clone(), replica_count(service, &stack.objectives)))
        .collect();
    let reserved = reserve(stack, &replicas, machine);
    let contradictions = contradiction::find(stack, &replicas, &reserved);
    Derived {
        facts: fact::facts(stack, &replicas),
        promises: promises(&stack.objectives, &contradictions),
        contradictions,
        route_timeout: fact::route_timeout(stack),
        replicas,
        reserved,
    }
}

/// Whether a route of the edge leads to the service.
pub(crate) fn is_routed(stack: &Stack, service: &ServiceName) -> bool {
    stack.routes().iter().any(|route| route.to == *service)
}

/// Whether a resource is to keep what it was given: one that evicts loses data on purpose.
fn keeps_its_data(resource: &Resource) -> bool {
    !matches!(resource, Resource::Redis(redis) if redis.evict.evicts())
}

/// Whether copies of the data leave the machine.
fn is_copied_off(stack: &Stack) -> bool {
    stack.backups.as_ref().is_some_and(|backups| backups.destinations > 0)
}

/// Whether replicas of the service run at all, rather than runs of a schedule or nothing.
fn stays_up(service: &Service) -> bool {
    service.schedule.is_none() && !matches!(service.source, Source::Static { .. })
}

fn replica_count(service: &Service, objectives: &Objectives) -> u32 {
    if !stays_up(service) {
        return 0;
    }
    match service.replicas {
        Replicas::Fixed(count) => count,
        Replicas::Scaled { min, .. } => min,
        Replicas::Derived => {
            let redundant = objectives.availability.is_some_and(|share| share >= REDUNDANT_FROM);
            match service.listen {
                Listen::Chosen if redundant => REPLICAS_REDUNDANT,
                Listen::Chosen | Listen::Fixed(_) | Listen::None => REPLICAS_ALONE,
            }
        }
    }
}

/// The most replicas of a service that can run at once, a job's one run included.
fn replicas_most(service: &Service, count: u32) -> u32 {
    match service.replicas {
        Replicas::Scaled { max, .. } => max,
        Replicas::Fixed(_) | Replicas::Derived if service.schedule.is_some() => 1,
        Replicas::Fixed(_) | Replicas::Derived => count,
    }
}

/// What an object server takes: three times what it was measured to take under load (docs/objects-conformance.md).
const OBJECTS_MEMORY: ByteSize = ByteSize::mebibytes(64);

fn resource_memory(resource: &Resource) -> ByteSize {
    match resource {
        Resource::Postgres(postgres) => postgres.memory.saturating_mul(1 + u64::from(postgres.standbys)),
        Resource::Redis(redis) => redis.memory.saturating_mul(1 + u64::from(redis.standbys)),
        Resource::RabbitMq(rabbitmq) => rabbitmq.memory,
        Resource::Objects(_) => OBJECTS_MEMORY,
    }
}

fn reserve(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>, machine: Capacity) -> Reserved {
    let mut memory = ByteSize::bytes(0);
    let mut cpu = 0_u32;
    for (name, service) in &stack.services {
        let most = replicas_most(service, replicas.get(name).copied().unwrap_or(0));
        if let Some(limit) = service.limits.memory {
            memory = memory.saturating_add(limit.saturating_mul(u64::from(most)));
        }
        if let Some(limit) = service.limits.cpu {
            cpu = cpu.saturating_add(limit.as_millicores().saturating_mul(most));
        }
    }
    for resource in stack.resources.values() {
        memory = memory.saturating_add(resource_memory(resource));
    }
    let unlimited = |is_limited: fn(&Limits) -> bool| {
        let processes = stack.services.iter().filter(|(_, it)| !matches!(it.source, Source::Static { .. }));
        processes.filter(|(_, it)| !is_limited(&it.limits)).map(|(name, _)| name.clone()).collect()
    };
    Reserved {
        memory,
        cpu: CpuShare::millicores(cpu),
        server: stack.server.unwrap_or(machine),
        elsewhere: stack.server.filter(|server| *server != machine).map(|_| machine),
        memory_unlimited: unlimited(|limits| limits.memory.is_some()),
        cpu_unlimited: unlimited(|limits| limits.cpu.is_some()),
    }
}

fn promises(objectives: &Objectives, contradictions: &[Contradiction]) -> Vec<Promise> {
    let contradicted = |objective| contradictions.iter().any(|it| it.what.objective() == Some(objective));
    let availability = objectives.availability.map(|share| (Objective::Availability, share.to_string()));
    let latency = objectives
        .latency
        .map(|it| (Objective::Latency, format!("{} within {}", quantile_text(it.quantile), it.within)));
    let rto = objectives.rto.map(|span| (Objective::Rto, span.to_string()));
    let rpo = objectives.rpo.map(|span| (Objective::Rpo, span.to_string()));
    [availability, latency, rto, rpo]
        .into_iter()
        .flatten()
        .map(|(objective, stated)| Promise {
            objective,
            stated,
            standing: Standing::Unproven,
            contradicted: contradicted(objective),
        })
        .collect()
}

/// `p95` for 95 %.
fn quantile_text(quantile: Percent) -> String {
    format!("p{}", quantile.to_string().trim_end_matches('%'))
}

impl Objective {
    /// The name as the file writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Objective::Availability => "availability",
            Objective::Latency => "latency",
            Objective::Rto => "rto",
            Objective::Rpo => "rpo",
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Kept => "kept",
            Standing::Broken => "broken",
            Standing::Unproven => "unproven",
        })
    }
}

#[cfg(test)]
mod tests;
