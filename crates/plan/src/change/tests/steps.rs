//! What becomes of each service and resource, and what is said of it.

use expect_test::{Expect, expect};
use model::ReleaseNumber;

use super::{SHOP, able, plan, plan_with, running};
use crate::change::{Desired, Running, decide, note};
use crate::objectives::derive;
use crate::release::{self, Change, InPlace, Program};
use crate::sample::{content, machine, stack};

pub(super) fn check(before: &str, after: &str, expected: &Expect) {
    let (before, after) = (stack(before), stack(after));
    expected.assert_eq(&plan(&before, &running(&before), &after, &able()).to_string());
}

#[test]
fn the_first_plan_creates_everything() {
    check(
        "",
        &format!("availability 99.9%\n{}", SHOP.replace(" replicas=2", "")),
        &expect![[r#"
            Plan for shop (production)

            will create
              cache    Redis, at most 64MiB of data, then keys are evicted (allkeys-lru)
              db       PostgreSQL 15, tuned for 512MiB of memory
              api      release 1, 2 replicas
                       starts once db, cache are ready
                       runs `./migrate` once for this release, before its replicas start
                       at most 256MiB of memory per replica
              nightly  release 1, runs at "0 2 * * *" (UTC)
                       each run waits until db is ready
              worker   release 1, 1 replica
                       starts once db, api are ready

            what follows from the objectives
              availability 99.9%: unproven, nothing measures it yet
                api runs 2 replicas: one answers while the other restarts
                worker runs 1 replica: one is enough, since it has no port and no route leads to it
                cache, db: one server each, so requests that need one of them fail while it restarts
                not yet (needs error budgets over 30 days): failures would be counted against what may fail in 30 days: 0.1% of the requests, under even traffic as much as 43m12s without any answer
                not yet (needs canary releases): a new release that fails more than 0.1% of its requests would be rolled back
                not yet (needs alerts): an alert would be raised when more than 1.44% of the requests failed in the last 1h and also in the last 5m
                not yet (needs alerts): an alert would be raised when more than 0.6% of the requests failed in the last 6h and also in the last 30m
                not yet (needs alerts): an alert would be raised when more than 0.1% of the requests failed in the last 3d and also in the last 6h

            reserved of the server (limits of services, memory of resources)
              1GiB of 8GiB memory; without a limit, so not counted: nightly, worker
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
              db       PostgreSQL 15, tuned for 512MiB of memory
              api      release 3, 2 replicas
              nightly  release 3, runs at "0 2 * * *" (UTC)
              worker   release 3, 1 replica

            reserved of the server (limits of services, memory of resources)
              1GiB of 8GiB memory; without a limit, so not counted: nightly, worker

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
              1.5GiB of 8GiB memory; without a limit, so not counted: old, web
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
              128MiB of 8GiB memory; without a limit, so not counted: api, job
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
          db  PostgreSQL 15, tuned for 256MiB of memory
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
               runs from where it lies, so a restart takes what lies there by then: ./server (installed on this machine), ./migrate (a script, which may need files beside it)
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
fn an_object_store_takes_over_other_buckets_while_it_runs() {
    check(
        "resource photos objects buckets=photos,old",
        "resource photos objects buckets=photos,thumbs versions",
        &expect![[r#"
            Plan for shop (production)

            will change
              photos  object store, buckets photos, thumbs, earlier versions of objects are kept
                      buckets photos, old → photos, thumbs
                      versions false → true
                      it goes on meanwhile
                      objects in old stay, out of reach until the file names it again

            reserved of the server (limits of services, memory of resources)
              64MiB of 8GiB memory
        "#]],
    );
}

#[test]
fn a_secret_that_is_made_is_said_until_it_has_a_value() {
    let after = "service api secrets=KEY\nservice web secrets=KEY\nsecret KEY generate 32";
    check(
        "",
        after,
        &expect![[r#"
            Plan for shop (production)

            will create
              api  release 1, 1 replica
                   secret KEY is made for it: 32 random bytes, kept in the vault
              web  release 1, 1 replica
        "#]],
    );
    let shop = stack(after);
    let (derived, none, abilities) = (derive(&shop, machine()), [].into(), able());
    let desired = Desired {
        stack: &shop,
        applied: None,
        derived: &derived,
        releases: &[].into(),
        sites: &[].into(),
        unset_secrets: &none,
        unmade_secrets: &none,
        abilities: &abilities,
    };
    let with_value = decide(&desired, &Running::default());
    assert!(!with_value.to_string().contains("KEY"), "{with_value}");
}

#[test]
fn a_promise_that_the_file_contradicts_is_not_called_unproven() {
    check(
        "",
        "advisory\nrto 1h\nrpo 15m\nresource db postgres",
        &expect![[r#"
            Plan for shop (production)

            will create
              db  PostgreSQL, tuned for 256MiB of memory

            what follows from the objectives
              rto 1h: cannot be kept, see below
                not yet (needs drills): a restore would be rehearsed every 7d
                not yet (needs drills): a rehearsed restore that takes more than 1h would count as failed
              rpo 15m: cannot be kept, see below
                not yet (needs backups): db's write-ahead log would leave the machine at least every 5m
                not yet (needs alerts): an alert would be raised when the newest copy of db off the machine is 10m old

            reserved of the server (limits of services, memory of resources)
              256MiB of 8GiB memory

            attention
              - no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own
              - no data of db leaves this machine, so nothing is restored within 1h if its disk is lost (objectives.recovery.rto): copy the data off the machine by a scheduled service of yours: this version does not do it yet
        "#]],
    );
}
