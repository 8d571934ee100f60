//! Rollouts step by step, and their invariant over random worlds.

use expect_test::{Expect, expect};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::*;

const NOW: Duration = Duration::from_secs(1000);

/// `2.1+` is ready since long ago, `2.1'` since just now, `2.1~` starts, `2.1!` fails, `2.1-` stops.
fn observed(text: &str) -> Vec<Observed> {
    text.split_whitespace()
        .map(|word| {
            let (id, mark) = word.split_at(word.len() - 1);
            let (release, number) = id.split_once('.').unwrap();
            let state = match mark {
                "+" => State::Ready { since: Duration::ZERO },
                "'" => State::Ready { since: NOW - Duration::from_secs(1) },
                "~" => State::Starting,
                "!" => State::Failing,
                "-" => State::Stopping,
                _ => panic!("no such mark: {mark}"),
            };
            Observed {
                release: ReleaseNumber(release.parse().unwrap()),
                number: ReplicaNumber(number.parse().unwrap()),
                state,
            }
        })
        .collect()
}

/// Release 3 with so many replicas, over what is observed.
fn check(strategy: Rollout, count: u32, hook: Hook, seen: &str, expected: &Expect) {
    let step = decide(&Wanted { release: ReleaseNumber(3), count, strategy, hook }, &observed(seen), NOW);
    let names: Vec<String> = step.replicas.iter().map(|(release, number)| format!("{release}.{number}")).collect();
    let wake = step.wake_at.map_or(String::new(), |at| format!("; again in {:?}", at - NOW));
    expected.assert_eq(&format!("{}: {}{wake}", names.join(" "), step.stage));
}

#[test]
fn the_first_start_is_all_at_once() {
    check(Rollout::Rolling, 3, Hook::None, "", &expect!["3.1 3.2 3.3: settled"]);
    check(Rollout::Rolling, 2, Hook::Pending, "", &expect!["3.1 3.2: settled"]);
    check(Rollout::Recreate, 2, Hook::None, "", &expect!["3.1 3.2: settled"]);
    check(Rollout::Rolling, 0, Hook::None, "", &expect![": settled"]);
}

#[test]
fn scaling_keeps_the_first_replicas() {
    check(Rollout::Rolling, 2, Hook::Succeeded, "3.1+ 3.2+ 3.3+", &expect!["3.1 3.2: settled"]);
    check(Rollout::Rolling, 4, Hook::Succeeded, "3.1+ 3.2+", &expect!["3.1 3.2 3.3 3.4: settled"]);
}

#[test]
fn a_rolling_change_replaces_one_by_one() {
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 2.2+", &expect!["2.1 2.2 3.1: 0 of 2 replicas replaced"]);
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 2.2+ 3.1~", &expect!["2.1 2.2 3.1: 0 of 2 replicas replaced"]);
    check(
        Rollout::Rolling,
        2,
        Hook::None,
        "2.1+ 2.2+ 3.1'",
        &expect!["2.1 2.2 3.1: 0 of 2 replicas replaced; again in 2s"],
    );
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 2.2+ 3.1+", &expect!["2.1 3.1 3.2: 1 of 2 replicas replaced"]);
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 2.2- 3.1+ 3.2~", &expect!["2.1 3.1 3.2: 1 of 2 replicas replaced"]);
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 3.1+ 3.2+", &expect!["3.1 3.2: 2 of 2 replicas replaced"]);
    check(Rollout::Rolling, 2, Hook::None, "2.1- 3.1+ 3.2+", &expect!["3.1 3.2: settled"]);
}

#[test]
fn a_failing_release_leaves_the_old_one_alone() {
    check(
        Rollout::Rolling,
        2,
        Hook::None,
        "2.1+ 2.2+ 3.1!",
        &expect!["2.1 2.2 3.1: the old release runs on: replica 1 of the new one does not become ready"],
    );
    check(
        Rollout::Rolling,
        2,
        Hook::None,
        "2.1+ 3.1+ 3.2!",
        &expect!["2.1 3.1 3.2: the old release runs on: replica 2 of the new one does not become ready"],
    );
}

