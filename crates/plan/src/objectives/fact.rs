//! The facts that follow from objectives, each with the part that uses it. Numbers only: nothing here
//! looks for contradictions.

use std::collections::BTreeMap;
use std::fmt;

use model::stack::{Listen, Replicas, Resource};
use model::{Percent, ResourceName, ServiceName, Span, Stack};

use crate::text::listed;

use super::{Objective, REDUNDANT_FROM, keeps_its_data, quantile_text, stays_up};

/// The window of an error budget.
const BUDGET_DAYS: u64 = 30;
const DAY_MILLIS: u64 = 86_400_000;

/// Multi-window burn-rate alerts: how many times faster than the budget allows, over which long window,
/// confirmed over which short one. The usual three: 2 % of a month's budget in an hour, 5 % in six
/// hours, 10 % in three days (Google's SRE Workbook, chapter 5).
const BURN_RATES: [(u64, Span, Span); 3] = [
    (144, Span::secs(3600), Span::secs(300)),
    (60, Span::secs(6 * 3600), Span::secs(1800)),
    (10, Span::secs(72 * 3600), Span::secs(6 * 3600)),
];

/// WAL and copies leave three times per RPO, so that one failed attempt does not yet break it.
const COPIES_PER_RPO: u64 = 3;

/// A service is scaled out when its latency reaches this share of what is promised.
const SCALE_OUT_PERCENT: u64 = 80;

/// How long a service may take where nothing is promised: as long as most clients wait.
const ROUTE_TIMEOUT: Span = Span::secs(30);

/// A route that states no timeout gives a request so many times the promised latency.
const TIMEOUT_FACTOR: u64 = 50;

/// Drills run weekly where the RTO is at most this, monthly above.
const WEEKLY_DRILLS_UP_TO: Span = Span::secs(4 * 3600);

/// Something that follows from an objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The objective it follows from.
    pub from: Objective,
    /// What follows.
    pub value: Value,
}

/// What follows from an objective, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// How many replicas a service has.
    Replicas {
        /// Of which service.
        service: ServiceName,
        /// How many.
        count: u32,
        /// Why so many.
        why: ReplicasWhy,
    },
    /// How long all requests may fail in 30 days.
    ErrorBudget {
        /// The share of requests that may fail.
        share: Percent,
        /// The same as time without any answer.
        time: Span,
    },
    /// A new release whose requests fail more often than this is rolled back.
    FailureGuard {
        /// The share of failed requests.
        share: Percent,
    },
    /// An alert on requests that fail too often.
    BurnAlert {
        /// The share of failed requests that raises it.
        share: Percent,
        /// Over this window.
        long: Span,
        /// And still over this one.
        short: Span,
    },
    /// A new release that answers more slowly than this is rolled back.
    LatencyGuard {
        /// The share of requests that must be answered in time.
        quantile: Percent,
        /// The time.
        within: Span,
    },
    /// Resources that each run as one server, so that the promise has to hold through their restarts.
    SingleServers {
        /// Which.
        resources: Vec<ResourceName>,
    },
    /// Replicas are added when answers take this long.
    ScaleOutAt {
        /// The share of requests that must be answered in time.
        quantile: Percent,
        /// The time.
        latency: Span,
    },
    /// How long a request may take on a route that states no timeout.
    RouteTimeout {
        /// The time.
        timeout: Span,
    },
    /// How often the restore path is rehearsed.
    DrillEvery {
        /// From one drill to the next.
        interval: Span,
    },
    /// A drill that takes longer has failed.
    DrillLimit {
        /// The time.
        limit: Span,
    },
    /// How often a PostgreSQL resource's log leaves the machine.
    WalArchiveEvery {
        /// Of which resource.
        resource: ResourceName,
        /// From one archived segment to the next, at most.
        interval: Span,
    },
    /// How often a Redis resource's data is copied off the machine.
    CopyEvery {
        /// Of which resource.
        resource: ResourceName,
        /// From one copy to the next.
        interval: Span,
    },
    /// An alarm on what has left the machine being too old.
    LagAlarm {
        /// Of which resource.
        resource: ResourceName,
        /// The age that raises it.
        age: Span,
    },
}

/// Why a service has so many replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicasWhy {
    /// The file says so.
    Stated,
    /// One can restart while another answers.
    Listens,
    /// The availability asked for holds with one.
    OneIsEnough,
    /// Its fixed port leaves room for one.
    FixedPort,
    /// It does not listen, so no request waits for it.
    DoesNotListen,
}

/// The part that acts on a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// [`super::Derived::replicas`], which rollouts bring about.
    ReplicaCount,
    /// [`super::Derived::route_timeout`], which the edge keeps to.
    Edge,
    /// Nothing: it is there to be known.
    Nothing,
    /// The part that would act on it does not exist yet.
    NotCarriedOutYet(Missing),
}

