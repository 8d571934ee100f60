//! How the stack is, put together for `status` from what each part knows. Start reading at [`body`].
//!
//! Reads and sums up; decides nothing and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::edge::Edge as Gateway;
use model::stack::Stack;
use model::{ByteSize, Pid, Port, ReleaseNumber, ResourceName, ServiceName, Span, Timestamp, UnitId};
use plan::backoff::STABLE;
use plan::objectives::{Derived, Objective, Standing};
use plan::supervision::{Requirement, WaitingOn};
use supervise::supervisor::{State, UnitStatus};
use sys::Now;

use super::edge::window::{Faults, Traffic};
use super::edge::{Edge, EdgeState};
use crate::api::bodies::{
    EdgeBody, NodeBody, ObjectiveBody, ProcessBody, ReplicaBody, ResourceBody, ServiceBody, StatusBody, TrafficBody,
    UnitBody,
};

/// Everything `status` is put together from.
pub(crate) struct Sources<'a> {
    /// The stack that is applied.
    pub(crate) stack: &'a Stack,
    /// What its objectives come to.
    pub(crate) derived: &'a Derived,
    /// How each unit stands.
    pub(crate) units: &'a [UnitStatus],
    /// Whether all of them are being stopped.
    pub(crate) stopping: bool,
    /// When this is.
    pub(crate) now: Now,
    /// The release that each service is to run.
    pub(crate) releases: &'a BTreeMap<ServiceName, ReleaseView>,
    /// What the edge says.
    pub(crate) edge: &'a Edge,
    /// The version of each resource.
    pub(crate) versions: &'a BTreeMap<ResourceName, String>,
    /// The node's own process.
    pub(crate) node: NodeBody,
    /// What needs attention beside the units.
    pub(crate) problems: Vec<String>,
    /// The resident memory of a process; of a whole unit where its control group tells.
    pub(crate) memory: &'a dyn Fn(Memory<'_>) -> Option<ByteSize>,
}

/// Whose memory is asked for.
pub(crate) enum Memory<'a> {
    /// One process.
    Process(Pid),
    /// Everything that a unit runs.
    Unit(&'a UnitId, Pid),
}

/// What is wanted of a service, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReleaseView {
    /// The wanted release.
    pub(crate) release: Option<ReleaseNumber>,
    /// Its digest, shortened.
    pub(crate) digest: String,
    /// The older release that it is the same as.
    pub(crate) again: Option<ReleaseNumber>,
    /// What the change to it waits for or is blocked by, when it is not done.
    pub(crate) change: Option<String>,
    /// Whether replicas are still to be restarted.
    pub(crate) restarting: bool,
    /// Whether it is held: nothing new of it is started, since it cannot be told how it is to run.
    pub(crate) held: bool,
    /// When a scheduled service runs next.
    pub(crate) next_run: Option<Timestamp>,
    /// How the last run ended.
    pub(crate) last_run: Option<String>,
    /// The last run that the schedule began, if it failed.
    pub(crate) failed_run: Option<String>,
}

/// Puts the whole together.
pub(crate) fn body(from: Sources<'_>) -> StatusBody {
    let services: Vec<ServiceBody> = from.stack.services.keys().map(|name| service(&from, name)).collect();
    let resources: Vec<ResourceBody> = from.stack.resources.keys().map(|name| resource(&from, name)).collect();
    let done = |state: &str| matches!(state, "ready" | "scheduled");
    let edge = edge(&from);
    let serves = edge.unit.as_ref().is_none_or(|unit| done(&unit.state) && edge.applied);
    let settled =
        serves && services.iter().all(|it| done(&it.state)) && resources.iter().all(|it| done(&it.unit.state));
    let blocked = services.iter().filter(|it| it.state == "blocked").map(|it| &it.name);
    let blocked = blocked.filter_map(|name| Some(format!("{name}: {}", from.releases.get(name)?.change.as_ref()?)));
    let mut problems = from.problems.clone();
    problems.extend(edge_problem(&from));
    problems.extend(edge_faults(&from));
    problems.extend(from.units.iter().filter_map(|unit| unit_problem(unit, from.now)));
    problems.extend(blocked);
    problems.extend(from.releases.values().filter_map(|view| view.failed_run.clone()));
    let shims = from.units.iter().filter_map(|unit| {
        let pid = unit.shim?;
        let memory = (from.memory)(Memory::Process(pid));
        Some(ProcessBody { kind: "shim".to_owned(), unit: Some(unit.unit.clone()), pid, memory })
    });
    let node = ProcessBody { kind: "node".to_owned(), unit: None, pid: from.node.pid, memory: from.node.memory };
    StatusBody {
        at: from.now.wall,
        stack: from.stack.name.clone(),
        environment: from.stack.environment.clone(),
        settled,
        stopping: from.stopping,
        processes: std::iter::once(node).chain(shims).collect(),
        edge,
        services,
        resources,
        objectives: from.derived.promises.iter().map(objective).collect(),
        problems,
        node: from.node,
    }
}

