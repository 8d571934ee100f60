//! How the children of a unit behave.
//!
//! Start reading at [`Manner`].

use std::time::Duration;

use crate::random::Random;

/// How a unit's next children behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// From a child's start until it answers.
    pub ready_after: Duration,
    /// After so long a child ends by itself with this code; never when absent.
    pub ends_after: Option<(Duration, i32)>,
    /// So many next starts end soon after they began, with code 1.
    pub crashes: u32,
    /// So many next starts cannot be carried out by the shim at all.
    pub missing: u32,
    /// From the gentle signal to a child's end.
    pub stop_takes: Duration,
    /// Whether it ignores the gentle signal.
    pub ignores_stop: bool,
    /// Whether it leaves processes in the background.
    pub leaks: bool,
    /// So many of its next tasks fail.
    pub task_failures: u32,
    /// How long its tasks take.
    pub task_takes: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            ready_after: Duration::from_millis(300),
            ends_after: None,
            crashes: 0,
            missing: 0,
            stop_takes: Duration::from_millis(200),
            ignores_stop: false,
            leaks: false,
            task_failures: 0,
            task_takes: Duration::from_millis(500),
        }
    }
}

/// How one child behaves, decided when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// From when it answers, on the world's time.
    pub ready_at: Duration,
    /// Whether it hangs.
    pub hung: bool,
    /// Whether it ignores the gentle signal.
    pub ignores_stop: bool,
    /// From the gentle signal to its end.
    pub stop_takes: Duration,
    /// When it ends by itself, and with what.
    pub ends: Option<(Duration, i32)>,
}

impl Manner {
    /// Decides how the child that starts now behaves.
    pub fn next(&mut self, now: Duration, random: &mut Random) -> Course {
        let soon = random.span(Duration::from_millis(5), Duration::from_millis(1500));
        let ends = match self.crashes {
            0 => self.ends_after.map(|(after, code)| (now + after, code)),
            _ => Some((now + soon, 1)),
        };
        self.crashes = self.crashes.saturating_sub(1);
        Course {
            ready_at: now + self.ready_after,
            hung: false,
            ignores_stop: self.ignores_stop,
            stop_takes: self.stop_takes,
            ends,
        }
    }
}
