//! Whether a file is awaited: whoever starts a node brings one, and until it was judged nothing is started of what was applied
//! before.

use std::time::Duration;

use plan::change::Presence;

use super::Node;
use super::down_request::Purpose;

impl Node {
    /// Nobody has brought a file in time: the node goes on with what was applied before, or with the stop that was asked
    /// for since. Until then what runs goes on, and nothing is started. The time in which one is looked at is not counted.
    pub(super) fn give_up_awaiting_file(&mut self) {
        let now = self.now().steady;
        if self.awaits_file_until.is_some_and(|until| until <= now) && !self.errands.are_under_way() {
            self.awaits_file_until = None;
            self.go_on_with_stop();
        }
    }

    /// What is to run is applied: it is, from now on.
    pub(super) fn await_no_file(&mut self) {
        self.awaits_file_until = None;
        self.stops_unless_applied = false;
    }

    /// A person has just applied what is to run: it is, and what waits after a failure is tried at once, since what
    /// made it fail may have been mended.
    pub(super) fn carry_on(&mut self) {
        self.await_no_file();
        self.supervisor.try_failed_again();
    }

    /// Where this node was started for a file, that one was refused. A stop that was asked for before is gone on with.
    /// Otherwise what runs is looked after as it was applied; where nothing runs, nothing is started either until a file is
    /// applied. All that is left to another file that is to be decided on; and a stop, to whatever is asked about one: where no
    /// file is applied after all, the stop is gone on with when none is awaited any more.
    pub(super) fn heed_refused_file(&mut self) {
        if self.errands.bring_file() || self.stops_unless_applied && self.errands.are_under_way() {
            return;
        }
        if self.purpose == Purpose::Apply && self.awaits_file_until.is_some() {
            self.awaits_file_until = self.is_idle().then_some(Duration::MAX);
            self.go_on_with_stop();
        }
    }

    /// Whether it awaits a file, and nothing runs but what is being stopped.
    pub(super) fn is_idle(&self) -> bool {
        let runs = || self.presences().values().any(|presence| *presence != Presence::Stopping);
        self.awaits_file_until.is_some() && !runs()
    }
}
