//! Runs a node, that is a [`Supervisor`], in a world: hands it events, wakes it, kills it, begins the next.
//!
//! Start reading at [`Drive`].

use std::path::Path;
use std::time::Duration;

use model::UnitId;
use plan::supervision::Unit;
use supervise::supervisor::{Notice, UnitStatus};
use supervise::{Supervisor, Wanted};

use crate::machine::Machine;
use crate::world::{STATE, Task, World};

/// A world, the node in it if one lives, and what is wanted of it.
#[derive(Debug)]
pub struct Drive {
    /// The world.
    pub world: World,
    seed: u64,
    node: Option<Supervisor<Machine>>,
    wanted: Vec<Wanted<Task>>,
    /// The notices, when they are kept.
    pub notices: Option<Vec<(Duration, Notice)>>,
    /// Events and wake-ups that nodes have taken in.
    pub turns: u64,
}

impl Drive {
    /// A fresh world without a node, in which nothing is wanted.
    pub fn new(seed: u64) -> Self {
        Self { world: World::new(seed), seed, node: None, wanted: Vec::new(), notices: None, turns: 0 }
    }

    /// Whether a node lives.
    pub const fn has_node(&self) -> bool {
        self.node.is_some()
    }

    /// Begins a node, which adopts what it finds and then learns what is wanted.
    pub fn start_node(&mut self) {
        let mut node = Supervisor::new(Machine::of_new_node(&self.world), Path::new(STATE), self.seed);
        node.adopt();
        node.want(self.wanted.clone());
        self.node = Some(node);
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

    /// What is wanted from now on.
    pub fn want(&mut self, wanted: Vec<Wanted<Task>>) {
        self.world.change().wanted =
            wanted.iter().map(|wanted| (wanted.unit.id.clone(), wanted.unit.clone())).collect();
        self.wanted = wanted;
        if let Some(node) = &mut self.node {
            node.want(self.wanted.clone());
        }
        self.after_turn();
    }

    /// What is wanted.
    pub fn wanted(&self) -> &[Wanted<Task>] {
        &self.wanted
    }

    /// Asks for a restart; whether it was accepted.
    pub fn restart(&mut self, unit: &UnitId) -> bool {
        let Some(node) = &mut self.node else { return false };
        self.world.change().restart_asked.insert(unit.clone());
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

    fn after_turn(&mut self) {
        self.turns += 1;
        if let Some(node) = &mut self.node {
            let (notices, _) = node.take_notices();
            if let Some(kept) = &mut self.notices {
                let time = self.world.look().time;
                kept.extend(notices.into_iter().map(|notice| (time, notice)));
            }
        }
        if self.world.look().node.killed {
            self.kill_node();
        }
    }
}
