//! One unit in one situation, and what is decided about it.

use std::collections::BTreeMap;
use std::time::Duration;

use expect_test::{Expect, expect};
use model::{Digest, ExitStatus, UnitId};

use super::{
    Answers, Circumstances, GentleSignal, Life, Observed, Phase, ProbeKind, ProbePolicy, Requirement, Standing,
    StopPolicy, StopReason, Stopping, Unit, decide,
};

/// The steady time at which every situation is decided about.
const NOW: Duration = Duration::from_secs(1000);

#[derive(Debug)]
struct Held(Standing);

impl AsRef<Standing> for Held {
    fn as_ref(&self) -> &Standing {
        &self.0
    }
}

fn unit(id: &str, digest: u8) -> Unit {
    let probe = ProbePolicy { every: Duration::from_secs(10), timeout: Duration::from_secs(2), failures: 3 };
    Unit {
        id: id.parse().unwrap(),
        digest: Digest([digest; 32]),
        requires: [].into(),
        prepared: false,
        completed: None,
        ready: Some(probe),
        live: Some(probe),
        stop: StopPolicy { gently: GentleSignal::Terminate, deadline: Duration::from_secs(10) },
        life: Life::Lasting,
    }
}

fn down(unit: &Unit) -> Standing {
    let mut observed = Observed::unread(NOW);
    observed.enter(Phase::Down, NOW);
    Standing { wanted: Some(unit.clone()), left_alone: false, observed }
}

/// Up since 100 seconds, ready, and not asked again for five.
fn up(unit: &Unit) -> Standing {
    let mut standing = down(unit);
    let observed = &mut standing.observed;
    observed.starting(unit, NOW - Duration::from_secs(100));
    observed.enter(Phase::Up, NOW - Duration::from_secs(100));
    observed.answers = Answers::Yes;
    observed.completed = unit.completed;
    observed.ready.next = NOW + Duration::from_secs(5);
    observed.live.next = NOW + Duration::from_secs(5);
    standing
}

