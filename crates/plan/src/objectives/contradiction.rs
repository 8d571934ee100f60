//! Promises that the file's own lines make impossible. Each names the line and the smallest change that
//! mends it; whether that is an error or a warning is the environment's `advisory`.

use std::collections::BTreeMap;
use std::fmt;

use model::stack::{Listen, Replicas, Resource};
use model::{ByteSize, CpuShare, Percent, ResourceName, ServiceName, Span, Stack};

use crate::text::listed;

use super::{
    Objective, REDUNDANT_FROM, Reserved, is_copied_off, is_routed, keeps_its_data, replicas_most, resource_memory,
    stays_up,
};

/// PostgreSQL's log is shipped at least this often by the quickest lane.
const POSTGRES_LANE: Span = Span::secs(60);

/// A copy of a store that has no log to ship is made at most this often.
const COPY_LANE: Span = Span::secs(300);

const MEBIBYTE: u64 = 1 << 20;

/// A promise and a line of the file that cannot both hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The line, as a dotted path: `services.api.replicas`, `edge.routes.0.timeout`.
    pub path: String,
    /// What cannot hold.
    pub what: Impossibility,
    /// Whether the file is refused for it.
    pub severity: Severity,
}

/// Whether a contradiction refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// The environment is `advisory`: it is said, and the file is carried out.
    Warning,
}

/// What cannot hold, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impossibility {
    /// A routed service that says it wants a single replica.
    SingleReplica {
        /// Which.
        service: ServiceName,
        /// What is promised.
        availability: Percent,
        /// What keeps it to one.
        why: Why,
    },
    /// Nothing of a resource's data leaves the machine.
    NothingLeaves {
        /// Which resources.
        resources: Vec<ResourceName>,
        /// What is promised.
        rpo: Span,
    },
    /// The same, beside a promise of how soon all is there again.
    NothingToRestore {
        /// Which resources.
        resources: Vec<ResourceName>,
        /// What is promised.
        rto: Span,
    },
    /// No lane of some resources is quick enough.
    RpoBelowLane {
        /// The slowest of them, and what it can do.
        floor: RpoFloor,
        /// What is promised.
        rpo: Span,
    },
    /// A route gives up before the promised latency is over.
    TimeoutBelowLatency {
        /// Where the route leads.
        service: ServiceName,
        /// When it gives up.
        timeout: Span,
        /// What is promised.
        within: Span,
    },
    /// More memory is reserved than there is.
    MemoryBeyondServer {
        /// What is reserved.
        reserved: ByteSize,
        /// What there is.
        has: ByteSize,
        /// Who takes most of it, as the file calls it, and how much.
        largest: (String, ByteSize),
    },
    /// More processor time is reserved than there is.
    CpuBeyondServer {
        /// What is reserved.
        reserved: CpuShare,
        /// What there is.
        has: CpuShare,
        /// Who takes most of it, and how much.
        largest: (String, CpuShare),
    },
}

/// The smallest RPO that a resource can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpoFloor {
    /// Which resource.
    pub resource: ResourceName,
    /// The smallest.
    pub span: Span,
}

/// What keeps a service to one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// `replicas: 1`.
    Stated,
    /// `replicas: { min: 1 }`.
    StatedMinimum,
    /// A fixed port.
    FixedPort,
}

/// Everything that cannot hold in `stack`.
pub(super) fn find(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>, reserved: &Reserved) -> Vec<Contradiction> {
    let severity = if stack.advisory { Severity::Warning } else { Severity::Error };
    let found = single_replicas(stack)
        .into_iter()
        .chain(unreachable_rpo(stack))
        .chain(unreachable_rto(stack))
        .chain(short_timeouts(stack))
        .chain(memory_beyond(stack, replicas, reserved))
        .chain(cpu_beyond(stack, replicas, reserved));
    let severity_of = |what: &Impossibility| match what {
        // A loss that spares the data is promised an end too, and that one may be kept.
        Impossibility::NothingToRestore { .. } => Severity::Warning,
        _ => severity,
    };
    found.map(|(path, what)| Contradiction { path, severity: severity_of(&what), what }).collect()
}

type Found = (String, Impossibility);

fn single_replicas(stack: &Stack) -> Vec<Found> {
    let Some(availability) = stack.objectives.availability.filter(|share| *share >= REDUNDANT_FROM) else {
        return Vec::new();
    };
    let routed = stack.services.iter().filter(|(name, service)| is_routed(stack, name) && stays_up(service));
    routed
        .filter_map(|(name, service)| {
            let (key, why) = match (service.replicas, service.listen) {
                (Replicas::Fixed(1), _) => ("replicas", Why::Stated),
                (Replicas::Scaled { min: 1, .. }, _) => ("replicas.min", Why::StatedMinimum),
                (Replicas::Derived, Listen::Fixed(_)) => ("port", Why::FixedPort),
                _ => return None,
            };
            let what = Impossibility::SingleReplica { service: name.clone(), availability, why };
            Some((format!("services.{name}.{key}"), what))
        })
        .collect()
}

