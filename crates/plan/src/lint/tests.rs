//! Each flaw, made by spoiling a sound plan in one place.

use expect_test::{Expect, expect};

use super::*;
use crate::change::{Abilities, Desired, decide, tests::running};
use crate::objectives::derive;
use crate::release::{Decision, decide as release};
use crate::sample::{content, machine, stack};

const BEFORE: &str = "service gone uses=olddb\nservice api uses=db\nresource olddb postgres\nresource db postgres";
const AFTER: &str = "service api uses=db\nservice worker needs=api\nresource db postgres";

fn check(spoil: impl FnOnce(&mut Vec<Step>), expected: &Expect) {
    let (before, after) = (stack(BEFORE), stack(AFTER));
    let running = running(&before);
    let derived = derive(&after, machine());
    let releases = after
        .services
        .iter()
        .map(|(name, it)| (name.clone(), (release(None, &content(it)), content(it))))
        .collect::<std::collections::BTreeMap<_, (Decision, _)>>();
    let desired = Desired {
        applied: None,
        stack: &after,
        derived: &derived,
        releases: &releases,
        sites: &std::collections::BTreeMap::new(),
        unset_secrets: &BTreeSet::new(),
        unmade_secrets: &BTreeSet::new(),
        abilities: &Abilities::default(),
    };
    let mut plan = decide(&desired, &running);
    spoil(&mut plan.steps);
    let flaws: Vec<String> = lint(&plan, &after, &running).iter().map(|flaw| format!("{flaw}\n")).collect();
    expected.assert_eq(&flaws.concat());
}

fn place(steps: &[Step], name: &str) -> usize {
    steps.iter().position(|step| step.subject.name() == name).unwrap()
}

fn step<'a>(steps: &'a mut [Step], name: &str) -> &'a mut Step {
    let at = place(steps, name);
    &mut steps[at]
}

fn swap(steps: &mut [Step], one: &str, other: &str) {
    let (one, other) = (place(steps, one), place(steps, other));
    steps.swap(one, other);
}

#[test]
fn a_sound_plan_has_no_flaw() {
    check(|_| (), &expect![""]);
}

#[test]
fn everything_has_exactly_one_step() {
    check(
        |steps| drop(steps.remove(place(steps, "worker"))),
        &expect![[r#"
        service worker has 0 steps instead of one
    "#]],
    );
    check(
        |steps| drop(steps.remove(place(steps, "gone"))),
        &expect![[r#"
        service gone has 0 steps instead of one
    "#]],
    );
    check(
        |steps| steps.push(steps[0].clone()),
        &expect![[r#"
        resource db has 2 steps instead of one
    "#]],
    );
}

#[test]
fn nothing_unknown_is_touched() {
    check(
        |steps| step(steps, "worker").subject = service(&"ghost".parse().unwrap()),
        &expect![[r#"
        service worker has 0 steps instead of one
        service ghost is neither wanted nor running
        service ghost must be removed exactly when it is not wanted
    "#]],
    );
}

#[test]
fn removals_are_of_what_is_unwanted() {
    check(
        |steps| step(steps, "worker").action = Action::Remove,
        &expect![[r#"
        service worker must be removed exactly when it is not wanted
        service worker is created although it runs, or kept although it does not
    "#]],
    );
    check(
        |steps| step(steps, "gone").action = Action::Keep,
        &expect![[r#"
        service gone must be removed exactly when it is not wanted
    "#]],
    );
    check(
        |steps| step(steps, "db").action = Action::Remove,
        &expect![[r#"
        resource db must be removed exactly when it is not wanted
        resource db is removed although service api uses it
    "#]],
    );
}

#[test]
fn creations_are_of_what_does_not_run() {
    check(
        |steps| step(steps, "db").action = Action::Create,
        &expect![[r#"
        resource db is created although it runs, or kept although it does not
    "#]],
    );
    check(
        |steps| step(steps, "worker").action = Action::Keep,
        &expect![[r#"
        service worker is created although it runs, or kept although it does not
    "#]],
    );
}

#[test]
fn starts_are_of_what_is_down() {
    check(
        |steps| step(steps, "db").action = Action::Start,
        &expect![[r#"
        resource db must be started exactly when it is to stay up and is down
    "#]],
    );
    let shop = stack("resource db postgres");
    let mut running = running(&shop);
    running.conditions.insert(resource(&"db".parse().unwrap()), Condition::Gone);
    let derived = derive(&shop, machine());
    let desired = Desired {
        applied: None,
        stack: &shop,
        derived: &derived,
        releases: &std::collections::BTreeMap::new(),
        sites: &std::collections::BTreeMap::new(),
        unset_secrets: &BTreeSet::new(),
        unmade_secrets: &BTreeSet::new(),
        abilities: &Abilities::default(),
    };
    let mut plan = decide(&desired, &running);
    assert_eq!(lint(&plan, &shop, &running), []);
    plan.steps[0].action = Action::Keep;
    let db = resource(&"db".parse().unwrap());
    assert_eq!(lint(&plan, &shop, &running), [Flaw::LeftDown(db.clone())]);
    running.held.insert(db);
    assert_eq!(lint(&plan, &shop, &running), [], "what is held and kept is not started");
}

#[test]
fn order_follows_use() {
    check(
        |steps| swap(steps, "db", "api"),
        &expect![[r#"
        service api comes before resource db, which it uses
    "#]],
    );
    check(
        |steps| swap(steps, "api", "worker"),
        &expect![[r#"
        service worker comes before service api, which it uses
    "#]],
    );
    check(
        |steps| swap(steps, "gone", "olddb"),
        &expect![[r#"
        resource olddb is removed before service gone, which used it
    "#]],
    );
}

#[test]
fn changes_have_reasons() {
    check(
        |steps| step(steps, "api").notes.clear(),
        &expect![[r#"
        service api is changed without a reason
    "#]],
    );
}