/// Parts that would act on facts and do not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Failures counted against a budget over 30 days.
    ErrorBudgets,
    /// Releases that get part of the traffic first.
    CanaryReleases,
    /// Alerts.
    Alerts,
    /// Scaling by measured quantities.
    Autoscaling,
    /// Copies of the data off this machine.
    Backups,
    /// Rehearsed restores.
    Drills,
}

impl Fact {
    /// The part that acts on it.
    pub const fn consumer(&self) -> Consumer {
        match self.value {
            Value::Replicas { .. } => Consumer::ReplicaCount,
            Value::SingleServers { .. } => Consumer::Nothing,
            Value::ErrorBudget { .. } => Consumer::NotCarriedOutYet(Missing::ErrorBudgets),
            Value::FailureGuard { .. } | Value::LatencyGuard { .. } => {
                Consumer::NotCarriedOutYet(Missing::CanaryReleases)
            }
            Value::BurnAlert { .. } | Value::LagAlarm { .. } => Consumer::NotCarriedOutYet(Missing::Alerts),
            Value::ScaleOutAt { .. } => Consumer::NotCarriedOutYet(Missing::Autoscaling),
            Value::RouteTimeout { .. } => Consumer::Edge,
            Value::DrillEvery { .. } | Value::DrillLimit { .. } => Consumer::NotCarriedOutYet(Missing::Drills),
            Value::WalArchiveEvery { .. } | Value::CopyEvery { .. } => Consumer::NotCarriedOutYet(Missing::Backups),
        }
    }
}

/// Every fact that follows from the objectives of `stack`.
pub(super) fn facts(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |from, values: Vec<Value>| facts.extend(values.into_iter().map(|value| Fact { from, value }));
    let objectives = &stack.objectives;
    if let Some(share) = objectives.availability {
        add(Objective::Availability, replica_values(stack, replicas, share));
        add(Objective::Availability, single_servers(stack, share).into_iter().collect());
        add(Objective::Availability, availability_values(share));
    }
    if let Some(latency) = objectives.latency {
        add(Objective::Latency, latency_values(latency.quantile, latency.within));
        if stack.edge.is_some() {
            add(Objective::Latency, vec![Value::RouteTimeout { timeout: route_timeout(stack) }]);
        }
    }
    if let Some(rto) = objectives.rto {
        add(Objective::Rto, rto_values(rto));
    }
    if let Some(rpo) = objectives.rpo {
        add(Objective::Rpo, stack.resources.iter().flat_map(|(name, it)| rpo_values(name, it, rpo)).collect());
    }
    facts
}

fn replica_values(stack: &Stack, replicas: &BTreeMap<ServiceName, u32>, share: Percent) -> Vec<Value> {
    let processes = stack.services.iter().filter(|(_, it)| stays_up(it));
    processes
        .map(|(name, service)| Value::Replicas {
            service: name.clone(),
            count: replicas.get(name).copied().unwrap_or(0),
            why: match (service.replicas, service.listen) {
                (Replicas::Fixed(_) | Replicas::Scaled { .. }, _) => ReplicasWhy::Stated,
                (Replicas::Derived, Listen::None) => ReplicasWhy::DoesNotListen,
                (Replicas::Derived, Listen::Fixed(_)) => ReplicasWhy::FixedPort,
                (Replicas::Derived, Listen::Chosen) if share >= REDUNDANT_FROM => ReplicasWhy::Listens,
                (Replicas::Derived, Listen::Chosen) => ReplicasWhy::OneIsEnough,
            },
        })
        .collect()
}

/// The resources whose restarts every request waits for that needs them, where so much is promised that it matters.
fn single_servers(stack: &Stack, share: Percent) -> Option<Value> {
    let has_standby = |resource: &Resource| match resource {
        Resource::Postgres(it) => it.standbys > 0,
        Resource::Redis(it) => it.standbys > 0,
        Resource::RabbitMq(_) | Resource::Objects(_) => false,
    };
    let alone = stack.resources.iter().filter(|(_, it)| !has_standby(it));
    let resources: Vec<ResourceName> = alone.map(|(name, _)| name.clone()).collect();
    (share >= REDUNDANT_FROM && !resources.is_empty()).then_some(Value::SingleServers { resources })
}

fn availability_values(share: Percent) -> Vec<Value> {
    let failing = share.complement();
    let thousandths = u64::from(failing.thousandths());
    let time = Span::millis(BUDGET_DAYS * DAY_MILLIS * thousandths / 100_000);
    let alerts = BURN_RATES.into_iter().map(|(tenths, long, short)| Value::BurnAlert {
        share: Percent::from_thousandths(u32::try_from(thousandths * tenths / 10).unwrap_or(u32::MAX)),
        long,
        short,
    });
    [Value::ErrorBudget { share: failing, time }, Value::FailureGuard { share: failing }]
        .into_iter()
        .chain(alerts)
        .collect()
}

/// How long a service may take on a route that does not say so itself.
pub(super) fn route_timeout(stack: &Stack) -> Span {
    let latency = stack.objectives.latency;
    latency.map_or(ROUTE_TIMEOUT, |latency| part(latency.within, TIMEOUT_FACTOR, 1))
}

