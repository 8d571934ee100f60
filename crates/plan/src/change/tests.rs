//! Plans as a person reads them.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use model::{ReleaseNumber, Stack};
use proptest::prelude::{Strategy, prop, proptest};
use proptest::prop_assert_eq;

use super::{
    Abilities, Action, ChangePlan, Condition, Desired, Running, RunningResource, RunningService, Step, Subject,
    Warning, decide, note,
};
use crate::lint::lint;
use crate::objectives::derive;
use crate::release::{self, Change, InPlace, Program};
use crate::sample::{content, machine, stack};

const SHOP: &str = "
    availability 99.9%
    service api port=auto uses=db,cache release=./migrate memory=256MiB
    service worker uses=db needs=api
    service nightly uses=db schedule=0_2_*_*_*
    resource db postgres version=15 memory=512MiB
    resource cache redis memory=64MiB evict=allkeys-lru
";

/// A machine on which everything can be done.
fn able() -> Abilities {
    Abilities { users: true, ..Abilities::default() }
}

/// What runs when `before` has been applied for a while.
pub(crate) fn running(before: &Stack) -> Running {
    let counts = derive(before, machine()).replicas;
    let service = |(name, it): (&model::ServiceName, &model::stack::Service)| {
        let schedule = it.schedule.as_ref().map(|it| it.cron.clone());
        let (uses, needs) = (it.uses.clone(), it.needs.clone());
        (name.clone(), RunningService { release: ReleaseNumber(3), replicas: counts[name], schedule, uses, needs })
    };
    let resource = |(name, it): (&model::ResourceName, &model::stack::Resource)| {
        let version = (it.kind() == "postgres").then_some(15);
        let folder = format!("/var/lib/mainstay/resources/{name}").into();
        (name.clone(), RunningResource { resource: it.clone(), version, folder, runs: true })
    };
    Running {
        services: before.services.iter().map(service).collect(),
        resources: before.resources.iter().map(resource).collect(),
        edge: before.edge.clone(),
        ..Running::default()
    }
}

/// The plan from what `running` leaves to `after`; `before` is what was released last.
fn plan(before: &Stack, running: &Running, after: &Stack, abilities: &Abilities) -> ChangePlan {
    plan_with(before, running, after, abilities, |_| ())
}

fn plan_with(
    before: &Stack,
    running: &Running,
    after: &Stack,
    abilities: &Abilities,
    edit: impl Fn(&mut release::Content),
) -> ChangePlan {
    let derived = derive(after, machine());
    let releases: BTreeMap<_, _> = after
        .services
        .iter()
        .map(|(name, it)| {
            let mut wanted = content(it);
            edit(&mut wanted);
            let last = before.services.get(name).map(content);
            (name.clone(), (release::decide(last.as_ref().map(|it| (ReleaseNumber(3), it)), &wanted), wanted))
        })
        .collect();
    let unset_secrets: BTreeSet<_> = after.secrets.keys().cloned().collect();
    let desired = Desired {
        stack: after,
        applied: Some(before),
        derived: &derived,
        releases: &releases,
        sites: &BTreeMap::new(),
        unset_secrets: &unset_secrets,
        abilities,
    };
    let plan = decide(&desired, running);
    assert_eq!(lint(&plan, after, running), [], "{plan}");
    plan
}

fn check(before: &str, after: &str, expected: &Expect) {
    let (before, after) = (stack(before), stack(after));
    expected.assert_eq(&plan(&before, &running(&before), &after, &able()).to_string());
}

fn check_refusals(before: &str, after: &str, abilities: &Abilities, expected: &Expect) {
    let (before, after) = (stack(before), stack(after));
    let plan = plan(&before, &running(&before), &after, abilities);
    let refusals = plan.refusals.iter().map(|it| format!("refused: {it}\n"));
    let warnings = plan.warnings.iter().map(|it| format!("warning: {it}\n"));
    expected.assert_eq(&refusals.chain(warnings).collect::<String>());
}