#[test]
fn a_broken_old_release_is_replaced_at_once() {
    check(Rollout::Rolling, 2, Hook::None, "2.1! 2.2~", &expect!["2.1 2.2 3.1 3.2: 0 of 2 replicas replaced"]);
    check(Rollout::Rolling, 2, Hook::None, "2.1+ 2.2! 3.1+", &expect!["2.1 3.1 3.2: 1 of 2 replicas replaced"]);
}

#[test]
fn a_release_between_two_others_gives_way_first() {
    check(Rollout::Rolling, 2, Hook::None, "1.1+ 1.2+ 2.1!", &expect!["1.1 1.2 3.1: 0 of 2 replicas replaced"]);
}

#[test]
fn what_was_started_is_not_taken_back() {
    check(
        Rollout::Rolling,
        3,
        Hook::None,
        "2.1+ 2.2! 2.3! 3.1~ 3.2~ 3.3~",
        &expect!["2.1 2.2 2.3 3.1 3.2 3.3: 0 of 3 replicas replaced"],
    );
}

#[test]
fn nothing_is_replaced_before_the_hook_has_succeeded() {
    check(
        Rollout::Rolling,
        2,
        Hook::Pending,
        "2.1+ 2.2+",
        &expect!["2.1 2.2: the old release runs on until the new one's command has succeeded"],
    );
    check(
        Rollout::Rolling,
        2,
        Hook::Failed,
        "2.1+ 2.2+",
        &expect!["2.1 2.2: the old release runs on: the new one's command failed"],
    );
    check(
        Rollout::Recreate,
        2,
        Hook::Pending,
        "2.1+ 2.2+",
        &expect!["2.1 2.2: the old release runs on until the new one's command has succeeded"],
    );
    check(
        Rollout::Recreate,
        2,
        Hook::Failed,
        "2.1+ 2.2+",
        &expect!["2.1 2.2: the old release runs on: the new one's command failed"],
    );
}

#[test]
fn recreating_stops_the_old_ones_first() {
    check(
        Rollout::Recreate,
        2,
        Hook::Succeeded,
        "2.1+ 2.2+",
        &expect![": the old replicas stop before the new ones start"],
    );
    check(
        Rollout::Recreate,
        2,
        Hook::Succeeded,
        "2.1- 2.2-",
        &expect![": the old replicas stop before the new ones start"],
    );
    check(Rollout::Recreate, 2, Hook::Succeeded, "3.1~ 3.2+", &expect!["3.1 3.2: settled"]);
}

#[test]
fn a_restart_takes_one_at_a_time() {
    let pending = |text: &str| observed(text).iter().map(Observed::key).collect::<BTreeSet<_>>();
    let check = |waiting: &str, seen: &str, expected: Option<(u32, u32)>| {
        let next = next_restart(&pending(waiting), &observed(seen));
        assert_eq!(next.map(|(release, number)| (release.0, number.0)), expected, "{waiting} of {seen}");
    };
    check("3.1+ 3.2+", "3.1+ 3.2+", Some((3, 1)));
    check("3.2+", "3.1~ 3.2+", None);
    check("3.2+", "3.1- 3.1~ 3.2+", None);
    check("3.2+", "3.1+ 3.2+", Some((3, 2)));
    check("3.1+ 3.2+", "3.1+ 3.2!", Some((3, 2)));
    check("3.1+", "3.1+", Some((3, 1)));
    check("", "3.1+ 3.2+", None);
}

/// What happens to a world between two looks.
#[derive(Debug, Clone)]
enum Turn {
    /// The replica at this place of the list becomes ready, if it starts.
    Ready(usize),
    /// The replica at this place fails, if it is of the new release.
    Fail(usize),
    /// What is stopping is gone.
    Gone,
    /// Seconds pass.
    Pass(u64),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        3 => (0_usize..12).prop_map(Turn::Ready),
        1 => (0_usize..12).prop_map(Turn::Fail),
        2 => Just(Turn::Gone),
        2 => (0_u64..6).prop_map(Turn::Pass),
    ];
    prop::collection::vec(turn, 0..120)
}

