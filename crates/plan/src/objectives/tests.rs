//! What each objective comes to, and what contradicts it.

use expect_test::{Expect, expect};

use super::{Derived, derive};
use crate::sample::{machine, stack};

fn derived(text: &str) -> Derived {
    derive(&stack(text), machine())
}

fn check_facts(text: &str, expected: &Expect) {
    let lines: Vec<String> = derived(text).facts.iter().map(|fact| format!("{}: {fact}\n", fact.from)).collect();
    expected.assert_eq(&lines.concat());
}

fn check_contradictions(text: &str, expected: &Expect) {
    let lines: Vec<String> = derived(text).contradictions.iter().map(|it| format!("{it}\n")).collect();
    expected.assert_eq(&lines.concat());
}

const SERVICES: &str = "
    service api port=auto
    service admin port=8080
    service worker
    service nightly schedule=0_2_*_*_*
    resource db postgres
    resource store redis
    resource cache redis evict=allkeys-lru
";

#[test]
fn availability_derives_replicas_guards_and_alerts() {
    check_facts(
        &format!("availability 99.9%\n{SERVICES}"),
        &expect![[r#"
            availability: admin runs 1 replica: its fixed port leaves room for no second
            availability: api runs 2 replicas: one answers while the other restarts
            availability: worker runs 1 replica: one is enough, since it has no port and no route leads to it
            availability: cache, db, store: one server each, so requests that need one of them fail while it restarts
            availability: not yet (needs error budgets over 30 days): failures would be counted against what may fail in 30 days: 0.1% of the requests, under even traffic as much as 43m12s without any answer
            availability: not yet (needs canary releases): a new release that fails more than 0.1% of its requests would be rolled back
            availability: not yet (needs alerts): an alert would be raised when more than 1.44% of the requests failed in the last 1h and also in the last 5m
            availability: not yet (needs alerts): an alert would be raised when more than 0.6% of the requests failed in the last 6h and also in the last 30m
            availability: not yet (needs alerts): an alert would be raised when more than 0.1% of the requests failed in the last 3d and also in the last 6h
        "#]],
    );
}

#[test]
fn a_lower_availability_needs_no_second_replica() {
    check_facts(
        "availability 99.5%\nservice api port=auto",
        &expect![[r#"
            availability: api runs 1 replica: this availability allows for its restarts
            availability: not yet (needs error budgets over 30 days): failures would be counted against what may fail in 30 days: 0.5% of the requests, under even traffic as much as 3h36m without any answer
            availability: not yet (needs canary releases): a new release that fails more than 0.5% of its requests would be rolled back
            availability: not yet (needs alerts): an alert would be raised when more than 7.2% of the requests failed in the last 1h and also in the last 5m
            availability: not yet (needs alerts): an alert would be raised when more than 3% of the requests failed in the last 6h and also in the last 30m
            availability: not yet (needs alerts): an alert would be raised when more than 0.5% of the requests failed in the last 3d and also in the last 6h
        "#]],
    );
}

#[test]
fn servers_that_run_once_are_told_where_that_matters() {
    let resources = "resource db postgres\nresource replicated postgres standbys=1\nresource cache redis";
    let told = |availability: &str| {
        let facts = derived(&format!("availability {availability}\n{resources}")).facts;
        let alone = facts.into_iter().filter(|fact| matches!(fact.value, super::Value::SingleServers { .. }));
        alone.map(|fact| fact.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told("99.9%"), ["cache, db: one server each, so requests that need one of them fail while it restarts"]);
    assert_eq!(told("99.89%"), Vec::<String>::new());
}

#[test]
fn latency_derives_guard_scaling_and_timeout() {
    check_facts(
        "latency p95 200ms\nservice api port=auto",
        &expect![[r#"
            latency: not yet (needs canary releases): a new release whose p95 is above 200ms would be rolled back
            latency: not yet (needs autoscaling): replicas would be added, up to the `max` of a service, when p95 reaches 160ms
        "#]],
    );
    check_facts(
        "latency p95 200ms\nservice api port=auto\nroute api",
        &expect![[r#"
            latency: not yet (needs canary releases): a new release whose p95 is above 200ms would be rolled back
            latency: not yet (needs autoscaling): replicas would be added, up to the `max` of a service, when p95 reaches 160ms
            latency: a route that states no timeout gives up after 10s, 50 times the latency
        "#]],
    );
}

#[test]
fn rto_derives_drills() {
    check_facts(
        "rto 1h\nservice api",
        &expect![[r#"
            rto: not yet (needs drills): a restore would be rehearsed every 7d
            rto: not yet (needs drills): a rehearsed restore that takes more than 1h would count as failed
        "#]],
    );
    check_facts(
        "rto 1d\nresource db postgres\nresource cache redis evict=allkeys-lru\nresource store redis",
        &expect![[r#"
            rto: not yet (needs drills): a restore would be rehearsed every 30d
            rto: not yet (needs drills): a rehearsed restore that takes more than 1d would count as failed
        "#]],
    );
}

#[test]
fn a_restore_has_something_to_restore_where_copies_leave() {
    check_facts(
        "rto 1h\nbackups 1\nresource db postgres",
        &expect![[r#"
            rto: not yet (needs drills): a restore would be rehearsed every 7d
            rto: not yet (needs drills): a rehearsed restore that takes more than 1h would count as failed
        "#]],
    );
}

#[test]
fn rpo_derives_the_lanes_of_what_is_kept() {
    check_facts(
        &format!("rpo 15m\n{SERVICES}"),
        &expect![[r#"
            rpo: not yet (needs backups): db's write-ahead log would leave the machine at least every 5m
            rpo: not yet (needs alerts): an alert would be raised when the newest copy of db off the machine is 10m old
            rpo: not yet (needs backups): store's data would be copied off the machine every 5m
            rpo: not yet (needs alerts): an alert would be raised when the newest copy of store off the machine is 10m old
        "#]],
    );
}

#[test]
fn each_objective_moves_what_consumes_it() {
    let api = "api".parse().unwrap();
    let count = |objective: &str| derived(&format!("{objective}\nservice api port=auto")).replicas[&api];
    assert_eq!((count("availability 99.9%"), count("availability 99.89%")), (2, 1));
    for (one, other) in [
        ("availability 99.9%", "availability 99.5%"),
        ("latency p95 200ms", "latency p95 300ms"),
        ("latency p95 200ms", "latency p99 200ms"),
        ("rto 1h", "rto 2h"),
        ("rpo 15m", "rpo 30m"),
    ] {
        assert_ne!(derived(&format!("{one}\n{SERVICES}")).facts, derived(&format!("{other}\n{SERVICES}")).facts);
    }
}

#[test]
fn no_objective_derives_nothing_and_one_replica() {
    let found = derived(SERVICES);
    assert_eq!(found.facts, []);
    assert_eq!(found.promises, []);
    let counts: Vec<String> = found.replicas.iter().map(|(name, count)| format!("{name}={count}")).collect();
    assert_eq!(counts.join(" "), "admin=1 api=1 nightly=0 worker=1");
}

#[test]
fn promises_are_unproven() {
    let promises = derived("availability 99.9%\nlatency p99.5 200ms\nrto 1h\nrpo 15m").promises;
    let lines: Vec<String> =
        promises.iter().map(|it| format!("{} {} {}", it.objective, it.stated, it.standing)).collect();
    expect![[r#"
        availability 99.9% unproven
        latency p99.5 within 200ms unproven
        rto 1h unproven
        rpo 15m unproven"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_routed_service_cannot_have_one_replica() {
    let routes = "route api\nroute scaled\nroute admin\nservice worker replicas=1";
    let services = "service api port=auto replicas=1\nservice scaled port=auto replicas=1..4\nservice admin port=8080";
    check_contradictions(
        &format!("availability 99.9%\n{services}\n{routes}"),
        &expect![[r#"
        error: services.admin.port: admin has a fixed port, which leaves room for a single replica, and 99.9% of requests cannot succeed while it restarts
          say `port: auto`: each replica then listens on a port of its own
        error: services.api.replicas: api has a single replica, and 99.9% of requests cannot succeed while it restarts
          say `replicas: 2`, or leave the line out: 2 follow from the objective
        error: services.scaled.replicas.min: scaled may shrink to a single replica, and 99.9% of requests cannot succeed while it restarts
          say `min: 2`
    "#]],
    );
    check_contradictions(&format!("availability 99.89%\n{services}\n{routes}"), &expect![""]);
    check_contradictions("availability 99.9%\nservice api port=auto\nroute api", &expect![""]);
}

#[test]
fn an_rpo_needs_a_lane() {
    check_contradictions(
        "rpo 15m\nresource db postgres\nresource store redis",
        &expect![[r#"
            error: objectives.recovery.rpo: no data of db, store leaves this machine, so an RPO of 15m cannot be met if its disk is lost
              remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own
        "#]],
    );
    check_contradictions("rpo 15m\nresource cache redis evict=allkeys-lru\nservice api", &expect![""]);
    check_contradictions(
        "rpo 15m\nbackups 0\nresource db postgres",
        &expect![[r#"
            error: objectives.recovery.rpo: no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost
              remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own
        "#]],
    );
    check_contradictions(
        "rpo 59s\nbackups 1\nresource db postgres",
        &expect![[r#"
        error: objectives.recovery.rpo: db can be copied off the machine every 1m at best, not every 59s
          say `rpo: 1m`
    "#]],
    );
    check_contradictions("rpo 1m\nbackups 1\nresource db postgres", &expect![""]);
    check_contradictions(
        "rpo 4m59s\nbackups 1\nresource db postgres\nresource store redis",
        &expect![[r#"
        error: objectives.recovery.rpo: store can be copied off the machine every 5m at best, not every 4m59s
          say `rpo: 5m`
    "#]],
    );
    check_contradictions("rpo 5m\nbackups 1\nresource db postgres\nresource store redis", &expect![""]);
}

#[test]
fn a_timeout_outlasts_the_latency() {
    let routes = "service api port=auto\nroute api timeout=200ms\nroute api timeout=199ms\nroute api";
    check_contradictions(
        &format!("latency p95 200ms\n{routes}"),
        &expect![[r#"
        error: edge.routes.1.timeout: this route to api gives up after 199ms, before the promised 200ms are over
          say `timeout: 200ms` or longer
    "#]],
    );
    check_contradictions(routes, &expect![""]);
}

#[test]
fn what_states_no_limit_is_not_counted_and_named() {
    let reserved = derived("service api memory=1GiB\nservice job schedule=0_2_*_*_* cpu=1\nservice worker").reserved;
    let names = |names: &[model::ServiceName]| names.iter().map(|it| it.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&reserved.memory_unlimited), "job worker");
    assert_eq!(names(&reserved.cpu_unlimited), "api worker");
}

#[test]
fn reservations_fit_the_server() {
    let services = "service api port=auto replicas=2 memory=512MiB cpu=1.5\nservice job schedule=0_2_*_*_* memory=1GiB";
    let resources = "resource db postgres memory=512MiB standbys=1";
    check_contradictions(&format!("server 3 3GiB\n{services}\n{resources}"), &expect![""]);
    check_contradictions(
        &format!("server 2.999 2.9GiB\n{services}\n{resources}"),
        &expect![[r#"
            error: resources.db.memory: 3GiB of memory is reserved and the server has 2.8GiB
              reserve 103MiB less; db takes most, with 1GiB
            error: services.api.limits.cpu: 3 cores of processor time is reserved and the server has 2.999 cores
              reserve 0.001 cores less; api takes most, with 3
        "#]],
    );
    check_contradictions(
        &format!("advisory\nserver 3 1GiB\n{services}\n{resources}"),
        &expect![[r#"
            warning: resources.db.memory: 3GiB of memory is reserved and the server has 1GiB
              reserve 2GiB less; db takes most, with 1GiB
        "#]],
    );
    check_contradictions(
        "service api replicas=1..20 memory=1GiB",
        &expect![[r#"
            error: services.api.limits.memory: 20GiB of memory is reserved and the server has 8GiB
              reserve 12GiB less; api takes most, with 20GiB
        "#]],
    );
}