fn service(from: &Sources<'_>, name: &ServiceName) -> ServiceBody {
    let view = from.releases.get(name).cloned().unwrap_or_default();
    let units: Vec<&UnitStatus> =
        from.units.iter().filter(|it| it.unit.service() == Some(name) && it.state != State::Down).collect();
    let wanted = from.derived.replicas.get(name).copied().unwrap_or(0);
    let release = view.release.unwrap_or(ReleaseNumber(0));
    let ready_of = |wanted: &dyn Fn(ReleaseNumber) -> bool| {
        let is_ready = |unit: &&&UnitStatus| {
            matches!(&unit.unit, UnitId::Replica(_, of, _) if wanted(*of)) && unit.state == State::Ready
        };
        u32::try_from(units.iter().filter(is_ready).count()).unwrap_or(u32::MAX)
    };
    let ready = ready_of(&|of| of == release);
    let scheduled = from.stack.services.get(name).is_some_and(|service| service.schedule.is_some());
    let state = match from.stopping {
        true => stopping_state(&units),
        false => service_state(scheduled, wanted, ready, &view, &units),
    };
    ServiceBody {
        name: name.clone(),
        state: state.to_owned(),
        release,
        wanted,
        ready,
        serving: ready_of(&|_| true),
        change: change_text(state, release, &view),
        digest: view.digest,
        replicas: units.iter().filter_map(|unit| replica(from, unit)).collect(),
        next_run: view.next_run,
        last_run: view.last_run,
        traffic: from.edge.window().of(name, from.now.steady).map(traffic),
    }
}

/// How a service is when all of the stack is being stopped.
fn stopping_state(units: &[&UnitStatus]) -> &'static str {
    let lives = |unit: &&UnitStatus| unit.pid.is_some() || matches!(unit.state, State::Stopping | State::Finding);
    if units.iter().any(lives) { "stopping" } else { "stopped" }
}

/// To which release a service changes, and where that stands.
fn change_text(state: &str, release: ReleaseNumber, view: &ReleaseView) -> Option<String> {
    let stage = view.change.as_deref().unwrap_or("the last old replicas stop");
    match (state, view.again) {
        ("going back", Some(again)) => Some(format!("to release {again}, as release {release}: {stage}")),
        ("changing" | "blocked", _) => Some(format!("to release {release}: {stage}")),
        _ => None,
    }
}

fn service_state(scheduled: bool, wanted: u32, ready: u32, view: &ReleaseView, units: &[&UnitStatus]) -> &'static str {
    let any = |states: &[State]| units.iter().any(|unit| states.contains(&unit.state));
    let old_runs =
        units.iter().any(|unit| matches!(&unit.unit, UnitId::Replica(_, of, _) if Some(*of) != view.release));
    match () {
        () if view.held => "held",
        () if scheduled => "scheduled",
        () if any(&[State::CrashLoop, State::Failed]) && old_runs => "blocked",
        () if any(&[State::CrashLoop, State::Failed]) => "failing",
        () if (old_runs || view.change.is_some()) && view.again.is_some() => "going back",
        () if old_runs || view.change.is_some() => "changing",
        () if view.restarting => "restarting",
        () if ready == wanted => "ready",
        () if any(&[State::BackingOff, State::Unready]) => "degraded",
        () => "starting",
    }
}