/// Carries a step out: stops what is not in it, starts what does not exist.
fn carry_out(world: &mut Vec<Observed>, step: &Step) {
    for it in world.iter_mut().filter(|it| !step.replicas.contains(&(it.release, it.number))) {
        it.state = State::Stopping;
    }
    for &(release, number) in &step.replicas {
        if !world.iter().any(|it| (it.release, it.number) == (release, number)) {
            world.push(Observed { release, number, state: State::Starting });
        }
    }
}

fn take_turn(world: &mut Vec<Observed>, turn: &Turn, now: &mut Duration, new: ReleaseNumber) {
    match *turn {
        Turn::Pass(seconds) => *now += Duration::from_secs(seconds),
        Turn::Gone => world.retain(|it| it.state != State::Stopping),
        Turn::Ready(place) => {
            if let Some(it) = world.get_mut(place).filter(|it| matches!(it.state, State::Starting | State::Failing)) {
                it.state = State::Ready { since: *now };
            }
        }
        Turn::Fail(place) => {
            // A replica that has taken an old one's place may fail like any other; what the rollout
            // answers for are those that have not.
            let settled = |it: &Observed| matches!(it.state, State::Ready { since } if since + SETTLE <= *now);
            let exposed = |it: &Observed| it.release == new && !settled(it) && it.state != State::Stopping;
            if let Some(it) = world.get_mut(place).filter(|it| exposed(it)) {
                it.state = State::Failing;
            }
        }
    }
}

fn ready(world: &[Observed]) -> usize {
    world.iter().filter(|it| it.is_ready()).count()
}

fn all_ready(count: u32, release: ReleaseNumber) -> Vec<Observed> {
    let state = State::Ready { since: Duration::ZERO };
    (1..=count).map(|number| Observed { release, number: ReplicaNumber(number), state }).collect()
}

fn roll(count: u32, turns: &[Turn], healthy_in_the_end: bool) -> Result<(), TestCaseError> {
    let (old, new) = (ReleaseNumber(1), ReleaseNumber(2));
    let wanted = Wanted { release: new, count, strategy: Rollout::Rolling, hook: Hook::None };
    let mut world = all_ready(count, old);
    let mut now = NOW;
    for turn in turns {
        let step = decide(&wanted, &world, now);
        prop_assert!(step.replicas.len() <= count as usize + 1, "surge of more than one: {step:?}");
        carry_out(&mut world, &step);
        prop_assert!(ready(&world) >= count as usize, "too few are ready: {world:?}");
        take_turn(&mut world, turn, &mut now, new);
    }
    if !healthy_in_the_end {
        return Ok(());
    }
    for _ in 0..4 * count + 4 {
        let step = decide(&wanted, &world, now);
        carry_out(&mut world, &step);
        (0..world.len()).for_each(|place| take_turn(&mut world, &Turn::Ready(place), &mut now, new));
        take_turn(&mut world, &Turn::Gone, &mut now, new);
        now += SETTLE;
    }
    let step = decide(&wanted, &world, now);
    prop_assert_eq!(step.stage, Stage::Settled);
    prop_assert_eq!(world.len(), count as usize);
    prop_assert!(world.iter().all(|it| it.release == new));
    Ok(())
}

proptest! {
    #[test]
    fn a_rolling_change_never_leaves_fewer_ready_than_wanted(
        count in 1_u32..6, turns in turns(), healthy in any::<bool>()
    ) {
        roll(count, &turns, healthy)?;
    }

    #[test]
    fn a_release_that_never_becomes_ready_stops_nothing(count in 1_u32..6, looks in 1_usize..20) {
        let wanted = Wanted { release: ReleaseNumber(2), count, strategy: Rollout::Rolling, hook: Hook::None };
        let mut world = all_ready(count, ReleaseNumber(1));
        for _ in 0..looks {
            let step = decide(&wanted, &world, NOW);
            carry_out(&mut world, &step);
            world.iter_mut().filter(|it| it.release == wanted.release).for_each(|it| it.state = State::Failing);
        }
        prop_assert_eq!(ready(&world), count as usize);
        prop_assert_eq!(decide(&wanted, &world, NOW).stage, Stage::Held { replica: ReplicaNumber(1) });
    }
}