fn unreachable_rpo(stack: &Stack) -> Option<Found> {
    let rpo = stack.objectives.rpo?;
    let floors: Vec<RpoFloor> = stack.resources.iter().filter_map(|(name, it)| rpo_floor(name, it)).collect();
    let slowest = floors.iter().max_by_key(|floor| floor.span)?.clone();
    let path = || "objectives.recovery.rpo".to_owned();
    if !is_copied_off(stack) {
        let resources = floors.into_iter().map(|floor| floor.resource).collect();
        return Some((path(), Impossibility::NothingLeaves { resources, rpo }));
    }
    (rpo < slowest.span).then(|| (path(), Impossibility::RpoBelowLane { floor: slowest, rpo }))
}

fn unreachable_rto(stack: &Stack) -> Option<Found> {
    let rto = stack.objectives.rto.filter(|_| !is_copied_off(stack))?;
    let kept = stack.resources.iter().filter(|(_, it)| keeps_its_data(it));
    let resources: Vec<ResourceName> = kept.map(|(name, _)| name.clone()).collect();
    let path = "objectives.recovery.rto".to_owned();
    (!resources.is_empty()).then_some((path, Impossibility::NothingToRestore { resources, rto }))
}

/// `None` for a store that loses data on purpose: no RPO is meant for it.
fn rpo_floor(name: &ResourceName, resource: &Resource) -> Option<RpoFloor> {
    let span = match resource {
        Resource::Postgres(_) => POSTGRES_LANE,
        Resource::Redis(_) | Resource::Objects(_) | Resource::RabbitMq(_) => COPY_LANE,
    };
    keeps_its_data(resource).then(|| RpoFloor { resource: name.clone(), span })
}

fn short_timeouts(stack: &Stack) -> Vec<Found> {
    let Some(latency) = stack.objectives.latency else { return Vec::new() };
    let routes = stack.routes().iter().enumerate();
    routes
        .filter_map(|(index, route)| {
            let timeout = route.timeout.filter(|timeout| *timeout < latency.within)?;
            let what =
                Impossibility::TimeoutBelowLatency { service: route.to.clone(), timeout, within: latency.within };
            Some((format!("edge.routes.{index}.timeout"), what))
        })
        .collect()
}

fn memory_beyond(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>, reserved: &Reserved) -> Option<Found> {
    if reserved.memory <= reserved.server.memory {
        return None;
    }
    let services = stack.services.iter().filter_map(|(name, service)| {
        let most = replicas_most(service, replicas.get(name).copied().unwrap_or(0));
        Some((format!("services.{name}.limits.memory"), service.limits.memory?.saturating_mul(u64::from(most))))
    });
    let resources = stack.resources.iter().map(|(name, it)| (format!("resources.{name}.memory"), resource_memory(it)));
    let (path, size) = services.chain(resources).max_by_key(|(_, size)| *size)?;
    let largest = (owner_of(&path), size);
    Some((path, Impossibility::MemoryBeyondServer { reserved: reserved.memory, has: reserved.server.memory, largest }))
}

fn cpu_beyond(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>, reserved: &Reserved) -> Option<Found> {
    if reserved.cpu <= reserved.server.cpu {
        return None;
    }
    let services = stack.services.iter().filter_map(|(name, service)| {
        let most = replicas_most(service, replicas.get(name).copied().unwrap_or(0));
        let cpu = service.limits.cpu?.as_millicores().saturating_mul(most);
        Some((format!("services.{name}.limits.cpu"), CpuShare::millicores(cpu)))
    });
    let (path, share) = services.max_by_key(|(_, share)| *share)?;
    let largest = (owner_of(&path), share);
    Some((path, Impossibility::CpuBeyondServer { reserved: reserved.cpu, has: reserved.server.cpu, largest }))
}

/// The name between the first two dots of a path.
fn owner_of(path: &str) -> String {
    path.split('.').nth(1).unwrap_or(path).to_owned()
}