fn replica(from: &Sources<'_>, unit: &UnitStatus) -> Option<ReplicaBody> {
    let replica = match &unit.unit {
        UnitId::Replica(_, _, number) => Some(*number),
        UnitId::Run(..) => None,
        // A hook that has done its work is history, and the journal has it.
        UnitId::ReleaseRun(..) if unit.state != State::Succeeded => None,
        UnitId::ReleaseRun(..) | UnitId::Resource(_) | UnitId::Edge => return None,
    };
    let release = unit.unit.release()?;
    Some(ReplicaBody { id: unit.unit.clone(), release, replica, unit: unit_body(from, unit) })
}

fn resource(from: &Sources<'_>, name: &ResourceName) -> ResourceBody {
    let id = UnitId::Resource(name.clone());
    let unit = from.units.iter().find(|unit| unit.unit == id);
    ResourceBody {
        name: name.clone(),
        kind: from.stack.resources.get(name).map_or("", |resource| resource.kind()).to_owned(),
        version: from.versions.get(name).cloned(),
        unit: unit.map_or_else(|| absent_unit(from.stopping), |unit| unit_body(from, unit)),
    }
}

fn edge(from: &Sources<'_>) -> EdgeBody {
    let Some(edge) = &from.stack.edge else { return EdgeBody::default() };
    let unit = from.units.iter().find(|unit| unit.unit == UnitId::Edge);
    EdgeBody {
        addresses: addresses(edge),
        own_authority: edge.listen.https.is_some(),
        unit: Some(unit.map_or_else(|| absent_unit(from.stopping), |unit| unit_body(from, unit))),
        applied: from.edge.standing() == EdgeState::Applied,
        connections: from.edge.window().connections(from.now.steady),
    }
}

/// Where clients reach each host of the routes: over HTTPS where that is served, since plain HTTP only leads there.
fn addresses(edge: &Gateway) -> Vec<String> {
    let of_port = |scheme: &'static str, port: Option<Port>| port.map(|port| (scheme, port));
    let Some((scheme, port)) = of_port("https", edge.listen.https).or(of_port("http", edge.listen.http)) else {
        return Vec::new();
    };
    let mut addresses: Vec<String> =
        edge.routes.iter().map(|route| format!("{scheme}://{}:{port}/", route.host)).collect();
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    addresses
}

/// An edge that runs and does not follow.
fn edge_problem(from: &Sources<'_>) -> Option<String> {
    from.stack.edge.as_ref()?;
    let unit = from.units.iter().find(|unit| unit.unit == UnitId::Edge && unit.state == State::Ready)?;
    let started = unit.started.unwrap_or(unit.since);
    if from.now.steady.saturating_sub(started) < EDGE_START {
        return None;
    }
    if let Some(why) = from.edge.refusal() {
        return Some(format!("the edge cannot use its new certificates and goes on with those of before: {why}"));
    }
    match from.edge.standing() {
        EdgeState::Applied | EdgeState::Applying => None,
        EdgeState::Unreachable => Some(
            "the edge runs and the node cannot reach it: it goes on by the routes and replicas it was last told of; \
             `mainstay logs edge` shows what it says"
                .to_owned(),
        ),
    }
}

/// What the edge says is wrong with itself.
fn edge_faults(from: &Sources<'_>) -> Vec<String> {
    if from.stack.edge.is_none() {
        return Vec::new();
    }
    let Faults { turned_away, panics, lost } = from.edge.window().faults(from.now.steady);
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    let other_version = from.edge.other_version().map(|version| {
        format!(
            "the edge speaks version {version} of its protocol and this node {}: what one of them does not know is passed over \
             until both are of one program (`mainstay down`, then `mainstay up`)",
            ::edge::control::VERSION
        )
    });
    let turned_away = some(turned_away).map(|count| {
        format!("the edge turned {count} connections away in the last seconds: there were more than it or one client may have")
    });
    let panics = some(panics).map(|count| {
        format!(
            "the edge broke {count} requests off by a fault of its own since it began: `mainstay logs edge` shows where"
        )
    });
    let lost = some(lost).map(|count| {
        format!("{count} reports of the edge did not reach this node in the last seconds: requests are missing in its numbers")
    });
    other_version.into_iter().chain(turned_away).chain(panics).chain(lost).collect()
}

fn traffic(traffic: Traffic) -> TrafficBody {
    TrafficBody { per_second: traffic.per_second, failed: traffic.failed, p95_ms: traffic.p95.as_secs_f64() * 1000.0 }
}