/// What is decided about these units, line by line.
fn check(units: &[Standing], expected: &Expect) {
    let name = |standing: &Standing| {
        let known = standing.wanted.as_ref().or(standing.observed.running.as_ref());
        known.map(|unit| unit.id.clone()).unwrap()
    };
    let units: BTreeMap<UnitId, Held> = units.iter().map(|standing| (name(standing), Held(standing.clone()))).collect();
    let decision = decide(&units, Circumstances { now: NOW, seed: 0, told: true });
    let mut lines: Vec<String> = decision.actions.iter().map(|(unit, action)| format!("{unit}: {action:?}")).collect();
    lines.extend(decision.waiting.iter().map(|(unit, reason)| format!("{unit} waits: {reason:?}")));
    lines.extend(decision.wake_at.map(|at| format!("wakes at {at:?}")));
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn what_is_wanted_and_down_is_launched_or_prepared_first() {
    let mut prepared = unit("db", 1);
    prepared.prepared = true;
    check(
        &[down(&unit("api.1.1", 1)), down(&prepared)],
        &expect![[r#"
            db: Prepare
            api.1.1: Launch"#]],
    );
}

#[test]
fn a_start_waits_for_what_it_requires_and_says_so() {
    let mut api = unit("api.1.1", 1);
    api.requires = [Requirement::Resource("db".parse().unwrap())].into();
    let mut db = unit("db", 1);
    db.completed = Some(Digest([9; 32]));
    let mut incomplete = up(&db);
    incomplete.observed.completed = None;
    incomplete.observed.completing = true;
    check(
        &[down(&api), incomplete],
        &expect![[r#"
            db waits: Completion
            api.1.1 waits: Requirement(Resource("db"))
            wakes at 1005s"#]],
    );
    check(
        &[down(&api), up(&db)],
        &expect![[r#"
            api.1.1: Launch
            wakes at 1005s"#]],
    );
}

#[test]
fn another_completion_runs_while_the_unit_stays_up() {
    let mut db = unit("db", 1);
    db.completed = Some(Digest([9; 32]));
    let mut standing = up(&db);
    standing.observed.completed = Some(Digest([8; 32]));
    check(&[standing], &expect!["db: Complete"]);
}

#[test]
fn another_digest_replaces_what_runs() {
    let mut standing = up(&unit("api.1.1", 1));
    standing.wanted = Some(unit("api.1.1", 2));
    check(&[standing], &expect!["api.1.1: Stop(Replaced)"]);
}

#[test]
fn dependents_go_first() {
    let mut api = unit("api.1.1", 1);
    api.requires = [Requirement::Resource("db".parse().unwrap())].into();
    let gone = |unit: &Unit| Standing { wanted: None, ..up(unit) };
    check(
        &[gone(&api), gone(&unit("db", 1))],
        &expect![[r#"
            api.1.1: Stop(Unwanted)
            db waits: Dependent(api.1.1)"#]],
    );
}

#[test]
fn units_that_need_each_other_can_still_be_stopped() {
    let needs = |id, other: &str| {
        let mut unit = unit(id, 1);
        unit.requires = [Requirement::Service(other.parse().unwrap())].into();
        Standing { wanted: None, ..up(&unit) }
    };
    check(
        &[needs("a.1.1", "b"), needs("b.1.1", "a")],
        &expect![[r#"
            a.1.1: Stop(Unwanted)
            b.1.1: Stop(Unwanted)"#]],
    );
}

#[test]
fn a_stop_past_its_deadline_and_grace_is_a_kill() {
    let stopping = |deadline| {
        let mut standing = up(&unit("api.1.1", 1));
        standing.observed.stop = Some(Stopping { deadline, why: StopReason::Asked });
        standing
    };
    check(
        &[stopping(NOW - Duration::from_secs(4))],
        &expect![[r#"
            api.1.1 waits: StopBy(996s)
            wakes at 1001s"#]],
    );
    check(&[stopping(NOW - Duration::from_secs(5))], &expect!["api.1.1: Kill"]);
}

#[test]
fn questions_are_asked_when_due_and_counted_when_lost() {
    let mut due = up(&unit("api.1.1", 1));
    due.observed.ready.next = NOW;
    let mut lost = up(&unit("api.1.2", 1));
    lost.observed.live.lost_at = Some(NOW);
    check(
        &[due, lost],
        &expect![[r#"
            api.1.1: Ask(Ready)
            api.1.2: CountLost(Live)"#]],
    );
}

#[test]
fn a_slow_start_is_not_asked_whether_it_lives() {
    let mut starting = up(&unit("api.1.1", 1));
    starting.observed.answers = Answers::NotYet;
    starting.observed.live.next = Duration::ZERO;
    check(
        &[starting.clone()],
        &expect![[r#"
            api.1.1 waits: Readiness
            wakes at 1005s"#]],
    );
    starting.observed.started = NOW - Duration::from_secs(600);
    check(&[starting], &expect!["api.1.1: Ask(Live)"]);
}

#[test]
fn liveness_failures_in_a_row_stop_and_one_success_forgives() {
    let api = unit("api.1.1", 1);
    let mut standing = up(&api);
    let policy = api.live.unwrap();
    for answer in [false, false, true, false, false] {
        standing.observed.probed(ProbeKind::Live, answer, &policy, NOW);
    }
    check(&[standing.clone()], &expect!["wakes at 1005s"]);
    standing.observed.probed(ProbeKind::Live, false, &policy, NOW);
    check(&[standing], &expect!["api.1.1: Stop(Unhealthy)"]);
}

#[test]
fn failures_back_off_and_another_digest_starts_afresh() {
    let api = unit("api.1.1", 1);
    let mut standing = up(&api);
    for _ in 0..3 {
        standing.observed.ended(ExitStatus::Code(1), Duration::ZERO, NOW);
    }
    standing.observed.enter(Phase::Down, NOW);
    standing.observed.unsaved = false;
    check(
        &[standing.clone()],
        &expect![[r#"
            api.1.1 waits: BackOff { until: 1002.1034s, failures: 3, looping: false }
            wakes at 1002.1034s"#]],
    );
    standing.wanted = Some(unit("api.1.1", 2));
    check(&[standing], &expect!["api.1.1: Launch"]);
}

#[test]
fn what_ran_once_is_saved_and_never_started_again() {
    let mut hook = unit("api.1.release", 1);
    hook.life = Life::Once { retry: true };
    let mut standing = up(&hook);
    standing.observed.ended(ExitStatus::Code(0), Duration::ZERO, NOW);
    standing.observed.enter(Phase::Down, NOW);
    assert!(!standing.succeeded());
    check(&[standing.clone()], &expect!["api.1.release: Save"]);
    standing.observed.unsaved = false;
    assert!(standing.succeeded());
    check(&[standing], &expect![""]);
}

#[test]
fn a_run_that_failed_waits_for_someone() {
    let mut run = unit("job.1.run.1", 1);
    run.life = Life::Once { retry: false };
    let mut standing = up(&run);
    standing.observed.ended(ExitStatus::Code(3), Duration::ZERO, NOW);
    standing.observed.enter(Phase::Down, NOW);
    standing.observed.unsaved = false;
    check(&[standing.clone()], &expect!["job.1.run.1 waits: Someone"]);
    standing.observed.ask_restart();
    check(&[standing], &expect!["job.1.run.1: Launch"]);
}

#[test]
fn what_is_forgiven_starts_at_once_and_what_gave_up_does_not() {
    let after_five_failures = |life| {
        let mut hook = unit("api.1.release", 1);
        hook.life = life;
        let mut standing = down(&hook);
        for _ in 0..5 {
            standing.observed.start_failed(&hook, NOW);
        }
        standing.observed.unsaved = false;
        standing
    };
    let mut hook = after_five_failures(Life::Once { retry: true });
    assert!(hook.observed.failures.looping());
    hook.observed.forgive();
    check(&[hook], &expect!["api.1.release: Launch"]);
    let mut run = after_five_failures(Life::Once { retry: false });
    run.observed.gave_up = run.observed.failures_of;
    run.observed.forgive();
    check(&[run], &expect!["api.1.release waits: Someone"]);
}

#[test]
fn what_is_left_alone_is_neither_started_nor_stopped() {
    let alone = |standing: Standing| Standing { wanted: None, left_alone: true, ..standing };
    let mut ended = alone(down(&unit("api.1.1", 1)));
    ended.observed.running = Some(unit("api.1.1", 1));
    check(&[ended], &expect!["api.1.1 waits: Hold"]);
    let mut asked = alone(up(&unit("api.1.1", 1)));
    asked.observed.stop_due = Some(StopReason::Asked);
    check(&[asked], &expect![""]);
}

#[test]
fn what_is_left_alone_keeps_nothing_that_it_needs_from_stopping() {
    let mut api = unit("api.1.1", 1);
    api.requires = [Requirement::Resource("db".parse().unwrap())].into();
    let alone = Standing { wanted: None, left_alone: true, ..up(&api) };
    check(&[alone, Standing { wanted: None, ..up(&unit("db", 1)) }], &expect!["db: Stop(Unwanted)"]);
}

#[test]
fn a_refused_save_wakes_later_and_never_earlier() {
    let mut api = unit("api.1.1", 1);
    api.requires = [Requirement::Resource("db".parse().unwrap())].into();
    let mut standing = down(&api);
    standing.observed.retry_at = Some(NOW - Duration::from_secs(1));
    check(&[standing.clone()], &expect![[r#"api.1.1 waits: Requirement(Resource("db"))"#]]);
    standing.observed.unsaved = true;
    standing.observed.save_at = Some(NOW + Duration::from_secs(1));
    check(
        &[standing],
        &expect![[r#"
            api.1.1 waits: Requirement(Resource("db"))
            wakes at 1001s"#]],
    );
}