impl Contradiction {
    /// The smallest change that mends it, as an instruction.
    pub fn hint(&self) -> String {
        match &self.what {
            Impossibility::SingleReplica { why: Why::Stated, .. } => {
                "say `replicas: 2`, or leave the line out: 2 follow from the objective".to_owned()
            }
            Impossibility::SingleReplica { why: Why::StatedMinimum, .. } => "say `min: 2`".to_owned(),
            Impossibility::SingleReplica { why: Why::FixedPort, .. } => {
                "say `port: auto`: each replica then listens on a port of its own".to_owned()
            }
            Impossibility::NothingLeaves { .. } => {
                "remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own"
                    .to_owned()
            }
            Impossibility::NothingToRestore { .. } => {
                "copy the data off the machine by a scheduled service of yours: this version does not do it yet"
                    .to_owned()
            }
            Impossibility::RpoBelowLane { floor, .. } => format!("say `rpo: {}`", floor.span),
            Impossibility::TimeoutBelowLatency { within, .. } => format!("say `timeout: {within}` or longer"),
            Impossibility::MemoryBeyondServer { reserved, has, largest } => {
                let excess = ByteSize::bytes(reserved.as_bytes().saturating_sub(has.as_bytes()));
                format!("reserve {} less; {} takes most, with {}", at_least(excess), largest.0, largest.1)
            }
            Impossibility::CpuBeyondServer { reserved, has, largest } => {
                let excess = CpuShare::millicores(reserved.as_millicores().saturating_sub(has.as_millicores()));
                format!("reserve {} less; {} takes most, with {}", cores(excess), largest.0, largest.1)
            }
        }
    }
}

impl Impossibility {
    /// The promise that cannot be kept; `None` where it is the machine that is too small.
    pub const fn objective(&self) -> Option<Objective> {
        match self {
            Impossibility::SingleReplica { .. } => Some(Objective::Availability),
            Impossibility::NothingLeaves { .. } | Impossibility::RpoBelowLane { .. } => Some(Objective::Rpo),
            Impossibility::NothingToRestore { .. } => Some(Objective::Rto),
            Impossibility::TimeoutBelowLatency { .. } => Some(Objective::Latency),
            Impossibility::MemoryBeyondServer { .. } | Impossibility::CpuBeyondServer { .. } => None,
        }
    }
}

impl fmt::Display for Impossibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Impossibility::SingleReplica { service, availability, why } => {
                let what = match why {
                    Why::Stated => "has a single replica",
                    Why::StatedMinimum => "may shrink to a single replica",
                    Why::FixedPort => "has a fixed port, which leaves room for a single replica",
                };
                write!(f, "{service} {what}, and {availability} of requests cannot succeed while it restarts")
            }
            Impossibility::NothingLeaves { resources, rpo } => {
                let names = listed(resources);
                write!(
                    f,
                    "no data of {names} leaves this machine, so an RPO of {rpo} cannot be met if its disk is lost"
                )
            }
            Impossibility::NothingToRestore { resources, rto } => {
                let names = listed(resources);
                write!(
                    f,
                    "no data of {names} leaves this machine, so nothing is restored within {rto} if its disk is lost"
                )
            }
            Impossibility::RpoBelowLane { floor, rpo } => {
                write!(
                    f,
                    "{} can be copied off the machine every {} at best, not every {rpo}",
                    floor.resource, floor.span
                )
            }
            Impossibility::TimeoutBelowLatency { service, timeout, within } => {
                write!(f, "this route to {service} gives up after {timeout}, before the promised {within} are over")
            }
            Impossibility::MemoryBeyondServer { reserved, has, .. } => {
                let (reserved, has) = told_apart(*reserved, *has);
                write!(f, "{reserved} of memory is reserved and the server has {has}")
            }
            Impossibility::CpuBeyondServer { reserved, has, .. } => {
                write!(
                    f,
                    "{reserved} of processor time is reserved and the server has {}",
                    cores(*has),
                    reserved = cores(*reserved)
                )
            }
        }
    }
}

/// `1 core`, `2.5 cores`.
fn cores(share: CpuShare) -> String {
    format!("{share} {}", if share.as_millicores() == 1000 { "core" } else { "cores" })
}

/// A text of no less than this size: the usual one says less where it rounds down.
fn at_least(size: ByteSize) -> String {
    let text = size.to_string();
    match text.parse::<ByteSize>() {
        Ok(told) if told >= size => text,
        _ => format!("{}MiB", size.as_bytes().div_ceil(MEBIBYTE)),
    }
}

/// Two sizes as texts that differ where the sizes do.
fn told_apart(one: ByteSize, other: ByteSize) -> (String, String) {
    match (one.to_string(), other.to_string()) {
        (text, same) if text == same => {
            (format!("{}MiB", one.as_bytes().div_ceil(MEBIBYTE)), format!("{}MiB", other.as_bytes() / MEBIBYTE))
        }
        texts => texts,
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}\n  {}", self.path, self.what, self.hint())
    }
}