fn absent_unit(stopping: bool) -> UnitBody {
    UnitBody {
        state: state_word(if stopping { State::Down } else { State::Waiting }).to_owned(),
        since: None,
        pid: None,
        address: None,
        memory: None,
        restarts: 0,
        note: None,
    }
}

fn unit_body(from: &Sources<'_>, unit: &UnitStatus) -> UnitBody {
    UnitBody {
        state: state_word(unit.state).to_owned(),
        since: Some(from.now.wall_of(shown_since(unit))),
        pid: unit.pid,
        address: unit.address.as_ref().map(ToString::to_string),
        memory: unit.pid.and_then(|pid| (from.memory)(Memory::Unit(&unit.unit, pid))),
        restarts: u32::try_from(unit.restarts).unwrap_or(u32::MAX),
        note: note(unit, from.now),
    }
}

/// Since when a unit is as it is. For one that is ready that is since it was started: a node that takes it
/// over finds it ready, and nothing about it is new.
fn shown_since(unit: &UnitStatus) -> Duration {
    match (unit.state, unit.started) {
        (State::Ready, Some(started)) => started,
        _ => unit.since,
    }
}

/// A state in the words of `status`.
pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        State::Finding => "finding",
        State::Waiting => "waiting",
        State::Preparing => "preparing",
        State::Launching | State::Starting => "starting",
        State::Completing => "completing",
        State::Ready => "ready",
        State::Unready => "unready",
        State::Stopping => "stopping",
        State::Clearing => "clearing",
        State::BackingOff => "backing off",
        State::CrashLoop => "crash loop",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Down => "down",
    }
}

/// What a unit that is not as wanted waits for, or why it last failed.
pub(super) fn note(unit: &UnitStatus, now: Now) -> Option<String> {
    let wrong = wrong(unit, now);
    if matches!(unit.state, State::Ready | State::Succeeded) {
        return wrong;
    }
    let waiting = unit.waiting.as_ref().map(|waiting| waiting_text(waiting, now));
    match (wrong, waiting) {
        (Some(what), Some(waiting)) if says_when(unit.waiting.as_ref()) => Some(format!("{what}; {waiting}")),
        (what, waiting) => what.or(waiting),
    }
}

/// What the machine refuses of a unit, or why it last failed where that says how it stands now.
fn wrong(unit: &UnitStatus, now: Now) -> Option<String> {
    let trouble = unit.trouble.as_ref().map(|(what, _)| what.clone());
    let failure = || unit.last_failure.as_ref().filter(|_| tells_of_now(unit, now));
    trouble.or_else(|| health_text(unit, now)).or_else(|| failure().map(|failure| failure.what.to_string()))
}

/// What the liveness probe of a unit that runs fails of, or what it failed of when that was why the unit was started
/// again; the latter until it has run so long that its failures are forgiven.
fn health_text(unit: &UnitStatus, now: Now) -> Option<String> {
    let failure = unit.last_failure.as_ref()?;
    let answer = &failure.what.liveness()?.what;
    let started = unit.started?;
    match unit.state {
        State::Starting | State::Ready if unit.liveness_failures > 0 => Some(failure.what.to_string()),
        State::Starting | State::Ready => {
            let of_before = failure.at < now.wall_of(started);
            let remembered = unit.failures > 0 && now.steady.saturating_sub(started) < STABLE;
            (of_before && remembered).then(|| format!("started again, since its liveness probe failed: {answer}"))
        }
        _ => None,
    }
}

/// What keeps a unit from its first start; nothing once it was started. It is the same text for as long as that is
/// the same, however long it still waits.
pub(super) fn before_first_start(unit: &UnitStatus, now: Now) -> Option<String> {
    if unit.state != State::Waiting || unit.started.is_some() {
        return None;
    }
    let waiting = unit.waiting.as_ref()?;
    let awaited = || (!says_when(Some(waiting))).then(|| waiting_text(waiting, now));
    Some(wrong(unit, now).or_else(awaited).unwrap_or_else(|| state_word(unit.state).to_owned()))
}

/// Whether the last failure says how a unit stands now, rather than what is behind it.
fn tells_of_now(unit: &UnitStatus, now: Now) -> bool {
    match unit.state {
        State::Unready | State::BackingOff | State::CrashLoop | State::Failed => true,
        // Since it was started, its readiness probe has been answered with a no.
        State::Starting => unit
            .last_failure
            .as_ref()
            .is_some_and(|failure| unit.started.is_some_and(|at| now.wall_of(at) <= failure.at)),
        _ => false,
    }
}