fn latency_values(quantile: Percent, within: Span) -> Vec<Value> {
    vec![
        Value::LatencyGuard { quantile, within },
        Value::ScaleOutAt { quantile, latency: part(within, SCALE_OUT_PERCENT, 100) },
    ]
}

fn rto_values(rto: Span) -> Vec<Value> {
    let days = if rto <= WEEKLY_DRILLS_UP_TO { 7 } else { 30 };
    vec![Value::DrillEvery { interval: Span::millis(days * DAY_MILLIS) }, Value::DrillLimit { limit: rto }]
}

fn rpo_values(name: &ResourceName, resource: &Resource, rpo: Span) -> Vec<Value> {
    let (resource_name, interval) = (name.clone(), part(rpo, 1, COPIES_PER_RPO));
    let lane = match resource {
        Resource::Postgres(_) => Value::WalArchiveEvery { resource: resource_name, interval },
        Resource::Redis(_) if keeps_its_data(resource) => Value::CopyEvery { resource: resource_name, interval },
        Resource::Redis(_) | Resource::Objects(_) | Resource::RabbitMq(_) => return Vec::new(),
    };
    vec![lane, Value::LagAlarm { resource: name.clone(), age: part(rpo, 2, 3) }]
}

fn part(span: Span, times: u64, of: u64) -> Span {
    Span::millis(span.as_millis().saturating_mul(times) / of)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Replicas { service, count, why } => {
                let plural = if *count == 1 { "replica" } else { "replicas" };
                write!(f, "{service} runs {count} {plural}: {why}")
            }
            Value::ErrorBudget { share, time } => {
                write!(
                    f,
                    "failures would be counted against what may fail in 30 days: {share} of the requests, under even \
                     traffic as much as {time} without any answer"
                )
            }
            Value::FailureGuard { share } => {
                write!(f, "a new release that fails more than {share} of its requests would be rolled back")
            }
            Value::BurnAlert { share, long, short } => write!(
                f,
                "an alert would be raised when more than {share} of the requests failed in the last {long} and also in \
                 the last {short}"
            ),
            Value::SingleServers { resources } => {
                write!(
                    f,
                    "{}: one server each, so requests that need one of them fail while it restarts",
                    listed(resources)
                )
            }
            Value::LatencyGuard { quantile, within } => {
                let quantile = quantile_text(*quantile);
                write!(f, "a new release whose {quantile} is above {within} would be rolled back")
            }
            Value::ScaleOutAt { quantile, latency } => {
                write!(
                    f,
                    "replicas would be added, up to the `max` of a service, when {} reaches {latency}",
                    quantile_text(*quantile)
                )
            }
            Value::RouteTimeout { timeout } => {
                write!(f, "a route that states no timeout gives up after {timeout}, {TIMEOUT_FACTOR} times the latency")
            }
            Value::DrillEvery { interval } => write!(f, "a restore would be rehearsed every {interval}"),
            Value::DrillLimit { limit } => {
                write!(f, "a rehearsed restore that takes more than {limit} would count as failed")
            }
            Value::WalArchiveEvery { resource, interval } => {
                write!(f, "{resource}'s write-ahead log would leave the machine at least every {interval}")
            }
            Value::CopyEvery { resource, interval } => {
                write!(f, "{resource}'s data would be copied off the machine every {interval}")
            }
            Value::LagAlarm { resource, age } => {
                write!(f, "an alert would be raised when the newest copy of {resource} off the machine is {age} old")
            }
        }
    }
}

impl fmt::Display for ReplicasWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplicasWhy::Stated => "the file says so",
            ReplicasWhy::Listens => "one answers while the other restarts",
            ReplicasWhy::OneIsEnough => "this availability allows for its restarts",
            ReplicasWhy::FixedPort => "its fixed port leaves room for no second",
            ReplicasWhy::DoesNotListen => "one is enough, since it has no port and no route leads to it",
        })
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Consumer::ReplicaCount => f.write_str("replica count"),
            Consumer::Edge => f.write_str("the edge"),
            Consumer::Nothing => f.write_str("nothing"),
            Consumer::NotCarriedOutYet(missing) => write!(f, "not carried out yet, needs {missing}"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::ErrorBudgets => "error budgets over 30 days",
            Missing::CanaryReleases => "canary releases",
            Missing::Alerts => "alerts",
            Missing::Autoscaling => "autoscaling",
            Missing::Backups => "backups",
            Missing::Drills => "drills",
        })
    }
}

impl fmt::Display for Fact {
    /// The sentence, and whether anything acts on it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.consumer() {
            Consumer::ReplicaCount | Consumer::Edge | Consumer::Nothing => write!(f, "{}", self.value),
            Consumer::NotCarriedOutYet(missing) => write!(f, "not yet (needs {missing}): {}", self.value),
        }
    }
}
