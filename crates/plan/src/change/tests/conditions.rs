//! What is planned where not everything runs as it was left: it is down, stopping, failing, held, or unattended.

use expect_test::{Expect, expect};
use model::Stack;

use super::{SHOP, able, plan, running};
use crate::change::{Action, Condition, Running, Step, Subject, Warning};
use crate::sample::stack;

fn service(name: &str) -> Subject {
    Subject::Service(name.parse().unwrap())
}

fn resource(name: &str) -> Subject {
    Subject::Resource(name.parse().unwrap())
}

/// The plan from `before`, as it stands by `conditions`, to `after`.
fn check_standing(before: &str, conditions: &[(Subject, Condition)], after: &str, expected: &Expect) {
    let (before, after) = (stack(before), stack(after));
    let running = Running { conditions: conditions.iter().cloned().collect(), ..running(&before) };
    let plan = plan(&before, &running, &after, &able());
    assert!(plan.changes_anything());
    expected.assert_eq(&plan.to_string());
}

#[test]
fn what_is_still_under_way_is_not_called_done() {
    let shop = stack("service api replicas=2\nservice web\nresource db postgres");
    let under_way = |units: &[&str]| Condition::UnderWay(units.iter().map(|unit| unit.parse().unwrap()).collect());
    let conditions =
        [(service("api"), under_way(&["api.2.1", "api.3.2"])), (resource("db"), under_way(&["db"]))].into();
    let rolling = Running { conditions, ..running(&shop) };
    let same = plan(&shop, &rolling, &shop, &able());
    assert!(!same.changes_anything());
    expect![[r#"
        Plan for shop (production)

        will keep
          db   PostgreSQL 15, tuned for 256MiB of memory
               still starting or being replaced: db
          api  release 3, 2 replicas
               still starting or being replaced: api.2.1, api.3.2
          web  release 3, 1 replica

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory; without a limit, so not counted: api, web

        Nothing new to do: what is still under way leads to what the file says.
    "#]]
    .assert_eq(&same.to_string());
}

#[test]
fn what_was_stopped_is_started_as_it_was() {
    let shop = stack(SHOP);
    let mut running = running(&shop);
    running.conditions.insert(resource("db"), Condition::Gone);
    running.conditions.insert(service("api"), Condition::Gone);
    let plan = plan(&shop, &running, &shop, &able());
    assert!(plan.changes_anything());
    let text = plan.to_string();
    let steps: Vec<&str> = text.lines().take_while(|line| !line.starts_with("because")).collect();
    expect![[r#"
        Plan for shop (production)

        will start
          db       PostgreSQL 15, tuned for 512MiB of memory
          api      release 3, 2 replicas
                   at most 256MiB of memory per replica

        will keep
          cache    Redis, at most 64MiB of data, then keys are evicted (allkeys-lru)
          nightly  release 3, runs at "0 2 * * *" (UTC)
          worker   release 3, 1 replica

        reserved of the server (limits of services, memory of resources)
          1GiB of 8GiB memory; without a limit, so not counted: nightly, worker"#]]
    .assert_eq(&steps.join("\n"));
}

#[test]
fn what_is_down_is_started_as_the_file_says_now_and_nothing_is_replaced() {
    check_standing(
        "service api port=auto replicas=2\nservice web replicas=1\nservice old uses=db\nresource db postgres\nresource cache redis memory=64MiB",
        &[
            (service("api"), Condition::Gone),
            (service("web"), Condition::Gone),
            (service("old"), Condition::Gone),
            (resource("db"), Condition::Gone),
            (resource("cache"), Condition::Gone),
        ],
        "service api port=auto replicas=2 memory=64MiB uses=cache\nservice web replicas=3\nresource cache redis memory=32MiB",
        &expect![[r#"
            Plan for shop (production)

            will start
              cache  Redis, at most 32MiB of data, then writes fail (noeviction)
                     memory 64MiB → 32MiB
              api    release 3 → 4: connection to cache, other limits, 2 replicas
                     starts once cache is ready
                     at most 64MiB of memory per replica
              web    1 replica → 3 replicas

            will remove
              old    release 3 goes; its logs and volumes stay
              db     its data stays in /var/lib/mainstay/resources/db

            reserved of the server (limits of services, memory of resources)
              160MiB of 8GiB memory; without a limit, so not counted: web
        "#]],
    );
}

#[test]
fn what_is_still_stopping_is_said_and_started() {
    check_standing(
        "service api uses=db\nservice web\nresource db postgres",
        &[(service("api"), Condition::Stopping), (resource("db"), Condition::Stopping)],
        "service api uses=db\nservice web\nresource db postgres",
        &expect![[r#"
            Plan for shop (production)

            will start
              db   PostgreSQL 15, tuned for 256MiB of memory
                   it is being stopped; it starts once that is done
              api  release 3, 1 replica
                   it is being stopped; it starts once that is done

            will keep
              web  release 3, 1 replica

            reserved of the server (limits of services, memory of resources)
              256MiB of 8GiB memory; without a limit, so not counted: api, web
        "#]],
    );
}

#[test]
fn what_waits_after_a_failure_is_tried_again() {
    let failing = Condition::Failing(vec!["api.3.release".parse().unwrap(), "api.3.2".parse().unwrap()]);
    check_standing(
        "service api replicas=2 release=./migrate\nservice web",
        &[(service("api"), failing)],
        "service api replicas=2 release=./migrate\nservice web",
        &expect![[r#"
            Plan for shop (production)

            will try again
              api  release 3, 2 replicas
                   waiting after a failure, and tried at once: api.3.release, api.3.2

            will keep
              web  release 3, 1 replica
        "#]],
    );
}

#[test]
fn what_no_node_looks_after_is_said() {
    let shop = stack("service api\nservice job schedule=0_2_*_*_*");
    let unattended = Running { unattended: true, ..running(&shop) };
    let same = plan(&shop, &unattended, &shop, &able());
    assert!(!same.changes_anything());
    expect![[r#"
        Plan for shop (production)

        will keep
          api  release 3, 1 replica
          job  release 3, runs at "0 2 * * *" (UTC)

        attention
          - no node runs: until `mainstay up` starts one, nothing that ends is started again and no job runs

        Everything is as the file says, except that no node runs.
    "#]]
    .assert_eq(&same.to_string());
    let first = plan(&stack(""), &Running { unattended: true, ..Running::default() }, &shop, &able());
    assert_eq!(first.warnings, [], "there is nothing yet to look after");
}

#[test]
fn what_is_held_is_not_called_as_the_file_says() {
    let shop = stack("service api\nservice job schedule=0_2_*_*_*\nservice web\nservice worker");
    let failing = Condition::Failing(vec!["worker.3.1".parse().unwrap()]);
    let held = Running {
        conditions: [(service("api"), Condition::Gone)].into(),
        held: [service("api"), service("job"), service("worker")].into(),
        ..running(&shop)
    };
    let same = plan(&shop, &held, &shop, &able());
    assert!(!same.changes_anything());
    expect![[r#"
        Plan for shop (production)

        will keep
          api     release 3, 1 replica
          job     release 3, runs at "0 2 * * *" (UTC)
          web     release 3, 1 replica
          worker  release 3, 1 replica

        attention
          - api is held: what runs of it goes on as it was last told, and nothing new of it is started; `mainstay status` says why
          - job is held: what runs of it goes on as it was last told, and nothing new of it is started; `mainstay status` says why
          - worker is held: what runs of it goes on as it was last told, and nothing new of it is started; `mainstay status` says why

        Everything is as the file says, except what is held.
    "#]].assert_eq(&same.to_string());
    let mended =
        stack("service api memory=64MiB\nservice job schedule=0_3_*_*_*\nservice web\nservice worker replicas=2");
    let failing = Running { conditions: [(service("worker"), failing)].into(), ..held.clone() };
    let does = |running: &Running, file: &Stack| -> Vec<(String, Action, bool)> {
        let plan = plan(&shop, running, file, &able());
        let warns = |step: &Step| plan.warnings.contains(&Warning::Held(step.subject.clone()));
        plan.steps.iter().map(|step| (step.subject.name().to_owned(), step.action, warns(step))).collect()
    };
    let step = |name: &str, action, warns| (name.to_owned(), action, warns);
    let expected = [
        // A new release can be told again.
        step("api", Action::Start, false),
        step("job", Action::Change, true),
        step("web", Action::Keep, false),
        step("worker", Action::Change, true),
    ];
    assert_eq!(does(&held, &mended), expected);
    assert_eq!(does(&failing, &shop)[3], step("worker", Action::Retry, true));
}
