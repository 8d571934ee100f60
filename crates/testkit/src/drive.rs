//! Runs a node, that is a [`Supervisor`], in a world: hands it events, wakes it, kills it, begins the next.
//!
//! Start reading at [`Drive`].

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use model::UnitId;
use plan::supervision::Unit;
use supervise::supervisor::{Notice, UnitStatus};
use supervise::{Supervisor, Wanted};

use crate::machine::Machine;
use crate::world::{STATE, Task, World};

/// One notice on one line: what, of which unit, why, and what was seen.
fn in_words(notice: &Notice) -> String {
    let json = serde_json::to_value(&notice.what).unwrap_or_default();
    let field = |name: &str| json.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let unit = [field("unit"), field("resource")].concat();
    let seen: Vec<&str> = notice.evidence.iter().map(|evidence| evidence.seen.as_str()).collect();
    let seen = if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) };
    format!("{} {unit}: {}{seen}", field("kind"), notice.reason)
}

/// More turns than any second of a healthy world has.
const TURNS_IN_A_SECOND: u32 = 50_000;

/// A world, the node in it if one lives, and what is wanted of it.
#[derive(Debug)]
pub struct Drive {
    /// The world.
    pub world: World,
    seed: u64,
    node: Option<Supervisor<Machine>>,
    wanted: Vec<Wanted<Task>>,
    held: BTreeSet<UnitId>,
    /// What happened, line by line, when that is kept.
    pub trace: Option<Vec<String>>,
    /// Events and wake-ups that nodes have taken in.
    pub turns: u64,
    /// The turns of the current second, to see a node that turns on the spot.
    second: (u64, u32),
}

impl Drive {
    /// A fresh world without a node, in which nothing is wanted.
    pub fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed),
            seed,
            node: None,
            wanted: Vec::new(),
            held: BTreeSet::new(),
            trace: None,
            turns: 0,
            second: (0, 0),
        }
    }

    /// Whether a node lives.
    pub const fn has_node(&self) -> bool {
        self.node.is_some()
    }

    /// Begins a node, which adopts what it finds and then learns what is wanted.
    pub fn start_node(&mut self) {
        let mut node = Supervisor::new(Machine::of_new_node(&self.world), Path::new(STATE), self.seed);
        node.adopt();
        self.node = Some(node);
        self.tell_node();
        self.after_turn();
    }

    /// Kills the node.
    pub fn kill_node(&mut self) {
        if self.node.take().is_some() {
            self.world.change().node_ends();
        }
    }

    /// The machine goes down and comes up again, without a node.
    pub fn reboot(&mut self) {
        self.node = None;
        self.world.change().reboot();
    }

    /// The next node is one of a copy of the state directory.
    pub fn copy(&mut self) {
        self.node = None;
        self.world.change().copied();
    }

    /// What is wanted from now on.
    pub fn want(&mut self, wanted: Vec<Wanted<Task>>) {
        self.world.change().wanted =
            wanted.iter().map(|wanted| (wanted.unit.id.clone(), wanted.unit.clone())).collect();
        self.wanted = wanted;
        self.tell_node();
        self.after_turn();
    }

    /// Of these units it cannot be told how they are to run, until it is said of others.
    pub fn hold(&mut self, held: BTreeSet<UnitId>) {
        self.held = held;
        self.tell_node();
        self.after_turn();
    }

    fn tell_node(&mut self) {
        let told = self.wanted.iter().filter(|wanted| !self.held.contains(&wanted.unit.id)).cloned().collect();
        if let Some(node) = &mut self.node {
            node.want(told, &self.held);
        }
    }

    /// What is wanted.
    pub fn wanted(&self) -> &[Wanted<Task>] {
        &self.wanted
    }

    /// Asks for a restart; whether it was accepted.
    pub fn restart(&mut self, unit: &UnitId) -> bool {
        let Some(node) = &mut self.node else { return false };
        self.world.change().note_restart(unit);
        let accepted = node.restart(unit).is_ok();
        if !accepted {
            self.world.change().restart_asked.remove(unit);
        }
        self.after_turn();
        accepted
    }

    /// Does the next thing that is due, up to `end`. False when nothing is.
    pub fn turn(&mut self, end: Duration) -> bool {
        let event_at = self.world.look().next_at();
        if self.turns_on_the_spot() {
            let mut world = self.world.change();
            world.time = world.time.max(end);
            return false;
        }
        let wake_at = self.node.as_ref().and_then(Supervisor::wake_at).map(|at| self.world.look().time_at(at));
        let wakes = wake_at.is_some_and(|wake| event_at.is_none_or(|event| wake <= event));
        let Some(at) = (if wakes { wake_at } else { event_at }).filter(|at| *at <= end) else {
            let mut world = self.world.change();
            world.time = world.time.max(end);
            return false;
        };
        if wakes {
            {
                let mut world = self.world.change();
                world.time = world.time.max(at);
            }
            if let Some(node) = &mut self.node {
                node.tick();
            }
            self.after_turn();
            return true;
        }
        let event = self.world.change().step();
        if let (Some(event), Some(node)) = (event, &mut self.node) {
            node.handle(event);
            self.after_turn();
        }
        true
    }

    /// Runs for so long.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.world.look().time + span;
        while self.turn(end) {}
    }

    /// Runs until this holds, at most for so long; whether it came to hold.
    pub fn run_until(&mut self, within: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.world.look().time + within;
        let step = Duration::from_secs(1);
        while !holds(self) {
            let now = self.world.look().time;
            if now >= end {
                return false;
            }
            self.run_for(step.min(end - now));
        }
        true
    }

    /// How the node sees its units; nothing without a node.
    pub fn snapshot(&self) -> Vec<UnitStatus> {
        self.node.as_ref().map(Supervisor::snapshot).unwrap_or_default()
    }

    /// Whether the node knows that nothing is left.
    pub fn is_down(&self) -> bool {
        self.node.as_ref().is_some_and(Supervisor::is_down)
    }

    /// The units that are wanted.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.wanted.iter().map(|wanted| &wanted.unit)
    }

    /// Adds a line to the trace, if one is kept.
    pub fn note(&mut self, text: &str) {
        let time = self.world.look().time.as_secs_f64();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{time:9.3}  {text}"));
        }
    }

    /// Law 10: a node that is woken again and again without getting anywhere is stopped here.
    fn turns_on_the_spot(&mut self) -> bool {
        let second = self.world.look().time.as_secs();
        if self.second.0 != second && self.second.1 < TURNS_IN_A_SECOND {
            self.second = (second, 0);
        }
        self.second.1 = self.second.1.saturating_add(1);
        if self.second.1 == TURNS_IN_A_SECOND {
            let snapshot = format!("{:?} {:?}", self.snapshot(), self.world.look().queue.peek());
            self.world.change().violated(format!("the node turns on the spot: {snapshot}"));
        }
        self.second.1 >= TURNS_IN_A_SECOND
    }

    fn after_turn(&mut self) {
        self.turns += 1;
        if let Some(node) = &mut self.node {
            let (notices, _) = node.take_notices();
            if self.trace.is_some() {
                notices.iter().for_each(|notice| self.note(&in_words(notice)));
            }
        }
        if self.world.look().node.killed {
            self.kill_node();
        }
    }
}