fn says_when(waiting: Option<&WaitingOn>) -> bool {
    matches!(waiting, Some(WaitingOn::BackOff { .. } | WaitingOn::Trouble(_)))
}

fn waiting_text(waiting: &WaitingOn, now: Now) -> String {
    let left = |until: &Duration| Span::secs(until.saturating_sub(now.steady).as_secs() + 1);
    match waiting {
        WaitingOn::Requirement(Requirement::Resource(name)) => format!("waits for {name} to serve"),
        WaitingOn::Requirement(Requirement::Service(name)) => format!("waits for {name} to be ready"),
        WaitingOn::Requirement(Requirement::Success(unit)) => format!("waits for {unit} to succeed"),
        WaitingOn::BackOff { until, failures, .. } => {
            format!("failed {failures} times in a row; tried again in {}", left(until))
        }
        WaitingOn::Trouble(until) => format!("tried again in {}", left(until)),
        WaitingOn::Preparation => "is being prepared".to_owned(),
        WaitingOn::Completion => "is being completed".to_owned(),
        WaitingOn::Readiness => "does not answer its readiness probe yet".to_owned(),
        WaitingOn::Dependent(unit) => format!("waits for {unit}, which needs it, to stop"),
        WaitingOn::StopBy(until) => format!("is stopping; killed in {}", left(until)),
        WaitingOn::Hold => "is held: how it is to run cannot be told now".to_owned(),
        WaitingOn::Someone => "failed, and is not tried again by itself".to_owned(),
    }
}

/// An edge takes a moment until it listens to the node.
const EDGE_START: Duration = Duration::from_secs(5);
/// A unit that is not ready so long after its start needs attention.
const SLOW_START: Duration = Duration::from_secs(30);

/// So many failures in a row of a liveness probe, or of the unit because of it, need attention although it runs.
const REPEATED: u32 = 2;

fn unit_problem(unit: &UnitStatus, now: Now) -> Option<String> {
    let serious = unit.trouble.is_some()
        || matches!(unit.state, State::CrashLoop | State::BackingOff | State::Failed | State::Unready)
        || unit.failures.max(unit.liveness_failures) >= REPEATED && health_text(unit, now).is_some()
        || unit.state == State::Starting && now.steady.saturating_sub(unit.since) >= SLOW_START;
    if !serious || !unit.stays() {
        return None;
    }
    let note = note(unit, now).unwrap_or_default();
    Some(format!("{}: {}{}{note}", unit.unit, state_word(unit.state), if note.is_empty() { "" } else { ": " }))
}