#[test]
fn the_first_plan_creates_everything() {
    check(
        "",
        SHOP,
        &expect![[r#"
            Plan for shop (production)

            will create
              cache    Redis, at most 64MiB of data, then keys are evicted (allkeys-lru)
              db       PostgreSQL 15, sized to 512MiB of memory
              api      release 1, 2 replicas
                       starts when db, cache can be used
                       runs `./migrate` once for this release, before its replicas start
                       at most 256MiB of memory per replica
              nightly  release 1, runs at "0 2 * * *" (UTC)
                       starts when db can be used
              worker   release 1, 1 replica
                       starts when db, api can be used

            what follows from the objectives
              availability 99.9%: unproven, nothing measures it yet
                api runs 2 replicas: one answers while the other restarts
                worker runs 1 replica: one is enough, since it serves no requests
                not done yet, for want of request counts: 0.1% of the requests may fail, as much as 43m12s of silence in 30 days
                not done yet, for want of canary releases: a new release that fails more than 0.1% is rolled back
                not done yet, for want of alerts: an alert when more than 1.44% failed in the last 1h, and in the last 5m too
                not done yet, for want of alerts: an alert when more than 0.6% failed in the last 6h, and in the last 30m too
                not done yet, for want of alerts: an alert when more than 0.1% failed in the last 3d, and in the last 6h too

            reserved of the server (limits of services, memory of resources)
              1GiB of 8GiB memory
        "#]],
    );
}

const ROUTED: &str = "
    service api port=auto
    service web port=auto
    edge http=8080
    route api path=/api/ limit=100/min
    route web
";

#[test]
fn an_edge_starts_with_its_routes_and_stops() {
    check(
        "service api port=auto\nservice web port=auto",
        ROUTED,
        &expect![[r#"
        Plan for shop (production)

        will create
          edge  listens on http 8080, 2 routes
                shop.example/api/ → api (at most 100/min from one address)
                shop.example/ → web

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
    "#]],
    );
    check(
        ROUTED,
        ROUTED,
        &expect![[r#"
        Plan for shop (production)

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
          edge  listens on http 8080, 2 routes

        Nothing to do: everything is as the file says.
    "#]],
    );
    check(
        ROUTED,
        "service api port=auto\nservice web port=auto",
        &expect![[r#"
        Plan for shop (production)

        will remove
          edge  it stops: nothing listens on http 8080 any more

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
    "#]],
    );
}

#[test]
fn what_changes_at_the_edge_is_told() {
    check(
        ROUTED,
        "service api port=auto
         service web port=auto
         edge http=8081 strict trust=10.0.0.0/8
         route api path=/api/ limit=5/s timeout=2s body=1MiB
         route api path=/hooks/ methods=POST,PUT",
        &expect![[r#"
            Plan for shop (production)

            will change
              edge  listens on http 8081, 2 routes
                    http 8080 → http 8081: it starts anew, and its connections are closed
                    shop.example/api/ → api (at most 5/s from one address, answers begin within 2s, bodies up to 1MiB); before: shop.example/api/ → api (at most 100/min from one address)
                    new route: POST PUT shop.example/hooks/ → api
                    no longer a route: shop.example/ → web
                    believes forwarding headers of 10.0.0.0/8
                    answers carry the strict security headers

            will keep
              api   release 3, 1 replica
              web   release 3, 1 replica
        "#]],
    );
}

#[test]
fn a_port_that_cannot_be_had_is_refused_where_it_is_wanted() {
    let port = |number| model::Port::new(number).unwrap();
    let reason = || "nginx (process 7) listens there".to_owned();
    let barred = [(port(8080), reason()), (port(9090), reason())].into();
    check_refusals(
        "",
        ROUTED,
        &Abilities { barred_ports: barred, ..able() },
        &expect![[r#"
        refused: the edge cannot listen on port 8080: nginx (process 7) listens there
    "#]],
    );
}

#[test]
fn what_no_step_is_about_is_taken_over_all_the_same() {
    let with = |rollout: &str| stack(&format!("service api port=auto rollout={rollout}\nresource db postgres"));
    let (before, after) = (with("rolling"), with("recreate"));
    let same = plan(&before, &running(&before), &before, &able());
    assert_eq!((same.does_anything(), same.changes_anything()), (false, false));
    let other = plan(&before, &running(&before), &after, &able());
    assert_eq!((other.does_anything(), other.changes_anything()), (false, true));
    let end = "\nNothing is started or stopped: what else the file says now counts from here on.\n";
    assert!(other.to_string().ends_with(end), "{other}");
}

#[test]
fn the_same_file_changes_nothing() {
    check(
        SHOP,
        SHOP,
        &expect![[r#"
            Plan for shop (production)

            will keep
              cache    Redis, at most 64MiB of data, then keys are evicted (allkeys-lru)
              db       PostgreSQL 15, sized to 512MiB of memory
              api      release 3, 2 replicas
              nightly  release 3, runs at "0 2 * * *" (UTC)
              worker   release 3, 1 replica

            what follows from the objectives
              availability 99.9%: unproven, nothing measures it yet
                api runs 2 replicas: one answers while the other restarts
                worker runs 1 replica: one is enough, since it serves no requests
                not done yet, for want of request counts: 0.1% of the requests may fail, as much as 43m12s of silence in 30 days
                not done yet, for want of canary releases: a new release that fails more than 0.1% is rolled back
                not done yet, for want of alerts: an alert when more than 1.44% failed in the last 1h, and in the last 5m too
                not done yet, for want of alerts: an alert when more than 0.6% failed in the last 6h, and in the last 30m too
                not done yet, for want of alerts: an alert when more than 0.1% failed in the last 3d, and in the last 6h too

            reserved of the server (limits of services, memory of resources)
              1GiB of 8GiB memory

            Nothing to do: everything is as the file says.
        "#]],
    );
}

#[test]
fn a_new_release_replaces_and_says_why() {
    check(
        "service api port=auto replicas=2 memory=256MiB\nservice web port=8080\nservice old port=auto rollout=recreate",
        "service api port=auto replicas=3 memory=512MiB\nservice web port=8081\nservice old port=auto rollout=recreate user=root",
        &expect![[r#"
            Plan for shop (production)

            will replace
              api  release 3 → 4: other limits, 3 replicas
                   one replica at a time: a new one is ready before an old one stops
                   at most 512MiB of memory per replica
              old  release 3 → 4: another user, 1 replica
                   all old replicas stop before the new ones start: it does not answer in between
                   runs as root: it can read and change everything on this machine
              web  release 3 → 4: another port, 1 replica
                   its port is fixed, so the old replica stops before the new one starts: it does not answer in between

            reserved of the server (limits of services, memory of resources)
              1.5GiB of 8GiB memory
        "#]],
    );
}

#[test]
fn other_numbers_change_without_a_release() {
    check(
        "service api replicas=1\nservice job schedule=0_2_*_*_*\nresource cache redis memory=64MiB",
        "service api replicas=3\nservice job schedule=0_3_*_*_*\nresource cache redis memory=128MiB evict=allkeys-lru port=6380",
        &expect![[r#"
            Plan for shop (production)

            will change
              cache  Redis, at most 128MiB of data, then keys are evicted (allkeys-lru)
                     memory 64MiB → 128MiB
                     evict noeviction → allkeys-lru
                     port chosen by the node → 6380
                     it restarts: what uses it reconnects
              api    1 replica → 3 replicas
              job    runs at "0 2 * * *" (UTC) → runs at "0 3 * * *" (UTC)

            reserved of the server (limits of services, memory of resources)
              128MiB of 8GiB memory
        "#]],
    );
}

#[test]
fn what_is_no_longer_wanted_goes_and_its_data_stays() {
    check(
        "service api uses=db\nservice worker uses=db needs=api\nservice web\nresource db postgres",
        "service web",
        &expect![[r#"
            Plan for shop (production)

            will remove
              worker  release 3 stops (1 replica); its logs and volumes stay
              api     release 3 stops (1 replica); its logs and volumes stay
              db      it stops; its data stays in /var/lib/mainstay/resources/db

            will keep
              web     release 3, 1 replica
        "#]],
    );
}

#[test]
fn a_resource_that_comes_back_finds_its_data() {
    let after = stack("resource db postgres");
    let mut there = running(&after);
    there.resources.values_mut().for_each(|it| it.runs = false);
    expect![[r#"
        Plan for shop (production)

        will create
          db  PostgreSQL 15, sized to 256MiB of memory
              with the data that is still in /var/lib/mainstay/resources/db

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory
    "#]]
    .assert_eq(&plan(&stack(""), &there, &after, &able()).to_string());
    let gone = stack("");
    assert_eq!(plan(&after, &there, &gone, &able()).steps, []);
}

#[test]
fn a_program_that_is_not_copied_is_said_where_it_is_news() {
    let program = |path: &str, why| Program::InPlace { path: path.into(), why, digest: None };
    let in_place = |it: &mut release::Content| {
        it.command.program = program("/usr/bin/python3", InPlace::Installed);
        it.hook.as_mut().unwrap().program = program("/srv/shop/migrate", InPlace::Script);
    };
    let after = stack("service api release=./migrate");
    let first = plan_with(&stack(""), &Running::default(), &after, &able(), in_place);
    expect![[r#"
        Plan for shop (production)

        will create
          api  release 1, 1 replica
               runs `./migrate` once for this release, before its replicas start
               not copied, so each restart uses it as it is then: ./server (it is installed on this machine), ./migrate (it is a script that finds its other files by where it lies)
    "#]].assert_eq(&first.to_string());
    let decision = |changes| release::Decision::Make { number: ReleaseNumber(4), changes };
    let mut wanted = content(after.services.values().next().unwrap());
    in_place(&mut wanted);
    for (changes, is_news) in
        [(vec![], true), (vec![Change::CommandLine], true), (vec![Change::Script, Change::Limits], false)]
    {
        assert_eq!(note::of_programs(&decision(changes.clone()), &wanted).is_some(), is_news, "{changes:?}");
    }
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
          db   PostgreSQL 15, sized to 256MiB of memory
               still starting or being replaced: db
          api  release 3, 2 replicas
               still starting or being replaced: api.2.1, api.3.2
          web  release 3, 1 replica

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory

        Nothing new to do: what is still under way leads to what the file says.
    "#]]
    .assert_eq(&same.to_string());
}

#[test]
fn a_service_whose_change_a_refusal_hides_is_not_called_unchanged() {
    let shop = stack("service api secrets=KEY\nservice web replicas=1\nsecret KEY");
    let derived = derive(&shop, machine());
    let unset = [("KEY".parse().unwrap())].into();
    let abilities = able();
    // Without the secret nothing could be released, so nothing was decided.
    let desired = Desired {
        stack: &shop,
        applied: Some(&shop),
        derived: &derived,
        releases: &BTreeMap::new(),
        sites: &BTreeMap::new(),
        unset_secrets: &unset,
        abilities: &abilities,
    };
    expect![[r#"
        Plan for shop (production)

        will keep
          api  release 3, 1 replica
               whether a new release takes its place is known once what is refused below is mended
          web  release 3, 1 replica
               whether a new release takes its place is known once what is refused below is mended

        this cannot be carried out
          - secret KEY, which api is to receive, has no value: run `mainstay secret set KEY`

        Nothing is changed until that is mended.
    "#]]
    .assert_eq(&decide(&desired, &running(&shop)).to_string());
}

#[test]
fn a_major_version_is_not_changed() {
    check_refusals(
        "resource db postgres",
        "resource db postgres version=16",
        &able(),
        &expect![[r#"
        refused: the data of db is PostgreSQL 15's, and moving it to 16 is not supported yet: say `version: 15`, or make a new resource and move the data with pg_dump
    "#]],
    );
    check_refusals("resource db postgres", "resource db postgres version=15", &able(), &expect![""]);
}

#[test]
fn a_resource_does_not_become_another() {
    check_refusals(
        "resource db postgres",
        "resource db redis",
        &able(),
        &expect![[r#"
        refused: db is a postgres resource with data and cannot become redis: give the new one another name
    "#]],
    );
}

#[test]
fn a_secret_needs_a_value() {
    check_refusals(
        "",
        "service api secrets=KEY\nservice web secrets=KEY\nsecret KEY\nsecret UNUSED",
        &able(),
        &expect![[r#"
            refused: secret KEY, which api, web is to receive, has no value: run `mainstay secret set KEY`
        "#]],
    );
}

#[test]
fn what_this_machine_cannot_do_is_refused() {
    let plain = Abilities { no_limits: Some("no controller is writable".to_owned()), ..Abilities::default() };
    check_refusals(
        "",
        "service api user=www memory=64MiB\nservice web cpu=1\nservice free",
        &plain,
        &expect![[r#"
        refused: api is to run as www, which takes a node that runs as root: start it as root, or say `user: null` in this environment
        refused: the limits of api, web cannot be had: no controller is writable. Say `advisory: true` in this environment to go without
    "#]],
    );
    check_refusals(
        "",
        "advisory\nservice api memory=64MiB",
        &plain,
        &expect![[r#"
        warning: api runs without its limits: no controller is writable
    "#]],
    );
    let message = "PostgreSQL is not installed".to_owned();
    let bare = Abilities { missing_software: [("db".parse().unwrap(), message)].into(), ..able() };
    check_refusals(
        "",
        "resource db postgres",
        &bare,
        &expect![[r#"
        refused: db cannot run here: PostgreSQL is not installed
    "#]],
    );
}

#[test]
fn a_contradiction_refuses_unless_advisory() {
    let promise = "rpo 15m\nresource db postgres";
    check_refusals(
        "",
        promise,
        &able(),
        &expect![[r#"
        refused: no data of db leaves this machine, so an RPO of 15m cannot be met when it is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet
    "#]],
    );
    check_refusals(
        "",
        &format!("advisory\n{promise}"),
        &able(),
        &expect![[r#"
        warning: no data of db leaves this machine, so an RPO of 15m cannot be met when it is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet
    "#]],
    );
    let after = stack(promise);
    expect![[r#"
        Plan for shop (production)

        will create
          db  PostgreSQL, sized to 256MiB of memory

        what follows from the objectives
          rpo 15m: unproven, nothing measures it yet
            not done yet, for want of backups: db's write-ahead log leaves the machine at least every 5m
            not done yet, for want of alerts: an alarm when what has left the machine of db is 10m old

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory

        this cannot be carried out
          - no data of db leaves this machine, so an RPO of 15m cannot be met when it is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet

        Nothing is changed until that is mended.
    "#]].assert_eq(&plan(&stack(""), &Running::default(), &after, &able()).to_string());
}

/// A file of up to six services, which need only such as come after them in the alphabet, and up to three
/// resources.
fn files() -> impl Strategy<Value = String> {
    let service = (0_usize..6, prop::collection::vec(0_usize..6, 0..3), prop::option::of(0_usize..3), 1_u32..4);
    let services = prop::collection::vec(service, 0..6);
    (services, 1_usize..4, 1_u64..3).prop_map(|(services, resources, memory)| {
        let mut lines: Vec<String> =
            (0..resources).map(|n| format!("resource r{n} redis memory={memory}MiB")).collect();
        for (place, needs, uses, replicas) in services {
            let name = 9 - place;
            let needs: Vec<String> = needs
                .into_iter()
                .filter(|other| {
                    *other < place && lines.iter().any(|line| line.starts_with(&format!("service s{} ", 9 - other)))
                })
                .map(|other| format!("s{}", 9 - other))
                .collect();
            let needs = if needs.is_empty() { String::new() } else { format!("needs={}", needs.join(",")) };
            let uses = uses.filter(|it| *it < resources).map(|it| format!("uses=r{it}")).unwrap_or_default();
            lines.push(format!("service s{name} replicas={replicas} {needs} {uses}"));
        }
        lines.join("\n")
    })
}

proptest! {
    /// `plan` lints every plan it makes.
    #[test]
    fn every_plan_is_sound_and_leads_to_one_that_does_nothing(before in files(), after in files()) {
        let (before, after) = (stack(&before), stack(&after));
        plan(&before, &running(&before), &after, &able());
        let done = plan(&after, &running(&after), &after, &able());
        prop_assert_eq!(done.changes_anything(), false);
        prop_assert_eq!(done.is_refused(), false);
    }
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
          db       PostgreSQL 15, sized to 512MiB of memory
          api      release 3, 2 replicas
                   at most 256MiB of memory per replica

        will keep
          cache    Redis, at most 64MiB of data, then keys are evicted (allkeys-lru)
          nightly  release 3, runs at "0 2 * * *" (UTC)
          worker   release 3, 1 replica

        what follows from the objectives
          availability 99.9%: unproven, nothing measures it yet
            api runs 2 replicas: one answers while the other restarts
            worker runs 1 replica: one is enough, since it serves no requests
            not done yet, for want of request counts: 0.1% of the requests may fail, as much as 43m12s of silence in 30 days
            not done yet, for want of canary releases: a new release that fails more than 0.1% is rolled back
            not done yet, for want of alerts: an alert when more than 1.44% failed in the last 1h, and in the last 5m too
            not done yet, for want of alerts: an alert when more than 0.6% failed in the last 6h, and in the last 30m too
            not done yet, for want of alerts: an alert when more than 0.1% failed in the last 3d, and in the last 6h too

        reserved of the server (limits of services, memory of resources)
          1GiB of 8GiB memory"#]]
    .assert_eq(&steps.join("\n"));
}

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
                     starts when cache can be used
                     at most 64MiB of memory per replica
              web    1 replica → 3 replicas

            will remove
              old    release 3 goes; its logs and volumes stay
              db     its data stays in /var/lib/mainstay/resources/db

            reserved of the server (limits of services, memory of resources)
              160MiB of 8GiB memory
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
              db   PostgreSQL 15, sized to 256MiB of memory
                   it is being stopped; it starts once that is done
              api  release 3, 1 replica
                   it is being stopped; it starts once that is done

            will keep
              web  release 3, 1 replica

            reserved of the server (limits of services, memory of resources)
              256MiB of 8GiB memory
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

/// What applying a folder does where `running` is.
fn of_folder(last: Option<&release::Site>, wanted: &release::Site, running: &Running) -> String {
    let mut shop = stack("service web");
    for service in shop.services.values_mut() {
        service.source = model::stack::Source::Static { folder: "dist".into(), spa: wanted.spa };
    }
    let derived = derive(&shop, machine());
    let decision = release::decide_site(last.map(|it| (ReleaseNumber(3), it)), wanted);
    let desired = Desired {
        stack: &shop,
        applied: None,
        derived: &derived,
        releases: &BTreeMap::new(),
        sites: &[("web".parse().unwrap(), (decision, wanted.clone()))].into(),
        unset_secrets: &BTreeSet::new(),
        abilities: &able(),
    };
    let plan = decide(&desired, running);
    assert_eq!(lint(&plan, &shop, running), []);
    let [step] = plan.steps.as_slice() else { panic!("one service has one step") };
    let notes: Vec<String> = step.notes.iter().map(ToString::to_string).collect();
    format!("{}: {}", step.action, notes.join(" | "))
}

#[test]
fn a_folder_is_created_replaced_and_kept() {
    let site = |byte: u8| release::Site { digest: model::Digest([byte; 32]), files: 12, spa: true };
    let runs = |replicas: u32| {
        let mut running = running(&stack("service web"));
        running.services.values_mut().for_each(|it| it.replicas = replicas);
        running
    };
    let files = "12 files; index.html answers where there is none";
    assert_eq!(of_folder(None, &site(1), &Running::default()), format!("create: release 1 | {files}"));
    assert_eq!(of_folder(Some(&site(1)), &site(1), &runs(0)), format!("keep: release 3 | {files}"));
    let replaced = format!("replace: release 3 → 4: other files | {files}");
    assert_eq!(of_folder(Some(&site(1)), &site(2), &runs(0)), replaced);
    assert_eq!(of_folder(None, &site(1), &runs(2)), format!("change: 2 replicas → {files}"));
}
