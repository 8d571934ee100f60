//! What cannot be carried out, and what can with a warning.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::{able, plan, running};
use crate::change::{Abilities, Desired, Running, decide};
use crate::objectives::derive;
use crate::sample::{machine, stack};

pub(super) fn check_refusals(before: &str, after: &str, abilities: &Abilities, expected: &Expect) {
    let (before, after) = (stack(before), stack(after));
    let plan = plan(&before, &running(&before), &after, abilities);
    let refusals = plan.refusals.iter().map(|it| format!("refused: {it}\n"));
    let warnings = plan.warnings.iter().map(|it| format!("warning: {it}\n"));
    expected.assert_eq(&refusals.chain(warnings).collect::<String>());
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
        refused: db is a postgres resource with data, and a redis resource is another one: give that another name
    "#]],
    );
}

#[test]
fn of_a_resource_that_would_become_another_nothing_is_compared() {
    let (before, after) = (stack("resource db postgres"), stack("resource db redis"));
    let message = "Redis is not installed".to_owned();
    let bare = Abilities { missing_software: [("db".parse().unwrap(), message)].into(), ..able() };
    let text = |running: &Running| plan(&before, running, &after, &bare).to_string();
    let of_running = running(&before);
    expect![[r#"
        Plan for shop (production)

        will keep
          db  a resource of another kind has this name, see below

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory

        this cannot be carried out
          - db is a postgres resource with data, and a redis resource is another one: give that another name

        Nothing is changed until that is mended.
    "#]]
    .assert_eq(&text(&of_running));
    let mut of_kept = of_running;
    of_kept.resources.values_mut().for_each(|kept| kept.runs = false);
    expect![[r#"
        Plan for shop (production)

        will create
          db  a resource of another kind has this name, see below

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory

        this cannot be carried out
          - db is a postgres resource with data, and a redis resource is another one: give that another name

        Nothing is changed until that is mended.
    "#]]
    .assert_eq(&text(&of_kept));
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
    let userless = Abilities {
        missing_users: [("api".parse().unwrap(), "this machine has no user \"www\"".to_owned())].into(),
        no_user_ids: Some("no user id is free".to_owned()),
        ..able()
    };
    check_refusals(
        "",
        "service api user=www",
        &userless,
        &expect![[r#"
        refused: api cannot run here: this machine has no user "www"
        refused: no user id is free
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
            refused: no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own
        "#]],
    );
    check_refusals(
        "",
        &format!("advisory\n{promise}"),
        &able(),
        &expect![[r#"
            warning: no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own
        "#]],
    );
    let after = stack(promise);
    expect![[r#"
        Plan for shop (production)

        will create
          db  PostgreSQL, tuned for 256MiB of memory

        what follows from the objectives
          rpo 15m: cannot be kept, see below
            not yet (needs backups): db's write-ahead log would leave the machine at least every 5m
            not yet (needs alerts): an alert would be raised when the newest copy of db off the machine is 10m old

        reserved of the server (limits of services, memory of resources)
          256MiB of 8GiB memory

        this cannot be carried out
          - no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (objectives.recovery.rpo): remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own

        Nothing is changed until that is mended.
    "#]].assert_eq(&plan(&stack(""), &Running::default(), &after, &able()).to_string());
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
        unmade_secrets: &[].into(),
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