fn objective(promise: &plan::objectives::Promise) -> ObjectiveBody {
    let name = match promise.objective {
        Objective::Availability => "availability",
        Objective::Latency => "latency",
        Objective::Rto => "recovery time",
        Objective::Rpo => "recovery point",
    };
    let (verdict, reason) = match promise.standing {
        Standing::Kept => ("kept", "the last measurement kept it"),
        Standing::Broken => ("broken", "the last measurement broke it"),
        Standing::Unproven => ("unproven", "nothing measures it yet"),
    };
    ObjectiveBody {
        name: name.to_owned(),
        promise: promise.stated.clone(),
        verdict: verdict.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::{Value, json};
    use supervise::record::{FailureKind, LastFailure};
    use sys::ProbeFailure;

    use super::*;

    const REFUSED: &str = "cannot write unit.json: no space left on the device";

    fn at(steady: u64) -> Now {
        Now { steady: Duration::from_secs(steady), wall: Timestamp::from_millis(0).after(Duration::from_secs(steady)) }
    }

    #[test]
    fn each_host_is_reached_at_one_address() {
        let route = |host: &str, path: &str| json!({ "host": host, "path": path, "methods": [], "to": "web" });
        let routes = [route("{tenant}.shop.test", "/"), route("shop.test", "/"), route("{tenant}.shop.test", "/api/")];
        let at = |listen: Value| {
            let edge = json!({ "listen": listen, "trust": [], "routes": routes, "strict_headers": false });
            addresses(&serde_json::from_value(edge).unwrap())
        };
        let plain = at(json!({ "http": 8080 }));
        assert_eq!(plain, ["http://{tenant}.shop.test:8080/", "http://shop.test:8080/"]);
        let both = at(json!({ "https": 443, "http": 80 }));
        assert_eq!(both, ["https://{tenant}.shop.test:443/", "https://shop.test:443/"], "plain HTTP only leads there");
    }

    /// A run whose next step the machine refuses until 500 seconds.
    fn refused(state: State, started: Option<Duration>) -> UnitStatus {
        UnitStatus {
            unit: "web.1.run.1".parse().unwrap(),
            wanted: true,
            left_alone: false,
            state,
            since: Duration::ZERO,
            digest: None,
            pid: None,
            shim: None,
            address: None,
            started,
            restarts: 0,
            failures: 0,
            liveness_failures: 0,
            last_failure: None,
            waiting: Some(WaitingOn::Trouble(Duration::from_secs(500))),
            trouble: Some((REFUSED.to_owned(), 1)),
        }
    }

    #[test]
    fn what_keeps_a_run_from_its_start_is_the_same_while_time_goes_by() {
        let run = refused(State::Waiting, None);
        assert_eq!(note(&run, at(490)), Some(format!("{REFUSED}; tried again in 11s")));
        assert_eq!(note(&run, at(495)), Some(format!("{REFUSED}; tried again in 6s")));
        for now in [490, 495] {
            assert_eq!(before_first_start(&run, at(now)).as_deref(), Some(REFUSED));
        }
        let waiting = Some(WaitingOn::Requirement(Requirement::Service("base".parse().unwrap())));
        let needs = UnitStatus { waiting, trouble: None, ..run };
        assert_eq!(before_first_start(&needs, at(490)), Some("waits for base to be ready".to_owned()));
    }

    /// A replica started at 400 seconds whose liveness probe failed at this second, as it stands now.
    fn unhealthy(failed_at: u64, failures: u32, liveness_failures: u32) -> UnitStatus {
        let failure = ProbeFailure { what: "exit code 1: no table".to_owned(), snippet: String::new() };
        let what = FailureKind::Probe { readiness: false, failure };
        UnitStatus {
            unit: "web.1.1".parse().unwrap(),
            failures,
            liveness_failures,
            last_failure: Some(LastFailure { at: at(failed_at).wall, what }),
            waiting: None,
            trouble: None,
            ..refused(State::Ready, Some(Duration::from_secs(400)))
        }
    }

    const NOW: u64 = 490;

    #[test]
    fn a_replica_that_its_liveness_probe_ended_says_why_until_its_failures_are_forgiven() {
        let told = |unit: &UnitStatus, now| (note(unit, at(now)), unit_problem(unit, at(now)));
        let since = "started again, since its liveness probe failed: exit code 1: no table".to_owned();
        let once = unhealthy(390, 1, 0);
        assert_eq!(told(&once, NOW), (Some(since.clone()), None));
        let again = unhealthy(390, 2, 0);
        assert_eq!(told(&again, NOW), (Some(since.clone()), Some(format!("web.1.1: ready: {since}"))));
        assert_eq!(note(&again, at(1000)), None, "it ran stably");
        assert_eq!(told(&unhealthy(450, 1, 0), NOW), (None, None), "it has answered since");
    }

    #[test]
    fn a_replica_whose_liveness_probe_fails_says_so_while_it_is_ready() {
        let says = "the liveness probe says: exit code 1: no table".to_owned();
        let first = unhealthy(480, 0, 1);
        assert_eq!((note(&first, at(NOW)), unit_problem(&first, at(NOW))), (Some(says.clone()), None));
        let problem = unit_problem(&unhealthy(480, 0, 2), at(NOW));
        assert_eq!(problem, Some(format!("web.1.1: ready: {says}")));
    }

    #[test]
    fn nothing_keeps_a_run_from_its_start_that_was_started() {
        let ended = refused(State::Clearing, Some(Duration::from_secs(400)));
        assert_eq!(before_first_start(&ended, at(490)), None);
        assert_eq!(note(&ended, at(490)), Some(format!("{REFUSED}; tried again in 11s")));
        assert_eq!(before_first_start(&refused(State::Waiting, ended.started), at(490)), None);
        let unread = refused(State::Finding, None);
        assert_eq!(before_first_start(&unread, at(490)), None, "whether it was started is not known yet");
    }
}
