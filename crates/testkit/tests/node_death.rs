//! The node killed after every single call that `up`, a change and `down` make to the machine: the next node
//! brings things to where they were going, and `down` leaves nothing.

#![expect(clippy::unwrap_used, reason = "the whole file is a test")]

use std::time::Duration;

use supervise::supervisor::State;
use testkit::Drive;
use testkit::sample::{self, Part};

/// Within which the next node is done.
const WITHIN: Duration = Duration::from_secs(120);
/// How long the node stays away.
const AWAY: [Duration; 3] = [Duration::from_millis(3), Duration::from_millis(700), Duration::from_secs(45)];

fn parts(ids: &[(&str, u8)]) -> Vec<Part> {
    let part = |(id, version): &(&str, u8)| Part { version: *version, ..Part::first(id.parse().unwrap()) };
    ids.iter().map(part).collect()
}

fn before() -> Vec<Part> {
    parts(&[
        ("db", 1),
        ("cache", 1),
        ("api.1.release", 1),
        ("api.1.1", 1),
        ("api.1.2", 1),
        ("worker.1.1", 1),
        ("job.1.run.1", 1),
    ])
}

/// A new database, another completion, a new release, a worker less.
fn after() -> Vec<Part> {
    let mut parts = parts(&[("db", 2), ("cache", 1), ("api.2.release", 1), ("api.2.1", 1), ("api.1.1", 1)]);
    parts[0].completion = 2;
    parts
}

fn want(drive: &mut Drive, parts: &[Part]) {
    {
        let mut world = drive.world.change();
        for part in parts {
            world.manners.entry(part.id.clone()).or_insert_with(|| sample::manner(&part.id));
        }
    }
    drive.want(sample::stack(parts));
}

fn settled(drive: &Drive) -> bool {
    let calm = |state| matches!(state, State::Ready | State::Succeeded | State::Failed);
    drive.has_node()
        && drive.world.look().unsettled().is_empty()
        && drive.snapshot().iter().all(|unit| calm(unit.state))
        && (drive.units().next().is_some() || drive.is_down())
}

/// Kills the node after each call of `act`, which begins in a world that `prepare` made.
fn check(prepare: impl Fn(&mut Drive), act: impl Fn(&mut Drive)) -> u64 {
    let world = |seed| {
        let mut drive = Drive::new(seed);
        drive.trace = Some(Vec::new());
        prepare(&mut drive);
        drive
    };
    let calls = {
        let mut drive = world(1);
        let first = drive.world.look().node.calls;
        act(&mut drive);
        assert!(drive.run_until(WITHIN, settled), "undisturbed: {:?}", drive.world.look().unsettled());
        drive.world.look().node.calls - first
    };
    for call in 0..=calls {
        for (seed, away) in (1..).zip(AWAY) {
            let mut drive = world(seed);
            drive.world.change().node.budget = Some(call);
            act(&mut drive);
            drive.run_until(WITHIN, |drive| !drive.has_node() || settled(drive));
            drive.kill_node();
            drive.run_for(away);
            drive.start_node();
            let done = drive.run_until(WITHIN, settled);
            let place = format!("killed after call {call} of {calls}, away for {away:?}");
            let trace = drive.trace.clone().unwrap().join("\n");
            assert!(done, "{place}: {:?}\n{trace}", drive.world.look().unsettled());
            want(&mut drive, &[]);
            assert!(drive.run_until(WITHIN, settled), "down, {place}: {:?}", drive.world.look().unsettled());
            assert_eq!(drive.world.look().processes.ours().count(), 0, "down, {place}");
            assert_eq!(drive.world.look().laws.violations, Vec::<String>::new(), "{place}\n{trace}");
        }
    }
    calls
}

#[test]
fn up_survives_the_node_dying_at_every_call() {
    let calls = check(
        |_| {},
        |drive| {
            want(drive, &before());
            drive.start_node();
        },
    );
    println!("up: {calls} calls");
    assert!(calls > 40, "{calls}");
}

fn is_up(drive: &mut Drive) {
    want(drive, &before());
    drive.start_node();
    assert!(drive.run_until(WITHIN, settled));
}

#[test]
fn a_change_survives_the_node_dying_at_every_call() {
    let calls = check(is_up, |drive| want(drive, &after()));
    println!("change: {calls} calls");
    assert!(calls > 30, "{calls}");
}

#[test]
fn down_survives_the_node_dying_at_every_call() {
    let calls = check(is_up, |drive| want(drive, &[]));
    println!("down: {calls} calls");
    assert!(calls > 20, "{calls}");
}
